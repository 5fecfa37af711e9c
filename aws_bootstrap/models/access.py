"""Results of `access`."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Result, optional
from .facts import RegionFailure
from .left_out import LeftOutBox


@dataclass(frozen=True)
class AccessRule:
    """Who one rule allows: a CIDR, a prefix list or another security group."""

    source: str
    security_group: str
    rule_id: str
    created_by_us: bool
    description: str | None
    #: The principal that created it with this tool; null where that is not known.
    owner: str | None = None


@dataclass(frozen=True)
class BoxAccess:
    """Who may reach the SSH port of one box. `reachable` from here is null where that is unknown.

    `added` and `removed` are the CIDRs that changed, present if a change was requested.
    """

    instance_id: str
    region: str
    ssh_alias: str | None
    ssh_port: int
    reachable: bool | None
    rules: tuple[AccessRule, ...]
    added: tuple[str, ...] | None = optional()
    removed: tuple[str, ...] | None = optional()
    #: The principal that launched the box; null for a box from before the tag `aws-bootstrap-owner`.
    owner: str | None = None
    #: Whether that is the caller; null where it could not be read who calls.
    yours: bool | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        """Every source that is allowed, each once."""
        return tuple(dict.fromkeys(rule.source for rule in self.rules))


@dataclass(frozen=True)
class AccessReport(Result):
    """Who may reach our boxes, and the caller's own address (null where it cannot be found out)."""

    boxes: tuple[BoxAccess, ...]
    my_address: str | None
    regions_queried: tuple[str, ...]
    regions_failed: tuple[RegionFailure, ...]
    #: The regions that a policy of the account's organization denies, unless --region named them.
    regions_denied: tuple[RegionFailure, ...] = ()
    #: The boxes whose rules a change without names did not touch, since they are not the caller's.
    left_out: tuple[LeftOutBox, ...] = ()
