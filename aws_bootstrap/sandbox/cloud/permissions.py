"""Which permissions a call needs: for each action the resources it is authorized on, and what is known of them.

From the service authorization reference, https://docs.aws.amazon.com/service-authorization/latest/reference/ with its
pages list_amazonec2, list_servicequotas, list_awspricelist and list_identityandaccessmanagement.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from . import catalog
from .aws_call import AwsCall
from .backend import Backends, SandboxBackend
from .policy import Request

#: What a resource that does not exist yet, or that EC2 chooses, is called.
ANY = "*"
#: Actions that need no permission: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
FREE = frozenset({"sts:GetCallerIdentity"})
#: Services without regions: their calls count as calls of us-east-1.
_GLOBAL_SERVICES = frozenset({"iam"})
_GLOBAL_REGION = "us-east-1"


@dataclass(frozen=True)
class Existing:
    """A resource that the call names: its type, and the parameters with its id. N is any number."""

    resource_type: str
    parameters: tuple[str, ...]
    #: Whether EC2 authorizes the call on a resource of this type even if the call names none.
    is_always: bool = False


_INSTANCES = Existing("instance", ("InstanceId", "InstanceId.N"))
_VOLUME = Existing("volume", ("VolumeId",))
_GROUP = Existing("security-group", ("GroupId", "GroupName"))
_SUBNETS = ("SubnetId", "NetworkInterface.N.SubnetId")
_GROUPS = ("SecurityGroupId.N", "SecurityGroup.N", "NetworkInterface.N.SecurityGroupId.N")

#: Where tags of existing resources count, as `aws:ResourceTag/…`.
EXISTING: dict[str, tuple[Existing, ...]] = {
    "AttachVolume": (Existing("instance", ("InstanceId",)), _VOLUME),
    "AuthorizeSecurityGroupEgress": (_GROUP,),
    "AuthorizeSecurityGroupIngress": (_GROUP,),
    "CancelSpotInstanceRequests": (Existing("spot-instances-request", ("SpotInstanceRequestId.N",)),),
    "CreateImage": (Existing("instance", ("InstanceId",)),),
    "CreateSecurityGroup": (Existing("vpc", ("VpcId",)),),
    "CreateSnapshot": (_VOLUME,),
    "CreateVolume": (Existing("snapshot", ("SnapshotId",)),),
    "DeleteKeyPair": (Existing("key-pair", ("KeyName", "KeyPairId")),),
    "DeletePlacementGroup": (Existing("placement-group", ("GroupName",)),),
    "DeleteSecurityGroup": (_GROUP,),
    "DeleteSnapshot": (Existing("snapshot", ("SnapshotId",)),),
    "DeleteVolume": (_VOLUME,),
    "DeregisterImage": (Existing("image", ("ImageId",)),),
    "DetachVolume": (_VOLUME, Existing("instance", ("InstanceId",))),
    "GetConsoleOutput": (_INSTANCES,),
    "ModifyInstanceAttribute": (
        Existing("instance", ("InstanceId",)),
        Existing("security-group", ("GroupId.N",)),
        Existing("volume", ("BlockDeviceMapping.N.Ebs.VolumeId",)),
    ),
    "ModifyInstanceMetadataOptions": (_INSTANCES,),
    "ModifyVolume": (_VOLUME,),
    "RebootInstances": (_INSTANCES,),
    "RevokeSecurityGroupEgress": (_GROUP,),
    "RevokeSecurityGroupIngress": (_GROUP,),
    "RunInstances": (
        Existing("image", ("ImageId",)),
        Existing("key-pair", ("KeyName",)),
        Existing("placement-group", ("Placement.GroupName",)),
        Existing("security-group", _GROUPS, is_always=True),
        Existing("snapshot", ("BlockDeviceMapping.N.Ebs.SnapshotId",)),
        Existing("subnet", _SUBNETS, is_always=True),
    ),
    "StartInstances": (_INSTANCES,),
    "StopInstances": (_INSTANCES,),
    "TerminateInstances": (_INSTANCES,),
}
#: What a call creates. Such a resource has no tags yet: the call's own count, as `aws:RequestTag/…`.
CREATED: dict[str, tuple[str, ...]] = {
    "CopySnapshot": ("snapshot",),
    "CreateImage": ("image", "snapshot"),
    "CreateKeyPair": ("key-pair",),
    "CreatePlacementGroup": ("placement-group",),
    "CreateSecurityGroup": ("security-group",),
    "CreateSnapshot": ("snapshot",),
    "CreateVolume": ("volume",),
    "ImportKeyPair": ("key-pair",),
    "RunInstances": ("instance", "network-interface", "volume"),
}
#: What a call creates that is authorized only if the call tags it.
#: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ExamplePolicies_EC2.html#iam-example-spot-instances
CREATED_IF_TAGGED: dict[str, tuple[str, ...]] = {
    "AuthorizeSecurityGroupEgress": ("security-group-rule",),
    "AuthorizeSecurityGroupIngress": ("security-group-rule",),
    "RunInstances": ("spot-instances-request",),
}
_SPOT_REQUEST = "spot-instances-request"
_MARKET = "InstanceMarketOptions.MarketType"
_TAGGING = ("CreateTags", "DeleteTags")
#: The type of a resource, by the prefix of its id.
_TYPES = {
    "ami": "image",
    "eni": "network-interface",
    "i": "instance",
    "key": "key-pair",
    "pg": "placement-group",
    "sg": "security-group",
    "sgr": "security-group-rule",
    "sir": "spot-instances-request",
    "snap": "snapshot",
    "subnet": "subnet",
    "vol": "volume",
    "vpc": "vpc",
}
#: Owned by no account of yours: their ARNs name none.
_WITHOUT_ACCOUNT = frozenset({"image", "snapshot"})

Tags = dict[str, str]


def requests(call: AwsCall, backends: Backends, *, is_tag_required: bool = False) -> list[Request]:
    """Return what the policies must allow for this call, in the order in which EC2 looks.

    With `is_tag_required` the call is authorized on what it creates without tags, too.
    """
    if action_of(call) in FREE:
        return []
    if call.service == "ec2":
        return list(_Ec2(call, backends.region(call.region), is_tag_required=is_tag_required).requests())
    if call.action == "RequestServiceQuotaIncrease":
        service = call.parameters.get("ServiceCode", ANY)
        code = call.parameters.get("QuotaCode", ANY)
        arn = f"arn:aws:servicequotas:{call.region}:{catalog.ACCOUNT}:{service}/{code}"
        return [Request(action_of(call), arn, _base(call) | {"servicequotas:service": (service,)})]
    return [Request(action_of(call), ANY, _base(call))]


def action_of(call: AwsCall) -> str:
    """Return the action that a policy names to allow this call."""
    return f"{call.service}:{call.action}"


def _base(call: AwsCall) -> dict[str, tuple[str, ...]]:
    """Return what is known of every call."""
    region = call.region
    if call.service in _GLOBAL_SERVICES:
        region = _GLOBAL_REGION
    return {"aws:requestedregion": (region,)}


class _Ec2:
    """One call of EC2, in the region whose resources it names."""

    def __init__(self, call: AwsCall, backend: SandboxBackend, *, is_tag_required: bool) -> None:
        self._call = call
        self._backend = backend
        self._is_tag_required = is_tag_required
        self._tags = tag_specifications(call.parameters)
        self._common = _base(call) | {"ec2:region": (call.region,)}

    def requests(self) -> Iterator[Request]:
        """Yield what must be allowed. An action outside the table is authorized by its name alone."""
        action = self._call.action
        if action in _TAGGING:
            yield from self._tag_requests()
            return
        created = [*CREATED.get(action, ())]
        for resource_type in CREATED_IF_TAGGED.get(action, ()):
            if resource_type in self._tags or (self._is_tag_required and self._creates(resource_type)):
                created.append(resource_type)
        if not created and action not in EXISTING:
            yield self._request(ANY, {})
        for existing in EXISTING.get(action, ()):
            yield from self._existing_requests(existing)
        for resource_type in created:
            yield self._request(self._arn(resource_type, ANY), self._created_context(resource_type))
        yield from self._tags_on_create()

    def _creates(self, resource_type: str) -> bool:
        """Return whether the call creates such a resource: a launch creates a spot request only if it is for spot."""
        return resource_type != _SPOT_REQUEST or self._call.parameters.get(_MARKET) == "spot"

    def _request(self, resource: str, context: Mapping[str, tuple[str, ...]], action: str = "") -> Request:
        return Request(f"ec2:{action or self._call.action}", resource, {**self._common, **context})

    def _arn(self, resource_type: str, resource_id: str) -> str:
        account = catalog.ACCOUNT
        if resource_type in _WITHOUT_ACCOUNT:
            account = ""
        return f"arn:aws:ec2:{self._call.region}:{account}:{resource_type}/{resource_id}"

    def _existing_requests(self, existing: Existing) -> Iterator[Request]:
        named = self._named(existing.parameters)
        if not named and existing.is_always:
            yield self._request(self._arn(existing.resource_type, ANY), {})
        for name in named:
            resource_id = self._id_of(existing.resource_type, name)
            arn = self._arn(existing.resource_type, resource_id)
            yield self._request(arn, resource_tags(self._tags_of(existing.resource_type, name)))

    def _named(self, parameters: tuple[str, ...]) -> list[str]:
        """Return the ids that the call has under these parameters, each once."""
        found: list[str] = []
        for parameter in parameters:
            pattern = _numbered(parameter)
            for name, value in self._call.parameters.items():
                if pattern.fullmatch(name) and value not in found:
                    found.append(value)
        return found

    def _id_of(self, resource_type: str, name: str) -> str:
        """Return what the ARN ends with: a security group that is called by its name has its id there."""
        if resource_type == "security-group" and not name.startswith("sg-"):
            group = self._backend.get_security_group_from_name(name)
            if group is not None:
                return group.id
        return name

    def _tags_of(self, resource_type: str, name: str) -> Tags:
        resource_id = self._id_of(resource_type, name)
        if resource_type == "key-pair" and name in self._backend.key_pairs:
            resource_id = self._backend.key_pairs[name].id
        if resource_type == "placement-group" and name in self._backend.placement_groups:
            resource_id = self._backend.placement_groups[name].id
        return dict(self._backend.tags.get(resource_id, {}))

    def _created_context(self, resource_type: str) -> dict[str, tuple[str, ...]]:
        context = request_tags(self._tags.get(resource_type, {}))
        if self._call.action == "RunInstances" and resource_type == "instance":
            parameters = self._call.parameters
            context["ec2:instancetype"] = (parameters.get("InstanceType", "m1.small"),)
            context["ec2:instancemarkettype"] = (parameters.get(_MARKET, "on-demand"),)
            context["ec2:metadatahttptokens"] = (parameters.get("MetadataOptions.HttpTokens", "optional"),)
        return context

    def _tags_on_create(self) -> Iterator[Request]:
        """Yield the CreateTags that a call with tags needs beside its own action.

        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
        """
        for resource_type, tags in self._tags.items():
            context = request_tags(tags) | {"ec2:createaction": (self._call.action,)}
            yield self._request(self._arn(resource_type, ANY), context, "CreateTags")

    def _tag_requests(self) -> Iterator[Request]:
        """Yield one request for each resource that is tagged, or loses tags."""
        tags = _numbered_tags(self._call.parameters, "Tag")
        for resource_id in self._named(("ResourceId.N",)):
            resource_type = _TYPES.get(resource_id.partition("-")[0], ANY)
            context = request_tags(tags) | resource_tags(self._backend.tags.get(resource_id, {}))
            yield self._request(self._arn(resource_type, resource_id), context)


def _numbered(parameter: str) -> re.Pattern[str]:
    """Return the parameter's name as a pattern, with a number in place of each N."""
    parts: list[str] = []
    for part in parameter.split("."):
        parts.append(r"\d+" if part == "N" else re.escape(part))
    return re.compile(r"\.".join(parts))


