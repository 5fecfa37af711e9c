"""What is put on a box and run there: one stream over one connection."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from operator import attrgetter
from pathlib import Path
from typing import Any

from .. import output
from ..config import LOGIN_RETRY_SECONDS
from ..errors import UsageError
from ..ssh import Remote, Ssh, wrapped

_RESOURCES = files("aws_bootstrap") / "resources"
_REPORT = "@aws-bootstrap-report"
"""The line below which the box prints how the setup ended, as one line of JSON."""
_SETTINGS = "settings.json"
_UPLOAD = "upload"
"""The step that fails where the files could not be put on the box."""
_START = "start"
"""The step that fails where the setup could not begin, as the box calls it, or ended without a report."""
_USER_SCRIPT = "user-setup-script"
_NOT_UPLOADED = 74
"""The exit status of _UPLOAD_AND_RUN where the files could not be put on the box (EX_IOERR of sysexits.h)."""
_LONGEST_WORDS = 200
"""Of a line of the box that is quoted in a sentence, in characters."""

# Each upload goes into a folder of its own, which the setup puts in the place of the last one when no other setup runs.
# Whatever ends it, the folder does not stay.
_UPLOAD_AND_RUN = """\
mkdir -p ~/.aws-bootstrap && chmod 700 ~/.aws-bootstrap && folder=$(mktemp -d ~/.aws-bootstrap/setup.new.XXXXXX) ||
  exit {not_uploaded}
if tar xzf - -C "$folder"; then
  SETUP_REPORT={report} bash "$folder/remote_setup.sh"
  code=$?
else
  code={not_uploaded}
fi
rm -rf "$folder"
exit $code"""


@dataclass(frozen=True)
class SetupOutcome:
    """How the setup of a box ended: `completed`, `failed` or `skipped`, and why the failed step did."""

    setup: str
    failed_step: str | None = None
    cuda_version: str | None = None
    message: str | None = None
    output: tuple[str, ...] | None = None
    """The last lines of what the failed step wrote; None where it wrote nothing."""

    @property
    def box_has_settings(self) -> bool:
        """Return whether the box keeps the settings: its files have arrived there, and the setup has begun."""
        return self.setup != "skipped" and self.failed_step not in (_UPLOAD, _START)


def read_script(path: Path | None) -> bytes | None:
    """Return the user's own setup script. UsageError if it cannot be read."""
    if path is None:
        return None
    try:
        return path.expanduser().read_bytes()
    except OSError as exc:
        raise UsageError(f"Cannot read the setup script {path}: {exc.strerror}.") from exc


def set_up(
    ssh: Ssh,
    alias: str,
    *,
    python_version: str | None = None,
    script: bytes | None = None,
    patience: float = LOGIN_RETRY_SECONDS,
) -> SetupOutcome:
    """Upload what the box needs, run the setup there and print its progress; return how it ended.

    Raises SshError where the box cannot be reached or the connection breaks.
    """
    command = _UPLOAD_AND_RUN.format(not_uploaded=_NOT_UPLOADED, report=_REPORT)
    upload = _pack(_settings(python_version), script)
    done = ssh.run(alias, wrapped(command), stdin=upload, on_line=_progress_printer(), login_timeout=patience)
    report = _report(done.lines)
    if report is None:
        return _without_report(done)
    _warn_of_steps(report)
    cuda_version = _word(report, "cuda_version")
    if done.exit_code == 0:
        return SetupOutcome("completed", None, cuda_version)
    step = _word(report, "failed_step")
    entry = _entry(report, step)
    return SetupOutcome("failed", step or "unknown", cuda_version, _word(entry, "message"), _tail(entry))


def _without_report(done: Remote) -> SetupOutcome:
    """Return how a setup ended that did not report it: its files did not arrive, or it was killed."""
    if done.exit_code == _NOT_UPLOADED:
        why = "its files could not be put on the box"
        step = _UPLOAD
    else:
        why = f"it broke off with exit status {done.exit_code}"
        step = _START
    printed = [line.strip()[:_LONGEST_WORDS] for line in done.lines if line != _REPORT]
    last_words = " / ".join(printed[-3:])
    message = why
    if last_words:
        message = f"{why}: {last_words}"
    output.warn(f"The setup ended without a report: {message}", code="setup-failed")
    return SetupOutcome("failed", step, message=message)


def _settings(python_version: str | None) -> bytes:
    """Return the settings that were given this time, as JSON. The box keeps them for later setups."""
    settings: dict[str, str] = {}
    if python_version:
        settings["python_version"] = python_version
    return json.dumps(settings).encode()


def _pack(settings: bytes, script: bytes | None) -> bytes:
    """Return all resources, the settings and the user's script as one gzipped tar."""
    contents = dict(_contents(_RESOURCES))
    contents[_SETTINGS] = settings
    if script is not None:
        contents[_USER_SCRIPT] = script
    return tarball(contents)


def tarball(contents: Mapping[str, bytes]) -> bytes:
    """Return files, by name, as one gzipped tar. What begins with #! may be executed."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            is_program = content.startswith(b"#!")
            entry.mode = 0o755 if is_program else 0o644
            tar.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def _contents(folder: Any, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    """Yield the files of a folder and of those within, by path below the first."""
    for item in sorted(folder.iterdir(), key=attrgetter("name")):
        if item.is_dir() and item.name != "__pycache__":
            yield from _contents(item, f"{prefix}{item.name}/")
        elif item.is_file() and item.name != "__init__.py":
            yield prefix + item.name, item.read_bytes()


def _progress_printer() -> Callable[[str], None]:
    """Return what prints the setup's titles and outcomes, line by line. Below the report's mark nothing is printed."""
    reported = False

    def print_progress(line: str) -> None:
        nonlocal reported
        if line == _REPORT:
            reported = True
        if not reported and line.startswith(("==> ", "    ")):
            output.info(line)

    return print_progress


def _report(lines: tuple[str, ...]) -> dict[str, Any] | None:
    """Return what the box reports of its setup; None if it reports nothing that can be understood."""
    if _REPORT not in lines:
        return None
    following = lines[lines.index(_REPORT) + 1 :]
    if not following:
        return None
    try:
        report = json.loads(following[0])
    except (ValueError, RecursionError):
        return None
    if not isinstance(report, dict):
        return None
    return report


def _word(report: Mapping[str, Any], key: str) -> str | None:
    """Return a text of the report; None where it has none."""
    value = report.get(key)
    if not isinstance(value, str):
        return None
    return value


def _entries(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what the report says of its steps; what makes no sense is left out."""
    steps = report.get("steps")
    if not isinstance(steps, list):
        return []
    return [entry for entry in steps if isinstance(entry, dict)]


def _entry(report: Mapping[str, Any], step: str | None) -> Mapping[str, Any]:
    """Return what the report says of that step; empty where it says nothing."""
    for entry in _entries(report):
        if entry.get("name") == step:
            return entry
    return {}


def _warn_of_steps(report: Mapping[str, Any]) -> None:
    """Warn of what the steps warned of: it fails no setup, and would be in no document."""
    for entry in _entries(report):
        message = _word(entry, "message")
        if entry.get("outcome") == "warning" and message:
            title = _word(entry, "title") or _word(entry, "name") or "A step"
            output.warn(f"{title}: {message}", code="setup-warning")


def _tail(entry: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the last lines of what a step wrote; None where it wrote nothing."""
    lines = entry.get("tail")
    if not isinstance(lines, list):
        return None
    texts = [line for line in lines if isinstance(line, str)]
    return tuple(texts) or None
