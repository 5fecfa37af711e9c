"""What is put on a box and run there: one stream over one connection."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from .. import output
from ..config import LOGIN_REFUSED_SECONDS
from ..errors import UsageError
from ..ssh import Remote, Ssh, wrapped

_RESOURCES = files("aws_bootstrap") / "resources"
_REPORT = "@aws-bootstrap-report"
"""The line below which the box prints how the setup ended, as one line of JSON."""
_SETTINGS = "settings.json"
_UPLOAD = "upload"
"""The step that fails where the files could not be put on the box."""
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
        """Whether the box keeps what the user asked for: its files have arrived there."""
        return self.setup != "skipped" and self.failed_step != _UPLOAD


def read_script(path: Path | None) -> bytes | None:
    """The user's own setup script. UsageError if it cannot be read."""
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
    patience: float = LOGIN_REFUSED_SECONDS,
) -> SetupOutcome:
    """Upload what the box needs, run the setup there, tell its progress; how it ended.

    Raises SshError where the box cannot be reached or the connection breaks.
    """
    command = _UPLOAD_AND_RUN.format(not_uploaded=_NOT_UPLOADED, report=_REPORT)
    upload = _pack(_settings(python_version), script)
    done = ssh.run(alias, wrapped(command), stdin=upload, on_line=_teller(), patience=patience)
    report = _report(done.lines)
    if report is None:
        return _without_report(done)
    _tell_warnings(report)
    failed = done.exit_code != 0
    step = _word(report, "failed_step")
    if failed:
        entry = _entry(report, step)
        cuda_version = _word(report, "cuda_version")
        return SetupOutcome("failed", step or "unknown", cuda_version, _word(entry, "message"), _tail(entry))
    return SetupOutcome("completed", None, _word(report, "cuda_version"))


def _without_report(done: Remote) -> SetupOutcome:
    """How a setup ended that did not say so itself: its files did not arrive, or it was killed."""
    if done.exit_code == _NOT_UPLOADED:
        why = "its files could not be put on the box"
        step = _UPLOAD
    else:
        why = f"it broke off with exit status {done.exit_code}"
        step = "start"
    told = [line.strip()[:_LONGEST_WORDS] for line in done.lines if line != _REPORT]
    last_words = " / ".join(told[-3:])
    message = f"{why}: {last_words}" if last_words else why
    output.warn(f"The setup ended without a report: {message}", code="setup-failed")
    return SetupOutcome("failed", step, message=message)


def _settings(python_version: str | None) -> bytes:
    """Return what the user asked for this time, as JSON. The box keeps it, so that nobody has to ask again."""
    asked_for = {"python_version": python_version} if python_version else {}
    return json.dumps(asked_for).encode()


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
            entry.mode = 0o755 if content.startswith(b"#!") else 0o644
            tar.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def _contents(folder: Any, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    for item in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if item.is_dir() and item.name != "__pycache__":
            yield from _contents(item, f"{prefix}{item.name}/")
        elif item.is_file() and item.name != "__init__.py":
            yield prefix + item.name, item.read_bytes()


def _teller() -> Callable[[str], None]:
    """Tells the setup's titles and outcomes to a person; what follows the report's mark is for us."""
    reported = False

    def tell(line: str) -> None:
        nonlocal reported
        reported = reported or line == _REPORT
        if not reported and line.startswith(("==> ", "    ")):
            output.info(line)

    return tell


def _report(lines: tuple[str, ...]) -> dict[str, Any] | None:
    """What the box says of its setup; None if it said nothing that can be understood."""
    if _REPORT not in lines:
        return None
    following = lines[lines.index(_REPORT) + 1 :]
    try:
        report = json.loads(following[0]) if following else None
    except (ValueError, RecursionError):
        return None
    return report if isinstance(report, dict) else None


def _word(report: Mapping[str, Any], key: str) -> str | None:
    """A text of the report; None where it has none."""
    value = report.get(key)
    return value if isinstance(value, str) else None


def _entries(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What the report says of its steps; what makes no sense is left out."""
    steps = report.get("steps")
    if not isinstance(steps, list):
        return []
    return [entry for entry in steps if isinstance(entry, dict)]


def _entry(report: Mapping[str, Any], step: str | None) -> Mapping[str, Any]:
    """What the report says of that step; empty where it says nothing."""
    for entry in _entries(report):
        if entry.get("name") == step:
            return entry
    return {}


def _tell_warnings(report: Mapping[str, Any]) -> None:
    """Warn of what the steps warned of: it fails no setup, and would be in no document."""
    for entry in _entries(report):
        message = _word(entry, "message")
        if entry.get("outcome") == "warning" and message:
            title = _word(entry, "title") or _word(entry, "name") or "A step"
            output.warn(f"{title}: {message}", code="setup-warning")


def _tail(entry: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The last lines of what a step wrote."""
    lines = entry.get("tail")
    if not isinstance(lines, list):
        return None
    return tuple(line for line in lines if isinstance(line, str)) or None
