"""Mounting a data volume over SSH (ssh_mount.py)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aws_bootstrap import ssh
from aws_bootstrap.errors import SshError
from aws_bootstrap.ssh import (
    MOUNT_SECONDS,
    SILENCE_SECONDS,
    Remote,
    Ssh,
)

RESOURCES = Path(__file__).parents[1] / "resources"


class Answering(Ssh):
    """A box that answers every command alike; the commands and their options are kept."""

    def __init__(self, answer: Remote) -> None:
        super().__init__()
        self.answer = answer
        self.commands: list[str] = []
        self.options: list[dict] = []

    def run(self, alias, command, **options):
        self.commands.append(command)
        self.options.append(options)
        return self.answer


def test_a_mount_may_take_as_long_as_its_own_waits_and_a_check_of_the_disk():
    script = (RESOURCES / "mount_data_volume.sh").read_text()
    waits = dict(re.findall(r"^(WAIT|LOCK|READ)_SECONDS=(\d+)$", script, re.MULTILINE))
    a_check = 15 * 60
    assert len(waits) == 3
    assert sum(map(int, waits.values())) + a_check < MOUNT_SECONDS < SILENCE_SECONDS


def test_the_module_mounts_a_volume_as_system_md_names_it():
    box = Answering(Remote(0, ("note: it was checked", '{"fstype": "ext4", "formatted": false}')))
    report, notes = ssh.mount_ebs_volume(box, "aws-gpu1", b"tar", "vol-1", format_if_empty=False)
    assert report["fstype"] == "ext4"
    assert notes == ("it was checked",)
    assert "vol-1" in box.commands[0]
    assert "--format-if-empty" not in box.commands[0]
    assert box.options == [{"stdin": b"tar", "limit": MOUNT_SECONDS}]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Remote(3, ("no leave",)), ssh.VolumeUnformatted),
        (Remote(1, ("no disk",)), SshError),
        (Remote(0, ("no report",)), SshError),
        (Remote(1, ()), SshError),
    ],
)
def test_a_mount_that_fails_says_so_in_the_boxs_last_words(answer, kind):
    with pytest.raises(SshError) as caught:
        ssh.mount_ebs_volume(Answering(answer), "aws-gpu1", b"tar", "vol-1", format_if_empty=True)
    assert type(caught.value) is kind
    assert caught.value.code == "mount-failed"
    last = "".join(answer.lines or ["no output"])
    assert str(caught.value) == (last if answer.exit_code else f"The mount ended without a report: {last}")


def test_only_notes_are_for_the_user():
    box = Answering(Remote(0, ("mke2fs says", "note: read-only", "{}")))
    assert ssh.mount_ebs_volume(box, "aws-gpu1", b"", "vol-1", format_if_empty=True) == ({}, ("read-only",))
    assert box.commands[0].endswith(" mount vol-1 --format-if-empty 2>&1")
