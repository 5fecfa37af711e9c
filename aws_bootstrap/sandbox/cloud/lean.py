"""A quicker start: moto imports boto3 to ask it for the list of regions, and that import costs half a second.

The sandbox's own process calls no AWS, and has its own list. Used there and nowhere else: a process that has
imported boto3 already keeps it.
"""

from __future__ import annotations

import sys
import types
from typing import Any

from . import catalog


class Session:
    """As much of boto3.Session as moto asks."""

    def get_available_partitions(self) -> list[str]:
        return ["aws"]

    def get_available_regions(self, service: str, partition_name: str = "aws", **_: Any) -> list[str]:
        """The regions of the partition; there is one partition here."""
        return [*catalog.REGIONS, *catalog.OPT_IN_REGIONS] if partition_name == "aws" else []


def spare_boto3() -> None:
    """Puts a stand-in in boto3's place for the imports to come."""
    if "boto3" in sys.modules:
        return
    stand_in, session = types.ModuleType("boto3"), types.ModuleType("boto3.session")
    vars(session).update(Session=Session)
    vars(stand_in).update(Session=Session, session=session, client=None, resource=None, DEFAULT_SESSION=None)
    sys.modules.update({"boto3": stand_in, "boto3.session": session})
