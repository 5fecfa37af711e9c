"""One file a command: options, then the workflow, then the answer."""

from .access import access
from .cleanup import cleanup
from .completion import completion
from .launch import launch
from .list import list_
from .quota import quota
from .setup import setup
from .status import status
from .terminate import terminate

# To add a command, write it and name it here.
COMMANDS = (launch, setup, status, terminate, cleanup, access, list_, quota, completion)
