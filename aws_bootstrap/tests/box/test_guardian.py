"""The guardian's own files, run here without root: a copy of them, whose paths lead into a folder.

What they do to a system is in linux_guardian.py. Here no program of this machine is on their PATH.
"""

from __future__ import annotations

import ast
import gzip
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aws_bootstrap import cloud_init, guardian
from aws_bootstrap.guardian import Limits
from aws_bootstrap.tests.box.standins import RESOURCES

HERE = Path(__file__).parent
FILES = RESOURCES / "guardian"
MODULES = ("guardian.py", "limits.py", "ending.py", "probes.py", "peers.py")
#: Another Python to run them with, such as the oldest one that a box has.
PYTHON = os.environ.get("GUARDIAN_PYTHON", sys.executable)
PATHS = {
    "/run/aws-bootstrap": "run",
    "/etc/aws-bootstrap": "etc",
    "/var/lib/aws-bootstrap": "lib",
    "/var/lib/cloud": "cloud",
    "/dev/pts": "pts",
    "/dev/console": "console",
    "/sys/fs/cgroup": "cgroup",
    '"/data"': "data",
}
NOBODY = "127.0.0.1:9"


class Guarded:
    """A box in a folder: the guardian's files, its paths, and stand-ins for the programs that it calls."""

    def __init__(self, folder: Path, jupyter_port: int = 9) -> None:
        """Write the files."""
        self.folder = folder
        for name in ("run", "lib", "etc", "pts", "cgroup", "home", "bin", "data", "program"):
            (folder / name).mkdir(parents=True)
        for name in MODULES:
            (folder / "program" / name).write_text(self.in_folder((FILES / name).read_text(), jupyter_port))
        (folder / "run" / "keep-busy").touch()
        self.environment = {"PATH": str(folder / "bin"), "GUARDIAN_METADATA": NOBODY, "PYTHONDONTWRITEBYTECODE": "1"}

    def in_folder(self, text: str, jupyter_port: int) -> str:
        """Return the text with every path of the box below the folder."""
        for path, name in PATHS.items():
            quoted = '"' if path.startswith('"') else ""
            text = text.replace(path, f"{quoted}{self.folder / name}{quoted}")
        me = (os.environ.get("USER", "me"), "x", os.getuid(), os.getgid(), "", str(self.folder / "home"), "/bin/sh")
        text = text.replace("USER = login_user()", f"USER = pwd.struct_passwd({me!r})")
        return text.replace("8888", str(jupyter_port))

    def tool(self, name: str, script: str) -> None:
        """Write a stand-in for a program."""
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """Start Python in the box."""
        return subprocess.Popen(
            [PYTHON, *words],
            env={**self.environment, **environment},
            cwd=self.folder / "program",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, **environment: str) -> str:
        """Run Python in the box to its good end; what it prints."""
        process = self.start(*words, **environment)
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        self.errors = errors
        return output

    def evaluate(self, expression: str, *before: str) -> object:
        """Return the value of an expression over the modules, after some statements."""
        head = "import json, time, ending, guardian, limits, peers, probes"
        lines = [head, *before, f"print(json.dumps({expression}))"]
        return json.loads(self.run("-c", "\n".join(lines)).splitlines()[-1])

    def set(self, **changes: object) -> dict:
        """Change the limits as `extend` does."""
        return json.loads(self.run("guardian.py", "set", json.dumps(changes)))

    def left(self) -> float:
        """Return the seconds until the deadline."""
        left = self.evaluate("limits.seconds_left(limits.read())")
        assert isinstance(left, float)
        return left

    def edit(self, name: str, **values: object) -> None:
        """Change a saved value: `run` or `lib`."""
        path = self.folder / name / "limits.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    def reboot(self) -> None:
        """Empty /run."""
        for path in (self.folder / "run").iterdir():
            path.unlink()

    def notice(self) -> str:
        """Return the warning in the user's home."""
        path = self.folder / "home" / "AWS-BOOTSTRAP-DEADLINE"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def box(tmp_path: Path) -> Guarded:
    return Guarded(tmp_path / "box")


