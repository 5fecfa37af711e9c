"""What each command does, step by step, with no terminal, no output format and no boto3 in sight."""
