"""What the AWS stand-in answers: the bodies of EC2, STS, Service Quotas and the price list, as botocore reads them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

_NAMES = (
    "us-west-2 us-east-1 us-east-2 us-west-1 ap-south-1 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-southeast-1 "
    "ap-southeast-2 ca-central-1 eu-central-1 eu-west-1 eu-west-2 eu-west-3 eu-north-1 sa-east-1"
)
REGIONS = tuple(_NAMES.split())
#: The actions whose answers depend on what was done before.
CHANGES = ("TerminateInstances", "DeleteVolume")

ACCOUNT = "123456789012"
_CREATED_BY = {"created-by": "aws-bootstrap-g4dn", "aws-bootstrap-owner": "AIDAOWNER"}
_EC2 = 'xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"'
_STS = 'xmlns="https://sts.amazonaws.com/doc/2011-06-15/"'


@dataclass(frozen=True)
class Call:
    """One call as it came."""

    region: str
    action: str
    parameters: dict[str, Any]
    is_json: bool = False

    def values(self, name: str) -> list[str]:
        """Return the values of a parameter that is a list: of `Name.1`, `Name.2` and so on."""
        return [value for key, value in self.parameters.items() if key.startswith(f"{name}.")]

    def filter_values(self, name: str) -> list[str]:
        """Return the values of the filter of that name; none without it."""
        for key, value in self.parameters.items():
            if key.startswith("Filter.") and value == name:
                return self.values(key.replace(".Name", ".Value"))
        return []

    def tags(self, resource_type: str = "") -> dict[str, str]:
        """Return the tags for new resources of that type; without a type those that the call itself is about."""
        prefix = ""
        for key, value in self.parameters.items():
            if key.endswith(".ResourceType") and value == resource_type:
                prefix = key.removesuffix("ResourceType")
        tags: dict[str, str] = {}
        for key, value in self.parameters.items():
            if key.startswith(f"{prefix}Tag.") and key.endswith(".Key"):
                tags[value] = self.parameters.get(key.removesuffix("Key") + "Value", "")
        return tags


class Refused(Exception):
    """The call is answered with an error of EC2."""

    def __init__(self, code: str, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status

    def body(self) -> str:
        """Return the body of the answer."""
        error = xml({"Errors": {"Error": {"Code": self.code, "Message": str(self)}}, "RequestID": "0"})
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<Response>{error}</Response>'


@dataclass
class Launched:
    """The boxes that a launch has started, and what it has created for them."""

    #: In seconds since the epoch.
    at: float
    region: str
    count: int
    #: Of the call that started them.
    tags: dict[str, str]
    #: Of later calls, by the id of the instance.
    later_tags: dict[str, dict[str, str]] = field(default_factory=dict)
    #: The data volumes, by id.
    volumes: dict[str, dict[str, Any]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass
class World:
    """So many boxes, spread over so many regions; the first ones of each region have a data volume."""

    boxes: int
    regions: int
    volumes: int
    detach: float
    #: When the boxes of a region were terminated.
    terminated_at: dict[str, float] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    #: What was launched; None before that.
    launched: Launched | None = None

    def numbers(self, region: str) -> range:
        """Return the numbers of the region's boxes."""
        index = REGIONS.index(region)
        return range(index, self.boxes, self.regions)

    def is_detached(self, region: str) -> bool:
        """Return whether the volumes of the region's boxes are detached by now."""
        terminated_at = self.terminated_at.get(region)
        return terminated_at is not None and time.time() >= terminated_at + self.detach


def xml(value: Any) -> str:
    """Return EC2's XML of a value: a dictionary is its elements, a list its items."""
    if isinstance(value, dict):
        return "".join(f"<{name}>{xml(inner)}</{name}>" for name, inner in value.items())
    if isinstance(value, list):
        return "".join(f"<item>{xml(inner)}</item>" for inner in value)
    if isinstance(value, bool):
        return str(value).lower()
    return escape(str(value))


def ec2_answer(action: str, content: dict[str, Any]) -> str:
    """Return the body of EC2's answer with this content."""
    inner = xml({"requestId": "00000000-0000-0000-0000-000000000000", **content})
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{action}Response {_EC2}>{inner}</{action}Response>'


def tag_set(tags: dict[str, str]) -> list[dict[str, str]]:
    """Return tags as an answer has them."""
    return [{"key": key, "value": value} for key, value in tags.items()]


def instance_id(number: int) -> str:
    """Return the id of the box with this number."""
    return f"i-{number:017x}"


