"""Detached commands of boxes, their logs and their ends. What they are is kept on the box (resources/runs)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import output
from ..errors import BootstrapError, Interrupted, SshError
from ..invocation import PROGRAM
from ..models import BoxFailure, RegionFailure, Run, RunList, RunReport
from ..parallel import map_parallel
from ..ssh import ONCE, quoted
from ..ssh_tunnel import Connection
from ..sshconfig import Host
from . import pick
from .unreachable import hint_on_timeout

if TYPE_CHECKING:
    from ..app import App

RESOURCES = files("aws_bootstrap") / "resources" / "runs"
#: Executes its input. Not `python3` first: that is the virtual environment's.
PYTHON = "p=/usr/bin/python3; [ -x $p ] || p=python3; exec $p -I -"
#: How long it may take to start a run, and to list those of a box, in seconds.
_START_SECONDS = 60.0
_LIST_SECONDS = 20.0


class Refusal(NamedTuple):
    """What resources/runs/runs.py refuses, and what helps."""

    code: str
    hint: str


_REFUSALS = (
    Refusal(code="no-guardian", hint="Only a box that this version launched can end by itself. Leave out --then."),
    Refusal(code="no-systemd", hint=f"Run it with a connection: {PROGRAM} ssh {{alias}} -- COMMAND"),
    Refusal(code="not-found", hint=f"Show the runs: {PROGRAM} ps {{alias}}"),
    Refusal(code="run-exists", hint=f"Follow it: {PROGRAM} attach {{alias}} {{run}}"),
)


@dataclass(frozen=True)
class NewRun:
    """What to run, and how."""

    command: str
    #: Relative to the home folder, which it is without one.
    folder: str | None = None
    name: str | None = None
    #: `terminate`: end the box after it.
    then: str | None = None
    #: Texts by the names of the files that it needs beside its log.
    files: Mapping[str, str] = field(default_factory=dict)
    #: Of which cluster's job it is a part: the cluster's `id`, and the box's `rank`; None for a run of one box.
    cluster: Mapping[str, Any] | None = None

    def spec(self) -> dict[str, Any]:
        """Return what resources/runs/runs.py starts it by."""
        return {
            "command": self.command,
            "folder": self.folder,
            "name": self.name,
            "then": self.then,
            "files": dict(self.files),
            "cluster": self.cluster,
            "job": (RESOURCES / "job.py").read_text(),
        }


def program(what: str, spec: Mapping[str, Any]) -> bytes:
    """Return the input of PYTHON that does this."""
    # A literal of Python: what the user wrote is data there.
    return f"{(RESOURCES / 'runs.py').read_text()}\n\nmain({what!r}, {dict(spec)!r})\n".encode()


def start(app: App, host: Host, new: NewRun) -> RunReport:
    """Start a run on a box. BootstrapError if it was not started; `ssh-lost` if that is unknown."""
    unknown = f"It is not known whether it was started. See: {PROGRAM} ps {host.alias}"
    try:
        with hint_on_timeout(app, host):
            answer = ask(app, host, "start", new.spec(), limit=_START_SECONDS)
    except SshError as exc:
        if exc.code == "ssh-lost":
            exc.add_details(hint=unknown)
        raise
    except KeyboardInterrupt as exc:
        raise Interrupted.of(exc, hint=unknown) from exc
    if "error" in answer:
        raise box_error(host, answer["error"], new.name)
    if new.then:
        output.warn(
            "The box is terminated after this run, whatever its exit code. Its root disk, with the run's log, is "
            "deleted; if a data volume is at /data, the log is copied to /data/aws-bootstrap-runs before.",
            code="ends-after-run",
            instance_id=host.instance_id,
            region=host.region,
        )
    return RunReport(run_of(host, answer, answer["started"]))


def box_error(host: Host, error: Mapping[str, str], run: str | None) -> BootstrapError:
    """Return the error that resources/runs/runs.py has sent."""
    hint = None
    _, sign, folder = error["message"].partition("there is no folder ")
    if sign:
        hint = f"Create it: {PROGRAM} ssh {host.alias} -- mkdir -p {quoted(folder)}"
        return BootstrapError(f"{host.alias}: {error['message']}.", hint=hint, code=error["code"])
    for refusal in _REFUSALS:
        if refusal.code == error["code"]:
            hint = refusal.hint.replace("{alias}", host.alias).replace("{run}", run or "")
    return BootstrapError(f"{host.alias}: {error['message']}.", hint=hint, code=error["code"])


def run_of(host: Host, about: Mapping[str, Any], now: float) -> Run:
    """Return a run as the box has noted it. `now`: the box's own clock."""
    ended = about["ended"]
    state = about.get("state", "running")
    until = now if state == "running" else ended
    runtime = None
    if until is not None:
        runtime = max(0, round(until - about["started"]))
    return Run(
        instance_id=host.instance_id,
        ssh_alias=host.alias,
        run=about["id"],
        state=state,
        exit_code=about["exit_code"],
        command=about["command"],
        folder=about["folder"],
        started=datetime.fromtimestamp(about["started"], UTC),
        ended=None if ended is None else datetime.fromtimestamp(ended, UTC),
        runtime_seconds=runtime,
        then=about["then"],
    )


