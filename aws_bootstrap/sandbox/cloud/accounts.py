"""Accounts: what distinguishes an account from the plain one, as settings, and profiles of common ones. Pure.

`docs/sandbox.md` says what each profile does, and what is as on AWS.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from . import catalog

PLAIN = "plain"
#: What an account on the free plan may launch:
#: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-free-tier-usage.html
FREE_TIER_TYPES = frozenset({"t3.micro", "t3.small", "t4g.micro", "t4g.small", "c7i-flex.large", "m7i-flex.large"})
#: The vCPUs that a new account has for the other instance types.
NEW_STANDARD_VCPUS = 5.0
#: What an organization's region deny exempts:
#: https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps_examples_general.html
_GLOBAL_ACTIONS = ("ec2:DescribeRegions", "iam:*", "kms:*", "organizations:*", "pricing:*", "sts:*", "support:*")
#: What a call creates that a tag may be required on.
_TAGGABLE = {
    "ec2:RunInstances": ("instance", "volume", "network-interface", "spot-instances-request"),
    "ec2:CreateVolume": ("volume",),
    "ec2:CreateKeyPair": ("key-pair",),
    "ec2:ImportKeyPair": ("key-pair",),
    "ec2:CreatePlacementGroup": ("placement-group",),
    "ec2:CreateSecurityGroup": ("security-group",),
    "ec2:AuthorizeSecurityGroupIngress": ("security-group-rule",),
    "ec2:AuthorizeSecurityGroupEgress": ("security-group-rule",),
}


class AccountError(ValueError):
    """An unknown profile or an invalid setting; the message says which are known."""


@dataclass(frozen=True)
class Account:
    """An account: the name of its profile, and its settings."""

    name: str = PLAIN
    #: `free` runs only the instance types of the Free Tier.
    plan: str = "paid"
    #: For how many seconds EC2 answers PendingVerification.
    verifying: float = 0.0
    #: The vCPU quotas of G and VT types, spot and on demand; other GPU quotas are 0 then. None: the plain account's.
    gpu_vcpus: float | None = None
    #: The regions that have `gpu_vcpus`; the others have 0. Empty: every region.
    gpu_regions: tuple[str, ...] = ()
    #: For how many seconds an ended instance counts against its quota. None: as the timing says.
    quota_release: float | None = None
    #: After how many seconds a new box's SSH server answers. None: as the timing says.
    first_boot: float | None = None
    #: The regions that the organization does not deny. Empty: every region.
    regions: tuple[str, ...] = ()
    #: A tag that everything that a call creates must have.
    required_tag: str = ""
    #: `default`, `no-default-vpc` or `no-default-subnets`.
    network: str = "default"
    #: The account's EBS key: `aws`, or the customer's own, `ungranted` or `disabled`.
    ebs_key: str = "aws"
    #: The mode of VPC Block Public Access.
    public_access: str = "off"
    #: ZONE:TYPE, with wildcards in the type: the zone does not offer it.
    lacking: tuple[str, ...] = ()
    #: ZONE:N or ZONE:TYPE:N: how many instances fit into the zone.
    capacity: tuple[str, ...] = ()
    #: Whether the account has the resources that the public tool of the same name leaves.
    leftovers: bool = False
    #: The users; the first has the sandbox's own access key. Empty: one user, without a name of his own.
    people: tuple[str, ...] = ()

    def settings(self) -> dict[str, Any]:
        """Return the settings that differ from the plain account's."""
        plain = asdict(Account())
        found: dict[str, Any] = {}
        for name, value in asdict(self).items():
            if name != "name" and value != plain[name]:
                found[name] = value
        return found

    def granted(self, quota: catalog.Quota, region: str) -> float:
        """Return the value of a quota that nobody has changed."""
        if self.gpu_vcpus is None:
            return catalog.GRANTED[quota.family]
        if quota.family == "standard":
            return NEW_STANDARD_VCPUS
        if quota.family == "gvt" and (region in self.gpu_regions or not self.gpu_regions):
            return self.gpu_vcpus
        return 0.0

    def offers(self, instance_type: str, zone: str) -> bool:
        """Return whether the zone offers the type, as far as the account's settings say."""
        for one in self.lacking:
            where, _, pattern = one.partition(":")
            if where == zone and fnmatchcase(instance_type, pattern):
                return False
        return True

    def limits(self, instance_type: str, zone: str) -> list[tuple[str, int]]:
        """Return the limits of the zone that apply to the type: a pattern for the types that count, and a number."""
        found: list[tuple[str, int]] = []
        for one in self.capacity:
            where, *pattern, number = one.split(":")
            types = pattern[0] if pattern else "*"
            if where == zone and fnmatchcase(instance_type, types):
                found.append((types, int(number)))
        return found


