"""A stub of boto3 for a faster start: moto imports boto3 only for its list of regions, which takes half a second.

The sandbox's own process never calls AWS, and has its own list of regions. Used in that process alone; one that has
imported boto3 already keeps it.
"""

from __future__ import annotations

import sys
import types
from typing import Any

from . import catalog


class Session:
    """The methods of boto3.Session that moto calls."""

    def get_available_partitions(self) -> list[str]:
        """Return the one partition."""
        return ["aws"]

    def get_available_regions(self, service: str, partition_name: str = "aws", **_: Any) -> list[str]:
        """Return the regions of the partition; there is one partition here."""
        return [*catalog.REGIONS, *catalog.OPT_IN_REGIONS] if partition_name == "aws" else []


def stub_boto3() -> None:
    """Put the stub into sys.modules, unless boto3 is imported already."""
    if "boto3" in sys.modules:
        return
    stub, session = types.ModuleType("boto3"), types.ModuleType("boto3.session")
    vars(session).update(Session=Session)
    vars(stub).update(Session=Session, session=session, client=None, resource=None, DEFAULT_SESSION=None)
    sys.modules.update({"boto3": stub, "boto3.session": session})
