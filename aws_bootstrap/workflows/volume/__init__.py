"""Data volumes and their snapshots: `find.py` finds them by what is typed, one file a subcommand does the rest."""
