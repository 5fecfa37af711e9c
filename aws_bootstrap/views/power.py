"""What was stopped and still bills, and what was started."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC

from ..models import StartedBox, StartReport, StoppedBox, StopReport
from ..next_commands import next_commands
from .costs import a_month, hourly, monthly
from .limits import NEVER, ends
from .text import heading, pairs, plural, text, titled


def stop_question(boxes: Sequence[StoppedBox]) -> str:
    """Return what a stop ends, and what goes on billing."""
    lines: list[str] = []
    for box in boxes:
        lines += [f"  {_name(box)}  {box.previous_state}  in {box.region}", f"    Bills on: {_bills_on(box)}"]
        if box.deadline:
            lines.append(f"    {_deadline(box)}")
    lines.append("Its processes end. What is in memory or on an instance store (/opt/dlami/nvme) is lost.")
    lines.append(f"Stop {plural(len(boxes), 'box', 'boxes')}?")
    return "\n".join(lines)


def _name(box: StoppedBox | StartedBox) -> str:
    return f"{box.ssh_alias or 'no alias'}  {box.instance_id}"


def _bills_on(box: StoppedBox) -> str:
    return f"{a_month(box.monthly_cost_usd)} ({monthly(box.monthly_cost_usd, box.monthly_costs).partition(': ')[2]})"


def _deadline(box: StoppedBox) -> str:
    assert box.deadline  # noqa: S101 (called where there is one)
    deadline = f"{box.deadline.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return f"Its deadline is {deadline}. After that, `start` needs --ttl or --never."


@text.register
def stop_report(report: StopReport) -> str:
    """Return each box with what goes on billing, and how to start it again."""
    if not report.stopped:
        return "Nothing was stopped." if report.declined else ""
    count = plural(len(report.stopped), "box", "boxes")
    lines = [heading(f"Stopped {count}")]
    if all(box.previous_state == "stopped" for box in report.stopped):
        lines = [heading(f"Stopped already: {count}")]
    for box in report.stopped:
        lines.append(f"  {_name(box)}  {box.previous_state} -> {box.current_state}  in {box.region}")
        lines.append(f"    Bills on: {_bills_on(box)}")
        if box.deadline:
            lines.append(f"    {_deadline(box)}")
    return "\n".join([*lines, *pairs(titled(next_commands(report)))])


@text.register
def start_report(report: StartReport) -> str:
    """Return each box with its address, its price and its end, and how to use it."""
    parts = [_started(box) for box in report.started]
    commands = pairs(titled(next_commands(report)))
    return "\n".join([*parts, *commands])


def _started(box: StartedBox) -> str:
    title = heading(f"{box.ssh_alias or box.instance_id} runs again", "green")
    if box.previous_state == "running":
        title = heading(f"{box.ssh_alias or box.instance_id} runs already", "green")
    if box.current_state != "running":
        title = heading(f"{box.ssh_alias or box.instance_id} is {box.current_state}", "yellow")
    end = ends(box.deadline, box.seconds_left, box.idle_timeout_seconds)
    address = f"{box.public_ip} in {box.availability_zone}" if box.public_ip else None
    facts = [
        ("Instance", f"{box.instance_id}  {box.instance_type} {box.lifecycle}"),
        ("Address", address),
        ("Price", hourly(box.price_per_hour)),
        ("Monthly", monthly(box.monthly_cost_usd, box.monthly_costs)),
        ("Ends", end or NEVER),
    ]
    return "\n".join([title, *pairs(facts)])
