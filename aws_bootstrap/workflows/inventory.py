"""Which boxes exist: instances, joined with how ssh reaches them and with their data volumes.

Every command finds its boxes here, so that "not found", "orphan volume" and "stale host" mean one thing each.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from .. import ec2, output, sshconfig
from ..aws import each_region
from ..errors import BootstrapError
from ..models import Instance, RegionFailure, Volume
from ..outcomes import unread_regions
from ..parallel import gather
from ..sshconfig import Host
from .aliases import alias_order
from .box import Box
from .names import named_boxes, not_found, several_nodes

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

    from ..app import App

#: When to read data volumes: at the same time as the instances, before them, or not at all. `with-roots` reads root
#: volumes as well, `everything` also the instances that are terminated: each in the same call.
type VolumeReading = Literal["beside", "with-roots", "everything", "first", "none"]
#: Reads one region: its instances (of these ids; without any, all), its volumes, and anything else.
type Reader[T] = Callable[[EC2Client, Sequence[str]], tuple[list[Instance], list[Volume], T]]


@dataclass(frozen=True)
class Inventory:
    """The boxes, data volumes and hosts of some regions, and the regions that could not be read.

    An inventory of named boxes holds what belongs to them alone. What is missing is judged by its own region: an
    instance or volume never moves to another one.
    """

    boxes: tuple[Box, ...]
    volumes: tuple[Volume, ...]
    hosts: tuple[Host, ...]
    regions: tuple[str, ...]
    failed: tuple[RegionFailure, ...]
    #: The regions that a policy of the account's organization denies; none of those that the user chose.
    denied: tuple[RegionFailure, ...] = ()
    #: Whether the user chose the regions, so that nothing else is judged.
    is_narrowed: bool = False
    #: The terminated instances of these regions, of which no box is named; read with `everything` alone.
    ended: tuple[Instance, ...] = ()

    def orphans(self) -> tuple[Volume, ...]:
        """Return the volumes that are detached and whose instance no longer exists, the user's own among them."""
        instances = [box.instance for box in self.boxes]
        return orphan_volumes(self.volumes, instances)

    def stale_hosts(self) -> tuple[Host, ...]:
        """Return the hosts whose instance certainly no longer exists, by alias."""
        stale, _ = self._hosts_without_box()
        return tuple(stale)

    def unjudged_hosts(self) -> tuple[Host, ...]:
        """Return the hosts whose instance was not seen, but may live where nothing could be read, by alias."""
        _, unjudged = self._hosts_without_box()
        return tuple(unjudged)

    def _hosts_without_box(self) -> tuple[list[Host], list[Host]]:
        """Return the hosts whose instance was not seen: the stale ones, and those that cannot be judged."""
        existing = {box.instance_id for box in self.boxes}
        stale: list[Host] = []
        unjudged: list[Host] = []
        for host in sorted(self.hosts, key=_host_order):
            if host.instance_id in existing:
                continue
            if self.is_narrowed and host.region not in self.regions:
                continue
            if self._covers(host):
                stale.append(host)
            else:
                unjudged.append(host)
        return stale, unjudged

    def _covers(self, host: Host) -> bool:
        """Return whether the host's region was read; for a host without a region, whether every region was."""
        unread = {failure.region for failure in (*self.failed, *self.denied)}
        if host.region is None:
            return not unread
        return host.region in self.regions and host.region not in unread


def _host_order(host: Host) -> tuple[int, str]:
    """Return what to sort hosts by."""
    return alias_order(host.alias)


def orphan_volumes(volumes: Iterable[Volume], instances: Iterable[Instance]) -> tuple[Volume, ...]:
    """Return the volumes that are detached and whose instance is not among these."""
    existing = _ids(instances)
    orphans: list[Volume] = []
    for volume in volumes:
        if volume.state == "available" and volume.instance_id not in existing:
            orphans.append(volume)
    return tuple(orphans)


def _ids(instances: Iterable[Instance]) -> set[str]:
    """Return the ids of the instances."""
    return {instance.instance_id for instance in instances}


def regions_to_read(app: App, regions: Sequence[str]) -> tuple[str, ...]:
    """Return these regions, each once; where there are none, all that are enabled for the account."""
    if regions:
        return tuple(dict.fromkeys(regions))
    return tuple(app.aws.regions())


def managed_hosts(app: App) -> list[Host]:
    """Return the managed hosts in the SSH config of this machine. BootstrapError if it cannot be read."""
    return sshconfig.hosts(sshconfig.read(app.paths.ssh_config))


def read(
    app: App,
    regions: Sequence[str] = (),
    names: Sequence[str] = (),
    *,
    volumes: VolumeReading = "beside",
    hosts: Sequence[Host] | None = None,
) -> Inventory:
    """Return the boxes named, or all boxes in these regions. See `read_with`."""

    def read_both(client: EC2Client, instance_ids: Sequence[str]) -> tuple[list[Instance], list[Volume], None]:
        return *read_region(client, instance_ids, volumes), None

    inventory, _ = read_with(read_both, app, regions, names, hosts=hosts)
    return inventory


