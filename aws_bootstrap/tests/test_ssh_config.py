"""Our blocks in the user's file: every other byte stays."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aws_bootstrap import known_hosts, sshconfig
from aws_bootstrap.errors import BootstrapError
from aws_bootstrap.tests import factories

BOX = factories.host()

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


@given(configs())
def test_the_cluster_of_a_node_is_kept(mine):
    node = replace(BOX, alias="aws-train-1", cluster="train", rank=1)
    assert sshconfig.hosts(sshconfig.with_host(mine, node)) == [node]


def test_a_node_gets_the_alias_of_its_cluster_and_rank_if_that_is_free(tmp_path):
    path = tmp_path / "config"
    path.write_text("Host aws-train-2\n    User me\n")
    node = replace(BOX, alias="", cluster="train", rank=1)
    assert sshconfig.add(path, node) == "aws-train-1"
    assert sshconfig.add(path, node) == "aws-train-1"
    assert sshconfig.add(path, replace(node, instance_id="i-0other")) == "aws-gpu1"
    assert sshconfig.add(path, replace(node, instance_id="i-0two", rank=2)) == "aws-gpu2"
    assert sshconfig.add(path, replace(node, instance_id="i-0odd", cluster="a b")) == "aws-gpu3"
    assert sshconfig.add(path, replace(node, instance_id="i-0alone", cluster=None)) == "aws-gpu4"


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


def ssh_lines(path, alias) -> list[str]:
    done = subprocess.run(["ssh", "-G", "-F", str(path), alias], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def ssh_view(path, alias) -> dict[str, str]:
    return dict(line.split(" ", 1) for line in ssh_lines(path, alias))


def test_the_real_ssh_reads_the_block_past_a_users_wildcard(tmp_path):
    path = tmp_path / "config"
    path.write_text("ConnectTimeout 7\n# mine\nHost *\n    User me\n    Port 99\n")
    spaced = replace(
        BOX, identity_file=str(tmp_path / "a 100% key"), known_hosts=str(tmp_path / "known hosts"), port=2222
    )
    sshconfig.edit(path, lambda text: sshconfig.with_host(text, spaced))
    seen = ssh_view(path, "aws-gpu1")
    assert (seen["hostname"], seen["user"], seen["port"]) == ("54.1.2.3", "ubuntu", "2222")
    assert seen["hostkeyalias"] == "i-0aaa"
    assert seen["connecttimeout"] == "7"
    assert seen["identityfile"] == str(tmp_path / "a 100% key").replace("%", "%%")
    assert sshconfig.hosts(path.read_text())[0].identity_file == spaced.identity_file
    assert seen["userknownhostsfile"] == str(tmp_path / "known hosts")
    assert ssh_view(path, "elsewhere")["user"] == "me"


GLOBAL_OPTIONS = """\
User me
Port 99
HostName 9.9.9.9
HostKeyAlias other
IdentityFile ~/.ssh/other
UserKnownHostsFile ~/.ssh/other_hosts
ProxyCommand false
PubkeyAuthentication no
PreferredAuthentications password
ServerAliveInterval 7
SendEnv MINE
"""


@pytest.mark.parametrize("proxy", ["ProxyCommand false", "ProxyJump bastion", "Host *\n    ProxyJump bastion"])
def test_the_block_wins_over_global_options_and_other_hosts_see_no_difference(tmp_path, proxy):
    """faults.md F4: a global option at the top of the file sent the login to another user, port or address."""
    path = tmp_path / "config"
    path.write_text(GLOBAL_OPTIONS.replace("ProxyCommand false", proxy))
    before = ssh_lines(path, "elsewhere")
    sshconfig.add(path, replace(BOX, alias="", port=2222, known_hosts="/k/hosts"))
    seen = ssh_view(path, "aws-gpu1")
    assert (seen["hostname"], seen["user"], seen["port"]) == ("54.1.2.3", "ubuntu", "2222")
    assert (seen["hostkeyalias"], seen["userknownhostsfile"]) == ("i-0aaa", "/k/hosts")
    assert "proxyjump" not in seen
    assert seen.get("proxycommand", "none") == "none"
    assert seen["pubkeyauthentication"] == "true"
    assert seen["preferredauthentications"] == "publickey"
    identities = [line for line in ssh_lines(path, "aws-gpu1") if line.startswith("identityfile ")]
    assert identities[0] == "identityfile ~/.ssh/id"
    assert seen["sendenv"] == "MINE"
    assert ssh_lines(path, "elsewhere") == before


def test_a_block_of_an_older_version_moves_to_the_top_when_it_is_written_again(tmp_path):
    mine = "User me\n"
    older = sshconfig.with_host("", BOX).replace("Host *\n", "")
    moved = sshconfig.with_host(mine + older, replace(BOX, hostname="9.9.9.9"))
    assert moved == sshconfig.with_host(mine, replace(BOX, hostname="9.9.9.9"))


def test_a_block_that_was_copied_goes_wherever_it_stands():
    block = sshconfig.with_host("", BOX)
    text = f"{block}Host mine\n{block}Host his\n"
    assert sshconfig.without_host(text, BOX.instance_id) == "Host mine\nHost his\n"
    assert sshconfig.with_host(text, BOX) == f"{block}Host mine\nHost his\n"


@pytest.mark.parametrize(
    ("line", "alias"),
    [
        ("Host box", "box"),
        ("Host aws-gpu1 nickname", "aws-gpu1"),
        ("Host -oProxyCommand=date", None),
        ("Host $(date)", None),
        ("Host ;date", None),
        ("Host", None),
    ],
)
def test_an_alias_that_ssh_or_a_shell_would_not_take_as_a_word_is_none(line, alias):
    """It is handed to ssh and printed in commands as it is."""
    text = sshconfig.with_host("", BOX).replace("Host aws-gpu1", line)
    assert [host.alias for host in sshconfig.hosts(text)] == ([alias] if alias else [])


def test_a_block_whose_last_line_end_was_cut_off_takes_none_of_the_line_above():
    cut = sshconfig.with_host("", BOX).removesuffix("\n")
    assert sshconfig.without_host(f"Host mine\n{cut}", BOX.instance_id) == "Host mine\n"


@pytest.mark.parametrize("eol", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["AddKeysToAgent yes", "AddKeysToAgent yes\r"])
def test_a_block_of_an_older_version_below_a_last_line_without_end_leaves_as_it_came(last, eol):
    """faults.md F18 a."""
    older = sshconfig.with_host("", BOX).replace("Host *\n", "").replace("\n", eol).removesuffix(eol)
    assert sshconfig.without_host(last + eol + older, BOX.instance_id) == last


@pytest.mark.parametrize("mine", ["AddKeysToAgent yes\r", "\r", "a\r\nb\r", "Host a\r    User b", "\x00", "\ufeff"])
def test_a_lone_carriage_return_survives(mine):
    """faults.md F18 a."""
    assert sshconfig.without_host(sshconfig.with_host(mine, BOX), BOX.instance_id) == mine


def test_a_block_without_its_host_line_does_not_swallow_the_next_one():
    """faults.md F18 b: the next block went inside the damaged one, which was broken from then on."""
    damaged = sshconfig.with_host("", BOX).replace("Host aws-gpu1\n", "").replace("Host *\n", "")
    text = damaged + "Host mine\n    User me\n"
    both = sshconfig.with_host(text, replace(BOX, instance_id="i-1", alias="aws-gpu2"))
    assert sshconfig.broken(both) == []
    assert [host.alias for host in sshconfig.hosts(both)] == ["aws-gpu2"]
    assert sshconfig.without_host(both, "i-1") == text


@pytest.mark.parametrize(
    "line",
    [
        "Host\rHost aws-gpu1",
        'Host "aws-gpu1"',
        "Host other 'aws-gpu1'",
        '"Host" aws-gpu1',
        "host=aws-gpu1",
        "Host = aws-gpu1",
        "\tHost\taws-gpu1\r",
        'Ho"st" aws-"gpu1"',
    ],
)
def test_an_alias_is_not_given_again_however_ssh_reads_the_users_own(tmp_path, line):
    """faults.md F18 c. ssh is asked first, so that no case is made up."""
    path = tmp_path / "config"
    path.write_bytes(f"{line}\n    User taken\n".encode())
    assert ssh_view(path, "aws-gpu1")["user"] == "taken"
    assert sshconfig.next_alias(sshconfig.read(path)) == "aws-gpu2"


def killed_while_writing(path) -> None:
    """An editor that dies with its draft complete, right before the rename."""
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from aws_bootstrap import sshconfig\n"
        "os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "sshconfig.edit(Path(sys.argv[1]), lambda text: text + 'Host dead\\n')\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], timeout=30)
    assert done.returncode == -signal.SIGKILL


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "ssh"
    made.mkdir()
    return made


def test_the_draft_of_an_editor_that_was_killed_goes_with_the_next_edit(folder):
    """faults.md F18 d."""
    path = folder / "config"
    path.write_text("Host mine\n")
    killed_while_writing(path)
    drafts = [name for name in os.listdir(folder) if name != "config"]
    assert len(drafts) == 1
    assert path.read_text() == "Host mine\n"
    sshconfig.add(path, BOX)
    assert os.listdir(folder) == ["config"]


def test_only_drafts_of_ours_are_deleted(folder):
    path = folder / "config"
    ours = sshconfig.with_host("", BOX)
    hours_ago = time.time() - 7200
    kept = {
        ".config.abcdefgh": "Host mine\n",  # another program's: none of our blocks in it
        ".config.abc": ours,
        ".config.aws-bootstrap-abcdefghi": ours,
        ".other.aws-bootstrap-abcdefgh": ours,
        "config.aws-bootstrap-abcdefgh": ours,
    }
    for name, text in kept.items():
        (folder / name).write_text(text)
        os.utime(folder / name, (hours_ago, hours_ago))
    fresh = folder / ".config.ijklmnop"  # of an older version, perhaps at work this moment
    fresh.write_text(ours)
    stale = folder / ".config.qrstuvwx"
    stale.write_text(ours)
    os.utime(stale, (hours_ago, hours_ago))
    link = folder / ".config.aws-bootstrap-zzzzzzzz"
    link.symlink_to(".config.abc")
    of_others = folder / ".config.aws-bootstrap-yyyyyyyy"
    if os.geteuid() == 0:
        of_others.write_text(ours)
        os.chown(of_others, 12345, 12345)
        kept[of_others.name] = ours
    sshconfig.add(path, BOX)
    assert set(os.listdir(folder)) == {"config", fresh.name, link.name, *kept}


def test_several_hosts_are_added_in_one_edit_as_they_would_be_one_after_another(tmp_path):
    together, apart = tmp_path / "together", tmp_path / "apart"
    new = [replace(BOX, instance_id=f"i-{number}", alias="") for number in range(3)]
    new.append(replace(BOX, instance_id="i-9", alias="aws-train-0"))
    for path in (together, apart):
        sshconfig.add(path, replace(BOX, instance_id="i-1", alias="aws-gpu4"))
    assert sshconfig.add_all(together, new) == [sshconfig.add(apart, host) for host in new]
    assert together.read_bytes() == apart.read_bytes()


@pytest.mark.parametrize("kind", ["fifo", "socket", "folder", "device", "link to a fifo"])
def test_what_is_no_file_is_refused_at_once(tmp_path, kind):
    """faults.md F18 e: a FIFO in its place hung every command; a device would have been replaced by a file."""
    path = tmp_path / "config"
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "link to a fifo":
            os.mkfifo(tmp_path / "fifo")
            path.symlink_to("fifo")
        case "socket":
            with contextlib.chdir(tmp_path), socket.socket(socket.AF_UNIX) as server:
                server.bind("config")
        case "folder":
            path.mkdir()
        case "device":
            path.symlink_to("/dev/null")
    before = path.stat().st_mode
    doors: list[Callable[[Path], object]] = [sshconfig.read, sshconfig.check_writable]
    if kind != "device":  # were the check broken, the machine's own /dev/null would be replaced
        doors.append(lambda p: sshconfig.add(p, BOX))
    for door in doors:
        with pytest.raises(BootstrapError, match="not a regular file") as caught:
            door(path)
        assert caught.value.code == "ssh-config"
        assert caught.value.hint
    assert path.stat().st_mode == before


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_no_umask_opens_or_closes_what_is_made(tmp_path, umask):
    path = tmp_path / "one" / "two" / "config"
    before = os.umask(umask)
    try:
        sshconfig.add(path, BOX)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (path.parent, path.parent.parent)] == [0o700, 0o700]


def test_crlf_files_stay_so_and_ssh_reads_them(tmp_path):
    path = tmp_path / "config"
    path.write_bytes(b"Host a\r\n    User b\r\n")
    sshconfig.edit(path, lambda text: sshconfig.with_host(text, BOX))
    assert b"\n" not in path.read_bytes().replace(b"\r\n", b"")
    assert ssh_view(path, "aws-gpu1")["hostname"] == "54.1.2.3"


def test_edit_makes_a_private_file_and_skips_no_change(tmp_path):
    path = tmp_path / "new" / "config"
    sshconfig.edit(path, lambda text: text + "x\n")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
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
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o400
    assert real.read_bytes().endswith(b"\n# caf\xe9\n")


def test_a_failed_change_leaves_the_file_and_no_litter(tmp_path):
    path = tmp_path / "folder" / "config"
    path.parent.mkdir()
    path.write_text("mine\n")
    with pytest.raises(RuntimeError):
        sshconfig.edit(path, lambda text: (_ for _ in ()).throw(RuntimeError("boom")))
    assert path.read_text() == "mine\n"
    assert os.listdir(path.parent) == ["config"]


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
    assert str(path) in str(caught.value)
    assert caught.value.hint


def test_host_keys_of_one_instance_are_forgotten(tmp_path):
    known = tmp_path / "known_hosts"
    known.write_text("i-0aaa ssh-ed25519 AAAA\ni-0aaab ssh-ed25519 BBBB\ni-0b ssh-rsa C\n")
    known_hosts.forget(known, ["i-0aaa"])
    assert known.read_text() == "i-0aaab ssh-ed25519 BBBB\ni-0b ssh-rsa C\n"


@pytest.mark.parametrize("name", [b"k\x80", b"k\xff", b"k\xc3\xa9"])
def test_a_path_of_any_bytes_above_ascii_can_be_named(name):
    sshconfig.check_path(Path(os.fsdecode(b"/keys/" + name)))


@pytest.mark.parametrize("name", ["k\x7f", 'k"', "k\\", "${k}", "k\n"])
def test_a_path_that_ssh_would_read_otherwise_is_refused(name):
    with pytest.raises(BootstrapError) as caught:
        sshconfig.check_path(Path("/keys") / name)
    assert caught.value.code == "ssh-config"
    assert caught.value.hint


def test_a_block_that_lacks_what_we_write_is_read_without_it(tmp_path):
    """An older version, or its user, may have left lines out."""
    path = tmp_path / "config"
    sshconfig.add(path, replace(BOX, alias=""))
    left = ("    HostName", "Host ", "#")
    path.write_text("".join(line for line in path.read_text().splitlines(True) if line.startswith(left)))
    (host,) = sshconfig.hosts(sshconfig.read(path))
    assert (host.user, host.identity_file, host.known_hosts, host.port) == ("", "", "", 22)


def test_a_plain_path_is_written_plainly(tmp_path):
    path = tmp_path / "config"
    sshconfig.add(path, replace(BOX, alias="", identity_file="/home/me/.ssh/id_ed25519", known_hosts="/a b/known"))
    text = path.read_text()
    assert "    IdentityFile /home/me/.ssh/id_ed25519\n" in text
    assert '    UserKnownHostsFile "/a b/known"\n' in text


def test_a_folder_that_can_be_written_but_not_entered_is_noticed(as_others):
    closed = as_others / "closed"
    closed.mkdir()
    closed.chmod(0o666)
    with pytest.raises(BootstrapError, match="not writable"):
        sshconfig.check_writable(closed / "config")


def test_what_is_written_is_read_back(tmp_path):
    path = tmp_path / "config"
    host = replace(BOX, port=2222, user="ec2-user", region="eu-north-1", identity_file="/a b/id", known_hosts="/k%h")
    sshconfig.add(path, host)
    assert sshconfig.hosts(sshconfig.read(path)) == [host]


def test_a_marker_right_after_a_block_is_reported():
    text = sshconfig.with_host("", BOX)
    assert sshconfig.broken(text) == []
    assert sshconfig.broken(f"{text}# >>> aws-bootstrap [i-0bbb] >>>\n") != []


def test_a_place_that_cannot_be_read_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    for call in (sshconfig.read, lambda path: sshconfig.add(path, replace(BOX, alias=""))):
        with pytest.raises(BootstrapError) as caught:
            call(tmp_path / "file" / "config")
        assert caught.value.code == "ssh-config"
        assert caught.value.hint


def test_a_disk_that_is_full_is_said_and_the_file_stays(tmp_path):
    path = tmp_path / "ssh" / "config"
    path.parent.mkdir()
    path.write_text("Host mine\n")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))  # each write fails, as on a full disk
    try:
        with pytest.raises(BootstrapError) as caught:
            sshconfig.add(path, replace(BOX, alias=""))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.code == "ssh-config"
    assert str(path) in str(caught.value)
    assert path.read_text() == "Host mine\n"
    assert os.listdir(path.parent) == ["config"]


def test_a_block_without_an_address_is_no_host(tmp_path):
    path = tmp_path / "config"
    sshconfig.add(path, replace(BOX, alias=""))
    path.write_text("".join(line for line in path.read_text().splitlines(True) if "HostName" not in line))
    assert sshconfig.hosts(sshconfig.read(path)) == []


def test_a_file_stays_its_owners(tmp_path):
    """Root may edit the file of another user."""
    path = tmp_path / "config"
    path.write_text("Host mine\n")
    if os.geteuid() == 0:
        os.chown(path, 12345, 12346)
    before = path.stat()
    sshconfig.add(path, replace(BOX, alias=""))
    after = path.stat()
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
