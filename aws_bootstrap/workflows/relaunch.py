"""Launch an ended box again with its options, alias and data volume, as the SSH config or EC2's tags have them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from .. import aws, ec2, output, sshconfig
from ..config import LaunchConfig
from ..errors import BootstrapError, UsageError
from ..invocation import PROGRAM
from ..models import Instance, LaunchReport, Volume
from ..parallel import gather
from ..sshconfig import Host
from .data_volume import find_for
from .inventory import managed_hosts
from .launch import named

if TYPE_CHECKING:
    from ..app import App

#: How long a data volume may take to become free of the box that ended, in seconds.
_DETACH_SECONDS = 300.0


@dataclass(frozen=True)
class _Found:
    """What one region knows of the box."""

    instance: Instance | None
    volume: Volume | None


def plan(app: App, name: str) -> list[str] | LaunchReport:
    """Return the options of the launch that repeats the box with that alias or id; the box itself if it runs.

    So a repeated `relaunch` creates no second box. BootstrapError `not-found` if its settings are kept nowhere,
    `instance-stopped` if it is stopped; UsageError for a node of a cluster. Waits until its data volume is free.
    """
    host = sshconfig.find_in(managed_hosts(app), name)
    instance_id = host.instance_id if host else name
    if host is None and not name.startswith("i-"):
        raise _not_found(name)
    found = _find(app, instance_id, host)
    _check_no_node(name, host, found)
    if found.instance and found.instance.state not in ec2.ENDED:
        return _living(app, name, found.instance)
    words = _words(name, host, found)
    if found.volume:
        words = _with_volume(app, words, found.volume)
    if host:
        words += ["--name", host.alias]
    return words


def _check_no_node(name: str, host: Host | None, found: _Found) -> None:
    """Raise UsageError if the box is a node: what it shares with the other nodes is no option of `launch`."""
    cluster_id = host.cluster if host else None
    if found.instance:
        cluster_id = cluster_id or found.instance.cluster
    if cluster_id:
        raise UsageError(
            f"{name} is a node of the cluster {cluster_id}.",
            hint="Start the nodes that the cluster lacks: "
            f"{PROGRAM} cluster launch --cluster-id {cluster_id} --nodes NUMBER",
        )


def _living(app: App, name: str, instance: Instance) -> LaunchReport:
    """Return the box as the result. BootstrapError if it is stopped: its disks bill, and it is not launched again."""
    if instance.state not in ("pending", "running"):
        raise BootstrapError(
            f"{name} has not ended: it is {instance.state}.",
            hint=f"Start it: {PROGRAM} start {name}\nOr end it first: {PROGRAM} terminate {name}",
            code="instance-stopped",
        )
    is_spot = instance.lifecycle == "spot"
    return named.existing(app, LaunchConfig((instance.instance_type,), spot=is_spot, name=name), instance)


def _words(name: str, host: Host | None, found: _Found) -> list[str]:
    """Return the options of the box's launch. BootstrapError `not-found` if they are kept nowhere."""
    line = _settings(host, found)
    if line is None:
        raise _not_found(name)
    try:
        return shlex.split(line)
    except ValueError as exc:  # somebody edited them
        raise _not_found(name) from exc


def _find(app: App, instance_id: str, host: Host | None) -> _Found:
    """Return what EC2 knows of the box: in its own region, or in all enabled ones where that is not known."""
    regions: Sequence[str] = []
    if host and host.region:
        regions = [host.region]

    def read(region: str) -> _Found:
        client = app.aws.ec2(region)
        instances, volume = gather(
            partial(ec2.get_instances, client, [instance_id]), partial(find_for, client, instance_id)
        )
        return _Found(instances[0] if instances else None, volume)

    found, failed = aws.each_region(regions or app.aws.regions(), read)
    for one in found.values():
        if one.instance or one.volume:
            return one
    if failed:
        names = ", ".join(failure.region for failure in failed)
        raise BootstrapError(
            f"Could not read {names}: {failed[0].error}", hint="Run the command again.", code="region-failed"
        )
    return _Found(None, None)


def _settings(host: Host | None, found: _Found) -> str | None:
    """Return the options of the launch in one line, from where they are kept; None if they are kept nowhere."""
    if host and host.settings is not None:
        return host.settings
    if found.instance and found.instance.settings is not None:
        return found.instance.settings
    if found.volume:
        return found.volume.settings
    return None


def _not_found(name: str) -> BootstrapError:
    return BootstrapError(
        f"The settings of {name} are kept nowhere: not in the SSH config, and in no tag that EC2 still has.",
        hint=f"Write the launch in full, for example: {PROGRAM} launch --instance-type g4dn.xlarge\n"
        f"A data volume of it is in: {PROGRAM} status",
        code="not-found",
    )


def _with_volume(app: App, words: Sequence[str], volume: Volume) -> list[str]:
    """Return the options with the data volume in place of a new one, and its region in place of others.

    Waits until the volume is free: EC2 detaches it some seconds after its box has ended.
    """
    if volume.attached_to:
        output.info(f"Waiting until the data volume {volume.volume_id} is detached")
        client = app.aws.ec2(volume.region)
        for settled in ec2.wait_detached(client, {volume.volume_id: volume.attached_to}, _DETACH_SECONDS):
            error = settled[volume.volume_id]
            if error:
                raise error
    kept = without_options(words, "--ebs-storage", "--ebs-volume-id", "--region")
    return [*kept, "--region", volume.region, "--ebs-volume-id", volume.volume_id]


def without_options(words: Sequence[str], *names: str) -> list[str]:
    """Return the words without these options and their values."""
    kept: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in names:
            skip = True
        else:
            kept.append(word)
    return kept