def read_with[T](
    reader: Reader[T],
    app: App,
    regions: Sequence[str] = (),
    names: Sequence[str] = (),
    *,
    hosts: Sequence[Host] | None = None,
) -> tuple[Inventory, dict[str, T]]:
    """Return the inventory of what the reader reads, and by region what else it reads.

    A name is an alias, an instance id, or the id of a cluster, which means its living nodes. It is looked up in the
    region that its block in the SSH config names, else in these regions, else in all. A named box may have ended.
    `hosts` are the managed ones of the SSH config, which is read if they are not given: before the instances, so that
    the host of a box launched meanwhile never looks stale.

    BootstrapError `not-found` unless every box that was named is found, `region-failed` where a region that could not
    be read may have it: nothing is changed on the basis of a partial view.
    """
    if hosts is None:
        hosts = managed_hosts(app)
    scope = replace(_scope(app, regions, names, hosts), is_narrowed=bool(regions))

    def read_one(region: str) -> tuple[list[Instance], list[Volume], T]:
        return reader(app.aws.ec2(region), scope.ids_by_region[region])

    answers, failed = each_region(scope.ids_by_region, read_one)
    instances: list[Instance] = []
    found_volumes: list[Volume] = []
    more_by_region: dict[str, T] = {}
    for region, (region_instances, region_volumes, more_read) in answers.items():
        instances += region_instances
        found_volumes += region_volumes
        more_by_region[region] = more_read
    inventory = scope.inventory(instances, found_volumes, failed)
    _warn_of_denied(inventory.denied)
    return inventory, more_by_region


def _warn_of_denied(denied: Sequence[RegionFailure]) -> None:
    """Say once which regions the account's organization denies."""
    if denied:
        names = ", ".join(failure.region for failure in denied)
        output.warn(f"Your organization denies access to these regions: {names}.", code="region-denied")


def select(
    app: App,
    names: Sequence[str],
    regions: Sequence[str] = (),
    *,
    volumes: VolumeReading = "beside",
    ended: bool = False,
) -> tuple[Box, ...]:
    """Return the boxes named, each once, by alias or instance id; none where none is named. See `read_with`.

    BootstrapError `not-found` for a box that has ended, unless `ended` includes those.
    """
    if not names:
        return ()
    boxes = read(app, regions, names, volumes=volumes).boxes
    if not ended:
        check_none_ended(boxes)
    return boxes


def select_one(app: App, name: str, *, volumes: VolumeReading = "beside") -> Box:
    """Return the box named, as `select` does. UsageError for the id of a cluster that has several nodes."""
    boxes = select(app, [name], volumes=volumes)
    if len(boxes) > 1:
        raise several_nodes(name, [box.alias or box.instance_id for box in boxes])
    return boxes[0]


def check_none_ended(boxes: Iterable[Box]) -> None:
    """Raise BootstrapError `not-found` for named boxes that have ended."""
    ended: list[str] = []
    for box in boxes:
        if box.has_ended:
            ended.append(box.alias or box.instance_id)
    if ended:
        raise not_found(ended)


def read_region(
    client: EC2Client, instance_ids: Sequence[str] = (), volumes: VolumeReading = "beside"
) -> tuple[list[Instance], list[Volume]]:
    """Return one region's instances and data volumes, `with-roots` and `everything` also their root volumes.

    The instances are those of these ids, whatever their state, or all that are not terminated, `everything` also those.
    """
    if instance_ids:
        read_instances = partial(ec2.get_instances, client, instance_ids)
    else:
        read_instances = partial(ec2.find_instances, client, terminated=volumes == "everything")
    if volumes == "none":
        return read_instances(), []
    if volumes == "first":
        found_volumes = ec2.find_volumes(client)
        return read_instances(), found_volumes
    if volumes in ("with-roots", "everything"):
        instances, (data, roots) = gather(read_instances, partial(ec2.find_volumes_and_roots, client))
        return instances, [*data, *roots]
    return gather(read_instances, partial(ec2.find_volumes, client))


def _join(instances: Iterable[Instance], hosts: Iterable[Host], volumes: Iterable[Volume]) -> tuple[Box, ...]:
    """Return the boxes, each once. A volume that names no instance is the root volume of the one it is attached to."""
    host_by_id = {host.instance_id: host for host in hosts}
    data_by_id: dict[str, list[Volume]] = {}
    roots: dict[str | None, Volume] = {}
    for volume in volumes:
        if volume.instance_id is None:
            roots[volume.attached_to] = volume
        else:
            data_by_id.setdefault(volume.instance_id, []).append(volume)
    boxes: dict[str, Box] = {}
    for instance in instances:
        instance_id = instance.instance_id
        own_volumes = data_by_id.get(instance_id, [])
        boxes[instance_id] = Box(instance, host_by_id.get(instance_id), tuple(own_volumes), roots.get(instance_id))
    return tuple(boxes.values())


