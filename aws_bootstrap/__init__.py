"""aws-bootstrap: one command to a configured GPU box on AWS EC2, one command to end it."""

import sys

from . import startup

if startup.is_program(sys.argv[0]):
    startup.begin()
