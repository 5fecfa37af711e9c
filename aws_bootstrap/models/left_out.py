"""What a command without names left out: it has another owner, or none that is recorded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LeftOutBox:
    """A box that the caller does not own. `owner` is null where its tag is missing, the price where it is unknown."""

    instance_id: str
    region: str
    owner: str | None
    price_per_hour: float | None


@dataclass(frozen=True)
class LeftOutVolume:
    """An orphan volume that the caller does not own. `owner` is null where its tag is missing, the cost if unknown."""

    volume_id: str
    region: str
    size_gb: int
    owner: str | None
    monthly_cost_usd: float | None
