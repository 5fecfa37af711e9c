"""The steps of a launch that only a cluster has: what its nodes share, and the tags of each."""

from __future__ import annotations

from functools import partial

from ... import ec2, output
from ...errors import BootstrapError
from ...models import PlacementGroup, Resource, SecurityGroup
from ...parallel import gather
from ..unknown import note_nothing
from .each_node import CREATE_TAGS, at_rate
from .places import RegionPlan
from .state import Launch, Node


def ensure_shared(launch: Launch, region_plan: RegionPlan | None = None) -> None:
    """Provide placement group and security group of the cluster in a region, by default the first."""
    place = region_plan or launch.plan.first
    gather(partial(_ensure_placement_group, launch, place), partial(_ensure_group, launch, place))


def _ensure_placement_group(launch: Launch, region_plan: RegionPlan) -> None:
    """Create the placement group unless it exists, or no type of the launch can be in one. Note its name."""
    cluster = launch.cluster
    region = region_plan.region
    fits = any(cluster.supports_placement(instance_type) for instance_type in region_plan.types.values())
    # Nodes that were started without one stay without one: it could be in another zone.
    is_left_out = bool(cluster.existing) and region_plan.placement_group is None
    if not fits or is_left_out:
        return
    client = launch.app.aws.ec2(region)

    def find() -> tuple[PlacementGroup, bool] | None:
        found = ec2.find_placement_group(client, cluster.name)
        if found is None:
            return None
        return found, region_plan.placement_group is None

    def note(outcome: tuple[PlacementGroup, bool]) -> None:
        group, created = outcome
        launch.placement_groups[region] = group.name
        if created:
            launch.other_resources.append(Resource("placement-group", group.name, region, billing=False))

    tags = cluster.tags(launch.plan.tags)
    ensure = partial(ec2.ensure_placement_group, client, cluster.name, region_plan.placement_group, tags)
    launch.calls.make(f"the placement group in {region}", ensure, look=find, note=note)


def _ensure_group(launch: Launch, region_plan: RegionPlan) -> None:
    """Provide the security group that allows all traffic between the nodes. Note its id."""
    cluster = launch.cluster
    region = region_plan.region
    vpc_id = region_plan.network.vpc_id
    client = launch.app.aws.ec2(region)
    tags = cluster.tags(launch.plan.tags)

    def find() -> tuple[SecurityGroup, bool] | None:
        group = ec2.group_in(ec2.find_security_groups(client, cluster.name), vpc_id)
        if group is None:
            return None
        return group, region_plan.cluster_group is None

    def note(outcome: tuple[SecurityGroup, bool]) -> None:
        group, created = outcome
        launch.cluster_group_ids[region] = group.group_id
        if created:
            launch.other_resources.append(Resource("security-group", group.group_id, region, billing=False))

    ensure = partial(
        ec2.ensure_security_group,
        client,
        vpc_id,
        cluster.name,
        region_plan.cluster_group,
        tags,
        description=ec2.GROUP_DESCRIPTION,
    )
    group, _ = launch.calls.make(f"the cluster's security group in {region}", ensure, look=find, note=note)

    def find_rule() -> bool | None:
        found = find()
        if found is None or not found[0].allows_itself:
            return None
        return True

    allow = partial(ec2.ensure_traffic_within, client, group, tags)
    launch.calls.make(f"the rule of the cluster in {region}", allow, look=find_rule, note=note_nothing)


def check_unchanged(launch: Launch, region: str) -> None:
    """Raise BootstrapError if a node of a rank to start exists by now: another launch was quicker."""
    cluster = launch.cluster
    ranks = {node.rank for node in launch.to_start}
    for instance in ec2.find_cluster(launch.app.aws.ec2(region), cluster.cluster_id):
        if instance.rank is not None and instance.rank in ranks and instance.state not in ec2.ENDED:
            node = f"{cluster.alias(instance.rank)} ({instance.instance_id})"
            raise BootstrapError(
                f"{node} exists by now: another launch of the cluster is under way.",
                hint="Run the command again once that has ended: it starts what is missing then.",
                code="cluster-changed",
            )


def tag_nodes(launch: Launch) -> None:
    """Write its rank and its name into the tags of each node. A failure is a warning: the ranks are known without."""
    at_rate(CREATE_TAGS, _tag_node, launch, launch.to_start)


def _tag_node(launch: Launch, node: Node) -> None:
    """Write rank and name."""
    assert node.rank is not None
    name = launch.cluster.alias(node.rank)
    try:
        ec2.tag_node(launch.client, node.instance_id, node.rank, name)
    except BootstrapError as exc:
        message = f"Could not write the tags of {name}: {exc}"
        output.warn(message, code=exc.code, instance_id=node.instance_id, region=launch.region_plan.region)
