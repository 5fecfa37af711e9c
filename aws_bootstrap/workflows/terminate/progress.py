"""How far a termination is: of each box, and of what the nodes of each cluster shared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...errors import BootstrapError
from ...models import LeftOutBox, RegionFailure, StateChange, Volume
from ..box import Box
from ..unknown import Calls

if TYPE_CHECKING:
    from ...app import App


@dataclass
class BoxTermination:
    """The termination of one box, as far as it is done. It notes each result at once: an interrupt can report it."""

    box: Box
    keep_ebs: bool
    #: The name of the TerminateInstances call that was sent for the box.
    call: str = ""
    #: The state change that EC2 reports; None while the box is not known to terminate.
    change: StateChange | None = None
    #: The ids of the deleted volumes.
    deleted: list[str] = field(default_factory=list)
    errors: list[BootstrapError] = field(default_factory=list)

    @property
    def instance_id(self) -> str:
        """Return the instance id of the box."""
        return self.box.instance_id

    @property
    def region(self) -> str:
        """Return the region of the box."""
        return self.box.region

    @property
    def undeleted_volumes(self) -> tuple[Volume, ...]:
        """Return the volumes to delete that are not deleted yet."""
        if self.keep_ebs:
            return ()
        undeleted: list[Volume] = []
        for volume in self.box.deletable_volumes:
            if volume.volume_id not in self.deleted:
                undeleted.append(volume)
        return tuple(undeleted)


@dataclass
class ClusterEnding:
    """The end of a cluster: of what its nodes shared in its region. It notes each result at once, too."""

    cluster_id: str
    region: str
    #: Whether the cluster was named, so that all of it ends; else some of its nodes were.
    is_named: bool = False
    #: Whether none of its nodes lives any longer; None while that was not looked up.
    has_ended: bool | None = None
    #: The names of its placement groups and the ids of its security groups, as far as they are known.
    placement_groups: list[str] = field(default_factory=list)
    security_groups: list[str] = field(default_factory=list)
    #: Whether all that exists is known.
    is_known: bool = False
    #: Those that are deleted.
    deleted: list[str] = field(default_factory=list)
    errors: list[BootstrapError] = field(default_factory=list)

    def outcome(self, groups: Iterable[str]) -> bool | None:
        """Return whether these groups are all deleted; None if there were none."""
        remaining = set(groups) - set(self.deleted)
        if remaining or not self.is_known:
            return False
        return True if groups else None


@dataclass
class TerminateProgress:
    """The termination of all targets, as far as it is done."""

    app: App
    boxes: list[BoxTermination]
    calls: Calls
    #: The boxes of the region that are not the caller's.
    left_out: tuple[LeftOutBox, ...] = ()
    #: The clusters that have nodes among the boxes.
    clusters: list[ClusterEnding] = field(default_factory=list)
    #: Instances that have ended before, whose aliases go as well.
    ended_before: tuple[str, ...] = ()
    #: The regions that may have other nodes of that name.
    regions_failed: tuple[RegionFailure, ...] = ()
    #: The removed aliases, by instance id.
    aliases: dict[str, str] = field(default_factory=dict)

    @property
    def named_cluster(self) -> ClusterEnding | None:
        """Return the cluster that was named; None for a termination of boxes."""
        for ending in self.clusters:
            if ending.is_named:
                return ending
        return None

    @property
    def terminated(self) -> list[BoxTermination]:
        """Return the boxes that EC2 reports as terminated or shutting down."""
        return [termination for termination in self.boxes if termination.change]

    @property
    def not_terminated(self) -> list[BoxTermination]:
        """Return the boxes that are not known to terminate."""
        return [termination for termination in self.boxes if not termination.change]

    @property
    def unknown(self) -> list[BoxTermination]:
        """Return the boxes whose state could not be read after the call got no answer."""
        return [termination for termination in self.not_terminated if termination.call in self.calls.unknown]


def by_region(boxes: Iterable[BoxTermination]) -> dict[str, list[BoxTermination]]:
    """Return these terminations by the region of their boxes."""
    found: dict[str, list[BoxTermination]] = {}
    for termination in boxes:
        found.setdefault(termination.region, []).append(termination)
    return found


def instance_ids(boxes: Iterable[BoxTermination]) -> list[str]:
    """Return the instance ids of the boxes."""
    return [termination.instance_id for termination in boxes]
