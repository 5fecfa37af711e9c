"""Instance types, and the service quota that each counts against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..aws import explained, pages
from ..models import InstanceType


def quota_family(instance_type: str) -> str | None:
    """`gvt`, `p5`, `p` or `dl`: the quota that this type's vCPUs count against; None for other types."""
    prefixes = {"p5": "p5", "p": "p", "g": "gvt", "vt": "gvt", "dl": "dl"}
    return next((family for prefix, family in prefixes.items() if instance_type.startswith(prefix)), None)


@explained()
def find_instance_types(ec2: Any, patterns: Sequence[str]) -> list[InstanceType]:
    """The types of these names (`*` stands for anything) that the region has. A name it lacks is left out."""
    filters = [{"Name": "instance-type", "Values": list(patterns)}]
    return [_instance_type(raw) for raw in pages(ec2, "describe_instance_types", "InstanceTypes", Filters=filters)]


def _instance_type(raw: dict[str, Any]) -> InstanceType:
    return InstanceType(
        name=raw["InstanceType"],
        vcpus=raw.get("VCpuInfo", {}).get("DefaultVCpus", 0),
        memory_mib=raw.get("MemoryInfo", {}).get("SizeInMiB", 0),
        architectures=tuple(raw.get("ProcessorInfo", {}).get("SupportedArchitectures", ())),
        gpu=_gpu(raw),
    )


def _gpu(raw: dict[str, Any]) -> str | None:
    gpus = raw.get("GpuInfo", {}).get("Gpus", [])
    return ", ".join(map(_one_gpu, gpus)) or None


def _one_gpu(raw: dict[str, Any]) -> str:
    memory = raw.get("MemoryInfo", {}).get("SizeInMiB", "unknown")
    return f"{raw.get('Count', '?')}x {raw.get('Name', 'unknown')} ({memory} MiB)"
