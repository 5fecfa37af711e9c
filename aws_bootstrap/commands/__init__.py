"""One file a command: options, then the workflow, then the answer."""

from .launch import launch
from .setup import setup
from .status import status
from .terminate import terminate

# To add a command, write it and name it here.
COMMANDS = (launch, setup, status, terminate)
