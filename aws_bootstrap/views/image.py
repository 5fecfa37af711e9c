"""Images that were baked."""

from __future__ import annotations

from click import style

from ..models import BakeReport, ImageRemovals, OwnImageList, OwnImageRow
from ..next_images import next_commands
from .costs import at_most_a_month
from .text import command, heading, next_lines, other_owner, pairs, plural, text

#: By `OwnImageRow.setup_files`, where they are not current.
SETUP_FILES = {
    "other": "of another version; bake again, or a launch runs what has changed",
    "unknown": "unknown: no setup of a version that records it",
}


@text.register
def bake_report(report: BakeReport) -> str:
    """Return the image, what it costs, and what remains in it."""
    if report.declined:
        return "No image was created, and nothing was changed."
    ready = "answers again, as before" if report.source_ready else report.source_error
    facts = [
        ("Image", report.image_id),
        ("State", report.state),
        ("Region", report.region),
        ("Snapshot", report.snapshot_id),
        ("Costs", at_most_a_month(report.monthly_cost_usd)),
        ("Source", f"{report.ssh_alias} ({report.source}) {ready}"),
    ]
    lines = [heading(report.name), *pairs(facts)]
    if report.remaining_secrets:
        lines += ["", "These files look like secrets, and remain in the image:"]
        lines += [f"  {path}" for path in report.remaining_secrets]
    following = next_lines(next_commands(report))
    return "\n".join([*lines, "", following])


@text.register
def own_image_list(result: OwnImageList) -> str:
    """Return the images, and how to use and remove them."""
    if not result.images:
        return f"No image was baked in {plural(len(result.regions_queried), 'region')}."
    parts = [_image(row) for row in result.images]
    parts.append(f"Yours: {at_most_a_month(result.monthly_cost_usd)}")
    parts.append(next_lines(next_commands(result)))
    return "\n\n".join(parts)


def _image(row: OwnImageRow) -> str:
    created = f"{row.created:%Y-%m-%d %H:%M} UTC" if row.created else None
    facts = [
        ("Region", row.region),
        ("Created", created),
        ("Costs", f"{at_most_a_month(row.monthly_cost_usd)} ({row.size_gb} GB)"),
        ("Baked from", row.source),
        ("Setup", row.setup),
        ("Setup's files", SETUP_FILES.get(row.setup_files)),
        ("Owner", other_owner(row.owner, row.yours) or None),
    ]
    head = f"{style(row.name, bold=True)}  {command(row.image_id)}  {row.state}"
    return "\n".join([head, *pairs(facts)])


@text.register
def image_removals(result: ImageRemovals) -> str:
    """Return what was removed."""
    if result.declined:
        return "Nothing was removed."
    lines: list[str] = []
    for removal in result.removed:
        what = f"{removal.image_id} ({removal.name}) in {removal.region}"
        if removal.error:
            lines.append(f"Not removed, or not all of it: {what}: {removal.error}")
        else:
            snapshots = ", ".join(removal.snapshots_deleted) or "no snapshot of it"
            lines.append(f"Removed {what}; deleted {snapshots}.")
    return "\n".join(lines)
