"""Results of `launch` and `setup`."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import BootstrapError, IncompleteError, Resource
from .base import Access, Result, optional, private
from .facts import RegionFailure


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
    max_price: float | None = optional()
    instance_types: tuple[str, ...] | None = optional()
    regions_failed: tuple[RegionFailure, ...] = ()
    dry_run: bool = True


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
