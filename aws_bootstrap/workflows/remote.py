"""What is put on a box and run there: one stream over one connection."""

from __future__ import annotations

import io
import json
import shlex
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from .. import output
from ..config import LOGIN_REFUSED_SECONDS
from ..errors import UsageError
from ..ssh import Ssh, wrapped

_RESOURCES = files("aws_bootstrap") / "resources"
_FOLDER = "~/.aws-bootstrap/setup"
_REPORT = "@aws-bootstrap-report"
"""The line after which the box prints its setup.json."""
_USER_SCRIPT = "user-setup-script"


@dataclass(frozen=True)
class SetupOutcome:
    """How the setup of a box ended: `completed` or `failed`."""

    setup: str
    failed_step: str | None = None
    cuda_version: str | None = None


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
    done = ssh.run(alias, _command(python_version), stdin=_pack(script), on_line=_teller(), patience=patience)
    report = _report(done.lines)
    if report is None:
        output.warn("The setup ended without a report: " + " / ".join(done.lines[-3:]))
        return SetupOutcome("failed", "upload")
    failed = done.exit_code != 0
    step = report.get("failed_step") or ("unknown" if failed else None)
    return SetupOutcome("failed" if failed else "completed", step, report.get("cuda_version"))


def _command(python_version: str | None) -> str:
    setting = f"PYTHON_VERSION={shlex.quote(python_version)} " if python_version else ""
    unpack = f"mkdir -p {_FOLDER} && cd {_FOLDER} && tar xzf -"
    run = wrapped(f"{unpack} && {setting}bash ./remote_setup.sh")
    return f"{run}; code=$?; echo {_REPORT}; cat ~/.aws-bootstrap/setup.json; exit $code"


def _pack(script: bytes | None) -> bytes:
    """All resources, and the user's script, as one gzipped tar."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in _contents(_RESOURCES):
            _add(tar, name, content)
        if script is not None:
            _add(tar, _USER_SCRIPT, script)
    return stream.getvalue()


def _contents(folder: Any, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    for item in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if item.is_dir() and item.name != "__pycache__":
            yield from _contents(item, f"{prefix}{item.name}/")
        elif item.is_file() and item.name != "__init__.py":
            yield prefix + item.name, item.read_bytes()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    entry.mode = 0o755 if content.startswith(b"#!") else 0o644
    tar.addfile(entry, io.BytesIO(content))


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
    if _REPORT not in lines:
        return None
    try:
        return json.loads("\n".join(lines[lines.index(_REPORT) + 1 :]))
    except json.JSONDecodeError:
        return None