def ask(app: App, host: Host, what: str, spec: Mapping[str, Any], **settings: Any) -> dict[str, Any]:
    """Return what the box answers. BootstrapError if that is no answer."""
    done = app.ssh.run(host.alias, PYTHON, stdin=program(what, spec), **settings)
    return answer_of(host, done.lines, done.exit_code)


def ask_over(connection: Connection, host: Host, what: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the box answers over a connection that is open. Errors as those of `ask`."""
    exit_code, output_bytes, _ = connection.run("bash", "--norc", "-c", PYTHON, stdin=program(what, spec))
    return answer_of(host, output_bytes.decode(errors="replace").splitlines(), exit_code)


def answer_of(host: Host, lines: Sequence[str], exit_code: int) -> dict[str, Any]:
    """Return what the box has answered as its last line. SshError if that is no answer."""
    last_line = lines[-1] if lines else ""
    try:
        answer: dict[str, Any] = json.loads(last_line)
    except ValueError as exc:
        said = last_line or f"exit code {exit_code}"
        raise SshError(f"{host.alias} did not answer as expected: {said}") from exc
    return answer


# --- ps --------------------------------------------------------------------------------------------------


def listed(app: App, names: Sequence[str]) -> RunList:
    """Return the runs of these boxes; without names of all that run and are the caller's."""
    failures: list[BoxFailure] = []
    hosts = pick.hosts(app, names)
    regions_failed: Sequence[RegionFailure] = ()
    if not names:
        boxes, regions_failed = pick.running_boxes(app)
        for box in boxes:
            if box.host is None:
                failures.append(BoxFailure(box.instance_id, None, "it has no alias on this machine"))
            else:
                hosts.append(box.host)
    found: list[Run] = []
    answered: list[str] = []
    for host, answer in zip(hosts, map_parallel(partial(_runs_of, app), hosts), strict=True):
        if isinstance(answer, BootstrapError):
            failures.append(BoxFailure(host.instance_id, host.alias, str(answer)))
        else:
            found += answer
            answered.append(host.alias)
    return RunList(tuple(found), tuple(answered), tuple(failures), tuple(regions_failed))


def _runs_of(app: App, host: Host) -> list[Run] | BootstrapError:
    """Return the runs of a box, or why they are unknown."""
    try:
        answer = ask(app, host, "list", {}, timeouts=ONCE, limit=_LIST_SECONDS)
    except BootstrapError as exc:
        return exc
    if "error" in answer:
        return box_error(host, answer["error"], None)
    found: list[Run] = []
    for about in answer["runs"]:
        found.append(run_of(host, about, answer["now"]))
    return found
