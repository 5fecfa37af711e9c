"""Facts: what was read of the account, plain and frozen."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

#: How an instance is bought.
Market = Literal["spot", "on-demand"]
MARKETS: tuple[Market, ...] = ("spot", "on-demand")
#: EC2's states of an instance; `unknown` in place of one that its reply lacks.
InstanceState = Literal["pending", "running", "shutting-down", "terminated", "stopping", "stopped", "unknown"]
#: EC2's states of a volume; `unknown` in place of one that its reply lacks.
VolumeState = Literal["creating", "available", "in-use", "deleting", "deleted", "error", "unknown"]


@dataclass(frozen=True)
class Image:
    """One AMI."""

    image_id: str
    name: str
    architecture: str
    creation_date: str
    root_device: str
    root_size_gb: int
    #: The instance families that it names as supported; empty if it names none.
    supported_families: tuple[str, ...] = ()
    #: The login user, of an image that this tool baked.
    user: str | None = None
    #: The version of the setup's files on it (`provision.resources_version`); None if it was not baked by this tool.
    resources: str | None = None
    state: str = "available"


@dataclass(frozen=True)
class InstanceType:
    """One instance type. `memory_mib` in MiB; `gpu` like "1x T4 (16384 MiB)", or None."""

    name: str
    vcpus: int
    memory_mib: int
    architectures: tuple[str, ...]
    gpu: str | None = None
    #: The memory of each GPU; None without a GPU, or if EC2's reply lacks it.
    gpu_memory_mib: int | None = None
    #: How many GPUs it has.
    gpu_count: int = 0
    #: The strategies of placement groups that it can be in.
    placement_strategies: tuple[str, ...] = ()

    @property
    def gpu_memory_gb(self) -> int:
        """Return that memory as its maker says it: EC2 reports 22888 MiB of an L4, which has 24 GB of 10^9 bytes."""
        return round((self.gpu_memory_mib or 0) * 2**20 / 10**9)


@dataclass(frozen=True)
class KeyPair:
    """A key pair of EC2. `public_key` is the key's type and base64 body, without comment."""

    name: str
    public_key: str | None


@dataclass(frozen=True)
class Subnet:
    """One subnet, and its availability zone."""

    subnet_id: str
    availability_zone: str


@dataclass(frozen=True)
class Network:
    """Where an instance is launched: the VPC, and the requested subnets in the order of the attempts, if any."""

    vpc_id: str
    subnets: tuple[Subnet, ...] = ()


@dataclass(frozen=True)
class SecurityGroup:
    """A security group of one VPC, and what it allows."""

    group_id: str
    vpc_id: str
    #: (first port, last port, CIDR) of each TCP (or all-traffic) ingress rule.
    rules: frozenset[tuple[int, int, str]] = frozenset()
    created_by_us: bool = False
    #: The principal that created it, by its tag.
    owner: str | None = None
    #: The id of the cluster that it is for, by its tag; None for any other group.
    cluster: str | None = None
    #: Whether one of its rules allows all traffic from the group itself.
    allows_itself: bool = False


@dataclass(frozen=True)
class PlacementGroup:
    """A placement group: instances in it are close to each other, in one zone."""

    name: str
    region: str
    strategy: str
    state: str
    created_by_us: bool
    #: The principal that created it, by its tag, and the id of the cluster that it is for.
    owner: str | None = None
    cluster: str | None = None


@dataclass(frozen=True)
class IngressRule:
    """One rule of a security group that allows TCP traffic. `source` is a CIDR, a prefix list or another group."""

    rule_id: str
    group_id: str
    first_port: int
    last_port: int
    source: str
    created_by_us: bool
    description: str | None = None
    #: The principal that created it, by its tag.
    owner: str | None = None
    #: The rule's group if this tool created the group; None also where that was not read.
    managed_group: SecurityGroup | None = None
    #: The tags that the user added, as (key, value).
    user_tags: tuple[tuple[str, str], ...] = ()

    @property
    def is_within_cluster(self) -> bool:
        """Return whether it is the rule by which the nodes of a cluster reach each other, and nobody else does."""
        return self.created_by_us and self.source == self.group_id


@dataclass(frozen=True)
class Volume:
    """One data volume, as EC2's tags and attachments describe it."""

    volume_id: str
    region: str
    size_gb: int
    state: VolumeState
    availability_zone: str
    created_by_us: bool
    kept: bool
    #: The instance it is or was meant for (tag `aws-bootstrap-instance`).
    instance_id: str | None = None
    #: The instance that has it now.
    attached_to: str | None = None
    #: Whether it may be formatted: it was created empty, and its tag `aws-bootstrap-format` has not been used.
    format_once: bool = False
    #: The principal that created it, by its tag; None for a volume of the user's, or from before that tag.
    owner: str | None = None
    #: EC2's type of it, like gp3; `unknown` if its reply lacks that.
    volume_type: str = "gp3"
    #: The options of the launch that it was for, in one line; None if its tags do not have them.
    settings: str | None = None
    created: datetime | None = None


