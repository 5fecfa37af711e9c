"""`python -m aws_bootstrap` is `aws-bootstrap`."""

from . import startup

startup.begin()

from .cli import main  # noqa: E402 - a signal that comes while the rest is loaded must find its handler

main()
