"""Import botocore with awscrt, AWS's Common Runtime, only for a session of `aws login`.

botocore imports awscrt wherever it is installed, which takes 50 ms and 7 MB: a quarter of the start of a command. This
program needs it for nothing but the signatures of such a session.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

_LOCK = threading.Lock()

#: The variables that name the files of the AWS CLI, and their defaults.
_FILES = {"AWS_CONFIG_FILE": "~/.aws/config", "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials"}


@contextlib.contextmanager
def left_out() -> Iterator[None]:
    """Have botocore find no awscrt where the block imports it, unless a profile has a session of `aws login`."""
    with _LOCK:
        if "awscrt" in sys.modules or has_login_session():
            yield
            return
        sys.modules["awscrt"] = None  # type: ignore[assignment]  # Python's way to say that there is no such module
        try:
            yield
        finally:
            del sys.modules["awscrt"]


def has_login_session() -> bool:
    """Return whether a profile has a session of `aws login`. Which profile does not matter: roles refer to others."""
    for variable, default in _FILES.items():
        path = Path(os.environ.get(variable) or default)
        try:
            if b"login_session" in path.expanduser().read_bytes():
                return True
        except (OSError, RuntimeError):
            continue  # botocore reports what is wrong with the file
    return False