def _volume_id(number: int) -> str:
    return f"vol-{number:017x}"


def _root_id(number: int) -> str:
    return _volume_id(0x10000000 + number)


# --- EC2 -------------------------------------------------------------------------------------------------


def _describe_regions(world: World, call: Call) -> str:
    regions: list[dict[str, str]] = []
    for name in REGIONS[: world.regions]:
        endpoint = f"ec2.{name}.amazonaws.com"
        regions.append({"regionName": name, "regionEndpoint": endpoint, "optInStatus": "opt-in-not-required"})
    return ec2_answer(call.action, {"regionInfo": regions})


def _describe_instances(world: World, call: Call) -> str:
    wanted = call.filter_values("instance-id") or call.values("InstanceId")
    reservations: list[dict[str, Any]] = []
    for number in world.numbers(call.region):
        if wanted and instance_id(number) not in wanted:
            continue
        reservation = {"reservationId": f"r-{number:017x}", "ownerId": ACCOUNT, "groupSet": []}
        reservations.append({**reservation, "instancesSet": [instance(world, call.region, number)]})
    return ec2_answer(call.action, {"reservationSet": reservations})


def instance(world: World, region: str, number: int) -> dict[str, Any]:
    """Return an instance with about as many elements as EC2's answer has."""
    state = {"code": 16, "name": "running"}
    if region in world.terminated_at:
        state = {"code": 32, "name": "shutting-down"}
    address = f"203.0.{113 + number // 200}.{number % 200 + 1}"
    private = f"172.31.{number // 200}.{number % 200 + 4}"
    group = [{"groupId": "sg-0123456789abcdef0", "groupName": "aws-bootstrap-ssh"}]
    attachment = {"attachmentId": "eni-attach-0123456789abcdef0", "deviceIndex": 0, "status": "attached"}
    association = {"publicIp": address, "publicDnsName": f"ec2-{number}.amazonaws.com", "ipOwnerId": "amazon"}
    interface = {
        "networkInterfaceId": f"eni-{number:017x}",
        "subnetId": "subnet-0123456789abcdef0",
        "vpcId": "vpc-0123456789abcdef0",
        "description": "",
        "ownerId": ACCOUNT,
        "status": "in-use",
        "macAddress": "0a:00:00:00:00:01",
        "privateIpAddress": private,
        "privateDnsName": f"ip-{private.replace('.', '-')}.{region}.compute.internal",
        "sourceDestCheck": True,
        "groupSet": group,
        "attachment": attachment,
        "association": association,
        "privateIpAddressesSet": [{"privateIpAddress": private, "primary": True, "association": association}],
        "ipv6AddressesSet": [],
        "interfaceType": "interface",
    }
    disks = [{"deviceName": "/dev/sda1", "ebs": _attached_disk(_root_id(number), deletes=True)}]
    if number < world.volumes:
        disks.append({"deviceName": "/dev/sdf", "ebs": _attached_disk(_volume_id(number), deletes=False)})
    return {
        "instanceId": instance_id(number),
        "imageId": "ami-0123456789abcdef0",
        "instanceState": state,
        "privateDnsName": f"ip-{private.replace('.', '-')}.{region}.compute.internal",
        "dnsName": f"ec2-{number}.amazonaws.com",
        "reason": "",
        "keyName": "aws-bootstrap-key",
        "amiLaunchIndex": 0,
        "productCodes": [],
        "instanceType": "g4dn.xlarge",
        "launchTime": "2026-01-01T00:00:00.000Z",
        "placement": {"availabilityZone": f"{region}a", "groupName": "", "tenancy": "default"},
        "monitoring": {"state": "disabled"},
        "subnetId": "subnet-0123456789abcdef0",
        "vpcId": "vpc-0123456789abcdef0",
        "privateIpAddress": private,
        "ipAddress": address,
        "sourceDestCheck": True,
        "groupSet": group,
        "architecture": "x86_64",
        "rootDeviceType": "ebs",
        "rootDeviceName": "/dev/sda1",
        "blockDeviceMapping": disks,
        "virtualizationType": "hvm",
        "instanceLifecycle": "spot",
        "spotInstanceRequestId": f"sir-{number:08x}",
        "clientToken": f"00000000-0000-0000-0000-{number:012x}",
        "tagSet": tag_set({"Name": f"box-{number}", **_CREATED_BY}),
        "hypervisor": "xen",
        "networkInterfaceSet": [interface],
        "ebsOptimized": False,
        "enaSupport": True,
        "cpuOptions": {"coreCount": 2, "threadsPerCore": 2},
        "capacityReservationSpecification": {"capacityReservationPreference": "open"},
        "hibernationOptions": {"configured": False},
        "metadataOptions": {
            "state": "applied",
            "httpTokens": "required",
            "httpPutResponseHopLimit": 2,
            "httpEndpoint": "enabled",
            "httpProtocolIpv6": "disabled",
            "instanceMetadataTags": "disabled",
        },
        "enclaveOptions": {"enabled": False},
        "bootMode": "uefi-preferred",
        "platformDetails": "Linux/UNIX",
        "usageOperation": "RunInstances",
        "usageOperationUpdateTime": "2026-01-01T00:00:00.000Z",
        "privateDnsNameOptions": {"hostnameType": "ip-name", "enableResourceNameDnsARecord": False},
        "maintenanceOptions": {"autoRecovery": "default"},
        "currentInstanceBootMode": "legacy-bios",
    }


