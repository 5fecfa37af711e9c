"""Upload the setup to a box and run it there, over one SSH connection."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from operator import attrgetter
from pathlib import Path
from typing import Any

from .. import output, timings
from ..config import LaunchConfig
from ..errors import UsageError
from ..ssh import DEFAULT_TIMEOUTS, LoginTimeouts, Remote, Ssh, quoted, wrapped

_RESOURCES = files("aws_bootstrap") / "resources"
#: The line before the report: one line of JSON that says how the setup ended.
_REPORT = "@aws-bootstrap-report"
_SETTINGS = "settings.json"
#: The failed step if the files could not be uploaded.
_UPLOAD = "upload"
#: The failed step if the setup could not begin, in the words of the box, or ended without a report.
_START = "start"
#: The file on the box that has the version of the setup's files there.
RESOURCES_VERSION = "resources.version"
#: The resources that user data and `bake` install.
_NOT_OF_THE_SETUP = ("export/", "guardian/", "image/")
_USER_SCRIPT = "user-setup-script"
#: The exit status of _UPLOAD_AND_RUN if the files could not be uploaded (EX_IOERR of sysexits.h).
_NOT_UPLOADED = 74
#: The length in characters at which a line of the box is cut off in a message.
_MAX_QUOTED_LINE = 200

# Each upload goes into a folder of its own. The setup moves it to the place of the last one when no other setup runs.
# A folder that is still there when the setup ends is removed.
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
    """The outcome of a box's setup: `completed`, `failed` or `skipped`, with the failed step and its reason."""

    setup: str
    failed_step: str | None = None
    cuda_version: str | None = None
    message: str | None = None
    #: The last lines that the failed step wrote; None if it wrote nothing.
    output: tuple[str, ...] | None = None

    @property
    def box_has_settings(self) -> bool:
        """Return whether the box has stored the settings: the files were uploaded, and the setup has begun."""
        return self.setup != "skipped" and self.failed_step not in (_UPLOAD, _START)


def setup_options(config: LaunchConfig, *, box_has_settings: bool) -> str:
    """Return the options with which a later `setup` does the same, each after a space.

    A box that keeps its settings needs no Python version. The user's script runs only if it is passed.
    """
    words: list[str] = []
    if config.python_version and not box_has_settings:
        words += ["--python-version", config.python_version]
    if config.setup_script:
        words += ["--setup-script", str(config.setup_script)]
    options = ""
    for word in words:
        options += f" {quoted(word)}"
    return options


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
    timeouts: LoginTimeouts = DEFAULT_TIMEOUTS,
    shows_steps: bool = True,
) -> SetupOutcome:
    """Upload the setup to the box, run it there and print its progress. Return the outcome.

    `shows_steps`: whether its steps are shown, which those of several boxes are not.

    A login is retried as long as `timeouts` says. SshError if the box cannot be reached or the connection is
    lost.
    """
    command = _UPLOAD_AND_RUN.format(not_uploaded=_NOT_UPLOADED, report=_REPORT)
    done = ssh.run(
        alias,
        wrapped(command),
        stdin=upload(python_version, script),
        on_line=_progress_printer(shown=shows_steps),
        timeouts=timeouts,
    )
    report = _parse_report(done.lines)
    if report is None:
        return _outcome_without_report(alias, done)
    _report_step_warnings(report)
    cuda_version = _string(report, "cuda_version")
    if done.exit_code == 0:
        return SetupOutcome("completed", None, cuda_version)
    step = _string(report, "failed_step")
    entry = _step_entry(report, step)
    return SetupOutcome("failed", step or "unknown", cuda_version, _string(entry, "message"), _tail(entry))


