"""What a launch would do: facts read at once, in every region in parallel, and nothing changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ... import aws, cloud_init, ec2, keys, sshconfig
from ...config import DEFAULT_USER, LOGIN_REFUSED_SECONDS, LaunchConfig
from ...errors import BootstrapError, UsageError
from ...invocation import PROGRAM
from ...models import DryRun, Image, InstanceType, KeyPair, Network, RegionFailure, SecurityGroup, Volume
from ...ssh import check_installed
from .. import provision, ssh_options
from ..cidrs import resolve_cidrs
from ..hosts import new_host

if TYPE_CHECKING:
    from ...app import App

_OPTIONAL_SETTINGS = (
    "ssh_port",
    "subnet_id",
    "python_version",
    "metadata_hop_limit",
    "no_setup",
    "max_price",
    "ebs_storage",
    "ebs_volume_id",
)
"""The fields of LaunchConfig that a dry run shows only where they differ from their defaults."""


@dataclass(frozen=True)
class RegionPlan:
    """What a launch needs to know of one region. `images` holds an image for each type that the region has."""

    region: str
    types: dict[str, InstanceType]
    images: dict[str, Image]
    network: Network
    group: SecurityGroup | None
    key_pairs: tuple[KeyPair, ...]


@dataclass(frozen=True)
class LaunchPlan:
    """Everything a launch needs to know before it changes anything."""

    config: LaunchConfig
    regions: tuple[RegionPlan, ...]
    regions_failed: tuple[RegionFailure, ...]
    cidrs: tuple[str, ...]
    key: keys.LocalKey
    script: bytes | None = None
    volume: Volume | None = None
    """The user's own data volume."""
    steps: tuple[str, ...] = ()

    @property
    def first(self) -> RegionPlan:
        """Return the region that is tried first."""
        return self.regions[0]

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Return (region, type) in the order of the attempts: the first type in every region, then the next."""
        pairs: list[tuple[str, str]] = []
        for instance_type in self.config.instance_type:
            for region_plan in self.regions:
                if instance_type in region_plan.types:
                    pairs.append((region_plan.region, instance_type))
        return tuple(pairs)

    @property
    def patience(self) -> float:
        """Return for how many seconds refused logins are taken for a box that still boots."""
        return min(LOGIN_REFUSED_SECONDS, self.config.ssh_timeout)

    @property
    def user_data(self) -> str | None:
        """Return what cloud-init does at the first boot; None where there is nothing to do."""
        ssh_port = cloud_init.ssh_port(self.config.ssh_port)
        return cloud_init.user_data([ssh_port])

    @property
    def zone(self) -> str | None:
        """Return the zone that the data volume pins the launch to, if there is one."""
        if self.volume is None:
            return None
        return self.volume.availability_zone

    def of(self, region: str) -> RegionPlan:
        """Return the plan of that region, which is one of `regions`."""
        for region_plan in self.regions:
            if region_plan.region == region:
                return region_plan
        raise KeyError(region)

    def key_name(self, region_plan: RegionPlan) -> tuple[str, bool]:
        """Return the EC2 key pair that will hold the key in a region, and whether it has yet to be imported."""
        return ec2.key_pair_for(region_plan.key_pairs, self.config.key_name, self.key)

    def missing_cidrs(self, region_plan: RegionPlan) -> tuple[str, ...]:
        """Return the CIDRs that the SSH port has yet to be opened to in a region."""
        return ec2.missing_cidrs(region_plan.group, self.config.ssh_port, self.cidrs)

    def user(self, image: Image) -> str:
        """Return who logs in to a box of that image."""
        return self.config.ssh_user or ec2.login_user(image.name)

    def dry_run(self) -> DryRun:
        """Return the plan as a result."""
        config = self.config
        region, instance_type = self.pairs[0]
        region_plan = self.of(region)
        image = region_plan.images[instance_type]
        key_name, _ = self.key_name(region_plan)
        security_group = None
        if region_plan.group:
            security_group = region_plan.group.group_id
        return DryRun(
            instance_type=instance_type,
            ami_id=image.image_id,
            ami_name=image.name,
            pricing=config.market,
            key_name=key_name,
            security_group=security_group,
            volume_size_gb=config.volume_size,
            regions=tuple(_names(self.regions)),
            wait=config.wait,
            wait_timeout_seconds=int(config.wait_timeout),
            steps=self.steps,
            ssh_cidr=self.cidrs,
            regions_failed=self.regions_failed,
            availability_zone=self.zone,
            **_given_settings(config),
        )


def _names(region_plans: Sequence[RegionPlan]) -> list[str]:
    """Return the names of the regions."""
    return [region_plan.region for region_plan in region_plans]


def _given_settings(config: LaunchConfig) -> dict[str, Any]:
    """Return the optional settings that differ from their defaults."""
    default = LaunchConfig()
    given: dict[str, Any] = {}
    for name in _OPTIONAL_SETTINGS:
        value = getattr(config, name)
        if value != getattr(default, name):
            given[name] = value
    if config.setup_script:
        given["setup_script"] = str(config.setup_script)
    if config.tag:
        given["tags"] = dict(config.tag)
    if len(config.instance_type) > 1:
        given["instance_types"] = config.instance_type
    return given


def make_plan(config: LaunchConfig, app: App) -> LaunchPlan:
    """Return the plan for this launch. Check here what can be checked, before anything costs money."""
    _check_volume_options(config)
    key = keys.inspect(config)
    script = provision.read_script(config.setup_script)
    _check_files(app, config, key)
    regions = config.region or (app.aws.region,)

    def read_region(region: str) -> RegionPlan:
        return _region_plan(app.aws.ec2(region), region, config)

    (found, failed), cidrs, volume = aws.together(
        partial(aws.each_region, regions, read_region),
        partial(resolve_cidrs, config.ssh_cidr, aws.my_address),
        partial(_volume, app, regions[0], config.ebs_volume_id),
    )
    region_plans = tuple(found.values())
    _check_types(config, region_plans)
    return LaunchPlan(config, region_plans, failed, cidrs, key, script, volume)


def _check_volume_options(config: LaunchConfig) -> None:
    """Raise UsageError where the options about a data volume exclude one another."""
    if config.ebs_storage and config.ebs_volume_id:
        raise UsageError("--ebs-storage makes a new volume, --ebs-volume-id takes an existing one: give one of them.")
    if config.ebs_volume_id and len(config.region) > 1:
        raise UsageError(
            "A data volume is in one region, and so is its box.", hint="Give that --region alone, with --ebs-volume-id."
        )


def _check_types(config: LaunchConfig, region_plans: Sequence[RegionPlan]) -> None:
    """Raise BootstrapError for a type that no region has: it is more likely mistyped than rare."""
    known: set[str] = set()
    for region_plan in region_plans:
        known.update(region_plan.types)
    unknown = [instance_type for instance_type in config.instance_type if instance_type not in known]
    if unknown:
        raise _no_such_type(unknown, _names(region_plans))


def _volume(app: App, region: str, volume_id: str | None) -> Volume | None:
    """Return the user's data volume, free to be attached; None where none is named."""
    if not volume_id:
        return None

    def read(_: str) -> Volume:
        return ec2.validate_ebs_volume(app.aws.ec2(region), volume_id)

    return aws.ask_region(region, read)