def _attached_disk(volume_id: str, *, deletes: bool) -> dict[str, Any]:
    attached = "2026-01-01T00:00:00.000Z"
    return {"volumeId": volume_id, "status": "attached", "attachTime": attached, "deleteOnTermination": deletes}


def _describe_volumes(world: World, call: Call) -> str:
    """Return data volumes and, where every tag of this tool is asked for, root volumes as well."""
    wanted = call.filter_values("volume-id") or call.values("VolumeId")
    has_roots = _CREATED_BY.keys() & set(call.filter_values("tag-key"))
    volumes: list[dict[str, Any]] = []
    for number in world.numbers(call.region):
        if number < world.volumes:
            volumes.append(_volume(world, call.region, number, _volume_id(number), is_root=False))
        if has_roots:
            volumes.append(_volume(world, call.region, number, _root_id(number), is_root=True))
    shown: list[dict[str, Any]] = []
    for volume in volumes:
        is_wanted = not wanted or volume["volumeId"] in wanted
        if is_wanted and volume["volumeId"] not in world.deleted:
            shown.append(volume)
    return ec2_answer(call.action, {"volumeSet": shown})


def _volume(world: World, region: str, number: int, volume_id: str, *, is_root: bool) -> dict[str, Any]:
    tags = dict(_CREATED_BY)
    if not is_root:
        tags["aws-bootstrap-instance"] = instance_id(number)
    state = "in-use"
    attachments = [
        {
            "volumeId": volume_id,
            "instanceId": instance_id(number),
            "device": "/dev/sda1" if is_root else "/dev/sdf",
            "status": "attached",
            "attachTime": "2026-01-01T00:00:00.000Z",
            "deleteOnTermination": is_root,
        }
    ]
    if world.is_detached(region):
        state = "available"
        attachments = []
    return {
        "volumeId": volume_id,
        "size": 100,
        "snapshotId": "",
        "availabilityZone": f"{region}a",
        "status": state,
        "createTime": "2026-01-01T00:00:00.000Z",
        "attachmentSet": attachments,
        "tagSet": tag_set(tags),
        "volumeType": "gp3",
        "iops": 3000,
        "throughput": 125,
        "encrypted": True,
        "multiAttachEnabled": False,
    }


def _spot_prices(world: World, call: Call) -> str:
    names = call.values("InstanceType") or ["g4dn.xlarge"]
    prices: list[dict[str, str]] = []
    for name in names:
        for zone in "abc":
            prices.append(
                {
                    "instanceType": name,
                    "productDescription": "Linux/UNIX",
                    "spotPrice": "0.157800",
                    "timestamp": "2026-01-01T00:00:00.000Z",
                    "availabilityZone": f"{call.region}{zone}",
                }
            )
    return ec2_answer(call.action, {"spotPriceHistorySet": prices, "nextToken": ""})


def _terminate(world: World, call: Call) -> str:
    world.terminated_at.setdefault(call.region, time.time())
    changes: list[dict[str, Any]] = []
    for instance_id in call.values("InstanceId"):
        before = {"code": 16, "name": "running"}
        now = {"code": 32, "name": "shutting-down"}
        changes.append({"instanceId": instance_id, "previousState": before, "currentState": now})
    return ec2_answer(call.action, {"instancesSet": changes})


def _delete_volume(world: World, call: Call) -> str:
    world.deleted.add(call.parameters["VolumeId"])
    return ec2_answer(call.action, {"return": True})


