"""The questions that a person confirms before something is changed: from facts to text."""

from __future__ import annotations

from collections.abc import Sequence

from ..models import CleanupPlan, IngressRule, OnDemandOffer, QuotaIncrease, TerminationTarget, Volume
from .text import plural, usd


def terminate(targets: Sequence[TerminationTarget]) -> str:
    """Return which boxes are terminated and which volumes are deleted."""
    lines: list[str] = []
    volumes: list[Volume] = []
    for target in targets:
        lines.append(f"  {_target(target)}")
        volumes += target.volumes
    if volumes:
        lines.append("Data volumes to delete, with all their data:")
        for volume in volumes:
            lines.append(f"  {volume.volume_id}  {volume.size_gb} GB  in {volume.region}")
    lines.append(f"Terminate {plural(len(targets), 'instance')}?")
    return "\n".join(lines)


def _target(target: TerminationTarget) -> str:
    instance = target.instance
    address = instance.public_ip or "-"
    words = [instance.instance_id, instance.instance_type, instance.lifecycle, instance.state, address]
    return "  ".join([*words, f"in {instance.region}"])


def cleanup(plan: CleanupPlan) -> str:
    """Return what the plan changes."""
    lines: list[str] = []
    for stale in plan.stale:
        lines.append(f"  remove the alias {stale.alias} of {stale.instance_id}, which no longer exists")
    for added in plan.added:
        lines.append(f"  add the alias {added.alias} for {added.instance_id} at {added.public_ip}")
    for updated in plan.updated:
        lines.append(f"  change the address of {updated.alias} to {updated.public_ip}")
    for volume in plan.orphan_volumes:
        lines.append(f"  delete {volume.volume_id}  {volume.size_gb} GB  in {volume.region}")
    if plan.orphan_volumes:
        lines.append("The data on these volumes will be lost permanently.")
    return "\n".join([*lines, "Proceed?"])


def open_to_world(rules: Sequence[IngressRule]) -> str:
    """Return which rules are removed though this tool did not create them."""
    lines: list[str] = []
    for rule in rules:
        note = ""
        if rule.description:
            note = f"  ({rule.description})"
        lines.append(f"  {rule.rule_id} of {rule.group_id}: port {rule.first_port} from {rule.source}{note}")
    lines.append("aws-bootstrap did not create these rules. They open the port to the whole internet.")
    return "\n".join([*lines, "Remove them, too?"])


def format_volume(name: str, volume: Volume) -> str:
    """Return which volume of which box is formatted."""
    return (
        f"Format {volume.volume_id}, {volume.size_gb} GB, the data volume of {name}?\n"
        "It is checked first and formatted only if it is empty."
    )


def quota_increases(increases: Sequence[QuotaIncrease]) -> str:
    """Return what the requests change."""
    lines: list[str] = []
    notes: list[str] = []
    for increase in increases:
        change = f"{increase.current_value:g} -> {increase.desired_value} vCPUs"
        lines.append(f"  {increase.region}  {increase.quota_name}: {change}")
        if increase.note:
            notes.append(f"  {increase.note}")
    return "\n".join([*lines, *notes, f"Send {plural(len(increases), 'request')} to AWS?"])


def on_demand(offer: OnDemandOffer) -> str:
    """Return whether to launch on-demand, with the price if it is known."""
    cost = ""
    if offer.price_per_hour:
        cost = f" at about {usd(offer.price_per_hour)} an hour"
    return f"There is no spot capacity for {offer.instance_type} in {offer.region} right now. Launch on-demand{cost}?"