PROFILES = {
    one.name: one
    for one in (
        Account(),
        Account("new-free-plan", plan="free", gpu_vcpus=0.0),
        Account("new-verifying", verifying=20.0),
        Account("new-paid", gpu_vcpus=4.0, gpu_regions=("us-west-2",), quota_release=20.0),
        Account(
            "company",
            regions=("us-west-2", "eu-central-1"),
            required_tag="cost-center",
            network="no-default-vpc",
        ),
        Account("upstream-user", leftovers=True),
        Account("shared", people=("alice", "bob")),
    )
}


def profile(name: str) -> Account:
    """Return the profile of this name."""
    if name not in PROFILES:
        raise AccountError(f"unknown account {name!r}; known: {', '.join(PROFILES)}")
    return PROFILES[name]


def change(account: Account, settings: Mapping[str, Any]) -> Account:
    """Return the account with these settings changed. A value is text, as an option has it, or the field's own type."""
    changes: dict[str, Any] = {}
    for raw_key, value in settings.items():
        key = raw_key.replace("-", "_")
        if key not in _READERS:
            raise AccountError(f"unknown setting {raw_key!r}; known: {', '.join(_READERS)}")
        try:
            changes[key] = _READERS[key](value)
        except (TypeError, ValueError) as error:
            raise AccountError(f"{raw_key}={value}: {error}") from error
    return replace(account, **changes)


def service_control_policy(account: Account) -> str | None:
    """Return the organization's policy for the account, None without one."""
    statements: list[dict[str, Any]] = []
    if account.regions:
        elsewhere = {"StringNotEquals": {"aws:RequestedRegion": list(account.regions)}}
        statements.append(
            {"Effect": "Deny", "NotAction": list(_GLOBAL_ACTIONS), "Resource": "*", "Condition": elsewhere}
        )
    if account.required_tag:
        untagged = {"Null": {f"aws:RequestTag/{account.required_tag}": "true"}}
        for action, created in _TAGGABLE.items():
            arns = [f"arn:aws:ec2:*:*:{resource_type}/*" for resource_type in created]
            statements.append({"Effect": "Deny", "Action": action, "Resource": arns, "Condition": untagged})
    if not statements:
        return None
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def _one_of(*values: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in values:
            raise ValueError(f"must be one of {', '.join(values)}")
        return str(value)

    return read


def _number(value: Any) -> float:
    number = float(value)
    if number < 0:
        raise ValueError("must not be negative")
    return number


def _optional_number(value: Any) -> float | None:
    if value in (None, ""):
        return None
    return _number(value)


def _words(value: Any) -> tuple[str, ...]:
    """Return the words of a list, or of a text with commas."""
    if isinstance(value, str):
        return tuple(word for word in value.split(",") if word)
    return tuple(str(word) for word in value)


def _regions(value: Any) -> tuple[str, ...]:
    found = _words(value)
    for region in found:
        if region not in catalog.REGIONS:
            raise ValueError(f"{region} is not a region of the sandbox")
    return found


def _lacking(value: Any) -> tuple[str, ...]:
    found = _words(value)
    for one in found:
        if one.count(":") != 1:
            raise ValueError("must be ZONE:TYPE")
    return found


def _capacity(value: Any) -> tuple[str, ...]:
    found = _words(value)
    for one in found:
        if one.count(":") not in (1, 2) or not one.rpartition(":")[2].isdigit():
            raise ValueError("must be ZONE:N or ZONE:TYPE:N")
    return found


def _yes_or_no(value: Any) -> bool:
    if value in (True, "true", "yes"):
        return True
    if value in (False, "false", "no", ""):
        return False
    raise ValueError("must be yes or no")


_READERS: dict[str, Callable[[Any], Any]] = {
    "plan": _one_of("paid", "free"),
    "verifying": _number,
    "gpu_vcpus": _optional_number,
    "gpu_regions": _regions,
    "quota_release": _optional_number,
    "first_boot": _optional_number,
    "regions": _regions,
    "required_tag": str,
    "network": _one_of("default", "no-default-vpc", "no-default-subnets"),
    "ebs_key": _one_of("aws", "ungranted", "disabled"),
    "public_access": _one_of("off", "block-ingress", "block-bidirectional"),
    "lacking": _lacking,
    "capacity": _capacity,
    "leftovers": _yes_or_no,
    "people": _words,
}