def _is_of(volume: Volume, instance_ids: Container[str]) -> bool:
    """Return whether the volume is a data volume of one of these instances, or its root volume."""
    if volume.instance_id is None:
        return volume.attached_to in instance_ids
    return volume.instance_id in instance_ids


# --- what to read ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Scope:
    """What to read: the instance ids by region (without any: all boxes there), and the hosts they may have."""

    ids_by_region: Mapping[str, Sequence[str]]
    hosts: tuple[Host, ...]
    #: What the user typed for each box, by its instance id; empty where no box was named.
    typed: Mapping[str, str] = field(default_factory=dict)
    #: Whether the user chose the regions. One that is denied is then a failure like any other.
    is_narrowed: bool = False

    def inventory(
        self, instances: Sequence[Instance], volumes: Sequence[Volume], failed: tuple[RegionFailure, ...]
    ) -> Inventory:
        """Return what was read, joined. BootstrapError unless every box that was named is among it."""
        denied: list[RegionFailure] = []
        unread: list[RegionFailure] = []
        for failure in failed:
            if failure.is_denied and not self._is_chosen(failure.region):
                denied.append(failure)
            else:
                unread.append(failure)
        self._check_found(instances, tuple(unread))
        if self.typed:
            volumes = [volume for volume in volumes if _is_of(volume, self.typed)]
        ended: list[Instance] = []
        if not self.typed:
            ended = [instance for instance in instances if instance.state == "terminated"]
            instances = [instance for instance in instances if instance.state != "terminated"]
        boxes = _join(instances, self.hosts, volumes)
        data_volumes = [volume for volume in volumes if volume.instance_id is not None]
        regions = tuple(self.ids_by_region)
        return Inventory(
            boxes,
            tuple(data_volumes),
            self.hosts,
            regions,
            tuple(unread),
            tuple(denied),
            self.is_narrowed and not self.typed,
            tuple(ended),
        )

    def _is_chosen(self, region: str) -> bool:
        """Return whether the user named the region, or a box that its host says is in that region."""
        return self.is_narrowed or any(host.region == region for host in self.hosts if host.instance_id in self.typed)

    def _check_found(self, instances: Iterable[Instance], failed: tuple[RegionFailure, ...]) -> None:
        """Raise BootstrapError unless every box that was named is among the instances."""
        found = _ids(instances)
        missing: list[str] = []
        for instance_id in self.typed:
            if instance_id not in found:
                missing.append(self._label(instance_id))
        if not missing:
            return
        unread = unread_regions(failed)
        if unread:
            raise BootstrapError(str(unread), hint=unread.hint, code=unread.code)
        raise not_found(missing)

    def _label(self, instance_id: str) -> str:
        """Return what the user typed for the box, and its id if that is another."""
        name = self.typed[instance_id]
        if name == instance_id:
            return name
        return f"{name} ({instance_id})"


def _scope(app: App, regions: Sequence[str], names: Sequence[str], hosts: Sequence[Host]) -> _Scope:
    """Return the scope of these names, or of all boxes in these regions if none is named."""
    if names:
        return _named(app, regions, names, hosts)
    return _everything(app, regions, hosts)


def _everything(app: App, regions: Sequence[str], hosts: Sequence[Host]) -> _Scope:
    """Return the scope of all boxes in these regions; without any, in all regions."""
    ids_by_region: dict[str, Sequence[str]] = {}
    for region in regions_to_read(app, regions):
        ids_by_region[region] = ()
    return _Scope(ids_by_region, tuple(hosts))


def _named(app: App, regions: Sequence[str], names: Sequence[str], hosts: Sequence[Host]) -> _Scope:
    """Return the scope of these names. BootstrapError `not-found` for one that means no box."""
    typed: dict[str, str] = {}
    own_hosts: dict[str, Host] = {}
    ids_by_region: dict[str, list[str]] = {}
    ids_anywhere: list[str] = []
    for name in names:
        for box in named_boxes(app, hosts, name):
            if box.instance_id in typed:
                continue
            typed[box.instance_id] = box.typed
            if box.host:
                own_hosts[box.instance_id] = box.host
            if box.region:
                ids_by_region.setdefault(box.region, []).append(box.instance_id)
            else:
                ids_anywhere.append(box.instance_id)
    if ids_anywhere:
        for region in regions_to_read(app, regions):
            ids_by_region.setdefault(region, []).extend(ids_anywhere)
    return _Scope(ids_by_region, tuple(own_hosts.values()), typed)
