"""RunInstances, with EC2's checks in EC2's order: client token, request, quota, placement."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instance_types import INSTANCE_TYPES

from . import catalog
from .accounts import FREE_TIER_TYPES
from .instances import SandboxInstance
from .tokens import Tokens
from .zones import Zones

if TYPE_CHECKING:
    from .world import World

_TOKEN_IGNORES = frozenset({"client_token", "region_name", "subnet_id"})
_NO_TOKEN = "ABCDE"  # noqa: S105 (a client token): moto's default for a request without one
_COUNTED = frozenset({"pending", "running"})
_NOT_FREE = (
    "The specified instance type is not eligible for Free Tier. For a list of Free Tier instance types, run "
    "'describe-instance-types' with the filter 'free-tier-eligible=true'."
)
_VERIFYING = (
    "Your request for accessing resources in this region is being validated, and you will not be able to launch "
    "additional resources in this region until the validation is complete. We will notify you by email once your "
    "request has been validated. While normally resolved within minutes, please allow up to 4 hours for this process "
    "to complete. If the issue still persists, please let us know by writing to aws-verification@amazon.com for "
    "further assistance."
)


@dataclass(frozen=True)
class Requested:
    """What a RunInstances requests and moto does not pass on."""

    #: The fewest instances that it takes; None for as many as it asks for.
    least: int | None = None
    placement_group: str = ""


class Launches(Zones, Tokens):
    """The part of the EC2 backend that launches. Mixed into `SandboxBackend`, whose state it uses."""

    region_name: str
    world: World

    def __init__(self) -> None:
        super().__init__()
        self.quotas: dict[str, float] = {}
        #: True while a launch attaches volumes: EC2's own attachments are not checked.
        self.launching = False
        self.requested = Requested()

    @contextmanager
    def requesting(self, requested: Requested) -> Iterator[None]:
        """Have the launches of the block request this."""
        self.requested = requested
        try:
            yield
        finally:
            self.requested = Requested()

    def run_instances(
        self, image_id: str, count: int, user_data: Any, security_group_names: list[str], **kwargs: Any
    ) -> Any:
        """Return the reservation: a new one, or that of the same client token."""
        token = kwargs["client_token"] if kwargs.get("client_token") != _NO_TOKEN else ""
        kwargs["client_token"] = token
        requested = self.requested, _signature(image_id, count, str(user_data), security_group_names, kwargs)

        def launch() -> Any:
            return self._launch(token, image_id, count, user_data, security_group_names, kwargs)

        reservation = self.once("RunInstances", token, requested, launch)
        if all(instance.state == "terminated" for instance in reservation.instances):
            raise EC2ClientError(
                "IdempotentInstanceTerminated",
                "The client token was used by a request whose instance has been terminated.",
            )
        return reservation

    def _launch(
        self,
        token: str,
        image_id: str,
        count: int,
        user_data: Any,
        security_group_names: list[str],
        kwargs: dict[str, Any],
    ) -> Any:
        """Return a new reservation of `count` instances, or of fewer if quota or capacity allow no more.

        Raise EC2's error if type or placement are refused, or fewer than the least number is left.
        """
        group = self.requested.placement_group
        self._check_account(kwargs["instance_type"])
        self._check_type(kwargs["instance_type"])
        if group:
            self.check_strategy(group, kwargs["instance_type"])  # type: ignore[attr-defined]
        least = self.requested.least or count
        count = self._within_quota(kwargs, least, count)
        count = self.place(kwargs, group, least, count)
        self.launching = True
        try:
            reservation = super().run_instances(image_id, count, user_data, security_group_names, **kwargs)  # type: ignore[misc]
        finally:
            self.launching = False
        for instance in reservation.instances:
            instance.client_token = token
            instance.placement.group_name = group
            if instance.lifecycle == "spot":
                instance.spot_request_id = f"sir-{secrets.token_hex(4)}"
        return reservation

    def _check_account(self, instance_type: str) -> None:
        """Raise EC2's error if the account's plan does not include the type, or while the account is verified.

        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html (PendingVerification)
        """
        account = self.world.account
        if account.plan == "free" and instance_type not in FREE_TIER_TYPES:
            raise EC2ClientError("InvalidParameterCombination", _NOT_FREE)
        if time.time() < self.world.account_since + account.verifying:
            raise EC2ClientError("PendingVerification", _VERIFYING)

    def _check_type(self, instance_type: str) -> None:
        """Raise EC2's error if no such type exists, or the region does not offer it.

        Error codes: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
        """
        if instance_type not in INSTANCE_TYPES:
            raise EC2ClientError("InvalidParameterValue", f"Invalid value '{instance_type}' for InstanceType.")
        if not self.offering_zones(instance_type):
            raise EC2ClientError(
                "Unsupported",
                "The requested configuration is currently not supported.",
            )

    def quota(self, code: str) -> float:
        """Return the account's value of a quota in this region."""
        return self.quotas.get(code, self.world.account.granted(catalog.QUOTAS[code], self.region_name))

    def _within_quota(self, kwargs: dict[str, Any], least: int, count: int) -> int:
        """Return how many of `count` instances the vCPU quota allows; raise EC2's error for fewer than `least`.

        Pending and running instances count, as on EC2, and for some time those that ended.

        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html#ec2-on-demand-instances-limits
        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-spot-limits.html
        """
        instance_type, spot = kwargs["instance_type"], bool(kwargs["instance_market_options"])
        quota = catalog.quota_for(instance_type, self.region_name, spot=spot)
        limit = self.quota(quota.code)
        allowed = int((limit - self.vcpus_in_use(quota)) // vcpus(instance_type))
        if allowed >= least:
            return min(allowed, count)
        if spot:
            raise EC2ClientError("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
        raise EC2ClientError(
            "VcpuLimitExceeded",
            f"You have requested more vCPU capacity than your current vCPU limit of {int(limit)} allows for the "
            "instance bucket that the specified instance type belongs to.",
        )

    def vcpus_in_use(self, quota: catalog.Quota) -> int:
        """Return how many vCPUs count against this quota now."""
        return sum(
            vcpus(instance.instance_type)
            for instance in self.live_instances()
            if self._is_counted(instance)
            and catalog.quota_for(instance.instance_type, self.region_name, spot=instance.lifecycle == "spot") == quota
        )

    def _is_counted(self, instance: SandboxInstance) -> bool:
        """Return whether the instance counts against its quota."""
        if instance.state in _COUNTED:
            return True
        return time.time() < instance.ended_at + self.world.timing.quota_release

    def live_instances(self) -> list[SandboxInstance]:
        """Return every instance of the region that EC2 still shows."""
        return [instance for reservation in self.reservations.values() for instance in reservation.instances]  # type: ignore[attr-defined]


def vcpus(instance_type: str) -> int:
    """Return how many vCPUs an instance of this type has."""
    return int(INSTANCE_TYPES[instance_type]["VCpuInfo"]["DefaultVCpus"])


def _signature(image_id: str, count: int, user_data: str, groups: list[str], kwargs: dict[str, Any]) -> Any:
    """Return the parameters that must be equal for a client token to mean the same request."""
    rest = sorted((name, repr(value)) for name, value in kwargs.items() if name not in _TOKEN_IGNORES)
    return image_id, count, user_data, tuple(groups), repr(kwargs.get("subnet_id")), tuple(rest)