def tag_specifications(parameters: Mapping[str, str]) -> dict[str, Tags]:
    """Return the tags that a creating call has for each type of resource."""
    found: dict[str, Tags] = {}
    for name, resource_type in parameters.items():
        prefix, _, field = name.rpartition(".")
        if prefix.startswith("TagSpecification.") and field == "ResourceType":
            found.setdefault(resource_type, {}).update(_numbered_tags(parameters, f"{prefix}.Tag"))
    return found


def _numbered_tags(parameters: Mapping[str, str], prefix: str) -> Tags:
    """Return the tags under `prefix.1.Key`, `prefix.1.Value` and so on; DeleteTags may leave out the value."""
    found: Tags = {}
    for name, key in parameters.items():
        if name.startswith(f"{prefix}.") and name.endswith(".Key"):
            found[key] = parameters.get(name.removesuffix("Key") + "Value", "")
    return found


def request_tags(tags: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return the condition keys of the tags in a request."""
    context: dict[str, tuple[str, ...]] = {}
    for key, value in tags.items():
        context[f"aws:requesttag/{key.lower()}"] = (value,)
    if tags:
        context["aws:tagkeys"] = tuple(tags)
    return context


def resource_tags(tags: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return the condition keys of the tags of a resource, under both of EC2's names."""
    context: dict[str, tuple[str, ...]] = {}
    for key, value in tags.items():
        context[f"aws:resourcetag/{key.lower()}"] = (value,)
        context[f"ec2:resourcetag/{key.lower()}"] = (value,)
    return context