@pytest.fixture
def serve() -> Iterator[Callable[..., int]]:
    """A function that starts a server of this folder, and returns its port."""
    running: list[subprocess.Popen[str]] = []

    def start(program: str, *words: str) -> int:
        process = subprocess.Popen(
            [sys.executable, str(HERE / program), *words, "0"], stdout=subprocess.PIPE, text=True
        )
        running.append(process)
        assert process.stdout
        return int(process.stdout.readline())

    yield start
    for process in running:
        process.kill()
        process.communicate()


# --- The files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
def test_they_run_with_the_standard_library_of_an_old_python(name):
    tree = ast.parse((FILES / name).read_text(), feature_version=(3, 9))
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            imported.add(str(node.module).partition(".")[0])
    own = {module.removesuffix(".py") for module in MODULES}
    assert imported <= set(sys.stdlib_module_names) | own


def test_each_is_short_enough_to_be_read_in_one_sitting():
    lengths = {name: len((FILES / name).read_text().splitlines()) for name in MODULES}
    assert max(lengths.values()) <= 200, lengths


def test_the_user_data_installs_what_the_units_start():
    part = guardian.part(Limits(deadline=3600.0), user="ubuntu", ssh_port=2222)
    written = {file.path: file.content for file in part.files}
    units = [content for path, content in written.items() if path.endswith(".service")]
    for unit in units:
        started = unit.partition("ExecStart=/usr/bin/python3 ")[2].split()[0]
        assert started in written
        assert "EnvironmentFile=/etc/aws-bootstrap/guardian.env\n" in unit
    assert "GUARDIAN_SSH_PORT=2222\n" in written["/etc/aws-bootstrap/guardian.env"]
    data = cloud_init.user_data([part])
    assert data is not None
    assert len(data) < 16384 * 3 / 4, "EC2 takes 16 KB; base64 is not counted"
    assert gzip.decompress(data).startswith(b"#cloud-config\n")


# --- The limits --------------------------------------------------------------------------------------------------


def test_what_is_set_is_in_both_files_and_printed(box):
    printed = box.set(deadline=100, idle_timeout=60, reason="cost-cap")
    for name in ("run", "lib"):
        assert json.loads((box.folder / name / "limits.json").read_text()) == printed
    assert (printed["remaining"], printed["idle_timeout"], printed["reason"]) == (100, 60, "cost-cap")
    assert 90 < box.left() <= 100


@pytest.mark.parametrize(("wall", "monotonic"), [(50, 1000), (1000, 50), (-3600, 1000), (3600, -5)])
def test_the_clock_that_ends_first_counts(box, wall, monotonic):
    box.set(deadline=100)
    box.edit("run", deadline=time.time() + wall, remaining=monotonic + 7, since=time.monotonic() - 7)
    assert box.left() == pytest.approx(min(wall, monotonic), abs=5)


def test_after_a_boot_the_monotonic_clock_goes_on_with_what_was_saved(box):
    box.set(deadline=1000)
    box.edit("lib", remaining=300, since=time.monotonic() + 1e6)
    box.reboot()
    assert box.left() == pytest.approx(300, abs=5)


@pytest.mark.parametrize("passed", [{"deadline": 1}, {"remaining": 0}, {"remaining": -50}])
def test_a_box_that_was_off_past_its_deadline_gets_its_grace_once(box, passed):
    box.set(deadline=1000)
    box.edit("lib", **passed)
    box.reboot()
    box.evaluate("limits.save(limits.read())")
    assert box.left() == pytest.approx(900, abs=5)
    box.edit("run", deadline=time.time() - 1)
    assert box.left() < 0, "it is granted by a boot alone"


def test_an_extension_counts_from_the_deadline_or_from_now(box):
    assert box.set(extend=100)["remaining"] == 100
    assert box.set(extend=50)["remaining"] == pytest.approx(150, abs=5)
    box.edit("run", deadline=time.time() - 500)
    assert box.set(extend=50)["remaining"] == 50
    assert box.set(idle_timeout=60)["remaining"] == 50, "the deadline is left alone"
    assert box.set(deadline=None)["deadline"] is None
    assert box.evaluate("limits.seconds_left(limits.read()) == limits.NEVER")
    assert box.set(idle_timeout=None)["idle_timeout"] is None


def test_extensions_at_the_same_time_all_count(box):
    box.set(deadline=1000)
    words = ("guardian.py", "set", '{"extend": 100}')
    running = [box.start(*words) for _ in range(4)]
    for process in running:
        process.communicate(timeout=60)
    assert box.left() == pytest.approx(1400, abs=20)


