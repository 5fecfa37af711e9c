"""A request to start instances, and the parameters of RunInstances that it becomes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from ..models import Image
from ..models.facts import Market
from . import tags

if TYPE_CHECKING:
    from types_boto3_ec2.literals import InstanceTypeType, ResourceTypeType
    from types_boto3_ec2.type_defs import (
        BlockDeviceMappingTypeDef,
        InstanceMarketOptionsRequestTypeDef,
        InstanceNetworkInterfaceSpecificationTypeDef,
        PlacementTypeDef,
        RunInstancesRequestTypeDef,
        SpotMarketOptionsTypeDef,
        TagSpecificationTypeDef,
    )


@dataclass(frozen=True)
class InstanceRequest:
    """One attempt to start instances: of this type, in this market, from this image."""

    image: Image
    instance_type: str
    market: Market
    group_id: str
    key_name: str
    #: EC2 starts nothing twice for requests with one token.
    client_token: str
    #: Of the root volume, in GiB.
    volume_size: int
    metadata_hop_limit: int = 1
    #: USD per hour, for the spot market alone: EC2 ends the instance when its price rises above that.
    max_price: float | None = None
    #: None: EC2 chooses among the default subnets.
    subnet_id: str | None = None
    #: None: EC2 chooses.
    availability_zone: str | None = None
    user_data: bytes | None = None
    user_tags: Mapping[str, str] = field(default_factory=dict)
    #: Further tags of the instance alone.
    instance_tags: Mapping[str, str] = field(default_factory=dict)
    #: The security group of its cluster, beside `group_id`, and the placement group.
    cluster_group_id: str | None = None
    placement_group: str | None = None
    #: How many instances are enough. None: as many as are requested.
    least: int | None = None

    @property
    def group_ids(self) -> list[str]:
        """Return the ids of its security groups."""
        if self.cluster_group_id is None:
            return [self.group_id]
        return [self.group_id, self.cluster_group_id]


def run_parameters(request: InstanceRequest, count: int) -> RunInstancesRequestTypeDef:
    """Return the parameters of RunInstances for so many instances; everything that it creates is tagged."""
    parameters: RunInstancesRequestTypeDef = {
        "ImageId": request.image.image_id,
        "InstanceType": cast("InstanceTypeType", request.instance_type),
        "MinCount": request.least or count,
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
        # botocore encodes bytes as well, which the types do not say.
        parameters["UserData"] = cast("str", request.user_data)
    placement = _placement(request)
    if placement:
        parameters["Placement"] = placement
    if request.market == "spot":
        parameters["InstanceMarketOptions"] = _spot_options(request.max_price)
    if request.subnet_id:
        parameters["NetworkInterfaces"] = [_network_interface(request.subnet_id, request.group_ids)]
    else:
        parameters["SecurityGroupIds"] = request.group_ids
    return parameters


def _placement(request: InstanceRequest) -> PlacementTypeDef:
    """Return where the instances must be; empty where EC2 chooses."""
    placement: PlacementTypeDef = {}
    if request.availability_zone:
        placement["AvailabilityZone"] = request.availability_zone
    if request.placement_group:
        placement["GroupName"] = request.placement_group
    return placement


def _root_volume(request: InstanceRequest) -> BlockDeviceMappingTypeDef:
    return {
        "DeviceName": request.image.root_device,
        "Ebs": {
            "VolumeSize": request.volume_size,
            "VolumeType": "gp3",
            "Encrypted": True,
            "DeleteOnTermination": True,
        },
    }


def _tag_specifications(request: InstanceRequest) -> list[TagSpecificationTypeDef]:
    name = f"aws-bootstrap-{request.instance_type}"
    resource_types: list[ResourceTypeType] = ["instance", "volume", "network-interface"]
    if request.market == "spot":
        resource_types.append("spot-instances-request")
    specifications: list[TagSpecificationTypeDef] = []
    for resource_type in resource_types:
        extra = dict(request.user_tags)
        if resource_type == "instance":
            extra |= request.instance_tags
        specifications.append(tags.specification(resource_type, name, extra))
    return specifications


def _spot_options(max_price: float | None) -> InstanceMarketOptionsRequestTypeDef:
    options: SpotMarketOptionsTypeDef = {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
    if max_price is not None:
        options["MaxPrice"] = f"{max_price:.8f}".rstrip("0").rstrip(".")
    return {"MarketType": "spot", "SpotOptions": options}


def _network_interface(subnet_id: str, group_ids: list[str]) -> InstanceNetworkInterfaceSpecificationTypeDef:
    """Return the interface in a subnet of the user's choice, where the public address must be requested."""
    return {
        "DeviceIndex": 0,
        "SubnetId": subnet_id,
        "Groups": group_ids,
        "AssociatePublicIpAddress": True,
    }