@dataclass(frozen=True)
class Snapshot:
    """One snapshot of the account. `size_gb` is the size of its volume; 0 if EC2's reply lacks it."""

    snapshot_id: str
    region: str
    size_gb: int
    state: str
    created: datetime | None
    #: EC2's storage tier: `standard` or `archive`.
    tier: str = "standard"
    #: The principal that created it, by its tag.
    owner: str | None = None
    #: The volume that it is a copy of, which may be deleted.
    volume_id: str | None = None
    created_by_us: bool = True
    #: How much of it is stored, like 42%; None if EC2's reply lacks that.
    progress: str | None = None


@dataclass(frozen=True)
class ImageSnapshot:
    """A snapshot behind an image. `size_gb` is the size of a volume of it; 0 if EC2's reply lacks it."""

    snapshot_id: str
    size_gb: int


@dataclass(frozen=True)
class OwnImage:
    """One image that this tool created, with the snapshots that bill for it."""

    image_id: str
    region: str
    name: str
    state: str
    created: datetime | None
    snapshots: tuple[ImageSnapshot, ...]
    #: The principal that created it, by its tag.
    owner: str | None = None
    #: The instance that it was baked from, the version of the setup's files on it, and what the setup has installed.
    source: str | None = None
    resources: str | None = None
    setup: str | None = None
    #: Why it could not be created.
    state_reason: str | None = None

    @property
    def size_gb(self) -> int:
        """Return the sizes of its snapshots together; 0 if EC2 has not reported one."""
        return sum(one.size_gb for one in self.snapshots)


@dataclass(frozen=True)
class Instance:
    """One EC2 instance that this tool created."""

    instance_id: str
    region: str
    state: InstanceState
    instance_type: str
    lifecycle: Market
    availability_zone: str
    launch_time: datetime | None
    public_ip: str | None = None
    state_reason: str | None = None
    #: EC2's code of that reason, such as `Client.UserInitiatedShutdown`; None if its reply has none.
    state_reason_code: str | None = None
    #: When it began to end; None while it has not, or if EC2 does not say.
    ended_at: datetime | None = None
    #: None for an on-demand instance.
    spot_request_id: str | None = None
    image_id: str = ""
    #: Its security groups.
    group_ids: tuple[str, ...] = ()
    subnet_id: str = ""
    vpc_id: str = ""
    #: The principal that created it, by its tag; None for an instance from before that tag.
    owner: str | None = None
    #: When it ends by itself, and after how many seconds without work, by its tags; None where nothing does.
    deadline: datetime | None = None
    idle_timeout: int | None = None
    #: The options of its launch, in one line; None if its tags do not have them.
    settings: str | None = None
    #: Its address within its VPC.
    private_ip: str | None = None
    #: The id of its cluster and its rank there, by its tags; None for a box of its own.
    cluster: str | None = None
    rank: int | None = None
    #: The ranks of all nodes that the same RunInstances started.
    ranks_of_call: tuple[int, ...] = ()
    #: Its number among the instances that one RunInstances started, from 0.
    launch_index: int = 0


def seconds_until(deadline: datetime | None, now: datetime) -> float | None:
    """Return the seconds until the deadline; None without one."""
    if deadline is None:
        return None
    return (deadline - now).total_seconds()


@dataclass(frozen=True)
class SpotPrice:
    """The price of one type in one zone, USD per hour, at one moment."""

    instance_type: str
    availability_zone: str
    price: float
    timestamp: datetime


@dataclass(frozen=True)
class StateChange:
    """What TerminateInstances reports of one instance."""

    instance_id: str
    previous_state: InstanceState
    current_state: InstanceState


@dataclass(frozen=True)
class RegionFailure:
    """A region that could not be read, and why."""

    region: str
    error: str
    #: Whether a policy of the account's organization denies it.
    is_denied: bool = field(default=False, metadata={"private": True})


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
    market: Market | None = field(default=None, metadata={"optional": True})


@dataclass(frozen=True)
class LocalKey:
    """The key that will open the box. `public_key` is type and body; None if the pair has yet to be created."""

    public_path: Path
    #: What ssh's IdentityFile names: the private key, or the public one where an agent holds the other half.
    identity_file: Path
    public_key: str | None
    #: Whether the public key's file exists.
    on_disk: bool = True

    @property
    def digest(self) -> str:
        """Return the first 8 hex digits of the key's SHA-256."""
        blob = base64.b64decode((self.public_key or "x ").split()[1])
        return hashlib.sha256(blob).hexdigest()[:8]
