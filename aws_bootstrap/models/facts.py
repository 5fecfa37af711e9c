"""Facts: what was learnt of the account, plain and frozen."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Image:
    """One AMI."""

    image_id: str
    name: str
    architecture: str
    creation_date: str
    root_device: str
    root_size_gb: int


@dataclass(frozen=True)
class InstanceType:
    """What one instance type is. `memory_mib` in MiB; `gpu` like "1x T4 (16384 MiB)", or None."""

    name: str
    vcpus: int
    memory_mib: int
    architectures: tuple[str, ...]
    gpu: str | None = None


@dataclass(frozen=True)
class KeyPair:
    """A key pair as EC2 has it. `public_key` is the key's type and base64 body, without comment."""

    name: str
    public_key: str | None


@dataclass(frozen=True)
class Network:
    """Where an instance goes: the VPC, and the subnet if one was asked for."""

    vpc_id: str
    subnet_id: str | None = None


@dataclass(frozen=True)
class SecurityGroup:
    """A security group of one VPC, and who may reach what."""

    group_id: str
    vpc_id: str
    rules: frozenset[tuple[int, int, str]] = frozenset()
    """(first port, last port, CIDR) of each TCP (or all-traffic) ingress rule."""


@dataclass(frozen=True)
class IngressRule:
    """One rule of a security group that lets TCP traffic in. `source` is a CIDR, a prefix list or another group."""

    rule_id: str
    group_id: str
    first_port: int
    last_port: int
    source: str
    created_by_us: bool
    description: str | None = None


@dataclass(frozen=True)
class Volume:
    """One data volume, as EC2's tags and attachments tell."""

    volume_id: str
    region: str
    size_gb: int
    state: str
    availability_zone: str
    created_by_us: bool
    kept: bool
    instance_id: str | None = None
    """The instance it is or was meant for (tag `aws-bootstrap-instance`)."""
    attached_to: str | None = None
    """The instance that has it now."""
    format_once: bool = False
    """Whether it may be formatted: it was made blank, and its tag `aws-bootstrap-format` has not been used."""


@dataclass(frozen=True)
class Instance:
    """One EC2 instance of ours."""

    instance_id: str
    region: str
    state: str
    instance_type: str
    lifecycle: str
    availability_zone: str
    launch_time: datetime | None
    public_ip: str | None = None
    state_reason: str | None = None
    image_id: str = ""
    group_ids: tuple[str, ...] = ()
    """Its security groups."""


@dataclass(frozen=True)
class SpotPrice:
    """The price of one type in one zone, USD per hour, at one moment."""

    instance_type: str
    availability_zone: str
    price: float
    timestamp: datetime


@dataclass(frozen=True)
class StateChange:
    """What TerminateInstances says of one instance."""

    instance_id: str
    previous_state: str
    current_state: str


@dataclass(frozen=True)
class RegionFailure:
    """A region that could not be read, and why."""

    region: str
    error: str


@dataclass(frozen=True)
class Resource:
    """Something that exists in the account because of a command."""

    type: str
    id: str
    region: str
    billing: bool


@dataclass(frozen=True)
class RegionReason:
    """Why one region (and instance type, and market) failed."""

    region: str
    reason: str
    instance_type: str | None = field(default=None, metadata={"optional": True})
    market: str | None = field(default=None, metadata={"optional": True})
