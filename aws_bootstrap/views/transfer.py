"""What was copied and synchronized, as a person reads it."""

from __future__ import annotations

from collections.abc import Sequence

from ..models import CopyReport, FileChange, SyncReport
from ..models.transfer import size_text
from .text import heading, plural, span, text

_SIGNS = {"new": "+", "changed": "~", "deleted": "-"}
#: How many changes a person reads; JSON has all of them.
_SHOWN = 50
#: How many files one line names.
_NAMED = 3


@text.register
def copy_text(report: CopyReport) -> str:
    """Return how much was copied, in one line, and what was not."""
    skipped = ""
    if report.files == 0 and report.engine == "rsync":
        skipped = ", all equal already"
    if report.errors:
        return "\n".join([f"Copied {_amount(report)}. Not copied:", *_listed(report.errors)])
    return heading(f"Copied {_amount(report)} to {report.target}{skipped}.")


@text.register
def sync_text(report: SyncReport) -> str:
    """Return the changes, and their sum."""
    lines = change_lines(report.changes)
    if report.errors:
        lines += ["Not done:", *_listed(report.errors)]
    verb = "Would send" if report.dry_run else "Sent"
    summary = f"{verb} {_amount(report)} to {report.target}."
    deleted = sum(change.change == "deleted" for change in report.changes)
    if deleted:
        summary += f" {'Would delete' if report.dry_run else 'Deleted'} {plural(deleted, 'file')}."
    if report.extra_files:
        summary += f" {plural(report.extra_files, 'file')} there that the source lacks: kept."
    return "\n".join([*lines, heading(summary)])


def change_lines(changes: Sequence[FileChange]) -> list[str]:
    """Return a line for each change; for many, the first ones and how many more there are."""
    lines: list[str] = []
    for change in changes[:_SHOWN]:
        lines.append(f"  {_SIGNS[change.change]} {printable(change.path)}")
    if len(changes) > _SHOWN:
        lines.append(f"  … and {len(changes) - _SHOWN} more")
    return lines


def printable(path: str) -> str:
    """Return a path on one line: a control character in a name would act on the terminal."""
    shown = ""
    for character in path:
        is_plain = character.isprintable() or character == " "
        shown += character if is_plain else ascii(character)[1:-1]
    return shown


def deletion_question(target: str, paths: Sequence[str]) -> str:
    """Return what to ask before files are deleted, which it lists."""
    lines = change_lines([FileChange(path, "deleted") for path in paths])
    return "\n".join([*lines, f"Delete {plural(len(paths), 'file')} of {target}?"])


def watch_line(report: SyncReport) -> str:
    """Return one line for what a watched folder sent."""
    if report.errors:
        return f"Not everything was sent: {printable(report.errors[0])}"
    names = [printable(change.path) for change in report.changes[:_NAMED]]
    if len(report.changes) > _NAMED:
        names.append(f"{len(report.changes) - _NAMED} more")
    return f"{', '.join(names)}  ({size_text(report.bytes)})"


def _amount(report: CopyReport | SyncReport) -> str:
    duration = "" if report.seconds < 1 else f" in {span(report.seconds)}"
    return f"{plural(report.files, 'file')}, {size_text(report.bytes)}{duration}"


def _listed(errors: Sequence[str]) -> list[str]:
    return [f"  {printable(error)}" for error in errors[:_SHOWN]]
