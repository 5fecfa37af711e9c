"""Our blocks in the user's file: every other byte stays."""

from __future__ import annotations

import os
import subprocess
import threading
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aws_bootstrap import sshconfig
from aws_bootstrap.errors import BootstrapError
from aws_bootstrap.sshconfig import Host

BOX = Host("i-0aaa", "aws-gpu1", "54.1.2.3", "ubuntu", "~/.ssh/id", "~/.aws-bootstrap/known_hosts", 22, "us-west-2")

LINES = st.sampled_from(
    [
        "Host a",
        "Match all",
        "    User b",
        "# a comment",
        "",
        "Include other",
        "\tPort 1",
        "Host *",
        "ServerAliveInterval 5",
    ]
)


@st.composite
def configs(draw) -> str:
    eol = draw(st.sampled_from(["\n", "\r\n"]))
    text = eol.join(draw(st.lists(LINES, max_size=8)))
    return text + (eol if draw(st.booleans()) else "")


@given(configs())
def test_add_then_remove_gives_back_every_byte(mine):
    added = sshconfig.with_host(mine, BOX)
    assert sshconfig.hosts(added) == [BOX]
    assert sshconfig.without_host(added, BOX.instance_id) == mine


@given(configs(), st.permutations(["i-0", "i-1", "i-2"]))
def test_several_blocks_leave_in_any_order(mine, order):
    text = mine
    for number in range(3):
        text = sshconfig.with_host(text, replace(BOX, instance_id=f"i-{number}", alias=f"aws-gpu{number}"))
    for instance_id in order:
        text = sshconfig.without_host(text, instance_id)
    assert text == mine


@given(configs())
def test_replacing_a_block_touches_nothing_else(mine):
    added = sshconfig.with_host(mine, BOX)
    moved = sshconfig.with_host(added, replace(BOX, hostname="9.9.9.9", port=2222))
    assert [h.hostname for h in sshconfig.hosts(moved)] == ["9.9.9.9"]
    assert sshconfig.without_host(moved, BOX.instance_id) == mine


@given(configs(), st.integers(0, 400))
def test_a_block_cut_short_is_left_alone_and_reported(mine, cut):
    block = sshconfig.with_host("", BOX)
    text = mine + ("\n" if mine and not mine.endswith("\n") else "") + block[: 10 + cut % (len(block) - 20)]
    if "[i-0aaa]" not in text:
        return
    assert sshconfig.broken(text) == ["i-0aaa"]
    assert sshconfig.without_host(text, "i-0aaa") == text
    assert sshconfig.hosts(text) == []


def test_a_begin_marker_does_not_swallow_the_next_block():
    cut = "# >>> aws-bootstrap [i-0] >>>\nHost aws-gpu1\n"
    text = cut + sshconfig.with_host("", replace(BOX, instance_id="i-1", alias="aws-gpu2"))
    assert [h.instance_id for h in sshconfig.hosts(text)] == ["i-1"]
    assert sshconfig.without_host(text, "i-1") == cut
    assert sshconfig.broken(text) == ["i-0"]


def test_next_alias_counts_managed_hosts_only():
    assert sshconfig.next_alias("Host aws-gpu7\n") == "aws-gpu1"
    assert sshconfig.next_alias(sshconfig.with_host("", replace(BOX, alias="aws-gpu4"))) == "aws-gpu5"


def test_an_alias_in_a_broken_block_or_of_the_users_own_is_not_given_again():
    assert sshconfig.next_alias("# >>> aws-bootstrap [i-0] >>>\nHost aws-gpu3\n") == "aws-gpu4"
    assert sshconfig.next_alias("Host other aws-gpu1\n    Port 1\n") == "aws-gpu2"


def ssh_view(path, alias) -> dict[str, str]:
    done = subprocess.run(["ssh", "-G", "-F", str(path), alias], capture_output=True, text=True, check=True)
    return dict(line.split(" ", 1) for line in done.stdout.splitlines())


