"""The accounts that scenarios start from. Each holds things of the user's that no command may touch.

A world is made once a sandbox, by the program itself, and brought back from a snapshot for each case.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aws_bootstrap.retry import poll

if TYPE_CHECKING:
    from aws_bootstrap.sandbox.testing import Sandbox
    from aws_bootstrap.tests.matrix.bench import Bench

HOME, ABROAD = "us-west-2", "eu-west-1"
CREATED_BY, INSTANCE, KEEP = "created-by", "aws-bootstrap-instance", "aws-bootstrap-keep"
OWNER = "aws-bootstrap-owner"
OURS = "aws-bootstrap-g4dn"
GONE = "i-0deadbeef00000001"
"""An instance that ended long ago."""

Facts = dict[str, str]
"""Ids by the names that command lines use for them, and the user's things by names that begin with `foreign`."""


def empty(bench: Bench) -> Facts:
    """What the user has of his own: an instance with its volume, a free volume, a group, a volume that was kept."""
    facts: Facts = {}
    owner = caller(bench.sandbox)
    for region, suffix in ((HOME, ""), (ABROAD, "-abroad")):
        client = bench.sandbox.client(region=region)
        image = client.describe_images(Filters=[{"Name": "name", "Values": ["Deep Learning Base OSS*"]}])["Images"][0]
        made = client.run_instances(
            ImageId=image["ImageId"],
            InstanceType="t3.micro",
            MinCount=1,
            MaxCount=1,
            TagSpecifications=_tags("instance", {CREATED_BY: "somebody-else", "Name": "aws-bootstrap-g4dn.xlarge"}),
        )["Instances"][0]
        facts[f"foreign-instance{suffix}"] = made["InstanceId"]
        facts[f"foreign-volume{suffix}"] = _volume(client, region, {"Name": "data"})
        group = client.create_security_group(GroupName="mine", Description="mine")["GroupId"]
        client.authorize_security_group_ingress(
            GroupId=group, IpProtocol="tcp", FromPort=2222, ToPort=2222, CidrIp="192.0.2.0/24"
        )
        facts[f"foreign-group{suffix}"] = group
        facts[f"kept{suffix}"] = _volume(client, region, {CREATED_BY: OURS, OWNER: owner, INSTANCE: GONE, KEEP: "true"})
    facts["subnet"] = _subnet(bench.sandbox.client())
    return facts


def caller(sandbox: Sandbox) -> str:
    """Whom the sandbox's STS says the program is run by."""
    identity: dict[str, str] = sandbox.client("sts").get_caller_identity()
    return identity["UserId"]


def with_own_volume(bench: Bench) -> Facts:
    """A free volume of the user's with a file system on it."""
    facts = empty(bench)
    maker = _launch(bench, "--ebs-storage", "5")
    volume = _data_volume(bench, maker)
    client = bench.sandbox.client()
    client.terminate_instances(InstanceIds=[maker])
    found = client.describe_volumes(VolumeIds=[volume])["Volumes"][0]
    client.delete_tags(Resources=[volume], Tags=found["Tags"])
    bench.ssh_config.write_bytes(bench.foreign_config)
    return facts | {"brought": volume}


def box(bench: Bench) -> Facts:
    """A box."""
    facts = empty(bench)
    facts["box"] = _launch(bench)
    return facts | _foreign_rule(bench)


def on_demand(bench: Bench) -> Facts:
    """An on-demand box with a data volume."""
    facts = empty(bench)
    facts["box"] = _launch(bench, "--on-demand", "--ebs-storage", "5")
    return facts | {"volume": _data_volume(bench, facts["box"])}


def stopped(bench: Bench) -> Facts:
    """The same, stopped."""
    facts = on_demand(bench)
    client = bench.sandbox.client()
    client.stop_instances(InstanceIds=[facts["box"]])
    client.get_waiter("instance_stopped").wait(InstanceIds=[facts["box"]], WaiterConfig={"Delay": 1})
    return facts


def copied(bench: Bench) -> Facts:
    """A box with a data volume, and a snapshot of that."""
    facts = box_with_volume(bench)
    outcome = bench.run(["volume", "snapshot", facts["volume"], "-o", "json"])
    if outcome.code:
        raise AssertionError(f"a world could not be made: {outcome}")
    return facts | {"snapshot": outcome.document["snapshot_id"]}


