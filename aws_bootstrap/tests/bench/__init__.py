"""The benchmark: what the program costs beside the fastest program known for the same work, measured in one run.

To add a row: write it into `startup.py` or `aws_rows.py`, and name a new group in `GROUPS` of `__main__.py`.
"""
