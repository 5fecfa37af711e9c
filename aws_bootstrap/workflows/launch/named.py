"""A launch by name: whoever repeats it gets the box that already has the name, and no second one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ... import aws, ec2, output, sshconfig
from ...config import DEFAULT_USER, LaunchConfig
from ...errors import BootstrapError, UsageError
from ...invocation import PROGRAM
from ...models import Instance, LaunchReport
from ...models.cost import monthly_total
from ...outcomes import unread_regions
from ...sshconfig import Host
from .. import costs
from ..box import Box
from ..inventory import select
from ..owners import find_owner, is_of_another

if TYPE_CHECKING:
    from ...app import App

_STOPPED = ("stopping", "stopped")


class BoxExists(Exception):
    """A box of the name was found right before a launch: it is returned in place of a new one."""

    def __init__(self, instance: Instance) -> None:
        super().__init__(instance.instance_id)
        self.instance = instance


def find_box(app: App, name: str, regions: Sequence[str]) -> Instance | None:
    """Return the caller's box of that name in these regions, the oldest; None if there is none, or it has ended.

    A box without a recorded owner may be the caller's. BootstrapError if it is stopped, if it is another's, or if a
    region cannot be read: a second box must not be launched then.
    """

    def read(region: str) -> list[Instance]:
        return ec2.find_named(app.aws.ec2(region), name)

    answers, failed = aws.each_region(regions, read)
    unread = unread_regions(failed)
    if unread:
        raise unread
    living: list[Instance] = []
    for found in answers.values():
        living += [instance for instance in found if instance.state not in ec2.ENDED]
    if not living:
        return None
    caller = find_owner(app)
    for instance in living:
        if is_of_another(instance.owner, caller):
            continue
        if instance.state in _STOPPED:
            raise _stopped(name, instance)
        return instance
    raise _of_another(name, living[0])


def _of_another(name: str, instance: Instance) -> BootstrapError:
    """Return the error for a name that the box of somebody else has."""
    return BootstrapError(
        f"The box {name} ({instance.instance_id}) in {instance.region} is not yours: its owner is {instance.owner}.",
        hint="Pass another --name.",
        code="not-yours",
    )


def _stopped(name: str, instance: Instance) -> BootstrapError:
    """Return the error for a box that is not started, since a launch with other settings may be meant."""
    place = f"{instance.instance_id} --region {instance.region}"
    return BootstrapError(
        f"The box {name} ({instance.instance_id}) is {instance.state} and is not started.",
        hint=f"Start it: {PROGRAM} start {instance.instance_id}\nOr end it: {PROGRAM} terminate {place}",
        code="instance-stopped",
    )


def check_name(app: App, config: LaunchConfig) -> None:
    """Raise BootstrapError if the name cannot become the alias of a new box."""
    name = config.name
    if name is None:
        return
    if "Name" in config.tag:
        raise UsageError("--name sets the tag Name.", hint="Pass either --name or --tag Name=…, not both.")
    text = sshconfig.read(app.paths.ssh_config)
    host = sshconfig.find(text, name)
    if host is None:
        if name in sshconfig.host_patterns(text):
            raise UsageError(f"The SSH config has a host {name} of your own.", hint="Pass another --name.")
    elif _is_of_another_box(app, host, name, config.region or (app.aws.region,)):
        raise BootstrapError(
            f"{name} is the alias of the box {host.instance_id}.", hint="Pass another --name.", code="usage"
        )


def _is_of_another_box(app: App, host: Host, name: str, regions: Sequence[str]) -> bool:
    """Return whether the host's box lives, and is not the one that a launch in these regions would return."""

    def read(region: str) -> bool:
        client = app.aws.ec2(region)
        if region in regions and any(box.instance_id == host.instance_id for box in ec2.find_named(client, name)):
            return False
        found = ec2.get_instances(client, [host.instance_id])
        return any(instance.state not in ec2.ENDED for instance in found)

    return aws.call_region(host.region or app.aws.region, read)


def free_aliases(app: App, hosts: Iterable[Host]) -> None:
    """Remove the hosts of ended boxes that have the aliases of these, so that the new boxes get them."""
    owners = {host.alias: host.instance_id for host in hosts if host.alias}
    ended: list[str] = []
    for host in sshconfig.hosts(sshconfig.read(app.paths.ssh_config)):
        if owners.get(host.alias, host.instance_id) != host.instance_id:
            ended.append(host.instance_id)
    sshconfig.remove(app.paths.ssh_config, ended)


def existing(app: App, config: LaunchConfig, instance: Instance) -> LaunchReport:
    """Return the box that has the name as the result of the launch. Warn where its settings differ."""
    output.info(f"The box {config.name} exists already: {instance.instance_id} in {instance.region}")
    if instance.owner is None:
        message = f"It is unknown whether {config.name} is yours: no owner is recorded."
        output.warn(message, code="owner-unknown", instance_id=instance.instance_id, region=instance.region)
    for difference in _differences(config, instance):
        output.warn(difference, code="settings-differ", instance_id=instance.instance_id, region=instance.region)
    box = _box(app, instance)
    prices = costs.read_instance_prices(app, [instance])
    monthly_costs = costs.monthly_costs(box)
    for message in costs.unknown_monthly_costs(str(config.name), monthly_costs):
        output.warn(message, code="price-unknown", instance_id=instance.instance_id, region=instance.region)
    return LaunchReport(
        instance_id=instance.instance_id,
        public_ip=instance.public_ip,
        instance_type=instance.instance_type,
        availability_zone=instance.availability_zone,
        ami_id=instance.image_id,
        pricing=instance.lifecycle,
        region=instance.region,
        regions_tried=(),
        ssh_alias=box.alias,
        setup=None,
        existing=True,
        price_per_hour=prices.of_instance(instance),
        monthly_cost_usd=monthly_total(monthly_costs),
        monthly_costs=monthly_costs,
        deadline=instance.deadline,
        idle_timeout_seconds=instance.idle_timeout,
        user=box.host.user if box.host else DEFAULT_USER,
    )


def _box(app: App, instance: Instance) -> Box:
    """Return the box of the instance; without its volumes where they cannot be read, since it exists all the same."""
    try:
        (box,) = select(app, [instance.instance_id], [instance.region], volumes="with-roots")
    except BootstrapError:
        return Box(instance, sshconfig.find(sshconfig.read(app.paths.ssh_config), instance.instance_id))
    return box


def _differences(config: LaunchConfig, instance: Instance) -> list[str]:
    """Return in what the box differs from the settings, as far as EC2 shows it."""
    differences: list[str] = []
    name = config.name
    if instance.instance_type not in config.instance_type:
        requested = " or ".join(config.instance_type)
        differences.append(f"{name} exists already, as {instance.instance_type} and not as {requested}.")
    if instance.lifecycle != config.market:
        differences.append(f"{name} exists already, as {instance.lifecycle} and not as {config.market}.")
    return differences