def test_who_changes_the_limits_needs_the_box(box):
    os.utime(box.folder / "run" / "keep-busy", (0, 0))
    box.set(extend=100)
    assert (box.folder / "run" / "keep-busy").stat().st_mtime > time.time() - 60


@pytest.mark.parametrize("content", ["", "{", "[]", "5", '"text"', "null", "\0\0\0", '[["a", 1]]'])
def test_a_broken_file_of_the_disk_means_no_limits(box, content):
    box.set(deadline=100)
    (box.folder / "lib" / "limits.json").write_text(content)
    assert 90 < box.left() <= 100, "this boot has its own"
    box.reboot()
    assert box.evaluate("limits.read()['deadline']") is None


def test_a_broken_file_of_this_boot_is_replaced_by_that_of_the_disk(box):
    box.set(deadline=100)
    (box.folder / "run" / "limits.json").write_text("{")
    assert 90 < box.left() <= 100


def test_a_disk_that_takes_nothing_is_reported_and_the_limits_hold(box):
    (box.folder / "lib").rmdir()
    (box.folder / "lib").write_text("no folder")
    box.set(deadline=100)
    assert "The limits hold until the next boot only" in box.errors
    assert 90 < box.left() <= 100


OWN, OTHER = "i-0123456789abcdef0", "i-0fedcba9876543210"


@pytest.mark.parametrize(
    ("metadata", "cloud", "holds"),
    [
        (OWN, None, True),
        (OTHER, None, False),
        (OTHER, OWN, False),
        (None, OWN, True),
        (None, OTHER, False),
        (None, None, True),
    ],
)
def test_limits_belong_to_one_instance(box, serve, tmp_path_factory, metadata, cloud, holds):
    served = tmp_path_factory.mktemp("imds")
    box.environment["GUARDIAN_METADATA"] = f"127.0.0.1:{serve('imds.py', str(served), '127.0.0.1')}"
    (served / "instance-id").write_text(OWN)
    assert box.set(deadline=100, done=["rebalance"])["instance_id"] == OWN
    if metadata:
        (served / "instance-id").write_text(metadata)
    else:
        box.environment["GUARDIAN_METADATA"] = NOBODY
    if cloud:
        (box.folder / "cloud" / "data").mkdir(parents=True)
        (box.folder / "cloud" / "data" / "instance-id").write_text(f"{cloud}\n")
    box.reboot()
    found = box.evaluate("limits.read()")
    assert isinstance(found, dict)
    assert (found["deadline"] is not None) is holds
    assert found["done"] == (["rebalance"] if holds else [])


def test_metadata_that_answers_no_http_counts_as_no_answer(box):
    assert box.evaluate("limits.own_instance_id()") == ""
    program = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)\n"
    program += "c = s.accept()[0]; c.recv(999); c.send(b'SSH-2.0-x\\r\\n\\r\\n'); c.close()"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        box.environment["GUARDIAN_METADATA"] = f"127.0.0.1:{server.stdout.readline().strip()}"
        assert box.evaluate("limits.own_instance_id()") == ""


# --- Warnings ----------------------------------------------------------------------------------------------------

WARNINGS = """
warned, texts = None, []
def note(left, reason, current):
    global warned
    ending.NOTICE.write_text('')
    warned = guardian.warn_in_time(left, reason, current, warned)
    texts.append(ending.NOTICE.read_text().partition(",")[0] if ending.NOTICE.exists() else None)
"""


def steps(box: Guarded, looks: list[tuple[float, str, dict]]) -> list[str | None]:
    """Return for each look what the notice says after it: nothing new, a new warning, or None where it is removed."""
    calls = [f"note(*{look!r})" for look in looks]
    texts = box.evaluate("texts", WARNINGS, *calls)
    assert isinstance(texts, list)
    return texts


def test_it_warns_once_at_each_step_and_takes_the_warning_back(box):
    current = {"deadline": 1, "idle_timeout": None, "instance_id": "i-1"}
    later = {**current, "deadline": 2}
    looks = [(left, "deadline", current) for left in (1801, 1800, 1000, 900, 899, 290, 10)]
    assert steps(box, [*looks, (200, "deadline", later), (4000, "deadline", later)]) == [
        None,
        "This box ends in 30 min",
        "",
        "This box ends in 15 min",
        "",
        "This box ends in 5 min",
        "",
        "This box ends in 3 min",
        None,
    ]


