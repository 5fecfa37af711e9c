"""The network of an account without a default VPC, or with one without default subnets.

The region's own VPC and subnets stay and only stop being the default: a company has a VPC with a subnet in each zone,
too. CreateDefaultVpc and CreateDefaultSubnet turn them into defaults again.
"""

from __future__ import annotations

from typing import Any

from .accounts import Account


class AccountNetwork:
    """The part of the EC2 backend that knows which network is the default. Mixed into `SandboxBackend`."""

    default_vpc: Any

    def __init__(self) -> None:
        #: The ids of the subnets with which the region began.
        self.own_subnets: list[str] = []

    def enter_account(self, account: Account) -> None:
        """Set which network is the default, as the account says."""
        has_vpc = account.network != "no-default-vpc"
        has_subnets = account.network == "default"
        self.default_vpc.is_default = has_vpc
        for subnet in self._own_subnets():
            subnet.default_for_az = has_subnets
            subnet.map_public_ip_on_launch = has_subnets

    def _own_subnets(self) -> list[Any]:
        """Return those of the subnets with which the region began that still exist."""
        return [subnet for subnet in self.describe_subnets() if subnet.id in self.own_subnets]  # type: ignore[attr-defined]

    def create_default_vpc(self) -> Any:
        """Return the default VPC, with its default subnets.

        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateDefaultVpc.html
        """
        if not hasattr(self, "default_vpc") or self.default_vpc.is_default:
            return super().create_default_vpc()  # type: ignore[misc]
        self.default_vpc.is_default = True
        for subnet in self._own_subnets():
            _make_default(subnet)
        return self.default_vpc

    def create_default_subnet(self, availability_zone: str) -> Any:
        """Return the zone's default subnet.

        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateDefaultSubnet.html
        """
        if hasattr(self, "default_vpc") and self.default_vpc.is_default:
            for subnet in self._own_subnets():
                if subnet.availability_zone == availability_zone and not subnet.default_for_az:
                    return _make_default(subnet)
        return super().create_default_subnet(availability_zone)  # type: ignore[misc]


def _make_default(subnet: Any) -> Any:
    subnet.default_for_az = True
    subnet.map_public_ip_on_launch = True
    return subnet
