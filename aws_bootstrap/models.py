"""Facts and results: frozen, plain, without behaviour that touches the world.

A fact is something learnt (an instance, an image); a result is what a command answers with. Every field of a
result is a key of its document, always there, except those declared with `optional()` (left out when None) and
`private()` (for the text view alone).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from typing import Any, ClassVar

from .errors import BootstrapError, IncompleteError, Resource


def optional() -> Any:
    """A field whose key is left out of the document when it is None."""
    return field(default=None, metadata={"optional": True})


def private(default: Any = None) -> Any:
    """A field that no document shows; views may use it."""
    return field(default=default, metadata={"private": True})


def document(value: Any) -> Any:
    """Plain dictionaries, lists and scalars for a result or fact, as JSON and YAML show it."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: document(getattr(value, f.name)) for f in fields(value) if _shown(f, getattr(value, f.name))}
    if isinstance(value, dict):
        return {k: document(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [document(v) for v in value]
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else value


def _shown(f: Any, value: Any) -> bool:
    return not f.metadata.get("private") and not (f.metadata.get("optional") and value is None)


@dataclass(frozen=True)
class Table:
    """Records of one kind under headings: field name (dots reach into facts) → heading."""

    columns: dict[str, str]
    rows: Iterable[Any]


@dataclass(frozen=True)
class Result:
    """What a command found or did. Every output format is made from this alone."""

    columns: ClassVar[dict[str, str]] = {}
    """Table columns of the first tuple field. Empty means a table of keys and values."""

    def to_dict(self) -> dict[str, Any]:
        """The document that JSON and YAML show."""
        return document(self)

    def tables(self) -> list[Table]:
        """The tables that the table format shows, one below the other."""
        records = next((value for f in fields(self) if isinstance(value := getattr(self, f.name), tuple)), ())
        return [Table(self.columns, records)] if self.columns else []

    def problem(self) -> BootstrapError | None:
        """What makes this result less than was asked for, as an error; None if nothing does."""
        return None


# --- facts -----------------------------------------------------------------------------------------------


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


@dataclass(frozen=True)
class Instance:
    """One EC2 instance of ours."""

    instance_id: str
    region: str
    state: str
    instance_type: str
    lifecycle: str
    availability_zone: str
    launch_time: datetime
    public_ip: str | None = None
    state_reason: str | None = None


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


# --- results ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DryRun(Result):
    """What a launch would do."""

    instance_type: str
    ami_id: str
    ami_name: str
    pricing: str
    key_name: str
    security_group: str | None
    volume_size_gb: int
    regions: tuple[str, ...]
    wait: bool
    wait_timeout_seconds: int
    steps: tuple[str, ...]
    ssh_port: int | None = optional()
    ssh_cidr: tuple[str, ...] | None = optional()
    subnet_id: str | None = optional()
    python_version: str | None = optional()
    setup_script: str | None = optional()
    tags: dict[str, str] | None = optional()
    metadata_hop_limit: int | None = optional()
    no_setup: bool | None = optional()
    regions_failed: tuple[RegionFailure, ...] = ()
    dry_run: bool = True


@dataclass(frozen=True)
class Access:
    """How a person reaches the box from this machine: what goes before the alias in printed commands."""

    ssh: str = "ssh"
    program: str = "aws-bootstrap"


@dataclass(frozen=True)
class LaunchReport(Result):
    """What a launch made. Keys are null where it broke before they were known."""

    instance_id: str | None
    public_ip: str | None
    instance_type: str
    availability_zone: str | None
    ami_id: str
    pricing: str
    region: str
    regions_tried: tuple[str, ...]
    ssh_alias: str | None
    setup: str | None
    setup_failed_step: str | None = optional()
    cuda_version: str | None = optional()
    regions_failed: tuple[RegionFailure, ...] = ()
    access: Access = private(Access())
    user: str = private("ubuntu")
    seconds: float = private(0.0)

    def problem(self) -> BootstrapError | None:
        """A setup that failed; the box itself is up and usable."""
        if self.setup != "failed":
            return None
        error = setup_failed(self.ssh_alias or "", self.setup_failed_step, self.access)
        return error.with_facts(resources=(Resource("instance", self.instance_id or "", self.region, billing=True),))


@dataclass(frozen=True)
class VolumeStatus:
    """A data volume as `status` shows it below its instance."""

    volume_id: str
    size_gb: int
    mount_point: str
    state: str


@dataclass(frozen=True)
class InstanceStatus:
    """An instance as `status` shows it."""

    instance_id: str
    region: str
    state: str
    instance_type: str
    public_ip: str | None
    ssh_alias: str | None
    lifecycle: str
    availability_zone: str
    launch_time: datetime
    uptime_seconds: int
    ebs_volumes: tuple[VolumeStatus, ...]
    spot_price_per_hour: float | None = optional()
    estimated_cost: float | None = optional()


@dataclass(frozen=True)
class OrphanVolume:
    """A data volume that bills though its instance is gone. `monthly_cost_usd` at gp3's list price."""

    volume_id: str
    region: str
    size_gb: int
    monthly_cost_usd: float
    last_instance_id: str | None
    kept: bool | None = optional()


@dataclass(frozen=True)
class StatusReport(Result):
    """Our instances and volumes in the regions asked."""

    instances: tuple[InstanceStatus, ...]
    regions_queried: tuple[str, ...]
    regions_failed: tuple[RegionFailure, ...]
    orphan_volumes: tuple[OrphanVolume, ...]
    access: Access = private(Access())
    instructions: bool = private(True)

    columns = {
        "instance_id": "Instance",
        "ssh_alias": "Alias",
        "region": "Region",
        "state": "State",
        "instance_type": "Type",
        "lifecycle": "Pricing",
        "public_ip": "Address",
        "spot_price_per_hour": "USD/h",
        "uptime_seconds": "Uptime s",
    }

    def tables(self) -> list[Table]:
        """Instances, then orphan volumes if there are any."""
        volumes = {"volume_id": "Orphan volume", "region": "Region", "size_gb": "GB", "monthly_cost_usd": "USD/month"}
        return [*super().tables(), *([Table(volumes, self.orphan_volumes)] if self.orphan_volumes else [])]

    def problem(self) -> BootstrapError | None:
        """Regions that could not be read."""
        return unread_regions(self.regions_failed)


@dataclass(frozen=True)
class Termination:
    """What became of one instance and of its data volumes."""

    instance_id: str
    previous_state: str
    current_state: str
    ssh_alias_removed: str | None = optional()
    ebs_volumes_deleted: tuple[str, ...] | None = optional()
    ebs_volumes_kept: tuple[str, ...] | None = optional()
    region: str = private("")
    availability_zone: str = private("")


@dataclass(frozen=True)
class TerminateReport(Result):
    """What became of the instances named."""

    terminated: tuple[Termination, ...]
    regions_failed: tuple[RegionFailure, ...] = ()
    access: Access = private(Access())

    columns = {
        "instance_id": "Instance",
        "previous_state": "Was",
        "current_state": "Now",
        "ssh_alias_removed": "Alias removed",
        "ebs_volumes_deleted": "Volumes deleted",
        "ebs_volumes_kept": "Volumes kept",
    }


@dataclass(frozen=True)
class SetupReport(Result):
    """How the remote setup of one box went."""

    instance_id: str
    ssh_alias: str | None
    setup: str
    setup_failed_step: str | None = optional()
    cuda_version: str | None = optional()
    regions_failed: tuple[RegionFailure, ...] = ()
    access: Access = private(Access())

    def problem(self) -> BootstrapError | None:
        """A setup that failed."""
        if self.setup != "failed":
            return None
        return setup_failed(self.ssh_alias or self.instance_id, self.setup_failed_step, self.access)


def setup_failed(alias: str, step: str | None, access: Access) -> BootstrapError:
    """The error for a box that is up and usable, but whose setup broke off at a step."""
    hint = (
        f"Look:      {access.ssh} {alias} tail -n 50 .aws-bootstrap/setup.log\n"
        f"Go on:     {access.program} setup {alias}\n"
        f"Undo:      {access.program} terminate {alias}"
    )
    return IncompleteError(f"The setup of {alias} failed at the step {step}.", hint=hint, code="setup-failed")


def unread_regions(failed: tuple[RegionFailure, ...]) -> BootstrapError | None:
    """The error for a view that lacks these regions; None if it lacks none."""
    if not failed:
        return None
    names = ", ".join(f.region for f in failed)
    reasons = sorted({f.error for f in failed})
    return IncompleteError(
        f"Could not read {names}: {reasons[0]}",
        hint="What is there is unknown, not absent. Ask again, or leave it out with --region.",
        code="region-failed",
    )
