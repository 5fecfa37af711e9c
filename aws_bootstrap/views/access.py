"""Who may reach our boxes."""

from __future__ import annotations

from click import style

from ..models import AccessReport, AccessRule, BoxAccess
from .text import heading, next_commands, pairs, plural, text


@text.register
def _(report: AccessReport) -> str:
    """Each box with who is let in and what was changed; how to let oneself in, where one is not."""
    if not report.boxes:
        regions = plural(len(report.regions_queried) - len(report.regions_failed), "region")
        return f"No boxes of aws-bootstrap in {regions}."
    parts = ["\n".join(map(_box, report.boxes))]
    if report.my_address:
        parts.append(f"Your address is {report.my_address}.")
    if any(box.reachable is False for box in report.boxes):
        parts.append(next_commands({"Let yourself in, and nobody else": _let_me_in(report)}))
    return "\n\n".join(parts)


def _box(box: BoxAccess) -> str:
    name = heading(box.ssh_alias or box.instance_id, "cyan")
    where = f"{box.instance_id if box.ssh_alias else ''} in {box.region}, port {box.ssh_port}".strip()
    facts = [("Open to" if n == 0 else "", _rule(rule)) for n, rule in enumerate(box.rules)]
    facts += [] if box.rules else [("Open to", "nobody")]
    facts += [("Added", ", ".join(box.added or ())), ("Removed", ", ".join(box.removed or ()))]
    return "\n".join([f"{name}  {_reach(box.reachable)}  {style(where, dim=True)}", *pairs(facts)])


def _reach(reachable: bool | None) -> str:
    if reachable is None:
        return style("perhaps open to you", fg="yellow")
    return style("open to you", fg="green") if reachable else style("not open to you", fg="red", bold=True)


def _rule(rule: AccessRule) -> str:
    whose = "" if rule.created_by_us else f"  (not ours{f': {rule.description}' if rule.description else ''})"
    wide = style("  the whole internet", fg="yellow") if rule.source in ("0.0.0.0/0", "::/0") else ""
    return f"{rule.source}{wide}{style(whose, dim=True)}"


def _let_me_in(report: AccessReport) -> str:
    shut = [box for box in report.boxes if box.reachable is False]
    names = "" if len(shut) == len(report.boxes) > 1 else "".join(f" {b.ssh_alias or b.instance_id}" for b in shut)
    return f"{report.access.program} access{names} --ssh-cidr me"
