"""The guardians of a cluster, run here without root: on addresses of the loopback, as nodes have theirs.

A node without work stays while another one works. When all are idle, all end.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aws_bootstrap.tests.box.test_guardian import Guarded

PORTS = (29398, 29397, 29396)
SECRET = "0123456789abcdef0123456789abcdef"  # noqa: S105 (of these tests)
OFTEN = {"GUARDIAN_LOOK": "0.1", "GUARDIAN_PROBE": "0.1"}
#: Starts the service. The disks of this machine are not synced.
WATCH = "import ending, guardian; ending.os.sync = lambda: None; guardian.watch()"
_NUMBERS = itertools.count(1)


def addresses(count: int) -> list[str]:
    """Return addresses of the loopback that no other test has, nor another process of tests."""
    pid = os.getpid()
    number = next(_NUMBERS)
    return [f"127.{64 + pid % 64}.{pid // 64 % 256}.{(number * 8 + position) % 254 + 1}" for position in range(count)]


class Node(Guarded):
    """A box in a folder that is a node of a cluster. It works while there is the file `work`."""

    def __init__(self, folder: Path, address: str, rank: int) -> None:
        super().__init__(folder)
        self.address, self.alias = address, f"aws-t-{rank}"
        (folder / "cgroup" / "cpu.stat").write_text("usage_usec 1\n")
        self.tool("ss", "exit 0")
        self.tool("mountpoint", "exit 1")
        jobs = f"[ ! -e {folder}/work ] || echo aws-bootstrap-run-a.service loaded active running x"
        self.tool("systemctl", f"case $1 in list-units) {jobs} ;; poweroff) echo >{folder}/off ;; esac")

    def know(self, *others: Node, secret: str = SECRET) -> None:
        """Write who the others are."""
        peers = [{"alias": other.alias, "address": other.address} for other in others]
        known = {"cluster_id": "t", "alias": self.alias, "address": self.address, "secret": secret, "peers": peers}
        self.write(json.dumps(known))

    def write(self, text: str) -> None:
        """Write the file of peers."""
        draft = self.folder / "etc" / "peers.new"
        draft.write_text(text)
        draft.replace(self.folder / "etc" / "peers.json")

    @property
    def works(self) -> bool:
        return (self.folder / "work").exists()

    @works.setter
    def works(self, value: bool) -> None:
        if value:
            (self.folder / "work").touch()
        else:
            (self.folder / "work").unlink()

    @property
    def is_off(self) -> bool:
        return (self.folder / "off").exists()

    def probe(self) -> str:
        """Return what the last look found at the other nodes."""
        path = self.folder / "run" / "idleness.json"
        if not path.exists():
            return ""
        return str(json.loads(path.read_text())["probes"]["peers"])

    def shown(self) -> str:
        """Return what `aws-bootstrap peers` shows."""
        path = self.folder / "run" / "peers"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def cluster(tmp_path: Path) -> Callable[[int], list[Node]]:
    """A function that creates so many nodes that know each other."""

    def create(count: int) -> list[Node]:
        nodes = [Node(tmp_path / str(rank), address, rank) for rank, address in enumerate(addresses(count))]
        for node in nodes:
            node.know(*(other for other in nodes if other is not node))
        return nodes

    return create


@pytest.fixture
def node(cluster) -> Node:
    """The first one of two nodes."""
    return cluster(2)[0]


@pytest.fixture
def watch() -> Iterator[Callable[[Node], subprocess.Popen[str]]]:
    """A function that starts the service of a box. On a busy machine a process may stand still for a second."""
    running: list[subprocess.Popen[str]] = []

    def start(node: Node) -> subprocess.Popen[str]:
        node.set(idle_timeout=3)
        running.append(node.start("-c", WATCH, **OFTEN))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def other(node) -> Iterator[socket.socket]:
    """The socket of the second node, whose guardian does not run."""
    address = json.loads((node.folder / "etc/peers.json").read_text())["peers"][0]["address"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind((address, PORTS[0]))
        listening.settimeout(0)
        yield listening


def received(listening: socket.socket) -> bytes:
    """Return the datagram that came first; empty if none came."""
    try:
        return listening.recv(1024)
    except BlockingIOError:
        return b""


# --- Several guardians -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end_of_work", ["the work ends", "the node is killed"])
def test_all_stay_while_one_works_and_all_end_when_none_does(cluster, watch, wait_for, tmp_path, end_of_work):
    nodes = cluster(3)
    nodes[0].works = True
    services = [watch(node) for node in nodes]
    wait_for(lambda: nodes[1].probe() == nodes[2].probe() == "aws-t-0")
    alone = Node(tmp_path / "alone", addresses(1)[0], rank=9)
    watch(alone)
    wait_for(lambda: alone.is_off)
    assert [node.is_off for node in nodes] == [False] * 3, "the others began before it"
    assert nodes[0].probe() == "", "nobody works because another does"
    assert re.search(rf"^aws-t-0 {nodes[0].address} had work \d+ s ago$", nodes[1].shown(), re.MULTILINE)
    if end_of_work == "the work ends":
        nodes[0].works = False
    else:
        services[0].kill()
        nodes.pop(0)
    wait_for(lambda: all(node.is_off for node in nodes))


def test_a_broken_or_foreign_file_of_peers_ends_no_box_too_late(cluster, watch, wait_for):
    """One node cannot read its file, and the other's is of another instance: both end as boxes of their own."""
    broken, foreign = cluster(2)
    broken.write('{"peers": ')
    foreign.address = "192.0.2.1"
    foreign.know(broken)
    service = watch(broken)
    watch(foreign)
    wait_for(lambda: broken.is_off and foreign.is_off)
    service.kill()
    output, _ = service.communicate()
    assert output.count("This box does not know what the other nodes of its cluster do: JSONDecodeError") == 1