def box_with_volume(bench: Bench) -> Facts:
    """A box with a data volume."""
    facts = empty(bench)
    facts["box"] = _launch(bench, "--ebs-storage", "5")
    return facts | {"volume": _data_volume(bench, facts["box"])}


def baked_image(bench: Bench) -> Facts:
    """A box with a data volume, and an image of it."""
    facts = box_with_volume(bench)
    tags = {CREATED_BY: OURS, OWNER: caller(bench.sandbox)}
    client = bench.sandbox.client()
    made = client.create_image(
        InstanceId=facts["box"],
        Name="trainer",
        BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "NoDevice": ""}],
        TagSpecifications=[*_tags("image", tags), *_tags("snapshot", tags)],
        NoReboot=True,
    )
    client.get_waiter("image_available").wait(ImageIds=[made["ImageId"]], WaiterConfig={"Delay": 1})
    return facts | {"image": made["ImageId"]}


def cluster(bench: Bench, *options: str) -> Facts:
    """A cluster of two nodes."""
    facts = empty(bench)
    launch = ["cluster", "launch", "--cluster-id", "train", "--nodes", "2", "--no-setup", "--yes", "-o", "json"]
    outcome = bench.run([*launch, *options])
    if outcome.code:
        raise AssertionError(f"a world could not be made: {outcome}")
    for node in outcome.document["nodes"]:
        facts[f"node-{node['rank']}"] = node["instance_id"]
    return facts


def cluster_with_volumes(bench: Bench) -> Facts:
    """A cluster of two nodes, each with a data volume; and what they share."""
    facts = cluster(bench, "--ebs-storage", "5")
    for rank in (0, 1):
        facts[f"volume-{rank}"] = _data_volume(bench, facts[f"node-{rank}"])
    return facts | _shared(bench)


def ended_cluster(bench: Bench) -> Facts:
    """What a cluster leaves whose nodes have ended by themselves: aliases, data volumes, groups."""
    facts = cluster_with_volumes(bench)
    client = bench.sandbox.client()
    nodes = [facts["node-0"], facts["node-1"]]
    client.terminate_instances(InstanceIds=nodes)
    client.get_waiter("instance_terminated").wait(InstanceIds=nodes, WaiterConfig={"Delay": 1})
    return facts


def _shared(bench: Bench) -> Facts:
    """What the nodes of the cluster share."""
    name = "aws-bootstrap-cluster-train"
    found = bench.sandbox.client().describe_security_groups(Filters=[{"Name": "group-name", "Values": [name]}])
    return {"placement-group": name, "group": found["SecurityGroups"][0]["GroupId"]}


def box_with_brought_volume(bench: Bench) -> Facts:
    """A box with a volume of the user's."""
    facts = with_own_volume(bench)
    facts["box"] = _launch(bench, "--ebs-volume-id", facts["brought"])
    return facts


def two_regions(bench: Bench) -> Facts:
    """A box with a data volume here, one abroad."""
    facts = empty(bench)
    facts["box"] = _launch(bench, "--ebs-storage", "5")
    facts["volume"] = _data_volume(bench, facts["box"])
    facts["box-abroad"] = _launch(bench, "--ebs-storage", "5", "-r", ABROAD)
    facts["volume-abroad"] = _data_volume(bench, facts["box-abroad"])
    return facts


def ended_box(bench: Bench) -> Facts:
    """The alias of a box that has ended."""
    facts = empty(bench)
    facts["gone"] = _launch(bench)
    bench.sandbox.client().terminate_instances(InstanceIds=[facts["gone"]])
    return facts


def leftovers(bench: Bench) -> Facts:
    """A box; the alias of one that is gone; an orphan volume here and abroad; a box without an alias."""
    facts = empty(bench)
    facts["gone"] = _launch(bench)
    facts["box"] = _launch(bench)
    config = bench.ssh_config.read_bytes()
    facts["nameless"] = _launch(bench)
    bench.ssh_config.write_bytes(config)
    bench.sandbox.client().terminate_instances(InstanceIds=[facts["gone"]])
    orphan = {CREATED_BY: OURS, OWNER: caller(bench.sandbox), INSTANCE: facts["gone"]}
    facts["orphan"] = _volume(bench.sandbox.client(), HOME, orphan)
    facts["orphan-abroad"] = _volume(bench.sandbox.client(region=ABROAD), ABROAD, orphan)
    return facts