def test_an_idle_box_is_warned_only_below_its_limit(box):
    current = {"deadline": None, "idle_timeout": 900, "instance_id": ""}
    found = steps(box, [(left, "idle", current) for left in (900, 600, 300)])
    assert found == [None, None, "This box ends in 5 min"]
    assert "type on it: aws-bootstrap keep-busy" in box.notice()
    assert "aws-bootstrap extend ALIAS 2h" in box.notice()


@pytest.mark.parametrize(
    ("lsblk", "said"),
    [
        (
            "echo 107374182400 vol0123456789abcdef0",
            "vol-0123456789abcdef0 at /data stays, and bills about $8.00/month.",
        ),
        ("echo 107374182400", ""),
        ("echo 107374182400 AWS0123456789", ""),
        ("exit 1", ""),
    ],
)
def test_the_warning_says_what_becomes_of_the_data_volume(box, lsblk, said):
    box.tool("findmnt", "echo /dev/nvme1n1")
    box.tool("lsblk", lsblk)
    text = "\n".join(box.evaluate("ending.about_data()"))
    assert (said in text) if said else (text == "")


def test_a_full_disk_or_a_terminal_that_is_closed_stops_no_warning(box):
    (box.folder / "home").rmdir()
    (box.folder / "home").write_text("no folder")
    (box.folder / "pts" / "0").mkdir()
    (box.folder / "pts" / "1").write_text("")
    box.evaluate("ending.warn('This box ends.', 'i-1')")
    assert (box.folder / "pts" / "1").read_text().startswith("\nThis box ends.\nMore time")


# --- Probes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("echo 4", ""),
        ("echo 4; echo 5", "5 %"),
        ("echo '[N/A]'", "failed: ValueError"),
        ("echo", "failed: ValueError"),
        ("echo 'No devices were found'; exit 6", "failed: CalledProcessError"),
        (None, ""),
    ],
)
def test_the_busiest_gpu_counts_and_no_answer_counts_as_busy(box, script, found):
    if script:
        box.tool("nvidia-smi", script)
    text = box.evaluate("probes.look()['gpu']")
    assert isinstance(text, str)
    assert text.startswith(found)
    assert bool(text) is bool(found)


#: What ss prints for two connections; the numbers of the second look are filled in.
SS = """0 0 10.0.0.1:22 10.0.0.2:50544
\t cubic wscale:7,7 rto:201 rtt:0.1/0.05 mss:1448 bytes_sent:{sent} bytes_retrans:9999999 bytes_acked:8888888 \
bytes_received:3624 segs_out:15
0 0 10.0.0.1:22 10.0.0.3:50000
\t cubic wscale:7,7 rto:201 bytes_sent:4005 bytes_acked:4005 bytes_received:{received} lastsnd:4
"""


@pytest.mark.parametrize(
    ("sent", "received", "busy"),
    [(4005, 3624, False), (4500, 3624, False), (99999999, 3624, True), (4005, 99999999, True)],
)
def test_ssh_counts_what_moves_in_both_directions(box, sent, received, busy):
    path = box.folder / "ss.txt"
    box.tool("ss", f'while IFS= read -r line; do echo "$line"; done <{path}')
    path.write_text(SS.format(sent=4005, received=3624))
    later = SS.format(sent=sent, received=received)
    found = box.evaluate(
        "probes.ssh()", "probes.ssh()", f"open({str(path)!r}, 'w').write({later!r})", "time.sleep(0.3)"
    )
    assert bool(found) is busy


def test_ssh_sees_a_key_that_was_pressed_whatever_the_clock_does(box):
    box.tool("ss", "")
    terminal = box.folder / "pts" / "3"
    terminal.write_text("")
    os.utime(terminal, (1000, 1000))
    before = ["probes.ssh()", "import os"]
    assert box.evaluate("probes.ssh()", *before) == ""
    assert box.evaluate("probes.ssh()", *before, f"os.utime({str(terminal)!r}, (500, 500))") == "input in a terminal"
    assert box.evaluate("probes.ssh()", *before, f"os.utime({str(terminal)!r}, (500, 500))", "probes.ssh()") == ""


