"""Plan a launch: read the facts of all regions in parallel, and change nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

from ... import address, aws, ec2, output, sshconfig
from ...config import DEFAULT_USER, LOGIN_RETRY_SECONDS, TAG_OWNER, LaunchConfig
from ...errors import AwsError, UsageError
from ...models import (
    DryRun,
    Image,
    Instance,
    InstanceType,
    LocalKey,
    MonthlyCost,
    Prices,
    RegionFailure,
    TypePrice,
    Volume,
)
from ...models.cost import box_costs, data_volume_cost, monthly_total, root_volume_cost
from ...models.facts import Market
from ...parallel import gather
from ...ssh import LoginTimeouts, check_installed
from .. import costs, provision, ssh_options
from ..cidrs import resolve_cidrs
from ..hosts import new_host
from ..instance_types import no_such_type
from ..owners import find_owner
from ..unreachable import proxy_sentence
from . import cheapest, images, named, places, volume_region
from .cluster_plan import ClusterPlan, check_cluster, read_shared
from .places import RegionPlan
from .running import read_running

if TYPE_CHECKING:
    from ...app import App

#: The fields of LaunchConfig that a dry run shows only if they differ from their defaults.
_OPTIONAL_SETTINGS = (
    "ssh_port",
    "python_version",
    "metadata_hop_limit",
    "no_setup",
    "max_price",
    "image",
    "ebs_storage",
    "ebs_volume_id",
    "name",
    "max_cost",
    "cheapest",
)


@dataclass(frozen=True)
class LaunchPlan:
    """What a launch will do, as decided before it changes anything."""

    config: LaunchConfig
    regions: tuple[RegionPlan, ...]
    regions_failed: tuple[RegionFailure, ...]
    #: The CIDRs that may reach the SSH port.
    cidrs: tuple[str, ...]
    key: LocalKey
    #: The content of the user's setup script.
    script: bytes | None = None
    #: The existing data volume that --ebs-volume-id names.
    volume: Volume | None = None
    prices: Prices = Prices()
    #: The titles of the steps that apply.
    steps: tuple[str, ...] = ()
    #: The boxes that run in these regions before the launch.
    running: tuple[Instance, ...] = ()
    #: The owner of what the launch creates, as its tag names it; None if STS did not answer.
    owner: str | None = None
    #: The cluster that its boxes form; None for a single box.
    cluster: ClusterPlan | None = None

    @property
    def first(self) -> RegionPlan:
        """Return the plan of the preferred region."""
        return self.regions[0]

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Return (region, instance type) in the order of the attempts: by type, then by region, or by price."""
        return self.pairs_in(self.config.market)

    def pairs_in(self, market: Market) -> tuple[tuple[str, str], ...]:
        """Return (region, instance type) in the order of the attempts in this market."""
        pairs: list[tuple[str, str]] = []
        for instance_type in self.config.instance_type:
            for region_plan in self.regions:
                if instance_type in region_plan.types:
                    pairs.append((region_plan.region, instance_type))
        if self.config.cheapest:
            return cheapest.ordered(pairs, self.price_of, market)
        return tuple(pairs)

    @property
    def login_timeouts(self) -> LoginTimeouts:
        """Return for how long logins are retried: a booting box has no authorized key yet, and may answer late."""
        ssh_timeout = self.config.ssh_timeout
        return LoginTimeouts(min(LOGIN_RETRY_SECONDS, ssh_timeout), ssh_timeout)

    @property
    def zone(self) -> str | None:
        """Return the availability zone of the existing data volume or nodes; None where EC2 chooses."""
        if self.cluster:
            return self.cluster.zone
        if self.volume is None:
            return None
        return self.volume.availability_zone

    @property
    def count(self) -> int:
        """Return how many instances the launch starts."""
        if self.cluster is None:
            return 1
        return len(self.cluster.missing)

    @property
    def monthly_costs(self) -> tuple[MonthlyCost, ...]:
        """Return what the box costs a month beside its instance: its disks and its address."""
        data_volumes: list[MonthlyCost] = []
        if self.config.ebs_storage:
            data_volumes.append(data_volume_cost(self.config.ebs_storage))
        if self.volume:
            data_volumes.append(data_volume_cost(self.volume.size_gb, self.volume.volume_type))
        return box_costs(root_volume_cost(self.config.volume_size), data_volumes, has_address=True)

    def price_of(self, region: str, instance_type: str) -> TypePrice:
        """Return what an hour of this instance type costs; on spot in the cheapest zone where it may start."""
        return self.prices.of_type(region, instance_type, self.zone)

    @property
    def tags(self) -> dict[str, str]:
        """Return the tags of everything that the launch creates: the user's, and the owner."""
        tags = dict(self.config.tag)
        if self.owner:
            tags[TAG_OWNER] = self.owner
        return tags

    def of(self, region: str) -> RegionPlan:
        """Return the plan of this region. KeyError if the launch does not use it."""
        for region_plan in self.regions:
            if region_plan.region == region:
                return region_plan
        raise KeyError(region)

    def key_name(self, region_plan: RegionPlan) -> tuple[str, bool]:
        """Return the name of the key pair that holds the SSH key in a region, and whether it must be imported."""
        return ec2.key_pair_for(region_plan.key_pairs, self.config.key_name, self.key)

    def missing_cidrs(self, region_plan: RegionPlan) -> tuple[str, ...]:
        """Return the CIDRs for which a region lacks a rule on the SSH port."""
        return ec2.missing_cidrs(region_plan.group, self.config.ssh_port, self.cidrs)

    def user(self, image: Image) -> str:
        """Return the login name of a box with this image."""
        return self.config.ssh_user or image.user or ec2.login_user(image.name)

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
            **self._costs(),
            **_non_default_settings(config),
        )

    def _costs(self) -> dict[str, Any]:
        """Return the keys of a dry run that say what the launch costs."""
        prices = [self.price_of(region, instance_type) for region, instance_type in self.pairs]
        first = prices[0]
        keys: dict[str, Any] = {
            "price_per_hour": first.of(self.config.market),
            "spot_price_per_hour": first.spot_price_per_hour,
            "on_demand_price_per_hour": first.on_demand_price_per_hour,
            "monthly_cost_usd": monthly_total(self.monthly_costs),
            "monthly_costs": self.monthly_costs,
        }
        if len(prices) > 1:
            keys["prices"] = tuple(prices)
        return keys