def _outcome_without_report(alias: str, done: Remote) -> SetupOutcome:
    """Return the outcome of a setup without a report: its files could not be uploaded, or it was killed."""
    if done.exit_code == _NOT_UPLOADED:
        reason = "its files could not be uploaded"
        step = _UPLOAD
    else:
        reason = f"it ended with exit status {done.exit_code}"
        step = _START
    printed = [line.strip()[:_MAX_QUOTED_LINE] for line in done.lines if line != _REPORT]
    last_lines = " / ".join(printed[-3:])
    message = reason
    if last_lines:
        message = f"{reason}: {last_lines}"
    output.warn(f"The setup of {alias} sent no report: {message}", code="setup-failed")
    return SetupOutcome("failed", step, message=message)


def _settings(python_version: str | None) -> bytes:
    """Return the settings of this setup as JSON. The box stores them for later setups."""
    settings: dict[str, str] = {}
    if python_version:
        settings["python_version"] = python_version
    return json.dumps(settings).encode()


def upload(python_version: str | None, script: bytes | None) -> bytes:
    """Return what a setup needs on the box: all resources, its settings and the user's script as one gzipped tar."""
    contents = dict(_contents(_RESOURCES))
    contents[RESOURCES_VERSION] = resources_version().encode()
    contents[_SETTINGS] = _settings(python_version)
    if script is not None:
        contents[_USER_SCRIPT] = script
    return tarball(contents)


def resources_version() -> str:
    """Return a word for the present content of the setup's files: an image that was baked with another one says so."""
    digest = hashlib.sha256()
    for name, content in _contents(_RESOURCES):
        if not name.startswith(_NOT_OF_THE_SETUP):
            digest.update(f"{name} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()[:12]


def tarball(contents: Mapping[str, bytes]) -> bytes:
    """Return files, by name, as one gzipped tar. A file that begins with #! is executable."""
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
    """Yield the files of a folder and its subfolders, with their paths relative to the folder."""
    for item in sorted(folder.iterdir(), key=attrgetter("name")):
        if item.is_dir() and item.name != "__pycache__":
            yield from _contents(item, f"{prefix}{item.name}/")
        elif item.is_file() and item.name != "__init__.py":
            yield prefix + item.name, item.read_bytes()


def _progress_printer(*, shown: bool) -> Callable[[str], None]:
    """Return a function that notes the titles and outcomes of the setup's steps, and prints them where `shown`."""
    report_begun = False
    steps = timings.BoxSteps()

    def print_progress(line: str) -> None:
        nonlocal report_begun
        if line == _REPORT:
            report_begun = True
        if not report_begun and line.startswith(("==> ", "    ")):
            if shown:
                output.box_line(line)
            steps.read(line)

    return print_progress


def _parse_report(lines: tuple[str, ...]) -> dict[str, Any] | None:
    """Return the report of the setup; None if there is none, or if it is malformed."""
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


def _string(report: Mapping[str, Any], key: str) -> str | None:
    """Return the string of this key; None if there is none."""
    value = report.get(key)
    if not isinstance(value, str):
        return None
    return value


def _step_entries(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the report's entries of steps, without malformed ones."""
    steps = report.get("steps")
    if not isinstance(steps, list):
        return []
    return [entry for entry in steps if isinstance(entry, dict)]


def _step_entry(report: Mapping[str, Any], step: str | None) -> Mapping[str, Any]:
    """Return the report's entry of that step; empty if there is none."""
    for entry in _step_entries(report):
        if entry.get("name") == step:
            return entry
    return {}


def _report_step_warnings(report: Mapping[str, Any]) -> None:
    """Repeat the warnings of the steps. They fail no setup, so no field of the result would show them."""
    for entry in _step_entries(report):
        message = _string(entry, "message")
        if entry.get("outcome") == "warning" and message:
            title = _string(entry, "title") or _string(entry, "name") or "A step"
            output.warn(f"{title}: {message}", code="setup-warning")


def _tail(entry: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the last lines that a step wrote; None if it wrote nothing."""
    lines = entry.get("tail")
    if not isinstance(lines, list):
        return None
    texts = [line for line in lines if isinstance(line, str)]
    return tuple(texts) or None