def test_a_node_that_gets_its_file_later_listens_from_then_on(cluster, watch, wait_for):
    first, second = cluster(2)
    (second.folder / "etc/peers.json").unlink()
    first.works = second.works = True
    watch(first)
    watch(second)
    wait_for(lambda: first.shown().count("\n") == 2 and (second.folder / "run/idleness.json").exists())
    assert second.probe() == second.shown() == ""
    second.know(first)
    wait_for(lambda: first.probe() == "aws-t-1" and second.probe() == "aws-t-0")
    (second.folder / "etc/peers.json").unlink()
    wait_for(lambda: first.probe() == second.probe() == second.shown() == "")


# --- What is said ------------------------------------------------------------------------------------------------


def test_without_a_file_no_socket_is_opened(node):
    (node.folder / "etc/peers.json").unlink()
    assert node.evaluate("peers.exchange(None)", "peers.socket.socket = None") == ""
    assert node.evaluate("peers.heard()") == ""
    assert node.shown() == ""


@pytest.mark.parametrize(("works", "said"), [(True, f"{SECRET} aws-t-0".encode()), (False, b"")])
def test_a_node_says_that_it_has_work_and_nothing_else(node, other, works, said):
    assert node.evaluate(f"peers.exchange(lambda: {works})") == ""
    assert received(other) == said
    assert received(other) == b""


@pytest.mark.parametrize(
    ("found", "ago", "begun", "said"),
    [
        ({"gpu": "", "peers": ""}, 0, False, False),
        ({"gpu": "", "peers": "aws-t-1"}, 0, False, False),
        ({"gpu": "40 %", "peers": ""}, 0, False, True),
        ({"gpu": "failed: ValueError", "peers": ""}, 0, False, True),
        ({"gpu": "", "peers": ""}, 99, False, False),
        ({"gpu": "", "peers": ""}, 101, False, True),
        ({"gpu": "40 %", "peers": ""}, 0, True, False),
        ({"gpu": "", "peers": ""}, 101, True, False),
    ],
)
def test_a_node_works_if_its_own_probes_say_so_or_hang_and_never_while_it_ends(node, found, ago, begun, said):
    look = f"guardian.LOOK.update(at=time.monotonic() - {ago}, work=probes.has_work({found!r}))"
    end = ["ending.BEGUN.set()"] if begun else []
    assert node.evaluate("guardian.has_work()", look, *end) is said


