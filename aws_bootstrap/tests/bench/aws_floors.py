"""The least that each command could cost: programs that make the same calls and print what they learn.

Each is as quick as we know how. `boto3-…` are what a careful user of boto3 would write; `signed-…` use no SDK at all.

    python -m aws_bootstrap.tests.bench.aws_floors boto3-status us-west-2 us-east-1
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from .signed import Connection

_CREATED_BY: Any = {"Name": "tag:created-by", "Values": ["aws-bootstrap-g4dn"]}
_ALIVE: Any = {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped", "shutting-down"]}
_TAGGED: Any = {"Name": "tag-key", "Values": ["aws-bootstrap-instance", "created-by"]}
_CODES = ("L-3819A6DF", "L-DB2E81BA", "L-7212CCBC", "L-417A185B", "L-C4BD4855", "L-85EED4F7", "L-6E869C2A")


def boto3_status(regions: list[str]) -> list[Any]:
    """Read the boxes of these regions (without any, of all) as `status` does: one thread a region and kind."""
    import boto3

    session = boto3.Session()
    home = session.client("ec2", region_name="us-west-2")
    sts = session.client("sts", region_name="us-west-2")
    with ThreadPoolExecutor(1) as pool:
        caller = pool.submit(sts.get_caller_identity)
        if not regions:
            regions = [region["RegionName"] for region in home.describe_regions()["Regions"]]
        clients: list[Any] = []
        for region in regions:
            clients.append(home if region == "us-west-2" else session.client("ec2", region_name=region))
        with ThreadPoolExecutor(len(clients)) as regional:
            found = list(regional.map(_boto3_region, clients))
        caller.result()
    return [instance for of_region in found for instance in of_region]


def _boto3_region(client: Any) -> list[Any]:
    with ThreadPoolExecutor(1) as pool:
        volumes = pool.submit(client.describe_volumes, Filters=[_TAGGED])
        reservations = client.describe_instances(Filters=[_CREATED_BY, _ALIVE])["Reservations"]
        volumes.result()
    types: set[str] = set()
    instances: list[Any] = []
    for reservation in reservations:
        for instance in reservation["Instances"]:
            instances.append([instance["InstanceId"], instance["State"]["Name"]])
            types.add(instance["InstanceType"])
    if types:
        client.describe_spot_price_history(InstanceTypes=sorted(types), ProductDescriptions=["Linux/UNIX"])
    return instances


def signed_status(regions: list[str]) -> list[Any]:
    """Read the same with requests that are signed here, and Python's own XML parser."""
    home = Connection("ec2", "us-west-2")
    caller = Connection("sts", "us-west-2")
    with ThreadPoolExecutor(1) as pool:
        identity = pool.submit(caller.query, "GetCallerIdentity", "2011-06-15", {})
        if not regions:
            described = home.query("DescribeRegions", "2016-11-15", {})
            regions = [str(element.text) for element in described.iter("regionName")]
        with ThreadPoolExecutor(len(regions)) as regional:
            found = list(regional.map(_signed_region, regions))
        identity.result()
    return [instance for of_region in found for instance in of_region]


def _signed_region(region: str) -> list[Any]:
    first, second = Connection("ec2", region), Connection("ec2", region)
    with ThreadPoolExecutor(1) as pool:
        volumes = pool.submit(second.query, "DescribeVolumes", "2016-11-15", _filters(_TAGGED))
        described = first.query("DescribeInstances", "2016-11-15", _filters(_CREATED_BY, _ALIVE))
        volumes.result()
    types: set[str] = set()
    instances: list[Any] = []
    for instance in described.iterfind("./reservationSet/item/instancesSet/item"):
        instances.append([instance.findtext("instanceId"), instance.findtext("instanceState/name")])
        types.add(instance.findtext("instanceType") or "")
    if types:
        wanted = {f"InstanceType.{number}": name for number, name in enumerate(sorted(types), 1)}
        first.query("DescribeSpotPriceHistory", "2016-11-15", wanted)
    return instances


def _filters(*filters: dict[str, Any]) -> dict[str, str]:
    """Return EC2's parameters for these filters."""
    parameters: dict[str, str] = {}
    for number, one in enumerate(filters, 1):
        parameters[f"Filter.{number}.Name"] = one["Name"]
        for value_number, value in enumerate(one["Values"], 1):
            parameters[f"Filter.{number}.Value.{value_number}"] = value
    return parameters


