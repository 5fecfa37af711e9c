"""AWS for tests, in this process: moto behind our own door, three regions, faults, and Service Quotas."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache, partial
from types import SimpleNamespace
from typing import Any

import boto3
from botocore.client import ClientCreator
from moto.core import responses
from moto.core.base_backend import BackendDict
from moto.core.models import MockAWS, botocore_stubber
from moto.ec2.models.elastic_block_store import EBSBackend

from aws_bootstrap.aws import Aws
from aws_bootstrap.aws_errors import to_aws_error
from aws_bootstrap.errors import SshError
from aws_bootstrap.sandbox.cloud.volumes import with_any_tag_key
from aws_bootstrap.tests.cloud_placement import PlacementGroups
from aws_bootstrap.tests.faults import Faults

REGIONS = ("eu-west-1", "us-east-1", "us-west-2")
OURS = {"Key": "created-by", "Value": "aws-bootstrap-g4dn"}
CALLER = "AKIAIOSFODNN7EXAMPLE"
"""The caller's unique id, as moto's STS answers."""

#: In EC2's words, as in https://github.com/aws/karpenter-provider-aws/issues/7370.
DENIED_BY_ORGANIZATION = (
    "You are not authorized to perform this operation. User: arn:aws:sts::123456789012:assumed-role/dev/me is not "
    "authorized to perform: ec2:DescribeInstances with an explicit deny in a service control policy. "
    "Encoded authorization failure message: g4oZPBqZ4Bni8dE5dGjxYTnOZ"
)

Answer = tuple[SimpleNamespace, dict[str, Any]]
"""HTTP status and parsed body, as botocore takes them from a `before-call` handler: nothing is sent then."""


_describe_volumes = EBSBackend.describe_volumes


def _describe_by_any_tag_key(self: EBSBackend, volume_ids: list[str] | None = None, filters: Any = None) -> Any:
    """Do as EC2: of several values of a filter one is enough."""
    return with_any_tag_key(partial(_describe_volumes, self, volume_ids), filters)


# Moto looks through its class of EC2, of a thousand methods, for each request.
setattr(responses, "method_names_from_class", cache(responses.method_names_from_class))  # noqa: B010
setattr(EBSBackend, "describe_volumes", _describe_by_any_tag_key)  # noqa: B010 (mypy refuses the assignment)


class Moto(MockAWS):
    """Moto for boto3 alone, empty; `with Moto()` does what `with mock_aws()` does.

    That would also take over each address of AWS for `requests`, which nothing here uses, and make each region that a
    test has used once more before it forgets it: a seventh of the time of a test in this process.
    """

    def reset(self) -> None:
        """Forget every account."""
        in_use: list[Any] = BackendDict._instances  # type: ignore[misc]
        for service in in_use:
            service.clear()
        in_use.clear()

    def _enable_patching(self, reset: bool = True) -> None:
        botocore_stubber.enabled = True
        self.reset()

    def _disable_patching(self, remove_data: bool) -> None:
        botocore_stubber.enabled = False
        self.reset()


class Cloud(Aws):
    """The real door with few regions. `deny(region)` makes every call there fail, `deny(region, operation)` one."""

    def __init__(self) -> None:
        super().__init__()
        self.quotas = Quotas()
        self.placement_groups = PlacementGroups()
        self.faults = Faults()
        self.list_price: float | dict[str, float] | None = 0.526
        """The on-demand price of every type, or by type; None: the price list does not answer."""
        self.public_access = "off"
        """The mode of VPC Block Public Access, which moto does not know."""
        self.route_target = "igw-1"
        """Where subnets send what is for the internet: moto's default VPC has no gateway."""
        self.calls: list[tuple[str, str]] = []
        """(region, operation) of each request that was sent."""
        self._denied: set[tuple[str, str | None]] = set()
        self.organization_denies: set[str] = set()
        """Regions in which a service control policy denies every call."""
        self._errors: list[Callable[[str, str, dict[str, Any]], str | None]] = []

    @property
    def _session(self) -> Any:
        return _session()

    def regions(self) -> list[str]:
        """Fewer than moto has, so that tests are quick."""
        is_denied = (self.region, "DescribeRegions") in self._denied
        if is_denied or self._denied >= {(region, None) for region in REGIONS}:
            raise to_aws_error("UnauthorizedOperation", "You are not authorized to perform this operation.")
        return list(REGIONS)

    def deny(self, region: str, operation: str | None = None) -> None:
        """Refuse what is asked there from now on."""
        self._denied.add((region, operation))

    def fail(
        self, operation: str, code: str, *, region: str | None = None, times: int | None = None, **parameters: str
    ) -> None:
        """Answer this operation with an error of that code, where it is called with these parameters: always, or so
        many times."""
        turns: Iterator[int] = itertools.count() if times is None else iter(range(times))

        def error(where: str, called: str, body: dict[str, Any]) -> str | None:
            same = (called, region or where) == (operation, where)
            if not same or not parameters.items() <= body.items() or next(turns, None) is None:
                return None
            return code

        self._errors.append(error)

    def repair(self) -> None:
        """Answer again what `fail` refused."""
        self._errors.clear()

    def _products(self, filters: list[dict[str, str]]) -> list[str]:
        """The price list's answer: the type of the filters, or those whose names begin as it says."""
        name = next(one["Value"] for one in filters if one["Field"] == "instanceType")
        if not isinstance(self.list_price, dict):
            assert self.list_price
            return [_product(f"{name}xlarge" if name.endswith(".") else name, self.list_price)]
        return [_product(listed, price) for listed, price in self.list_price.items() if listed.startswith(name)]

    def _way(self, operation: str) -> Answer | None:
        """What EC2 says about the way from the internet, where moto does not."""
        if operation == "DescribeVpcBlockPublicAccessOptions":
            return _ok({"VpcBlockPublicAccessOptions": {"InternetGatewayBlockMode": self.public_access}})
        if operation == "DescribeRouteTables":
            return _ok({"RouteTables": [{"Routes": [{"GatewayId": self.route_target}]}]})
        return None

    def _refusal(self, service: str, region: str, operation: str, body: Any) -> Answer | None:
        if service == "ec2" and region in self.organization_denies:
            return _error("UnauthorizedOperation", DENIED_BY_ORGANIZATION)
        for error in self._errors:
            if code := error(region, operation, body):
                return _error(code, f"EC2 said {code}.")
        return None

    def _new_client(self, service: str, region: str, retry: bool) -> Any:
        with _shared_models():
            client = super()._new_client(service, region, retry)

        def answer(params: dict, model: Any, **_: Any) -> Answer | None:
            self.calls.append((region, model.name))
            if {(region, None), (region, model.name)} & self._denied:
                denied = "UnauthorizedOperation" if service == "ec2" else "AccessDeniedException"
                return _error(denied, "You are not authorized to perform this operation.")
            if refusal := self._refusal(service, region, model.name, params["body"]):
                return refusal
            if service == "pricing" and self.list_price is not None:
                return _ok({"PriceList": self._products(json.loads(params["body"])["Filters"])})
            if service != "service-quotas":
                if "PlacementGroup" in model.name:
                    return self.faults.around(
                        region, model.name, lambda: self.placement_groups.answer(region, model.name, params["body"])
                    )
                return self._way(model.name)
            return self.faults.around(region, model.name, lambda: self.quotas.answer(params, region, model.name))

        client.meta.events.unregister("before-send", botocore_stubber)
        client.meta.events.register("before-send", _moto)
        self.faults.watch(client, service, region, retry=retry)
        client.meta.events.register_first(f"before-call.{service}.*", answer)
        return client


