"""moto's settings: environment variables that moto reads when it is imported, so they must be set before.

They are set here and nowhere else, once, by the process that runs the sandbox. A process that only imports a module of
this package keeps its environment. `backend.install` calls `require`, so no import order can switch validation off.
"""

from __future__ import annotations

import os
import sys

from . import catalog

SETTINGS = {
    # Real EC2 validates image ids and key pairs.
    "MOTO_ENABLE_AMI_VALIDATION": "1",
    "MOTO_ENABLE_KEYPAIR_VALIDATION": "1",
    # The images are those of `catalog`.
    "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
    "MOTO_ACCOUNT_ID": catalog.ACCOUNT,
}


def configure() -> None:
    """Set moto's settings; raise RuntimeError if moto is imported already, and would ignore them."""
    if "moto" in sys.modules:
        raise RuntimeError("moto was imported before its settings were set")
    os.environ.update(SETTINGS)


def require() -> None:
    """Raise RuntimeError unless moto was imported with these settings."""
    from moto import settings

    if not settings.ENABLE_AMI_VALIDATION or not settings.ENABLE_KEYPAIR_VALIDATION:
        raise RuntimeError("moto was imported without its settings: call moto_settings.configure first")
    for name, value in SETTINGS.items():
        if os.environ.get(name) != value:
            raise RuntimeError(f"{name} has changed since moto_settings.configure")