def _names(region_plans: Sequence[RegionPlan]) -> list[str]:
    """Return the names of the regions."""
    return [region_plan.region for region_plan in region_plans]


def _non_default_settings(config: LaunchConfig) -> dict[str, Any]:
    """Return the optional settings that differ from their defaults."""
    default = LaunchConfig()
    settings: dict[str, Any] = {}
    for name in _OPTIONAL_SETTINGS:
        value = getattr(config, name)
        if value != getattr(default, name):
            settings[name] = value
    settings |= _limits(config)
    if config.setup_script:
        settings["setup_script"] = str(config.setup_script)
    if config.tag:
        settings["tags"] = dict(config.tag)
    if config.subnet_id:
        settings["subnet_id"] = config.subnet_id[0]
    if len(config.subnet_id) > 1:
        settings["subnet_ids"] = config.subnet_id
    if len(config.instance_type) > 1:
        settings["instance_types"] = config.instance_type
    return settings


def _limits(config: LaunchConfig) -> dict[str, int]:
    """Return the times after which the box ends by itself, in whole seconds."""
    limits: dict[str, int] = {}
    if config.ttl:
        limits["ttl_seconds"] = int(config.ttl)
    if config.idle_timeout:
        limits["idle_timeout_seconds"] = int(config.idle_timeout)
    return limits


def build_plan(config: LaunchConfig, app: App, cluster: ClusterPlan | None = None) -> LaunchPlan:
    """Return the plan of this launch. UsageError or BootstrapError if the launch could not succeed."""
    _check_volume_options(config)
    named.check_name(app, config)
    key = app.keys.inspect(config)
    script = provision.read_script(config.setup_script)
    _check_files(app, config, key)
    regions = config.region or (app.aws.region,)

    def read_region(region: str) -> RegionPlan:
        return _read_region(app, region, config, cluster)

    pairs_to_price = list(product(regions, config.instance_type))
    (found, failed), prices, cidrs, volume, running, owner = gather(
        partial(aws.each_region, regions, read_region),
        partial(costs.read_prices, app, spot=pairs_to_price, on_demand=pairs_to_price),
        partial(resolve_cidrs, config.ssh_cidr, app.my_address),
        partial(_existing_volume, app, config, regions[0]),
        partial(read_running, app, regions),
        partial(find_owner, app),
    )
    _warn_of_proxy(config)
    region_plans = tuple(found.values())
    _check_types(config, region_plans)
    places.check_subnets(config, region_plans, failed)
    region_plans = _in_zone(volume, cluster, region_plans)
    if cluster:
        check_cluster(cluster, region_plans, owner)
    images.warn_of_gpus(region_plans)
    images.warn_of_other_setup(region_plans)
    plan = LaunchPlan(
        config, region_plans, failed, cidrs, key, script, volume, prices, running=running, owner=owner, cluster=cluster
    )
    costs.warn_of_unknown([plan.price_of(*pair) for pair in plan.pairs], prices)
    if volume:
        costs.warn_if_cost_unknown(volume)
    if config.cheapest:
        cheapest.warn(plan.pairs, plan.price_of, config.market, pinned=volume is not None)
        return replace(plan, regions=_in_order(plan))
    return plan