def test_the_real_ssh_reads_the_block_past_a_users_wildcard(tmp_path):
    path = tmp_path / "config"
    path.write_text("ConnectTimeout 7\n# mine\nHost *\n    User me\n    Port 99\n")
    spaced = replace(
        BOX, identity_file=str(tmp_path / "a 100% key"), known_hosts=str(tmp_path / "known hosts"), port=2222
    )
    sshconfig.edit(path, lambda text: sshconfig.with_host(text, spaced))
    seen = ssh_view(path, "aws-gpu1")
    assert (seen["hostname"], seen["user"], seen["port"]) == ("54.1.2.3", "ubuntu", "2222")
    assert seen["hostkeyalias"] == "i-0aaa" and seen["connecttimeout"] == "7"
    assert seen["identityfile"] == str(tmp_path / "a 100% key").replace("%", "%%")
    assert sshconfig.hosts(path.read_text())[0].identity_file == spaced.identity_file
    assert seen["userknownhostsfile"] == str(tmp_path / "known hosts")
    assert ssh_view(path, "elsewhere")["user"] == "me"


def test_crlf_files_stay_so_and_ssh_reads_them(tmp_path):
    path = tmp_path / "config"
    path.write_bytes(b"Host a\r\n    User b\r\n")
    sshconfig.edit(path, lambda text: sshconfig.with_host(text, BOX))
    assert b"\n" not in path.read_bytes().replace(b"\r\n", b"")
    assert ssh_view(path, "aws-gpu1")["hostname"] == "54.1.2.3"


def test_edit_makes_a_private_file_and_skips_no_change(tmp_path):
    path = tmp_path / "new" / "config"
    sshconfig.edit(path, lambda text: text + "x\n")
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    before = path.stat().st_ino
    sshconfig.edit(path, lambda text: text)
    assert path.stat().st_ino == before


def test_edit_keeps_mode_symlink_and_foreign_bytes(tmp_path):
    real = tmp_path / "dotfiles"
    real.write_bytes(b"# caf\xe9\n")
    real.chmod(0o400)
    link = tmp_path / "config"
    link.symlink_to(real)
    sshconfig.edit(link, lambda text: sshconfig.with_host(text, BOX))
    assert link.is_symlink() and real.stat().st_mode & 0o777 == 0o400
    assert real.read_bytes().startswith(b"# caf\xe9\n")


def test_a_failed_change_leaves_the_file_and_no_litter(tmp_path):
    path = tmp_path / "folder" / "config"
    path.parent.mkdir()
    path.write_text("mine\n")
    with pytest.raises(RuntimeError):
        sshconfig.edit(path, lambda text: (_ for _ in ()).throw(RuntimeError("boom")))
    assert path.read_text() == "mine\n" and os.listdir(path.parent) == ["config"]


def test_two_launches_at_once_get_two_aliases(tmp_path):
    path = tmp_path / "config"
    hosts = [replace(BOX, instance_id=f"i-{n}", alias="") for n in range(12)]
    threads = [threading.Thread(target=sshconfig.add, args=(path, host)) for host in hosts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    aliases = {h.alias for h in sshconfig.hosts(path.read_text())}
    assert aliases == {f"aws-gpu{n}" for n in range(1, 13)}


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    path = tmp_path / "file" / "config"
    (tmp_path / "file").write_text("")
    with pytest.raises(BootstrapError) as caught:
        sshconfig.edit(path, lambda text: "x")
    assert str(path) in str(caught.value) and caught.value.hint


def test_host_keys_of_one_instance_are_forgotten(tmp_path):
    known = tmp_path / "known_hosts"
    known.write_text("i-0aaa ssh-ed25519 AAAA\ni-0aaab ssh-ed25519 BBBB\n")
    sshconfig.forget_host_keys(known, ["i-0aaa"])
    assert known.read_text() == "i-0aaab ssh-ed25519 BBBB\n"