@cache
def _session() -> Any:
    """One for all tests: reading EC2's service model takes a second."""
    return boto3.Session()


def new_client(service: str, region: str, **settings: Any) -> Any:
    """Return a client as boto3 makes it, of the session of all tests."""
    with _shared_models():
        return _session().client(service, region, **settings)


@contextmanager
def _shared_models() -> Iterator[None]:
    """Have botocore make a service's model, and the class of its clients with hundreds of methods, once for all tests.

    They are the same for every client. A test that makes its clients by itself has models and classes of its own.
    """
    creator: Any = ClientCreator
    before = {name: getattr(creator, name) for name in _MADE_ONCE}
    for name in _MADE_ONCE:
        setattr(creator, name, _known_or_new(before[name]))
    try:
        yield
    finally:
        for name in _MADE_ONCE:
            setattr(creator, name, before[name])


def _known_or_new(make: Callable[..., Any]) -> Callable[..., Any]:
    def known_or_new(self: Any, service: str, *rest: Any, **named: Any) -> Any:
        key = (make.__name__, service)
        if key not in _made:
            _made[key] = make(self, service, *rest, **named)
        return _made[key]

    return known_or_new


_MADE_ONCE = ("_load_service_model", "_create_client_class")
_made: dict[tuple[str, str], Any] = {}
_one_at_a_time = threading.Lock()