def _instance_types(world: World, call: Call) -> str:
    gpu = {"name": "T4", "manufacturer": "NVIDIA", "count": 1, "memoryInfo": {"sizeInMiB": 16384}}
    described = {
        "instanceType": "g4dn.xlarge",
        "vCpuInfo": {"defaultVCpus": 4, "defaultCores": 2},
        "memoryInfo": {"sizeInMiB": 16384},
        "processorInfo": {"supportedArchitectures": ["x86_64"]},
        "gpuInfo": {"gpus": [gpu], "totalGpuMemoryInMiB": 16384},
        "placementGroupInfo": {"supportedStrategies": ["cluster", "partition", "spread"]},
    }
    return ec2_answer(call.action, {"instanceTypeSet": [described]})


def _images(world: World, call: Call) -> str:
    images: list[dict[str, Any]] = []
    for day in range(1, 13):
        name = f"Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04) 202601{day:02}"
        images.append(
            {
                "imageId": f"ami-{day:017x}",
                "name": name,
                "description": "Supported EC2 instances: G4dn, G5, G6, P4d, P5.",
                "imageState": "available",
                "imageOwnerId": "898082745236",
                "isPublic": True,
                "architecture": "x86_64",
                "creationDate": f"2026-01-{day:02}T00:00:00.000Z",
                "rootDeviceType": "ebs",
                "rootDeviceName": "/dev/sda1",
                "blockDeviceMapping": [{"deviceName": "/dev/sda1", "ebs": {"volumeSize": 75, "volumeType": "gp3"}}],
            }
        )
    return ec2_answer(call.action, {"imagesSet": images})


def _vpcs(world: World, call: Call) -> str:
    return ec2_answer(call.action, {"vpcSet": [{"vpcId": "vpc-0123456789abcdef0", "isDefault": True}]})


def _nothing(element: str) -> Callable[[World, Call], str]:
    """Return an answer without any of what is asked for."""

    def empty(world: World, call: Call) -> str:
        return ec2_answer(call.action, {element: []})

    return empty


# --- other services --------------------------------------------------------------------------------------


def _caller_identity(world: World, call: Call) -> str:
    identity = {"UserId": "AIDAOWNER", "Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/me"}
    result = f"<{call.action}Result>{xml(identity)}</{call.action}Result>"
    return f"<{call.action}Response {_STS}>{result}</{call.action}Response>"


def _quota(world: World, call: Call) -> str:
    code = call.parameters["QuotaCode"]
    return json.dumps({"Quota": _quota_row(call.region, code, f"Quota {code}")})


def _quota_row(region: str, code: str, name: str) -> dict[str, Any]:
    return {
        "ServiceCode": "ec2",
        "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
        "QuotaArn": f"arn:aws:servicequotas:{region}:{ACCOUNT}:ec2/{code}",
        "QuotaCode": code,
        "QuotaName": name,
        "Value": 8.0,
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
        "QuotaAppliedAtLevel": "ACCOUNT",
    }


def _products(world: World, call: Call) -> str:
    names: Iterable[str] = [each["Value"] for each in call.parameters["Filters"] if each["Field"] == "instanceType"]
    products: list[str] = []
    for name in names:
        terms = {"OnDemand": {"term": {"priceDimensions": {"dimension": {"pricePerUnit": {"USD": "0.526"}}}}}}
        products.append(json.dumps({"product": {"attributes": {"instanceType": name}}, "terms": terms}))
    return json.dumps({"FormatVersion": "aws_v1", "PriceList": products})


#: Without those to a launch, which are in aws_launch.py.
ANSWERS: dict[str, Callable[[World, Call], str]] = {
    "DescribeRegions": _describe_regions,
    "DescribeInstances": _describe_instances,
    "DescribeVolumes": _describe_volumes,
    "DescribeSpotPriceHistory": _spot_prices,
    "TerminateInstances": _terminate,
    "DeleteVolume": _delete_volume,
    "DescribeInstanceTypes": _instance_types,
    "DescribeImages": _images,
    "DescribeVpcs": _vpcs,
    "DescribeSecurityGroups": _nothing("securityGroupInfo"),
    "DescribeKeyPairs": _nothing("keySet"),
    "DescribePlacementGroups": _nothing("placementGroupSet"),
    "GetCallerIdentity": _caller_identity,
    "GetServiceQuota": _quota,
    "GetAWSDefaultServiceQuota": _quota,
    "GetProducts": _products,
}
