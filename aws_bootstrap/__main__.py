"""`python -m aws_bootstrap` is `aws-bootstrap`."""

from .cli import main

main()
