"""Clusters for tests: nodes as EC2 knows them by their tags, their aliases on this machine, and what they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_bootstrap import ec2, sshconfig
from aws_bootstrap.app import App
from aws_bootstrap.config import TAG_OWNER
from aws_bootstrap.models import ClusterList, ClusterRow, ClusterStatus, NodeStatus
from aws_bootstrap.tests import factories
from aws_bootstrap.tests.cloud import CALLER, owned, start_box

TRAIN = "train"

NODE = NodeStatus(
    rank=0,
    instance_id="i-1",
    state="running",
    instance_type="g4dn.xlarge",
    az=factories.ZONE,
    public_ip="54.1.2.3",
    private_ip="10.0.0.4",
    ssh_alias="aws-train-0",
    region=factories.REGION,
    lifecycle="spot",
    launch_time=factories.LAUNCHED,
    uptime_seconds=7200,
    price_per_hour=0.25,
    estimated_cost=0.5,
    monthly_cost_usd=11.65,
    ebs_volumes=(),
    deadline=None,
    idle_timeout_seconds=None,
    owner=CALLER,
    yours=True,
)
CLUSTER = ClusterStatus(
    cluster_id=TRAIN,
    region=factories.REGION,
    nodes=(NODE,),
    missing_ranks=(1,),
    ended=(),
    price_per_hour=0.25,
    estimated_cost=0.5,
    monthly_cost_usd=11.65,
    yours=True,
    regions_queried=(factories.REGION,),
)
CLUSTERS = ClusterList(
    (ClusterRow(TRAIN, factories.REGION, 1, 0.25, 11.65, CALLER, True),), (factories.REGION, "us-east-1")
)


def start_nodes(
    app: App,
    ranks: Sequence[int],
    *,
    cluster_id: str = TRAIN,
    region: str = factories.REGION,
    owner: str | None = CALLER,
    alias: bool = True,
    **more: Any,
) -> list[str]:
    """Start nodes of these ranks in one call, as a launch does, with an alias on this machine. Return their ids."""
    client = app.aws.ec2(region)
    own_tags = [{"Key": key, "Value": value} for key, value in ec2.rank_tags(cluster_id, ranks).items()]
    tags = [*owned(owner), *own_tags]
    specification = [{"ResourceType": "instance", "Tags": tags}, {"ResourceType": "volume", "Tags": tags}]
    asked = {"MinCount": len(ranks), "MaxCount": len(ranks), "TagSpecifications": specification}
    start_box(client, **(asked | more))
    started = {node.rank: node for node in ec2.find_cluster(client, cluster_id)}
    for rank in ranks:
        node = started[rank]
        host = factories.host(
            alias=f"aws-{cluster_id}-{rank}",
            instance_id=node.instance_id,
            region=region,
            hostname=node.public_ip,
            cluster=cluster_id,
            rank=rank,
        )
        if alias:
            sshconfig.add(app.paths.ssh_config, host)
    return [started[rank].instance_id for rank in ranks]


def share(app: App, *, cluster_id: str = TRAIN, region: str = factories.REGION, owner: str = CALLER) -> str:
    """Create the placement group and the security group of a cluster. Return the id of the latter."""
    client = app.aws.ec2(region)
    name = ec2.shared_name(cluster_id)
    tags = {"aws-bootstrap-cluster": cluster_id, TAG_OWNER: owner}
    ec2.ensure_placement_group(client, name, None, tags)
    vpc_id = ec2.find_network(client, ()).vpc_id
    group, _ = ec2.ensure_security_group(client, vpc_id, name, None, tags, description=ec2.GROUP_DESCRIPTION)
    ec2.ensure_traffic_within(client, group, tags)
    return group.group_id


def shared(app: App, region: str = factories.REGION) -> tuple[list[str], list[str]]:
    """The names of the placement groups and the ids of the security groups of clusters in a region."""
    client = app.aws.ec2(region)
    placement_groups = [group.name for group in ec2.find_placement_groups(client)]
    return placement_groups, [group.group_id for group in ec2.find_cluster_groups(client)]
