"""`write_peers`: each node has a file for its guardian and the names of all, written by the program that boxes run."""

from __future__ import annotations

import ast
import json
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from aws_bootstrap.errors import IncompleteError, SshError
from aws_bootstrap.paths import Paths
from aws_bootstrap.ssh_frame import Remote
from aws_bootstrap.workflows.cluster import peers
from aws_bootstrap.workflows.cluster.peers import Peer, write_peers

HOSTS = "127.0.0.1 localhost\n::1 ip6-localhost\n"


class Nodes:
    """The files of each node in a folder of its own. What is sent over ssh runs here, as the box's Python runs it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.commands: list[str] = []
        #: The aliases of those that do not answer.
        self.silent: set[str] = set()

    def run(self, alias: str, command: str, *, stdin: bytes = b"", **_: object) -> Remote:
        """Run the program on that node."""
        self.commands.append(command)
        if alias in self.silent:
            raise SshError(f"{alias} does not answer.", hint="Look at its rules.", code="ssh-timeout")
        etc = self.etc(alias)
        words = [sys.executable, "-I", "-", str(etc / "aws-bootstrap/peers.json"), str(etc / "hosts")]
        done = subprocess.run(words, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return Remote(done.returncode, tuple(done.stdout.decode().splitlines()))

    def etc(self, alias: str) -> Path:
        """Return the folder /etc of a node."""
        etc = self.folder / alias
        if not etc.exists():
            etc.mkdir()
            (etc / "hosts").write_text(HOSTS)
        return etc

    def known(self, alias: str) -> dict:
        """Return what the guardian of a node reads."""
        return json.loads((self.etc(alias) / "aws-bootstrap/peers.json").read_text())

    def secrets(self, *ranks: int) -> set[str]:
        """Return the secrets that these nodes have."""
        return {self.known(f"aws-train-{rank}")["secret"] for rank in ranks}


@pytest.fixture
def nodes(app, tmp_path) -> Nodes:
    (tmp_path / "nodes").mkdir()
    app.ssh = Nodes(tmp_path / "nodes")
    return app.ssh


def ranks(*numbers: int) -> list[Peer]:
    return [Peer(f"aws-train-{rank}", rank, f"10.0.0.{10 + rank}") for rank in numbers]


def test_each_node_knows_all_others_and_one_secret(app, nodes):
    write_peers(app, "train", ranks(2, 0, 1))
    known = nodes.known("aws-train-1")
    assert len(known.pop("secret")) == 32
    assert known == {
        "cluster_id": "train",
        "alias": "aws-train-1",
        "address": "10.0.0.11",
        "peers": [
            {"alias": "aws-train-0", "address": "10.0.0.10"},
            {"alias": "aws-train-2", "address": "10.0.0.12"},
        ],
    }
    assert len(nodes.secrets(0, 1, 2)) == 1
    assert len(nodes.commands) == 3, "one connection a node"
    assert all(nodes.secrets(0).pop() not in command for command in nodes.commands), "everybody sees command lines"
    assert app.hidden
    path = nodes.etc("aws-train-0") / "aws-bootstrap/peers.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_names_resolve_and_no_other_line_of_the_file_changes(app, nodes):
    write_peers(app, "train", ranks(0, 1))
    block = "# >>> aws-bootstrap >>>\n10.0.0.11 aws-train-1\n10.0.0.10 aws-train-0\n# <<< aws-bootstrap <<<\n"
    assert (nodes.etc("aws-train-1") / "hosts").read_text() == block + HOSTS


def test_a_repetition_changes_nothing(app, nodes):
    write_peers(app, "train", ranks(0, 1))
    files = sorted(path for path in nodes.folder.rglob("*") if path.is_file())
    before = [(path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino) for path in files]
    write_peers(app, "train", ranks(0, 1))
    assert sorted(path for path in nodes.folder.rglob("*") if path.is_file()) == files
    assert [(path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino) for path in files] == before


def test_a_node_that_is_gone_is_known_no_more(app, nodes):
    write_peers(app, "train", ranks(0, 1, 2))
    write_peers(app, "train", ranks(0, 2))
    assert [peer["alias"] for peer in nodes.known("aws-train-0")["peers"]] == ["aws-train-2"]
    assert "aws-train-1" not in (nodes.etc("aws-train-0") / "hosts").read_text()


def test_nodes_that_come_later_get_the_secret_of_those_that_were_there(app, nodes):
    write_peers(app, "train", ranks(1, 2))
    (before,) = nodes.secrets(1, 2)
    write_peers(app, "train", ranks(0, 1, 2, 3))
    assert nodes.secrets(0, 1, 2, 3) == {before}
    assert len(nodes.commands) == 2 + 4 + 2, "the new ones twice"


def test_a_node_of_another_cluster_gets_the_secret_of_this_one(app, nodes):
    write_peers(app, "older", ranks(0))
    (other,) = nodes.secrets(0)
    write_peers(app, "train", ranks(0, 1))
    assert other not in nodes.secrets(0, 1)


def test_secrets_that_differ_become_one_again(app, nodes):
    write_peers(app, "train", ranks(0))
    write_peers(app, "train", ranks(1))
    assert len(nodes.secrets(0, 1)) == 2
    write_peers(app, "train", ranks(0, 1))
    assert len(nodes.secrets(0, 1)) == 1


@pytest.mark.parametrize("content", ["", "{", "[]", "5", '{"cluster_id": "train"}', "\0\0"])
def test_a_broken_file_is_replaced(app, nodes, content):
    path = nodes.etc("aws-train-0") / "aws-bootstrap/peers.json"
    path.parent.mkdir()
    path.write_text(content)
    path.with_suffix(".new").write_text("of a run that was killed")
    write_peers(app, "train", ranks(0, 1))
    assert len(nodes.secrets(0, 1)) == 1
    assert not path.with_suffix(".new").exists()


def test_a_node_that_does_not_answer_holds_back_no_other_and_is_named(app, nodes):
    write_peers(app, "train", ranks(0, 1))
    (before,) = nodes.secrets(0, 1)
    nodes.silent.add("aws-train-1")
    with pytest.raises(IncompleteError) as caught:
        write_peers(app, "train", ranks(0, 1, 2))
    assert (caught.value.code, caught.value.exit_code) == ("peers-failed", 3)
    assert str(caught.value) == "The other nodes could not be written to aws-train-1: aws-train-1 does not answer."
    assert caught.value.hint
    assert caught.value.hint.splitlines()[0] == "Look at its rules."
    assert "cluster launch --cluster-id train --nodes 3" in caught.value.hint
    assert nodes.secrets(0, 1, 2) == {before}, "the silent one is still understood"
    assert [peer["alias"] for peer in nodes.known("aws-train-2")["peers"]] == ["aws-train-0", "aws-train-1"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda etc: (etc / "hosts").write_text("# >>> aws-bootstrap >>>\n"), "hosts was not changed: the block"),
        (lambda etc: ((etc / "hosts").unlink(), (etc / "hosts").mkdir()), "hosts is not a file"),
        (lambda etc: (etc / "aws-bootstrap").write_text("no folder"), "could not be written: "),
    ],
)
def test_a_file_that_cannot_be_written_is_named(app, nodes, spoil, message):
    spoil(nodes.etc("aws-train-0"))
    with pytest.raises(IncompleteError) as caught:
        write_peers(app, "train", ranks(0, 1))
    assert str(caught.value).startswith("The other nodes could not be written to aws-train-0: ")
    assert message in str(caught.value)
    assert nodes.known("aws-train-1")["peers"]


def test_an_answer_that_is_none_is_an_error(app, nodes, monkeypatch):
    monkeypatch.setattr(nodes, "run", lambda *_, **__: Remote(0, ("hello",)))
    with pytest.raises(IncompleteError, match="did not answer as expected"):
        write_peers(app, "train", ranks(0))


def test_the_program_runs_with_an_old_python():
    program = peers._program({"cluster_id": "x"})
    ast.parse(program, feature_version=(3, 8))


def test_on_a_box_it_is_root_that_writes_the_files(app, program):
    """By the real ssh and sudo of a box of the sandbox."""
    code, launched = program.json("launch", "--no-setup", "--ttl", "1h")
    assert code == 0
    alias = launched["ssh_alias"]
    app.paths = Paths(program.sandbox.env)
    write_peers(app, "train", [Peer(alias, 0, "10.0.0.10")])
    shown = program.ssh(alias, "sudo stat -c %a /etc/aws-bootstrap/peers.json; sudo cat /etc/hosts").stdout
    mode, *lines = shown.splitlines()
    assert mode == "600"
    assert lines[:3] == ["# >>> aws-bootstrap >>>", f"10.0.0.10 {alias}", "# <<< aws-bootstrap <<<"]
    assert lines[3].startswith("127.0.0.1 localhost")


#: What a copy of a box does at its first boot.
FIRST_BOOT = (Path(peers.__file__).parents[2] / "resources/image/first-boot.sh").read_text()


@pytest.mark.parametrize(
    ("block", "left"),
    [
        ("# >>> aws-bootstrap >>>\n10.0.0.10 a\n10.0.0.11 b\n# <<< aws-bootstrap <<<\n", ""),
        ("# >>> aws-bootstrap >>>\n# <<< aws-bootstrap <<<\n", ""),
        ("# >>> aws-bootstrap >>>\n10.0.0.10 a\n", "# >>> aws-bootstrap >>>\n10.0.0.10 a\n"),
        ("10.0.0.10 mine\n", "10.0.0.10 mine\n"),
    ],
)
def test_a_copy_of_a_node_has_no_peers_and_no_names(program, block, left):
    """On a box of the sandbox, which is no copy of the one that its note names."""
    alias = program.json("launch", "--no-setup", "--ttl", "1h")[1]["ssh_alias"]
    files = "/etc/aws-bootstrap/peers.json /etc/aws-bootstrap/peers.new"
    note = "echo i-0123456789abcdef0 | sudo tee /etc/aws-bootstrap/baked-in >/dev/null"
    hosts = f"printf %s {shlex.quote(block + HOSTS)} | sudo tee /etc/hosts >/dev/null"
    assert program.ssh(alias, f"sudo touch {files}; {note}; {hosts}").returncode == 0
    # Its keys are removed as well: there is no second login.
    look = f"sudo ls {files} 2>/dev/null; sudo cat /etc/hosts"
    copied, *lines = program.ssh(alias, f"sudo bash -c {shlex.quote(FIRST_BOOT)} || exit; {look}").stdout.splitlines()
    assert copied.startswith("aws-bootstrap: this box is a copy of i-0123456789abcdef0: its keys,")
    assert lines == (left + HOSTS).splitlines()