def _moto(**request: Any) -> Any:
    """Moto's answer. Its code is not made for the threads of one process."""
    with _one_at_a_time:
        return botocore_stubber(**request)


class Quotas:
    """Service Quotas of every region: values that were changed, defaults, and requests."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], float] = {}
        self.defaults: dict[tuple[str, str], float] = {}
        self.requests: list[dict[str, Any]] = []
        self.refuse: dict[str, str] = {}
        """Error code with which a region refuses requests for more."""

    def answer(self, params: dict, region: str, operation: str) -> Answer:
        """What AWS says to this request."""
        return getattr(self, f"_{operation}")(region, json.loads(params["body"]))

    def _GetServiceQuota(self, region: str, asked: dict) -> Answer:
        return self._quota(self.values, region, asked["QuotaCode"])

    def _GetAWSDefaultServiceQuota(self, region: str, asked: dict) -> Answer:
        return self._quota(self.defaults, region, asked["QuotaCode"])

    def _RequestServiceQuotaIncrease(self, region: str, asked: dict) -> Answer:
        if region in self.refuse:
            return _error(self.refuse[region], "refused")
        same = [r for r in self.requests if (r["Region"], r["QuotaCode"]) == (region, asked["QuotaCode"])]
        if any(r["Status"] in ("PENDING", "CASE_OPENED") for r in same):
            return _error("ResourceAlreadyExistsException", "Only one open request is allowed per quota.")
        made = self.add_request(region, asked["QuotaCode"], asked["DesiredValue"])
        return _ok({"RequestedQuota": made})

    def _ListRequestedServiceQuotaChangeHistory(self, region: str, asked: dict) -> Answer:
        """One a page, so that pages are read."""
        found = [r for r in self.requests if r["Region"] == region and asked.get("Status") in (None, r["Status"])]
        found = [r for r in found if asked.get("QuotaCode") in (None, r["QuotaCode"])]
        at = int(asked.get("NextToken", 0))
        more = {"NextToken": str(at + 1)} if at + 1 < len(found) else {}
        return _ok({"RequestedQuotas": found[at : at + 1]} | more)

    _ListRequestedServiceQuotaChangeHistoryByQuota = _ListRequestedServiceQuotaChangeHistory

    def add_request(self, region: str, code: str, value: float, status: str = "PENDING", **more: Any) -> dict[str, Any]:
        """A request as AWS records it, an hour after the one before."""
        number = len(self.requests)
        made = {
            "Id": f"request-{number}",
            "Status": status,
            "QuotaCode": code,
            "QuotaName": f"Quota {code}",
            "DesiredValue": value,
            "Created": datetime(2026, 1, 1, number, tzinfo=UTC),
            "Region": region,
            **more,
        }
        self.requests.append(made)
        return made

    def _quota(self, values: dict[tuple[str, str], float], region: str, code: str) -> Answer:
        if (region, code) not in values:
            return _error("NoSuchResourceException", f"no {code}")
        quota = {"QuotaCode": code, "QuotaName": f"Quota {code}", "Value": values[region, code]}
        return _ok({"Quota": quota})


def _ok(parsed: dict[str, Any]) -> Answer:
    return SimpleNamespace(status_code=200), parsed


def _error(code: str, message: str) -> Answer:
    return SimpleNamespace(status_code=400), {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {}}


def _product(instance_type: str, price: float) -> str:
    terms = {"OnDemand": {"term": {"priceDimensions": {"dimension": {"pricePerUnit": {"USD": str(price)}}}}}}
    return json.dumps({"product": {"attributes": {"instanceType": instance_type}}, "terms": terms})


class Boxes:
    """Boxes that let everybody in and mount every disk, unless they are told what to answer."""

    def __init__(self) -> None:
        self.on_login = lambda: None
        self.setup = SimpleNamespace(exit_code=0, lines=("@aws-bootstrap-report", "{}"))
        self.refusal: SshError | None = None
        """Raised by every mount."""
        self.notes: tuple[str, ...] = ()
        self.runs: list[tuple[Any, ...]] = []
        """(alias, command, what it is sent) of each command."""
        self.mounts: list[tuple[str, str, bool]] = []
        """(alias, volume, whether it may be formatted) of each mount."""

    def run(self, alias: str, command: str, *, stdin: bytes = b"", **_: object) -> SimpleNamespace:
        self.runs.append((alias, command, stdin))
        self.on_login()
        if "put-peers" in command:
            return SimpleNamespace(exit_code=0, lines=('{"secret": "0123456789abcdef"}',))
        return self.setup

    def mount_ebs_volume(self, alias: str, package: bytes, volume_id: str, *, format_if_empty: bool) -> Any:
        self.mounts.append((alias, volume_id, format_if_empty))
        if self.refusal:
            raise self.refusal
        return {"fstype": "ext4", "formatted": format_if_empty}, self.notes


def owned(owner: str | None) -> list[dict[str, str]]:
    """The tags of what this tool created; of what an older version did without an owner."""
    return [OURS, {"Key": "aws-bootstrap-owner", "Value": owner}] if owner else [OURS]


def start_box(client: Any, *, owner: Any = CALLER, **more: Any) -> dict[str, Any]:
    """An instance of ours, as EC2 describes it once it runs."""
    tags = [
        {"ResourceType": "instance", "Tags": owned(owner)},
        {"ResourceType": "volume", "Tags": owned(owner)},
    ]
    asked = {"ImageId": "ami-12c6146b", "MinCount": 1, "MaxCount": 1, "InstanceType": "g4dn.xlarge"} | more
    if not {"SecurityGroups", "SecurityGroupIds", "NetworkInterfaces"} & set(asked):
        asked["SecurityGroups"] = ["default"]  # as EC2 does by itself
    made = client.run_instances(**({"TagSpecifications": tags} | asked))["Instances"][0]
    return client.describe_instances(InstanceIds=[made["InstanceId"]])["Reservations"][0]["Instances"][0]


def make_volume(
    client: Any,
    instance_id: str,
    *,
    ours: bool = True,
    kept: bool = False,
    size: int = 8,
    owner: str | None = CALLER,
    **more: Any,
) -> str:
    """A detached data volume that is meant for the instance."""
    tags = [{"Key": "aws-bootstrap-instance", "Value": instance_id}, *(owned(owner) if ours else [])]
    tags += [{"Key": "aws-bootstrap-keep", "Value": "true"}] if kept else []
    zone = f"{client.meta.region_name}a"
    specification = [{"ResourceType": "volume", "Tags": tags}]
    asked = {"VolumeType": "gp3"} | more
    made = client.create_volume(AvailabilityZone=zone, Size=size, TagSpecifications=specification, **asked)
    return made["VolumeId"]


def make_snapshot(client: Any, *, owner: str | None = CALLER, ours: bool = True, size: int = 20) -> str:
    """A snapshot of a volume that is deleted."""
    tags = owned(owner) if ours else [{"Key": "Name", "Value": "backup"}]
    volume_id = client.create_volume(AvailabilityZone=f"{client.meta.region_name}a", Size=size)["VolumeId"]
    specification = [{"ResourceType": "snapshot", "Tags": tags}]
    made = client.create_snapshot(VolumeId=volume_id, TagSpecifications=specification)
    client.delete_volume(VolumeId=volume_id)
    snapshot_id: str = made["SnapshotId"]
    return snapshot_id