def _region_plan(client: Any, region: str, config: LaunchConfig) -> RegionPlan:
    """Return what a launch needs to know of the region. BootstrapError where it has none of the types."""
    found, images, network, groups, key_pairs = aws.together(
        partial(ec2.find_instance_types, client, config.instance_type),
        partial(ec2.find_images, client, config.ami_filter),
        partial(ec2.find_network, client, config.subnet_id),
        partial(ec2.find_security_groups, client, config.security_group),
        partial(ec2.find_key_pairs, client, config.key_name),
    )
    if not found:
        raise _no_such_type(config.instance_type, [region])
    types: dict[str, InstanceType] = {}
    chosen_images: dict[str, Image] = {}
    for instance_type in found:
        types[instance_type.name] = instance_type
        chosen_images[instance_type.name] = _image(images, instance_type, config, region)
    group = ec2.group_in(groups, network.vpc_id)
    return RegionPlan(region, types, chosen_images, network, group, key_pairs)


def _no_such_type(instance_types: Sequence[str], regions: Sequence[str]) -> BootstrapError:
    """Return the error for types that none of the regions has; its hint lists what the first of them has."""
    prefix, _, _ = instance_types[0].partition(".")
    return BootstrapError(
        f"There is no instance type {' or '.join(instance_types)} in {' or '.join(regions)}.",
        hint=f"List what there is: {PROGRAM} list instance-types --prefix {prefix} --region {regions[0]}",
        code="bad-instance-type",
    )


def _image(images: list[Image], instance_type: InstanceType, config: LaunchConfig, region: str) -> Image:
    """Return the newest image that boots on the type. BootstrapError where there is none, or if it needs more disk."""
    image = ec2.latest_ami(images, instance_type.architectures)
    if image is None:
        raise BootstrapError(
            f"No AMI named '{config.ami_filter}' for {' or '.join(instance_type.architectures)} in {region}.",
            hint="Give another pattern with --ami-filter; quote it, and end it with *.",
            code="not-found",
        )
    if config.volume_size < image.root_size_gb:
        raise BootstrapError(
            f"{image.name} needs a root volume of {image.root_size_gb} GB; --volume-size says {config.volume_size}.",
            hint=f"Add: --volume-size {image.root_size_gb}",
            code="bad-volume-size",
        )
    return image


def _check_files(app: App, config: LaunchConfig, key: keys.LocalKey) -> None:
    """Raise BootstrapError where the box could not be given an alias by which ssh reaches it."""
    check_installed()
    sshconfig.check_writable(app.paths.ssh_config)
    sshconfig.check_writable(app.paths.known_hosts)
    user = config.ssh_user or DEFAULT_USER
    future_host = new_host(app.paths, None, user=user, port=config.ssh_port, identity_file=key.identity_file)
    ssh_options.check(app.paths, future_host)
