"""Instance types, and the service quota that each counts against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..aws import explained, pages
from ..models import InstanceType

_FAMILY_BY_PREFIX = {"p5": "p5", "p": "p", "g": "gvt", "vt": "gvt", "dl": "dl"}
"""The quota family by how an instance type begins; the first that fits."""


def quota_family(instance_type: str) -> str | None:
    """Return `gvt`, `p5`, `p` or `dl`: the quota that this type's vCPUs count against; None for other types."""
    for prefix, family in _FAMILY_BY_PREFIX.items():
        if instance_type.startswith(prefix):
            return family
    return None


@explained()
def find_instance_types(ec2: Any, patterns: Sequence[str]) -> list[InstanceType]:
    """Return the types of these names (`*` stands for anything) that the region has. A name it lacks is left out."""
    filters = [{"Name": "instance-type", "Values": list(patterns)}]
    found = pages(ec2, "describe_instance_types", "InstanceTypes", Filters=filters)
    return [_instance_type(raw) for raw in found]


def _instance_type(raw: dict[str, Any]) -> InstanceType:
    return InstanceType(
        name=raw["InstanceType"],
        vcpus=raw.get("VCpuInfo", {}).get("DefaultVCpus", 0),
        memory_mib=raw.get("MemoryInfo", {}).get("SizeInMiB", 0),
        architectures=tuple(raw.get("ProcessorInfo", {}).get("SupportedArchitectures", ())),
        gpu=_gpu(raw),
    )


def _gpu(raw: dict[str, Any]) -> str | None:
    """Return the type's GPUs in words; None where it has none."""
    gpus: list[str] = []
    for gpu in raw.get("GpuInfo", {}).get("Gpus", []):
        gpus.append(_one_gpu(gpu))
    return ", ".join(gpus) or None


def _one_gpu(raw: dict[str, Any]) -> str:
    memory = raw.get("MemoryInfo", {}).get("SizeInMiB", "unknown")
    return f"{raw.get('Count', '?')}x {raw.get('Name', 'unknown')} ({memory} MiB)"
