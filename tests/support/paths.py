"""Where the project lies."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SMALL_WORLD = ROOT / "workflow/resources/small-world"
NANO = SMALL_WORLD / "nano-1M"
