"""Instance types, and the service quota that each counts against."""

from __future__ import annotations

from typing import Any

from ..aws import explained
from ..models import InstanceType


def quota_family(instance_type: str) -> str | None:
    """`gvt`, `p5`, `p` or `dl`: the quota that this type's vCPUs count against; None for other types."""
    prefixes = {"p5": "p5", "p": "p", "g": "gvt", "vt": "gvt", "dl": "dl"}
    return next((family for prefix, family in prefixes.items() if instance_type.startswith(prefix)), None)


def get_instance_type(ec2: Any, name: str) -> InstanceType:
    """The type as this region has it. AwsError `bad-instance-type` where it does not."""
    with explained():
        raw = ec2.describe_instance_types(InstanceTypes=[name])["InstanceTypes"][0]
    return InstanceType(
        name=raw["InstanceType"],
        vcpus=raw["VCpuInfo"]["DefaultVCpus"],
        memory_mib=raw["MemoryInfo"]["SizeInMiB"],
        architectures=tuple(raw["ProcessorInfo"]["SupportedArchitectures"]),
        gpu=_gpu(raw),
    )


def _gpu(raw: dict[str, Any]) -> str | None:
    gpus = raw.get("GpuInfo", {}).get("Gpus", [])
    return ", ".join(f"{g['Count']}x {g['Name']} ({g['MemoryInfo']['SizeInMiB']} MiB)" for g in gpus) or None
