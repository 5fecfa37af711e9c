"""Change when a box ends by itself: on the box over SSH, and in the tags of its instance for `status` elsewhere."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .. import ec2, guardian
from ..config import TAG_DEADLINE, TAG_IDLE_TIMEOUT
from ..errors import BootstrapError, Interrupted, SshError
from ..invocation import PROFILE, PROGRAM, SSH
from ..models import ExtendReport
from ..models.facts import seconds_until
from ..ssh import DEFAULT_TIMEOUTS, LoginTimeouts, Remote, quoted, wrapped
from .box import Box
from .inventory import select_one
from .pick import running_host
from .unreachable import hint_on_timeout

if TYPE_CHECKING:
    from ..app import App

#: How long the change may take, in seconds.
_LIMIT = 60.0


@dataclass(frozen=True)
class LimitChange:
    """What to change. Each part may be absent."""

    #: Seconds that are added to the deadline; from now where there is none.
    more: float | None = None
    #: Whether nothing ends the box any more, but the idle limit below.
    never: bool = False
    idle_timeout: float | None = None
    #: Seconds from now until the deadline, in place of the one that is set.
    ttl: float | None = None

    def for_guardian(self) -> dict[str, Any]:
        """Return the change as the guardian takes it."""
        changes: dict[str, Any] = {}
        if self.never:
            changes |= {"deadline": None, "idle_timeout": None}
        if self.more:
            changes |= {"extend": self.more, "reason": "deadline"}
        if self.ttl:
            changes |= {"deadline": self.ttl, "reason": "deadline"}
        if self.idle_timeout:
            changes["idle_timeout"] = self.idle_timeout
        return changes


def apply(app: App, name: str, change: LimitChange) -> ExtendReport:
    """Change the limits of the box with that alias or id. Return those that hold from now on.

    BootstrapError if the box cannot be reached or refuses: then its limits are as before, unless the error is
    `ssh-lost`. If only the tags cannot be written, the report says so.
    """
    box = select_one(app, name, volumes="none")
    return change_box(app, box, change)


def change_box(app: App, box: Box, change: LimitChange, timeouts: LoginTimeouts = DEFAULT_TIMEOUTS) -> ExtendReport:
    """Change the limits of this box, as `apply` does. `timeouts` says for how long its login is retried."""
    host = running_host(box, "extended")
    command = wrapped(quoted(*guardian.change_command(change.for_guardian())))
    try:
        with hint_on_timeout(app, host):
            done = app.ssh.run(host.alias, command, timeouts=timeouts, limit=_LIMIT)
    except SshError as exc:
        if exc.code == "ssh-lost":
            exc.add_details(hint=f"It is not known whether the limits changed. See: {PROGRAM} status --gpu")
        raise
    except KeyboardInterrupt as exc:
        hint = f"It is not known whether the limits changed. See: {PROGRAM} status --gpu"
        raise Interrupted.of(exc, hint=hint) from exc
    return _with_tags(app, _report(box, _limits_in(done, host.alias)))


def _limits_in(done: Remote, alias: str) -> dict[str, Any]:
    """Return the limits that the guardian printed. BootstrapError if it refused, or if the box has none."""
    last_line = done.lines[-1] if done.lines else ""
    if done.exit_code == 0:
        with contextlib.suppress(ValueError):
            limits: dict[str, Any] = json.loads(last_line)
            return limits
    if "No such file" in last_line:
        raise BootstrapError(
            f"{alias} has no guardian: an older version launched it.",
            hint=f"Nothing ends it by itself. End it yourself: {PROGRAM} terminate {alias}",
            code="no-guardian",
        )
    raise BootstrapError(
        f"The guardian of {alias} did not change the limits: {last_line or 'no output'}",
        hint=f"Show its log: {SSH} {alias} journalctl -u aws-bootstrap-guardian",
        code="no-guardian",
    )


def _report(box: Box, limits: dict[str, Any]) -> ExtendReport:
    """Return the result with the limits that the guardian printed."""
    deadline: datetime | None = None
    if limits.get("deadline"):
        deadline = datetime.fromtimestamp(int(limits["deadline"]), UTC)
    idle_timeout: int | None = None
    if limits.get("idle_timeout"):
        idle_timeout = int(limits["idle_timeout"])
    return ExtendReport(
        instance_id=box.instance_id,
        ssh_alias=box.alias,
        region=box.region,
        deadline=deadline,
        idle_timeout_seconds=idle_timeout,
        seconds_left=seconds_until(deadline, datetime.now(UTC)),
    )


def _with_tags(app: App, report: ExtendReport) -> ExtendReport:
    """Write the limits into the tags of the instance. Return the report, with the error if they were not written."""
    client = app.aws.ec2(report.region)
    try:
        ec2.tag_limits(client, report.instance_id, report.deadline, report.idle_timeout_seconds)
    except BootstrapError as exc:
        return replace(report, tag_error=str(exc), tag_command=_tag_command(report))
    except KeyboardInterrupt as exc:
        hint = f"The box has its new limits, but perhaps not its tags. Write them yourself: {_tag_command(report)}"
        raise Interrupted.of(exc, hint=hint).attach_result(report) from exc
    return report


def _tag_command(report: ExtendReport) -> str:
    """Return the command that writes the limits into the tags."""
    deadline = ""
    if report.deadline:
        deadline = report.deadline.isoformat(timespec="seconds")
    tags = [
        f"Key={TAG_DEADLINE},Value={deadline}",
        f"Key={TAG_IDLE_TIMEOUT},Value={report.idle_timeout_seconds or ''}",
    ]
    where = f"--region {report.region} --resources {report.instance_id}"
    return f"aws ec2 create-tags{PROFILE} {where} --tags {' '.join(tags)}"
