"""Stop and start boxes: `stop.py`, `start.py`, and what both of them note of each box, `changes.py`."""
