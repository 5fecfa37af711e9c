"""The benchmark: what the program costs beside the fastest program known for the same work, measured in one run.

To add a row: write it into a list like `startup.ROWS`, and name a new list in `GROUPS` of `__main__.py`.
"""
