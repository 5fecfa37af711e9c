"""RunInstances, with EC2's checks in EC2's order: client token, request, quota, placement."""

from __future__ import annotations

import secrets
from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS, INSTANCE_TYPES

from . import catalog
from .instances import SandboxInstance
from .tokens import Tokens

_TOKEN_IGNORES = frozenset({"client_token", "region_name", "subnet_id"})
_NO_TOKEN = "ABCDE"  # noqa: S105 (a client token): moto's default for a request without one
_COUNTED = frozenset({"pending", "running"})


class Launches(Tokens):
    """The part of the EC2 backend that launches. Mixed into `SandboxBackend`, whose state it uses."""

    region_name: str

    def __init__(self) -> None:
        super().__init__()
        self.quotas: dict[str, float] = {}
        self.launched = 0
        #: True while a launch attaches volumes: EC2's own attachments are not checked.
        self.launching = False

    def run_instances(
        self, image_id: str, count: int, user_data: Any, security_group_names: list[str], **kwargs: Any
    ) -> Any:
        """Return the reservation: a new one, or that of the same client token."""
        token = kwargs["client_token"] if kwargs.get("client_token") != _NO_TOKEN else ""
        kwargs["client_token"] = token
        requested = _signature(image_id, count, str(user_data), security_group_names, kwargs)

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
        """Return a new reservation; raise EC2's error if type, quota or placement do not allow it."""
        self._check_type(kwargs["instance_type"])
        self._check_quota(kwargs["instance_type"], count, spot=bool(kwargs["instance_market_options"]))
        self._place(kwargs)
        self.launching = True
        try:
            reservation = super().run_instances(image_id, count, user_data, security_group_names, **kwargs)  # type: ignore[misc]
        finally:
            self.launching = False
        for instance in reservation.instances:
            instance.client_token = token
            if instance.lifecycle == "spot":
                instance.spot_request_id = f"sir-{secrets.token_hex(4)}"
        return reservation

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

    def offering_zones(self, instance_type: str) -> list[str]:
        """Return the region's zones that offer the type, in order."""
        offered = INSTANCE_TYPE_OFFERINGS["availability-zone"].get(self.region_name, [])
        return sorted({offer["Location"] for offer in offered if offer["InstanceType"] == instance_type})

    def quota(self, code: str) -> float:
        """Return the account's value of a quota in this region."""
        return self.quotas.get(code, catalog.GRANTED[catalog.QUOTAS[code].family])

    def _check_quota(self, instance_type: str, count: int, *, spot: bool) -> None:
        """Raise EC2's error if the launch exceeds its vCPU quota. Pending and running instances count, as on EC2.

        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html#ec2-on-demand-instances-limits
        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-spot-limits.html
        """
        quota = catalog.quota_for(instance_type, self.region_name, spot=spot)
        limit = self.quota(quota.code)
        if self.vcpus_in_use(quota) + count * vcpus(instance_type) <= limit:
            return
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
            if instance.state in _COUNTED
            and catalog.quota_for(instance.instance_type, self.region_name, spot=instance.lifecycle == "spot") == quota
        )

    def live_instances(self) -> list[SandboxInstance]:
        """Return every instance of the region that EC2 still shows."""
        return [instance for reservation in self.reservations.values() for instance in reservation.instances]  # type: ignore[attr-defined]

    def _place(self, kwargs: dict[str, Any]) -> None:
        """Choose the default subnet of a zone that offers the type, for a request without a subnet.

        https://docs.aws.amazon.com/vpc/latest/userguide/default-vpc.html
        """
        zones = self.offering_zones(kwargs["instance_type"])
        requested = kwargs.get("placement")
        if requested and requested not in zones and any(zone.startswith(requested[:-1]) for zone in zones):
            raise _unsupported_zone(kwargs["instance_type"], requested, zones)
        if kwargs.get("subnet_id") or kwargs.get("nics") or kwargs.get("launch_template"):
            return
        defaults = self.get_default_subnets()  # type: ignore[attr-defined]
        if self.get_default_vpc() is None or not defaults:  # type: ignore[attr-defined]
            raise EC2ClientError("VPCIdNotSpecified", "No default VPC for this user")
        candidates = [zone for zone in ([requested] if requested else zones) if zone in defaults]
        if candidates:
            kwargs["subnet_id"] = defaults[candidates[self.launched % len(candidates)]].id
            kwargs["associate_public_ip"] = None  # as the subnet says
            self.launched += 1


def vcpus(instance_type: str) -> int:
    """Return how many vCPUs an instance of this type has."""
    return int(INSTANCE_TYPES[instance_type]["VCpuInfo"]["DefaultVCpus"])


def _signature(image_id: str, count: int, user_data: str, groups: list[str], kwargs: dict[str, Any]) -> Any:
    """Return the parameters that must be equal for a client token to mean the same request."""
    rest = sorted((name, repr(value)) for name, value in kwargs.items() if name not in _TOKEN_IGNORES)
    return image_id, count, user_data, tuple(groups), repr(kwargs.get("subnet_id")), tuple(rest)


def _unsupported_zone(instance_type: str, zone: str, zones: list[str]) -> EC2ClientError:
    return EC2ClientError(
        "Unsupported",
        f"Your requested instance type ({instance_type}) is not supported in your requested Availability Zone "
        f"({zone}). Retry your request by not specifying an Availability Zone or choosing {', '.join(zones)}.",
    )
