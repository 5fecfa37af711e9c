"""Run what each command does, without a terminal, an output format or boto3."""
