"""Instance types, and the service quota that each counts against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..aws import translate_aws_errors
from ..models import InstanceType

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client
    from types_boto3_ec2.type_defs import FilterTypeDef, GpuDeviceInfoTypeDef, InstanceTypeInfoTypeDef

#: The quota family by how an instance type begins; the first that fits.
_FAMILY_BY_PREFIX = {"p5": "p5", "p": "p", "g": "gvt", "vt": "gvt", "dl": "dl"}
#: The names of all instance types with a GPU, and of few others: EC2 has no filter for GPUs.
GPU_PATTERNS = ("dl*", "g*", "p*")


def quota_family(instance_type: str) -> str | None:
    """Return `gvt`, `p5`, `p` or `dl`: the quota that this type's vCPUs count against; None for other types."""
    for prefix, family in _FAMILY_BY_PREFIX.items():
        if instance_type.startswith(prefix):
            return family
    return None


@translate_aws_errors()
def find_instance_types(ec2: EC2Client, patterns: Sequence[str]) -> list[InstanceType]:
    """Return the region's types of these names (`*` matches anything). A name that it lacks is left out."""
    filters: list[FilterTypeDef] = [{"Name": "instance-type", "Values": list(patterns)}]
    found: list[InstanceType] = []
    for page in ec2.get_paginator("describe_instance_types").paginate(Filters=filters):
        for raw in page["InstanceTypes"]:
            found.append(_instance_type(raw))
    return found


def _instance_type(raw: InstanceTypeInfoTypeDef) -> InstanceType:
    return InstanceType(
        name=raw["InstanceType"],
        vcpus=raw.get("VCpuInfo", {}).get("DefaultVCpus", 0),
        memory_mib=raw.get("MemoryInfo", {}).get("SizeInMiB", 0),
        architectures=tuple(raw.get("ProcessorInfo", {}).get("SupportedArchitectures", ())),
        gpu=_gpu(raw),
        gpu_memory_mib=_gpu_memory(raw),
        gpu_count=sum(gpu.get("Count", 0) for gpu in raw.get("GpuInfo", {}).get("Gpus", [])),
        placement_strategies=tuple(raw.get("PlacementGroupInfo", {}).get("SupportedStrategies", ())),
    )


def _gpu(raw: InstanceTypeInfoTypeDef) -> str | None:
    """Return the type's GPUs as text; None if it has none."""
    gpus: list[str] = []
    for gpu in raw.get("GpuInfo", {}).get("Gpus", []):
        gpus.append(_one_gpu(gpu))
    return ", ".join(gpus) or None


def _gpu_memory(raw: InstanceTypeInfoTypeDef) -> int | None:
    """Return the memory of each GPU, of the smallest where they differ; None without a GPU, or if it is unknown."""
    sizes: list[int] = []
    for gpu in raw.get("GpuInfo", {}).get("Gpus", []):
        sizes.append(gpu.get("MemoryInfo", {}).get("SizeInMiB", 0))
    return min(sizes, default=0) or None


def _one_gpu(raw: GpuDeviceInfoTypeDef) -> str:
    memory = raw.get("MemoryInfo", {}).get("SizeInMiB", "unknown")
    return f"{raw.get('Count', '?')}x {raw.get('Name', 'unknown')} ({memory} MiB)"
