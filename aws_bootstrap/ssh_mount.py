"""The mount of a data volume on a box: by scripts that travel with the command, whose last line is the report."""

from __future__ import annotations

import contextlib
import json
from typing import Any, Protocol

from .errors import SshError
from .ssh_frame import Remote, quoted

#: For the whole mount of a data volume: longer than it waits for another mount and for the disk (7 minutes), and
#: than e2fsck takes for some terabytes, of which it reads the metadata alone. It prints at its end only, so that the
#: bound of silence would hold a launch for 90 minutes.
MOUNT_SECONDS = 1800.0

_MOUNT = """\
mkdir -p ~/.aws-bootstrap && chmod 700 ~/.aws-bootstrap && folder=$(mktemp -d ~/.aws-bootstrap/mount.XXXXXX) || exit 1
trap 'rm -rf "$folder"' EXIT
tar xzf - -C "$folder" && bash "$folder/mount_data_volume.sh" "$@"
"""
#: Exit status of mount_data_volume.sh if only the permission to format is missing.
_UNFORMATTED = 3
#: Begins a line of mount_data_volume.sh that is for the user.
_NOTE = "note: "


class Runner(Protocol):
    """Runs commands on boxes."""

    def run(self, alias: str, command: str, *, stdin: bytes = b"", limit: float | None = None) -> Remote:
        """Run the command there; return how it ended."""


class VolumeUnformatted(SshError):
    """The volume is empty, has no filesystem, and may not be formatted without permission."""


def mount_command(*arguments: str) -> str:
    """Return the remote command that unpacks the mount scripts from its input and runs them, whatever the login shell.

    They are unpacked into a new folder, so that two mounts at once do not meet.
    """
    return f"{quoted('bash', '-c', _MOUNT, 'mount', *arguments)} 2>&1"


def mount_ebs_volume(
    ssh: Runner, alias: str, package: bytes, volume_id: str, *, format_if_empty: bool
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Mount a volume on a box by the scripts in `package`, a gzipped tar.

    Return the script's report (device, mount_point, fstype, formatted) and its notes for the user. Raise
    VolumeUnformatted if only the permission to format is missing, SshError `mount-failed` for any other failure,
    `ssh-timeout` after MOUNT_SECONDS; the box then goes on with the mount.
    """
    arguments = [volume_id]
    if format_if_empty:
        arguments.append("--format-if-empty")
    done = ssh.run(alias, mount_command(*arguments), stdin=package, limit=MOUNT_SECONDS)
    *others, last = done.lines or ("no output",)
    if done.exit_code == _UNFORMATTED:
        raise VolumeUnformatted(last, code="mount-failed")
    if done.exit_code:
        raise SshError(last, code="mount-failed")
    notes = tuple(line.removeprefix(_NOTE) for line in others if line.startswith(_NOTE))
    with contextlib.suppress(json.JSONDecodeError):
        report: dict[str, Any] = json.loads(last)
        return report, notes
    raise SshError(f"The mount ended without a report: {last}", code="mount-failed")