def test_cpu_counts_cores_between_two_looks(box):
    stat = box.folder / "cgroup" / "cpu.stat"
    stat.write_text("usage_usec 1000000\nuser_usec 5\n")
    grow = f"open({str(stat)!r}, 'w').write('usage_usec 9000000\\n')"
    assert box.evaluate("probes.cpu()") == "", "the first look compares with nothing"
    assert str(box.evaluate("probes.cpu()", "probes.cpu()", "time.sleep(0.1)", grow)).endswith(" cores")
    stat.unlink()
    assert str(box.evaluate("probes.look()['cpu']")).startswith("failed: FileNotFoundError")


def test_jobs_setup_and_marker(box):
    box.tool("systemctl", "echo 'aws-bootstrap-run-a.service loaded active running x'")
    assert box.evaluate("probes.jobs()") == "aws-bootstrap-run-a.service"
    box.tool("systemctl", "exit 0")
    assert box.evaluate("probes.jobs()") == ""
    assert box.evaluate("probes.setup()") == ""
    lock = box.folder / "home" / ".aws-bootstrap" / "setup.lock"
    lock.parent.mkdir()
    lock.touch()
    assert box.evaluate("probes.setup()") == ""
    hold = ["import fcntl", f"held = open({str(lock)!r})", "fcntl.flock(held, fcntl.LOCK_EX)"]
    assert box.evaluate("probes.setup()", *hold) == "runs"
    assert box.evaluate("probes.marker()", "probes.marker()") == ""
    assert box.evaluate("probes.marker()", "probes.marker()", "probes.MARKER.touch()") == "keep-busy"


@pytest.mark.parametrize(
    ("state", "token", "found"),
    [("idle", "secret", ""), ("busy", "secret", "1 busy"), ("idle", "other", "failed: TypeError")],
)
def test_jupyter_shows_the_state_of_its_kernels_to_those_who_have_the_token(tmp_path, serve, state, token, found):
    kernel = tmp_path / "kernel"
    kernel.write_text(state)
    box = Guarded(tmp_path / "box", serve("kernels.py", str(kernel), "secret"))
    assert box.evaluate("probes.jupyter()") == "", "there is no Jupyter"
    (box.folder / "home" / ".aws-bootstrap").mkdir()
    (box.folder / "home" / ".aws-bootstrap" / "jupyter.env").write_text(f"A=1\nJUPYTER_TOKEN={token}\n")
    text = str(box.evaluate("probes.look()['jupyter']"))
    assert text.startswith(found)
    assert bool(text) is bool(found)


def test_jupyter_that_does_not_run_is_not_busy(box):
    (box.folder / "home" / ".aws-bootstrap").mkdir()
    (box.folder / "home" / ".aws-bootstrap" / "jupyter.env").write_text("JUPYTER_TOKEN=secret\n")
    assert box.evaluate("probes.jupyter()") == ""


# --- The end -----------------------------------------------------------------------------------------------------


def test_whatever_fails_the_box_is_switched_off(box):
    """A hook folder that is a file, jobs that do not end, a disk that is full: a stand-in notes what is called."""
    calls = box.folder / "calls"
    box.tool("systemctl", f'echo "$*" >>{calls}')
    broken = [
        "ending.run_end_hooks = lambda: 1 / 0",
        "ending.STEP_SECONDS = 0.2",
        "ending.os.sync = lambda: time.sleep(60)",
    ]
    process = box.start("-c", "\n".join(["import time, ending", *broken, "ending.end('deadline')"]))
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "ZeroDivisionError" in errors
    assert output == "this box ends: deadline\n"
    stopped, off = calls.read_text().splitlines()
    assert stopped.startswith("stop aws-bootstrap-run-*.service jupyter.service user-")
    assert off == "poweroff -i"


def test_it_sees_who_uses_a_folder(box):
    (box.folder / "data" / "sub").mkdir()
    program = "import sys, os; os.chdir(sys.argv[1]); print(os.getpid(), flush=True); input()"
    words = [sys.executable, "-c", program, str(box.folder / "data" / "sub")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        pid = process.stdout.readline().strip()
        uses = "ending.uses(ending.Path('/proc/{}'), {!r})"
        assert box.evaluate(uses.format(pid, str(box.folder / "data"))) is True
        assert box.evaluate(uses.format(pid, str(box.folder / "dat"))) is False
        assert box.evaluate(uses.format("nobody", str(box.folder / "data"))) is False
        process.communicate("\n")
