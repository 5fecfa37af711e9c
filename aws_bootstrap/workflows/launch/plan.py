"""What a launch would do: facts read at once, in every region in parallel, and nothing changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ... import aws, cloud_init, ec2, keys, sshconfig
from ...config import DEFAULT_USER, LOGIN_REFUSED_SECONDS, LaunchConfig
from ...errors import BootstrapError, UsageError
from ...models import DryRun, Image, InstanceType, KeyPair, Network, RegionFailure, SecurityGroup, Volume
from ...ssh import check_installed
from .. import remote, ssh_options
from ..cidrs import resolve_cidrs
from ..hosts import new_host

if TYPE_CHECKING:
    from ...app import App


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
        """The region that is tried first."""
        return self.regions[0]

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """(region, type) in the order of trying: the first type in every region, then the next."""
        kinds = self.config.instance_type
        return tuple((where.region, kind) for kind in kinds for where in self.regions if kind in where.types)

    @property
    def patience(self) -> float:
        """Seconds for which refused logins are taken for a box that still boots."""
        return min(LOGIN_REFUSED_SECONDS, self.config.ssh_timeout)

    @property
    def user_data(self) -> str | None:
        """What cloud-init does at the first boot; None where there is nothing to do."""
        return cloud_init.user_data([cloud_init.ssh_port(self.config.ssh_port)])

    @property
    def zone(self) -> str | None:
        """The zone that the data volume pins the launch to."""
        return self.volume.availability_zone if self.volume else None

    def of(self, region: str) -> RegionPlan:
        """The plan of that region."""
        return next(where for where in self.regions if where.region == region)

    def key_name(self, where: RegionPlan) -> tuple[str, bool]:
        """The EC2 key pair that will hold the key in a region, and whether it has yet to be imported."""
        return ec2.key_pair_for(where.key_pairs, self.config.key_name, self.key)

    def missing_cidrs(self, where: RegionPlan) -> tuple[str, ...]:
        """Who has yet to be let in in a region."""
        return ec2.missing_cidrs(where.group, self.config.ssh_port, self.cidrs)

    def user(self, image: Image) -> str:
        """Who logs in to a box of that image."""
        return self.config.ssh_user or ec2.login_user(image.name)

    def dry_run(self) -> DryRun:
        """The plan as a result."""
        config, (region, kind) = self.config, self.pairs[0]
        where = self.of(region)
        return DryRun(
            instance_type=kind,
            ami_id=where.images[kind].image_id,
            ami_name=where.images[kind].name,
            pricing=config.market,
            key_name=self.key_name(where)[0],
            security_group=where.group.group_id if where.group else None,
            volume_size_gb=config.volume_size,
            regions=tuple(r.region for r in self.regions),
            wait=config.wait,
            wait_timeout_seconds=int(config.wait_timeout),
            steps=self.steps,
            ssh_cidr=self.cidrs,
            regions_failed=self.regions_failed,
            availability_zone=self.zone,
            **_given(config),
        )


def _given(config: LaunchConfig) -> dict[str, Any]:
    """The optional settings that differ from their defaults."""
    default = LaunchConfig()
    names = (
        "ssh_port",
        "subnet_id",
        "python_version",
        "metadata_hop_limit",
        "no_setup",
        "max_price",
        "ebs_storage",
        "ebs_volume_id",
    )
    given = {name: getattr(config, name) for name in names if getattr(config, name) != getattr(default, name)}
    if config.setup_script:
        given["setup_script"] = str(config.setup_script)
    if config.tag:
        given["tags"] = dict(config.tag)
    if len(config.instance_type) > 1:
        given["instance_types"] = config.instance_type
    return given


def make_plan(config: LaunchConfig, app: App) -> LaunchPlan:
    """The plan for this launch. Checks here what can be checked, before anything costs money."""
    _check_volume_options(config)
    key, script = keys.inspect(config), remote.read_script(config.setup_script)
    _check_files(app, config, key)
    regions = config.region or (app.aws.region,)
    (found, failed), cidrs, volume = aws.together(
        lambda: aws.each_region(regions, lambda region: _region_plan(app.aws.ec2(region), region, config)),
        lambda: resolve_cidrs(config.ssh_cidr, aws.my_address),
        lambda: _volume(app, regions[0], config.ebs_volume_id),
    )
    _check_types(config, list(found.values()))
    return LaunchPlan(config, tuple(found.values()), failed, cidrs, key, script, volume)


def _check_volume_options(config: LaunchConfig) -> None:
    """UsageError where the options about a data volume exclude one another."""
    if config.ebs_storage and config.ebs_volume_id:
        raise UsageError("--ebs-storage makes a new volume, --ebs-volume-id takes an existing one: give one of them.")
    if config.ebs_volume_id and len(config.region) > 1:
        raise UsageError(
            "A data volume is in one region, and so is its box.", hint="Give that --region alone, with --ebs-volume-id."
        )


def _check_types(config: LaunchConfig, regions: list[RegionPlan]) -> None:
    """Raise for a type that no region has: it is more likely mistyped than rare."""
    unknown = [kind for kind in config.instance_type if not any(kind in where.types for where in regions)]
    if unknown:
        raise _no_such_type(unknown, " or ".join(where.region for where in regions))


def _volume(app: App, region: str, volume_id: str | None) -> Volume | None:
    if not volume_id:
        return None
    return aws.ask_region(region, lambda _: ec2.validate_ebs_volume(app.aws.ec2(region), volume_id))


def _region_plan(client: Any, region: str, config: LaunchConfig) -> RegionPlan:
    kinds, images, network, groups, pairs = aws.together(
        lambda: ec2.find_instance_types(client, config.instance_type),
        lambda: ec2.find_images(client, config.ami_filter),
        lambda: ec2.find_network(client, config.subnet_id),
        lambda: ec2.find_security_groups(client, config.security_group),
        lambda: ec2.find_key_pairs(client, config.key_name),
    )
    types = {kind.name: kind for kind in kinds}
    if not types:
        raise _no_such_type(config.instance_type, region)
    chosen = {kind.name: _image(images, kind, config, region) for kind in kinds}
    return RegionPlan(region, types, chosen, network, ec2.group_in(groups, network.vpc_id), pairs)


def _no_such_type(kinds: Sequence[str], where: str) -> BootstrapError:
    prefix, region = kinds[0].partition(".")[0], where.split(" ", maxsplit=1)[0]
    return BootstrapError(
        f"There is no instance type {' or '.join(kinds)} in {where}.",
        hint=f"List what there is: aws-bootstrap list instance-types --prefix {prefix} --region {region}",
        code="bad-instance-type",
    )


def _image(images: list[Image], kind: InstanceType, config: LaunchConfig, region: str) -> Image:
    image = ec2.latest_ami(images, kind.architectures)
    if image is None:
        raise BootstrapError(
            f"No AMI named '{config.ami_filter}' for {' or '.join(kind.architectures)} in {region}.",
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
