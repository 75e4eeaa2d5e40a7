"""One job computed by several processes: their shares, their start, and how they end."""
