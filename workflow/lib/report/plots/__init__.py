"""The plots: inline SVG for the page, in its colors, and PNG for loss.png.

In: numbers. Out: a drawing. A new plot is a function beside those of its subject; its axes come
from `svg.py`, and `page.py` hands it to a template. Open `losses.py` first.
"""