def ended_by_itself(bench: Bench) -> Facts:
    """A box; one that powered itself off; a spot instance of which EC2's state reason leaves open why it ended."""
    facts = empty(bench)
    facts["off"] = _launch(bench)
    power_off(bench, "aws-gpu1")
    facts["unclear"] = end_unclear(bench)
    facts["box"] = _launch(bench)
    return facts


def power_off(bench: Bench, alias: str) -> None:
    """Have the box power itself off, which terminates it."""
    words = ["ssh", "-F", str(bench.ssh_config), alias, "sudo poweroff"]

    def is_off() -> bool | None:
        """Try again while the box boots."""
        done = subprocess.run(words, capture_output=True, stdin=subprocess.DEVNULL, check=False)
        return done.returncode == 0 or b"closed" in done.stderr or None

    if not poll(is_off, timeout=30.0, every=0.2):
        raise AssertionError(f"{alias} cannot be reached")
    if not poll(lambda: not _living(bench) or None, timeout=30.0, every=0.1):
        raise AssertionError(f"{alias} is not off")


def end_unclear(bench: Bench) -> str:
    """Launch a spot instance that ends at once, since EC2 may not use its disk's key; return its id."""
    bench.sandbox.account(ebs_key="ungranted")
    before = _ours(bench)
    bench.run(["launch", "--no-setup", "--yes", "-o", "json"])
    bench.sandbox.account(ebs_key="aws")
    (instance_id,) = _ours(bench) - before
    return instance_id


def _ours(bench: Bench) -> set[str]:
    """Return our instances that EC2 shows."""
    by_tag = [{"Name": f"tag:{CREATED_BY}", "Values": [OURS]}]
    found: set[str] = set()
    for reservation in bench.sandbox.client().describe_instances(Filters=by_tag)["Reservations"]:
        found |= {instance["InstanceId"] for instance in reservation["Instances"]}
    return found


def _living(bench: Bench) -> bool:
    """Return whether an instance of ours is not terminated."""
    alive = ["pending", "running", "shutting-down"]
    filters = [{"Name": f"tag:{CREATED_BY}", "Values": [OURS]}, {"Name": "instance-state-name", "Values": alive}]
    return bool(bench.sandbox.client().describe_instances(Filters=filters)["Reservations"])


WORLDS: dict[str, Callable[[Bench], Facts]] = {
    "empty": empty,
    "own-volume": with_own_volume,
    "box": box,
    "ended-box": ended_box,
    "volume": box_with_volume,
    "image": baked_image,
    "on-demand": on_demand,
    "copied": copied,
    "stopped": stopped,
    "cluster": cluster,
    "cluster-volumes": cluster_with_volumes,
    "cluster-ended": ended_cluster,
    "brought": box_with_brought_volume,
    "two-regions": two_regions,
    "leftovers": leftovers,
    "ended": ended_by_itself,
}


def _launch(bench: Bench, *options: str) -> str:
    outcome = bench.run(["launch", "--no-setup", "--yes", "-o", "json", *options])
    if outcome.code:
        raise AssertionError(f"a world could not be made: {outcome}")
    return outcome.document["instance_id"]


def _data_volume(bench: Bench, instance_id: str) -> str:
    held = [one for one in bench.sandbox.inventory() if one["type"] == "volume" and not one["root"]]
    return next(one["id"] for one in held if one["attached_to"] == instance_id)


def _foreign_rule(bench: Bench) -> Facts:
    """A rule that the user put into our own group."""
    client = bench.sandbox.client()
    groups = client.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["aws-bootstrap-ssh"]}])
    made = client.authorize_security_group_ingress(
        GroupId=groups["SecurityGroups"][0]["GroupId"],
        IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": 2222, "ToPort": 2222, "IpRanges": [{"CidrIp": "198.51.100.0/24"}]}
        ],
    )
    return {"foreign-rule": made["SecurityGroupRules"][0]["SecurityGroupRuleId"]}


def _subnet(client: Any) -> str:
    """A subnet of the default VPC."""
    filters = [{"Name": "availability-zone", "Values": [f"{HOME}a"]}]
    return client.describe_subnets(Filters=filters)["Subnets"][0]["SubnetId"]


def _volume(client: Any, region: str, tags: dict[str, str]) -> str:
    specification = _tags("volume", tags)
    zone = f"{region}a"
    made = client.create_volume(AvailabilityZone=zone, Size=1, VolumeType="gp3", TagSpecifications=specification)
    return made["VolumeId"]


def _tags(kind: str, tags: dict[str, str]) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}]
