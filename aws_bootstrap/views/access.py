"""Who may reach our boxes."""

from __future__ import annotations

from click import style

from ..models import AccessReport, AccessRule, BoxAccess
from ..next_commands import next_commands
from .text import heading, next_lines, other_owner, pairs, plural, regions_read, text


@text.register
def access_report(report: AccessReport) -> str:
    """Return each box with who may reach it and what was changed; how to allow oneself, where one is not."""
    if not report.boxes:
        return f"No boxes of aws-bootstrap in {plural(regions_read(report), 'region')}."
    boxes = [_box(box) for box in report.boxes]
    parts = ["\n".join(boxes)]
    if report.my_address:
        parts.append(f"Your address is {report.my_address}.")
    commands = next_commands(report)
    if commands:
        parts.append(next_lines(commands))
    return "\n\n".join(parts)


def _box(box: BoxAccess) -> str:
    title = heading(box.ssh_alias or box.instance_id, "cyan")
    where = f"in {box.region}, port {box.ssh_port}"
    if box.ssh_alias:
        where = f"{box.instance_id} {where}"
    facts = _open_to(box)
    facts.append(("Owner", other_owner(box.owner, box.yours)))
    facts.append(("Added", ", ".join(box.added or ())))
    facts.append(("Removed", ", ".join(box.removed or ())))
    lines = [f"{title}  {_reach(box.reachable)}  {style(where, dim=True)}"]
    lines += pairs(facts)
    return "\n".join(lines)


def _open_to(box: BoxAccess) -> list[tuple[str, str]]:
    """Return a fact for each rule; only the first is named."""
    if not box.rules:
        return [("Open to", "nobody")]
    facts: list[tuple[str, str]] = []
    name = "Open to"
    for rule in box.rules:
        facts.append((name, _rule(rule)))
        name = ""
    return facts


def _reach(reachable: bool | None) -> str:
    if reachable is None:
        return style("unknown whether open to you", fg="yellow")
    if reachable:
        return style("open to you", fg="green")
    return style("not open to you", fg="red", bold=True)


def _rule(rule: AccessRule) -> str:
    if rule.created_by_us and rule.source == rule.security_group:
        return "the other nodes of its cluster"
    words = rule.source
    if rule.source in ("0.0.0.0/0", "::/0"):
        words += style("  the whole internet", fg="yellow")
    return words + style(_owner(rule), dim=True)


def _owner(rule: AccessRule) -> str:
    """Return whose the rule is; empty for one of this tool."""
    if rule.created_by_us:
        return ""
    if rule.description:
        return f"  (not created by aws-bootstrap: {rule.description})"
    return "  (not created by aws-bootstrap)"