def boto3_quota(regions: list[str]) -> list[Any]:
    """Read the quotas of these regions: every code at the same time, though AWS would throttle a second run."""
    import boto3

    session = boto3.Session()
    calls: list[Callable[[], Any]] = []
    for region in regions:
        client = session.client("service-quotas", region_name=region)
        for code in _CODES:
            calls.append(partial(client.get_service_quota, ServiceCode="ec2", QuotaCode=code))
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result()["Quota"]["Value"] for future in [pool.submit(call) for call in calls]]


def signed_quota(regions: list[str]) -> list[Any]:
    """Read the same with requests that are signed here."""
    pairs = [(region, code) for region in regions for code in _CODES]
    with ThreadPoolExecutor(len(pairs)) as pool:
        return list(pool.map(_signed_quota, pairs))


def _signed_quota(pair: tuple[str, str]) -> Any:
    region, code = pair
    asked = {"ServiceCode": "ec2", "QuotaCode": code}
    reply = Connection("servicequotas", region).target("ServiceQuotasV20190624.GetServiceQuota", asked)
    return reply["Quota"]["Value"]


def boto3_terminate(regions: list[str]) -> list[Any]:
    """Terminate the boxes of a region; delete their volumes once they are detached, which it asks once a second."""
    import boto3

    client = boto3.Session().client("ec2", region_name=regions[0])
    filters: Any = [_CREATED_BY, _ALIVE]
    with ThreadPoolExecutor(10) as pool:
        asked = pool.submit(client.describe_volumes, Filters=[_TAGGED])
        reservations = client.describe_instances(Filters=filters)["Reservations"]
        instance_ids = [instance["InstanceId"] for reservation in reservations for instance in reservation["Instances"]]
        volume_ids = [volume["VolumeId"] for volume in asked.result()["Volumes"] if _is_data(volume)]
        client.terminate_instances(InstanceIds=instance_ids)
        while any(volume["State"] != "available" for volume in _volumes(client, volume_ids)):
            time.sleep(1)
        list(pool.map(lambda volume_id: client.delete_volume(VolumeId=volume_id), volume_ids))
    return instance_ids


def _is_data(volume: Any) -> bool:
    """Return whether it is a data volume, which its box's end leaves."""
    return any(tag["Key"] == "aws-bootstrap-instance" for tag in volume["Tags"])


def _volumes(client: Any, volume_ids: list[str]) -> list[Any]:
    volumes: list[Any] = client.describe_volumes(VolumeIds=volume_ids)["Volumes"]
    return volumes


def boto3_dry_run(regions: list[str]) -> list[Any]:
    """Ask at once for all that a plan shows: types, images, network, boxes, prices, the caller and his address.

    The clients of other services are made while EC2 answers.
    """
    import boto3

    session = boto3.Session()
    client = session.client("ec2", region_name=regions[0])
    calls: list[Callable[[], Any]] = [
        partial(client.describe_instance_types, InstanceTypes=["g4dn.xlarge"]),
        partial(client.describe_images, Owners=["amazon"]),
        partial(client.describe_vpcs, Filters=[{"Name": "is-default", "Values": ["true"]}]),
        partial(client.describe_security_groups, Filters=[{"Name": "group-name", "Values": ["aws-bootstrap-ssh"]}]),
        partial(client.describe_key_pairs, Filters=[{"Name": "key-name", "Values": ["aws-bootstrap-key"]}]),
        partial(client.describe_instances, Filters=[_CREATED_BY, _ALIVE]),
        partial(client.describe_spot_price_history, InstanceTypes=["g4dn.xlarge"]),
        _my_address,
    ]
    with ThreadPoolExecutor(len(calls) + 2) as pool:
        asked = [pool.submit(call) for call in calls]
        asked.append(pool.submit(session.client("sts", region_name=regions[0]).get_caller_identity))
        pricing = session.client("pricing", region_name="us-east-1")
        filters: Any = [{"Type": "TERM_MATCH", "Field": "instanceType", "Value": "g4dn.xlarge"}]
        asked.append(pool.submit(pricing.get_products, ServiceCode="AmazonEC2", Filters=filters))
        return [len(future.result()) for future in asked]


def _my_address() -> str:
    from urllib.request import urlopen

    with urlopen(os.environ["AWS_BOOTSTRAP_CHECKIP_URL"]) as reply:
        return str(reply.read())


FLOORS: dict[str, Callable[[list[str]], list[Any]]] = {
    "boto3-status": boto3_status,
    "signed-status": signed_status,
    "boto3-quota": boto3_quota,
    "signed-quota": signed_quota,
    "boto3-terminate": boto3_terminate,
    "boto3-dry-run": boto3_dry_run,
}


def main() -> None:
    """Run the floor named, and print what it has learnt."""
    sys.stdout.write(json.dumps(FLOORS[sys.argv[1]](sys.argv[2:])) + "\n")


if __name__ == "__main__":
    main()