def test_the_end_has_begun_before_the_first_hook_runs(node):
    broken = "ending.run_end_hooks = lambda: print(ending.BEGUN.is_set())"
    steps = ["ending.STEP_SECONDS = 0.1", "ending.os.sync = lambda: None", "ending.end('idle')"]
    output = node.run("-c", "\n".join(["import ending", broken, *steps]))
    assert output.splitlines() == ["this box ends: idle", "True"]


# --- What is heard -----------------------------------------------------------------------------------------------


def hears(node: Node, *datagrams: bytes, before: tuple[str, ...] = ()) -> object:
    """Return whom a look names, if these datagrams came before."""
    lines = ["import socket", "peers.exchange(lambda: False)", "sending = socket.socket(type=socket.SOCK_DGRAM)"]
    lines += [f"sending.sendto({datagram!r}, peers._own['at'])" for datagram in datagrams]
    return node.evaluate("[peers.exchange(lambda: False), peers.heard()]", *before, *lines)


@pytest.mark.parametrize(
    ("datagrams", "names"),
    [
        ([f"{SECRET} aws-t-1"], "aws-t-1"),
        ([f"{SECRET} aws-t-2", f"{SECRET} aws-t-1", f"{SECRET} aws-t-2"], "aws-t-1, aws-t-2"),
        (["", "\0", "x" * 2000, SECRET, f"{SECRET} a b", f"{SECRET[:-1]} aws-t-1", " aws-t-1"], ""),
        (["x", f"{SECRET} aws-t-1"], "aws-t-1"),
    ],
)
def test_who_has_the_secret_is_heard(node, datagrams, names):
    assert hears(node, *(text.encode() for text in datagrams)) == ["", names]


def test_what_is_no_text_is_not_heard(node):
    assert hears(node, b"\xff\xfe \xff", SECRET.encode() + b" \xff") == ["", "\ufffd"]


def test_a_flood_holds_up_nothing(node):
    """More datagrams than are read in one go: the rest waits for the next one."""
    flood = ["class Flood:", "    def recv(self, size): return b'x'"]
    assert node.evaluate("peers.hear('secret')", "\n".join(flood), "peers._own['socket'] = Flood()") is None


def test_what_was_said_counts_at_one_look_and_for_a_margin(node):
    said = "peers._said['aws-t-1'] = 100"
    clock = ["now = [100]", "peers.time.monotonic = lambda: now[0]", "peers._state['margin'] = 10"]
    looks = "[peers.heard(), now.__setitem__(0, 109), peers.heard(), peers.heard(), now.clear(), now.append(121)]"
    found = node.evaluate(f"{looks} + [peers.heard(), peers.heard()]", *clock, said)
    assert found == ["aws-t-1", None, "aws-t-1", "aws-t-1", None, None, "aws-t-1", ""]


# --- What fails --------------------------------------------------------------------------------------------------


def taken(address: str, count: int) -> str:
    """Return the statement by which another program has so many of the ports."""
    each = f"(lambda one: one.bind(({address!r}, port)) or one)(socket.socket(type=socket.SOCK_DGRAM))"
    return f"import socket; held = [{each} for port in {PORTS[:count]!r}]"


@pytest.mark.parametrize("count", [1, 2])
def test_a_port_that_another_program_has_is_passed_over_and_the_others_find_the_next(node, count):
    say = f"peers.say({{'secret': {SECRET!r}, 'alias': 'aws-t-1', 'peers': {{{node.address!r}: 'aws-t-0'}}}})"
    exchange = "peers.exchange(lambda: False)"
    before = [taken(node.address, count), exchange, say, exchange]
    assert node.evaluate("[peers._own['at'][1], peers.heard()]", *before) == [PORTS[count], "aws-t-1"]


