"""The GPUs of an instance type, named as its driver names them. Pure.

https://docs.aws.amazon.com/ec2/latest/instancetypes/ac.html and NVIDIA's own names for the cards.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Gpu:
    """One card."""

    name: str
    memory_mib: int
    compute_cap: str
    watts: int


_CARDS = {
    "g4dn": Gpu("Tesla T4", 15360, "7.5", 70),
    "g5g": Gpu("NVIDIA T4G", 15360, "7.5", 70),
    "g5": Gpu("NVIDIA A10G", 23028, "8.6", 300),
    "g6": Gpu("NVIDIA L4", 23034, "8.9", 72),
    "gr6": Gpu("NVIDIA L4", 23034, "8.9", 72),
    "g6e": Gpu("NVIDIA L40S", 46068, "8.9", 350),
    "p3": Gpu("Tesla V100-SXM2-16GB", 16384, "7.0", 300),
    "p3dn": Gpu("Tesla V100-SXM2-32GB", 32768, "7.0", 300),
    "p4d": Gpu("NVIDIA A100-SXM4-40GB", 40960, "8.0", 400),
    "p4de": Gpu("NVIDIA A100-SXM4-80GB", 81920, "8.0", 400),
    "p5": Gpu("NVIDIA H100 80GB HBM3", 81559, "9.0", 700),
    "p5e": Gpu("NVIDIA H200", 143771, "9.0", 700),
    "p5en": Gpu("NVIDIA H200", 143771, "9.0", 700),
}
_COUNTS = {
    "g4dn.12xlarge": 4,
    "g4dn.metal": 8,
    "g5.12xlarge": 4,
    "g5.24xlarge": 4,
    "g5.48xlarge": 8,
    "g6.12xlarge": 4,
    "g6.24xlarge": 4,
    "g6.48xlarge": 8,
    "g6e.12xlarge": 4,
    "g6e.24xlarge": 4,
    "g6e.48xlarge": 8,
    "p3.8xlarge": 4,
    "p3.16xlarge": 8,
    "p3dn.24xlarge": 8,
    "p4d.24xlarge": 8,
    "p4de.24xlarge": 8,
    "p5.48xlarge": 8,
    "p5e.48xlarge": 8,
    "p5en.48xlarge": 8,
}


def cards(instance_type: str) -> list[dict[str, Any]]:
    """Return the type's cards; none for a type without NVIDIA GPUs."""
    card = _CARDS.get(instance_type.partition(".")[0])
    return [asdict(card)] * _COUNTS.get(instance_type, 1) if card else []
