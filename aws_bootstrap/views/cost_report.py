"""What everything costs: an hour, a month, and so far."""

from __future__ import annotations

from collections.abc import Sequence

from click import style

from ..models import CostItem, CostReport
from ..next_commands import next_commands
from .costs import sum_of
from .text import aligned, heading, next_lines, pairs, paragraph, plural, regions_read, text, usd

_HEADINGS = ["", "", "", "an hour", "a month", "so far", ""]
_AMOUNTS = (3, 4, 5)
_NOT_COUNTED = "Of others or without an owner, not in the sums"
_HOW = (
    "Estimates from list prices and the present spot prices. `So far` counts from the last start of an instance, and "
    "from the creation of the rest. A snapshot bills for the blocks that it stores, at most for all of its volume."
)


@text.register
def cost_report(report: CostReport) -> str:
    """Return each item with its costs, then the sums, and what is not in them."""
    if report.has_no_answer:
        return ""
    parts: list[str] = []
    if not report.counted:
        whose = " of yours" if report.left_out else ""
        parts.append(f"Nothing{whose} bills in {plural(regions_read(report), 'region')}.")
    elif report.items is not None:
        parts.append(_items("Costs, about", report.items))
    if report.counted:
        parts += [_sums("Costs in all", report.counted, report), style(paragraph(_HOW), dim=True)]
    if report.left_out and report.items is None:
        parts.append(_sums(_NOT_COUNTED, report.left_out, report))
    elif report.left_out:
        parts.append(_items(_NOT_COUNTED, report.left_out))
    parts.append(next_lines(next_commands(report)))
    return "\n\n".join(part for part in parts if part)


def _items(title: str, items: Sequence[CostItem]) -> str:
    """Return a line an item, its amounts aligned."""
    rows = [_HEADINGS]
    for item in items:
        rows.append(
            [
                _name(item),
                _what(item),
                item.region,
                _amount(item.price_per_hour, 4),
                _amount(item.monthly_cost_usd, 2),
                _amount(item.estimated_cost, 2),
                _owner(item),
            ]
        )
    return "\n".join([heading(title, "cyan"), *aligned(rows, right=_AMOUNTS)])


def _name(item: CostItem) -> str:
    """Return the box that the item belongs to, else its id."""
    return item.ssh_alias or item.instance_id or item.id or ""


def _what(item: CostItem) -> str:
    """Return what the item is, with its type or size."""
    if item.item == "instance":
        return f"{item.instance_type} {item.lifecycle}, {item.state}"
    what = title_of(item)
    if item.size_gb:
        what += f" {item.size_gb} GB"
    if item.is_upper_bound:
        what += ", at most"
    return what


def title_of(item: CostItem) -> str:
    """Return what the item is: of a data volume without a box, whether it was kept."""
    if item.kept:
        return "kept volume"
    if item.orphan:
        return "orphan volume"
    return item.item


def _amount(amount: float | None, digits: int) -> str:
    """Return an amount with so many decimals, and more where these would hide it."""
    if amount is None:
        return "unknown"
    if amount == 0 or round(amount, digits) == 0:
        return usd(amount)
    return f"${amount:.{digits}f}"


def _owner(item: CostItem) -> str:
    """Return the owner where it is not the caller."""
    if item.yours:
        return ""
    return f"owner: {item.owner or 'nobody'}"


def _sums(title: str, items: Sequence[CostItem], report: CostReport) -> str:
    """Return the sums of the items."""
    complete = not report.regions_failed
    facts = [
        ("Now", sum_of([item.price_per_hour for item in items], "an hour", complete=complete)),
        ("A month", sum_of([item.monthly_cost_usd for item in items], "a month", complete=complete)),
        ("So far", sum_of([item.estimated_cost for item in items], "in all", complete=complete)),
    ]
    return "\n".join([heading(title, "cyan"), *pairs(facts)])