def test_without_any_port_a_node_hears_nothing_and_still_says_what_it_does(node, other):
    found = node.evaluate("[peers.exchange(lambda: True), probes.look()['peers']]", taken(node.address, 3))
    assert isinstance(found, list)
    assert found[0].endswith("Address already in use")
    assert found[1] == "", "it ends as a box of its own"
    assert received(other) == f"{SECRET} aws-t-0".encode()
    assert "Address already in use" in node.shown()


def test_a_port_that_is_free_again_is_used(node):
    lines = [taken(node.address, 3), "first = peers.exchange(lambda: False)", "[one.close() for one in held]"]
    found = node.evaluate("[bool(first), peers.exchange(lambda: False), peers._own['at'][1]]", *lines)
    assert found == [True, "", PORTS[0]]


def test_the_file_of_another_instance_says_and_hears_nothing(node, other):
    """A copy of a disk has it, and another address. So has a node whose network is not up: it is tried again."""
    own = node.address
    node.address = "192.0.2.1"
    known = json.loads((node.folder / "etc/peers.json").read_text())
    node.write(json.dumps({**known, "address": node.address}))
    assert "Cannot assign requested address" in str(node.evaluate("peers.exchange(lambda: True)"))
    assert received(other) == b""
    node.write(json.dumps({**known, "address": own}))
    assert node.evaluate("peers.exchange(lambda: True)") == ""
    assert received(other)


def test_a_node_that_cannot_be_reached_keeps_nothing_from_the_others(node, other):
    known = json.loads((node.folder / "etc/peers.json").read_text())
    wrong = [{"alias": "a", "address": "256.0.0.1"}, {"alias": "b", "address": "255.255.255.255"}]
    node.write(json.dumps({**known, "peers": wrong + known["peers"]}))
    assert node.evaluate("peers.exchange(lambda: True)") == ""
    assert received(other)


@pytest.mark.parametrize("content", ["", "{", "[]", "5", "{}", '{"peers": 5}', '{"peers": [5]}', "\0"])
def test_a_broken_file_is_reported_once_and_the_box_is_as_one_without_peers(node, content):
    node.write(content)
    rounds = ["def sleep(seconds):", "    rounds.append(seconds)", "    if len(rounds) == 3: raise KeyboardInterrupt"]
    watch = ["try: peers.watch(lambda: True, 0.1)", "except KeyboardInterrupt: pass"]
    lines = ["rounds = []", "\n".join(rounds), "peers.time.sleep = sleep", "\n".join(watch), "print(len(rounds))"]
    output = node.run("-c", "\n".join(["import peers, probes", *lines, "print(repr(probes.look()['peers']))"]))
    complaint, count, found = output.splitlines()
    assert complaint.startswith("This box does not know what the other nodes of its cluster do: ")
    assert (count, found) == ("3", "''")


def test_a_full_disk_of_the_boot_keeps_nothing_from_being_said(node, other):
    (node.folder / "run/peers.new").mkdir()
    assert node.evaluate("peers.exchange(lambda: True)") == ""
    assert received(other)


# --- On the box --------------------------------------------------------------------------------------------------


def test_the_box_shows_its_peers(node):
    helper = (Path(__file__).parents[2] / "resources/guardian/aws-bootstrap").read_text()
    script = node.folder / "aws-bootstrap"
    script.write_text(node.in_folder(helper, 9))

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["/bin/sh", str(script), *words], capture_output=True, text=True)

    alone = run("peers")
    assert (alone.returncode, alone.stdout) == (1, "")
    assert "This box has no peers" in alone.stderr
    node.evaluate("peers.exchange(lambda: False)")
    shown = run("peers")
    assert shown.returncode == 0
    assert shown.stdout.splitlines()[0] == f"aws-t-0 {node.address} this box"
    assert shown.stdout.splitlines()[1].endswith(" has said nothing")
    assert run("launch").returncode == 2