def _in_zone(
    volume: Volume | None, cluster: ClusterPlan | None, region_plans: Sequence[RegionPlan]
) -> tuple[RegionPlan, ...]:
    """Return the plans with those subnets alone in which the launch can use the volume or the nodes that exist."""
    if cluster:
        return places.in_zone(region_plans, cluster.zone, f"The cluster {cluster.cluster_id}")
    if volume:
        return places.in_zone(region_plans, volume.availability_zone, f"The data volume {volume.volume_id}")
    return tuple(region_plans)


def _in_order(plan: LaunchPlan) -> tuple[RegionPlan, ...]:
    """Return the plans of the regions in the order in which the attempts first name them."""
    regions = dict.fromkeys(region for region, _ in plan.pairs)
    return tuple(plan.of(region) for region in regions)


def _warn_of_proxy(config: LaunchConfig) -> None:
    """Warn if the caller's address was found through a proxy: ssh may come from another one."""
    if "me" not in config.ssh_cidr:
        return
    proxy = address.address_proxy()
    if proxy:
        output.warn(proxy_sentence(proxy), code="address-through-proxy")


def _check_volume_options(config: LaunchConfig) -> None:
    """Raise UsageError if the options about a data volume exclude each other."""
    if config.ebs_storage and config.ebs_volume_id:
        raise UsageError(
            "--ebs-storage creates a data volume, and --ebs-volume-id attaches an existing one.",
            hint="Pass one of these options, not both.",
        )
    if config.ebs_volume_id and len(config.region) > 1:
        raise UsageError(
            f"The data volume {config.ebs_volume_id} is in one region, and {len(config.region)} regions were passed.",
            hint="Pass only the --region of the volume.",
        )


def _check_types(config: LaunchConfig, region_plans: Sequence[RegionPlan]) -> None:
    """Raise BootstrapError for an instance type that no region offers: it is probably misspelled."""
    offered: set[str] = set()
    for region_plan in region_plans:
        offered.update(region_plan.types)
    missing = [instance_type for instance_type in config.instance_type if instance_type not in offered]
    if missing:
        raise no_such_type(missing, _names(region_plans))


def _existing_volume(app: App, config: LaunchConfig, region: str) -> Volume | None:
    """Return the existing data volume after checking that it can be attached; None without an id."""
    volume_id = config.ebs_volume_id
    if not volume_id:
        return None

    def read(_: str) -> Volume:
        return ec2.validate_ebs_volume(app.aws.ec2(region), volume_id)

    try:
        return aws.call_region(region, read)
    except AwsError as exc:
        if exc.aws_code != "InvalidVolume.NotFound":
            raise
        raise volume_region.not_found(app, config, region) from exc


def _read_region(app: App, region: str, config: LaunchConfig, cluster: ClusterPlan | None) -> RegionPlan:
    """Return the plan of a region. BootstrapError if it offers none of the instance types, or not the image."""
    client = app.aws.ec2(region)
    found, found_images, network, groups, key_pairs = gather(
        partial(ec2.find_instance_types, client, config.instance_type),
        partial(images.find, app, region, config),
        partial(ec2.find_network, client, config.subnet_id),
        partial(ec2.find_security_groups, client, config.security_group),
        partial(ec2.find_key_pairs, client, config.key_name),
    )
    if not found:
        raise no_such_type(config.instance_type, [region])
    types: dict[str, InstanceType] = {}
    images_by_type: dict[str, Image] = {}
    for instance_type in found:
        types[instance_type.name] = instance_type
        images_by_type[instance_type.name] = images.newest_image(found_images, instance_type, config, region)
    group = ec2.group_in(groups, network.vpc_id)
    region_plan = RegionPlan(region, types, images_by_type, network, group, key_pairs)
    if cluster is None:
        return region_plan
    placement_group, cluster_group = read_shared(client, cluster, network.vpc_id)
    return replace(region_plan, placement_group=placement_group, cluster_group=cluster_group)


def _check_files(app: App, config: LaunchConfig, key: LocalKey) -> None:
    """Raise BootstrapError if ssh is missing, or if ssh could not reach the box by its alias."""
    check_installed()
    sshconfig.check_writable(app.paths.ssh_config)
    sshconfig.check_writable(app.paths.known_hosts)
    user = config.ssh_user or DEFAULT_USER
    future_host = new_host(app.paths, None, user=user, port=config.ssh_port, identity_file=key.identity_file)
    ssh_options.check(app.paths, future_host)
