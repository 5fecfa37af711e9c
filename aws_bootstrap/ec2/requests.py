"""What RunInstances is asked for: a plain request, and the parameters that it becomes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..models import Image, Network
from . import tags

Market = Literal["spot", "on-demand"]


@dataclass(frozen=True)
class InstanceRequest:
    """One attempt to start instances: of this type, in this market, from this image."""

    image: Image
    instance_type: str
    market: Market
    network: Network
    group_id: str
    key_name: str
    client_token: str
    """EC2 starts nothing twice for requests with one token."""
    volume_size: int
    """Of the root volume, in GiB."""
    metadata_hop_limit: int = 1
    max_price: float | None = None
    """USD per hour, for the spot market alone: EC2 ends the instance when its price rises above that."""
    availability_zone: str | None = None
    """None: EC2 chooses."""
    user_data: str | None = None
    user_tags: Mapping[str, str] = field(default_factory=dict)


def run_parameters(request: InstanceRequest, count: int) -> dict[str, Any]:
    """Return the parameters of RunInstances for exactly so many instances; everything they make is tagged."""
    parameters: dict[str, Any] = {
        "ImageId": request.image.image_id,
        "InstanceType": request.instance_type,
        "MinCount": count,
        "MaxCount": count,
        "KeyName": request.key_name,
        "ClientToken": request.client_token,
        "BlockDeviceMappings": [_root_volume(request)],
        "MetadataOptions": {
            "HttpEndpoint": "enabled",
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": request.metadata_hop_limit,
        },
        "InstanceInitiatedShutdownBehavior": "terminate",
        "TagSpecifications": _tag_specifications(request),
    }
    if request.user_data:
        parameters["UserData"] = request.user_data  # botocore encodes it
    if request.availability_zone:
        parameters["Placement"] = {"AvailabilityZone": request.availability_zone}
    if request.market == "spot":
        parameters["InstanceMarketOptions"] = _spot_options(request.max_price)
    return parameters | _network_parameters(request.network, request.group_id)


def _root_volume(request: InstanceRequest) -> dict[str, Any]:
    volume = {
        "VolumeSize": request.volume_size,
        "VolumeType": "gp3",
        "Encrypted": True,
        "DeleteOnTermination": True,
    }
    return {"DeviceName": request.image.root_device, "Ebs": volume}


def _tag_specifications(request: InstanceRequest) -> list[dict[str, Any]]:
    name = f"aws-bootstrap-{request.instance_type}"
    resource_types = ["instance", "volume", "network-interface"]
    if request.market == "spot":
        resource_types.append("spot-instances-request")
    return [tags.specification(resource_type, name, request.user_tags) for resource_type in resource_types]


def _spot_options(max_price: float | None) -> dict[str, Any]:
    options = {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
    if max_price is not None:
        options["MaxPrice"] = f"{max_price:.8f}".rstrip("0").rstrip(".")
    return {"MarketType": "spot", "SpotOptions": options}


def _network_parameters(network: Network, group_id: str) -> dict[str, Any]:
    """Return where it goes: in a subnet of the user's choice the public address must be asked for."""
    if not network.subnet_id:
        return {"SecurityGroupIds": [group_id]}
    interface = {
        "DeviceIndex": 0,
        "SubnetId": network.subnet_id,
        "Groups": [group_id],
        "AssociatePublicIpAddress": True,
    }
    return {"NetworkInterfaces": [interface]}
