"""The catalog of this AWS: regions, images, prices, quotas. Plain data and pure functions.

Figures are AWS's published ones of late 2025, rounded; a rehearsal needs the right order of magnitude.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

ACCOUNT = "123456789012"
# The regions that every account has without opting in:
# https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html
REGIONS = (
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
)
OPT_IN_REGIONS = ("af-south-1", "ap-east-1", "ap-southeast-3", "eu-south-1", "il-central-1", "me-central-1")

AMAZON_OWNER = "898082745236"
CANONICAL_OWNER = "099720109477"
AMAZON_LINUX_OWNER = "137112412989"
RED_HAT_OWNER = "309956199498"
DLAMI_DATES = ("20260815", "20260912", "20261010", "20261107")


@dataclass(frozen=True)
class Image:
    """One public image; its date is the eight digits that its name holds, or `date`."""

    name: str
    owner: str
    date: str
    architecture: str = "x86_64"
    description: str = ""
    root_device: str = "/dev/sda1"

    @property
    def root_gb(self) -> int:
        """Return the size of its snapshot, and so of a root volume whose size is not requested."""
        return 75 if self.name.startswith("Deep Learning") else 8

    def moto(self, region: str) -> dict[str, Any]:
        """Return the image as moto loads it. An image has another id in each region, as on AWS."""
        digest = hashlib.sha256(f"{region} {self.architecture} {self.name}".encode()).hexdigest()
        return {
            "ami_id": f"ami-0{digest[:16]}",
            "architecture": self.architecture,
            "creation_date": f"{self.date[:4]}-{self.date[4:6]}-{self.date[6:]}T09:21:43.000Z",
            "description": self.description or self.name,
            "hypervisor": "xen",
            "image_location": f"amazon/{self.name}",
            "image_type": "machine",
            "name": self.name,
            "owner_alias": "amazon",
            "owner_id": self.owner,
            "platform": None,
            "public": True,
            "root_device_name": self.root_device,
            "root_device_type": "ebs",
            "sriov": "simple",
            "state": "available",
            "virtualization_type": "hvm",
        }


# https://docs.aws.amazon.com/dlami/latest/devguide/appendix-ami-release-notes.html (supported_ec2_instances)
_NOTES = "Release notes: https://docs.aws.amazon.com/dlami/latest/devguide/appendix-ami-release-notes.html"


def _deep_learning(date: str) -> list[Image]:
    x86 = "Supported EC2 instances: G4dn, G5, G6, Gr6, G6e, G7, P4d, P4de, P5, P5e, P5en, P6-B200, P6-B300. " + _NOTES
    arm = "Supported EC2 instances: G5g, P6e-GB200, P6e-GB300. " + _NOTES
    return [
        Image(f"Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04) {date}", AMAZON_OWNER, date, "x86_64", x86),
        Image(f"Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 22.04) {date}", AMAZON_OWNER, date, "x86_64", x86),
        Image(
            f"Deep Learning Base OSS Nvidia Driver GPU AMI (Amazon Linux 2023) {date}",
            AMAZON_OWNER,
            date,
            "x86_64",
            x86,
            "/dev/xvda",
        ),
        Image(
            f"Deep Learning ARM64 Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04) {date}",
            AMAZON_OWNER,
            date,
            "arm64",
            arm,
        ),
    ]


def images() -> list[Image]:
    """Return every public image, oldest first within a family."""
    ubuntu = "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04"
    return [
        *(image for date in DLAMI_DATES for image in _deep_learning(date)),
        Image(f"{ubuntu}-amd64-server-20261022", CANONICAL_OWNER, "20261022"),
        Image(f"{ubuntu}-arm64-server-20261022", CANONICAL_OWNER, "20261022", "arm64"),
        Image(
            "al2023-ami-2023.9.20261027.0-kernel-6.12-x86_64",
            AMAZON_LINUX_OWNER,
            "20261027",
            root_device="/dev/xvda",
        ),
        Image(
            "al2023-ami-2023.9.20261027.0-kernel-6.12-arm64",
            AMAZON_LINUX_OWNER,
            "20261027",
            "arm64",
            root_device="/dev/xvda",
        ),
        Image("RHEL-10.0.0_HVM-20261005-x86_64-0-Hourly2-GP3", RED_HAT_OWNER, "20261005"),
    ]


# USD per hour for Linux on demand in us-east-1: https://aws.amazon.com/ec2/pricing/on-demand/
ON_DEMAND = {
    "g4dn.xlarge": 0.526,
    "g4dn.2xlarge": 0.752,
    "g4dn.4xlarge": 1.204,
    "g4dn.8xlarge": 2.176,
    "g4dn.12xlarge": 3.912,
    "g4dn.16xlarge": 4.352,
    "g4dn.metal": 7.824,
    "g5.xlarge": 1.006,
    "g5.2xlarge": 1.212,
    "g5.4xlarge": 1.624,
    "g5.8xlarge": 2.448,
    "g5.12xlarge": 5.672,
    "g5.16xlarge": 4.096,
    "g5.24xlarge": 8.144,
    "g5.48xlarge": 16.288,
    "g5g.xlarge": 0.42,
    "g6.xlarge": 0.8048,
    "g6.2xlarge": 0.9776,
    "g6.4xlarge": 1.3232,
    "g6.12xlarge": 4.6016,
    "g6e.xlarge": 1.861,
    "g6e.2xlarge": 2.24208,
    "p3.2xlarge": 3.06,
    "p3.8xlarge": 12.24,
    "p3.16xlarge": 24.48,
    "p4d.24xlarge": 21.957642,
    "p5.48xlarge": 55.04,
    "vt1.3xlarge": 0.65,
    "dl1.24xlarge": 13.10904,
    "t3.micro": 0.0104,
    "t3.medium": 0.0416,
    "m5.large": 0.096,
}
_REGION_FACTOR = {"us-east-1": 1.0, "us-east-2": 1.0, "us-west-2": 1.0, "us-west-1": 1.2, "sa-east-1": 1.6}


def on_demand_price(instance_type: str, region: str) -> float:
    """Return USD per hour on demand; a type without a listed price is priced by its size."""
    base = ON_DEMAND.get(instance_type)
    if base is None:
        digits = re.search(r"(\d+)xlarge", instance_type)
        base = 0.2 * (int(digits[1]) if digits else 1)
    return round(base * _REGION_FACTOR.get(region, 1.17), 6)


@dataclass(frozen=True)
class Quota:
    """One vCPU quota of EC2. `default` is what a new account has."""

    code: str
    name: str
    family: str
    spot: bool
    default: float = 0.0


# https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html
QUOTAS = {
    quota.code: quota
    for quota in (
        Quota("L-3819A6DF", "All G and VT Spot Instance Requests", "gvt", True),
        Quota("L-DB2E81BA", "Running On-Demand G and VT instances", "gvt", False),
        Quota("L-7212CCBC", "All P4, P3 and P2 Spot Instance Requests", "p", True),
        Quota("L-C4BD4855", "All P5 Spot Instance Requests", "p5", True),
        Quota("L-417A185B", "Running On-Demand P instances", "p", False),
        Quota("L-85EED4F7", "All DL Spot Instance Requests", "dl", True),
        Quota("L-6E869C2A", "Running On-Demand DL instances", "dl", False),
        Quota("L-34B43A08", "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests", "standard", True, 5.0),
        Quota("L-1216C47A", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", "standard", False, 5.0),
    )
}
P5_SPOT = "L-C4BD4855"
# AWS has been folding the P5 spot quota into P: its code does not exist in these regions.
P5_FOLDED = frozenset({"us-west-1", "ca-central-1", "eu-west-3", "sa-east-1", "ap-northeast-3"})
#: The account's quotas: enough to rehearse with, and low enough to reach.
GRANTED = {"gvt": 64.0, "p": 192.0, "p5": 192.0, "dl": 96.0, "standard": 256.0}


def quota_family(instance_type: str) -> str:
    """Return the quota family of a type, from its first letters."""
    if instance_type.startswith("p5"):
        return "p5"
    found = re.match(r"(g|vt|p|dl)\d", instance_type)
    return {"g": "gvt", "vt": "gvt", "p": "p", "dl": "dl"}[found[1]] if found else "standard"


def quota_codes(region: str) -> list[Quota]:
    """Return the quotas that exist in a region."""
    return [quota for quota in QUOTAS.values() if not (quota.code == P5_SPOT and region in P5_FOLDED)]


def quota_for(instance_type: str, region: str, *, spot: bool) -> Quota:
    """Return the quota that an instance of this type and market counts against."""
    family = quota_family(instance_type)
    if family == "p5" and (not spot or region in P5_FOLDED):
        family = "p"  # on-demand P5 counts as P everywhere
    return next(quota for quota in quota_codes(region) if (quota.family, quota.spot) == (family, spot))
