"""The parts of a gang's agent that need no gang: what the hub decides, what is read from a box, the jobs that check."""

from __future__ import annotations

import ast
import json
import os
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from aws_bootstrap.resources.gang.decision import COLLECT_SECONDS, OUTCOMES, SILENT_SECONDS, Decision
from aws_bootstrap.resources.gang.lines import LONGEST, Connection
from aws_bootstrap.tests.box.gangs import FILES, PYTHON, free_port

PROGRAMS = sorted(FILES.glob("*.py"))


def decision(size: int = 4, **spec: Any) -> Decision:
    """The decision of a hub whose clock begins at 0. Rank N has position N, and rank 9 the last one."""
    ranks = [*range(size - 1), 9]
    nodes = [{"rank": rank, "address": f"10.0.0.{rank}"} for rank in ranks]
    settings = {"nodes": nodes, "data_script": None, "join_seconds": 120, "exit_seconds": 60}
    return Decision({**settings, **spec}, 0.0)


def begun(size: int = 4, **spec: Any) -> Decision:
    """The decision of a hub to which all have come."""
    found = decision(size, **spec)
    for position in range(size):
        found.arrived(position)
    return found


def verdict(found: Decision, now: float) -> tuple[Any, ...] | None:
    """Return what is decided by that time."""
    found.look(now)
    if found.verdict is None:
        return None
    assert found.verdict["succeeded"] is (found.verdict["outcome"] == "done")
    return found.verdict["outcome"], found.verdict["culprit"], found.verdict["reason"]


def test_each_phase_begins_when_all_have_ended_the_one_before():
    found = decision(2, data_script="data.sh")
    phases = []
    for position in (0, 1, 1, 0, 0, 1):
        phases.append(found.phase)
        found.arrived(position)
    assert phases == ["join", "join", "data", "data", "job", "job"]
    assert verdict(found, 0) == ("done", None, "The job succeeded on all 2 nodes.")
    assert begun(2).phase == "job"
    alone = begun(1)
    alone.arrived(0)
    assert verdict(alone, 0) == ("done", None, "The job succeeded on its one node.")


def test_a_node_that_reports_twice_counts_once():
    found = decision(2)
    found.arrived(0)
    found.arrived(0)
    assert found.phase == "join"


@pytest.mark.parametrize(
    ("came", "reason"),
    [
        ([0, 1, 2], "Node 9 did not join within 120 s."),
        ([0, 2], "Nodes 1 and 9 did not join within 120 s."),
        ([0], "Nodes 1, 2 and 9 did not join within 120 s."),
    ],
)
def test_those_that_do_not_come_are_named_by_their_ranks(came, reason):
    found = decision()
    for position in came:
        found.arrived(position)
    assert verdict(found, 119) is None
    outcome, _, said = verdict(found, 120) or ("", "", "")
    assert (outcome, said) == ("join-timeout", reason)


def test_the_first_failure_is_the_cause_whatever_the_order_of_the_reports():
    found = begun()
    found.failed("job-failed", 1, "Because of the other.", 100.0, ago=0.2)
    found.failed("job-failed", 2, "Cause.", 100.5, ago=0.9)
    assert verdict(found, 100.0 + COLLECT_SECONDS / 2) is None
    assert verdict(found, 100.0 + COLLECT_SECONDS) == ("job-failed", 2, "Cause.")
    found.failed("spot-notice", 0, "Too late.", 102.0)
    assert verdict(found, 200.0) == ("job-failed", 2, "Cause.")


@pytest.mark.parametrize("outcome", [name for name in OUTCOMES if name != "job-failed"])
def test_a_stronger_cause_counts_at_once(outcome):
    found = begun()
    found.failed("job-failed", 1, "Because of the other.", 100.0)
    found.failed(outcome, 3, "Cause.", 100.3)
    assert verdict(found, 100.3) == (outcome, 9, "Cause.")


def test_no_success_after_a_failure():
    found = begun(2)
    found.failed("job-failed", 1, "Cause.", 0.0)
    found.arrived(0)
    found.arrived(1)
    assert verdict(found, COLLECT_SECONDS) == ("job-failed", 9, "Cause.")


def test_a_single_node_s_failure_needs_no_comparison():
    found = begun(1)
    found.failed("job-failed", 0, "Cause.", 5.0)
    assert verdict(found, 5.0) == ("job-failed", 9, "Cause.")


def test_one_silent_node_is_lost():
    found = begun()
    found.lost(1, "Silent.", 50.0, is_silent=True)
    assert verdict(found, 50.0) is None
    assert verdict(found, 50.0 + SILENT_SECONDS) == ("node-lost", 1, "Silent.")
    closed = begun()
    closed.lost(1, "Closed.", 50.0, is_silent=False)
    assert verdict(closed, 50.0) == ("node-lost", 1, "Closed.")


@pytest.mark.parametrize("is_silent", [True, False])
def test_a_hub_that_has_lost_all_others_is_lost_itself(is_silent):
    found = begun()
    for position in (3, 1, 2):
        found.lost(position, "Lost.", 50.0, is_silent=is_silent)
    outcome, culprit, reason = verdict(found, 50.0 + SILENT_SECONDS) or ("", "", "")
    assert (outcome, culprit) == ("node-lost", 0)
    assert reason == "Node 0 (10.0.0.0), the hub, was lost: it has no connection to another node."
    two = begun(2)
    two.lost(1, "Lost.", 50.0, is_silent=is_silent)
    assert verdict(two, 50.0) == ("node-lost", 9, "Lost."), "of two nodes nobody knows which one it is"


def test_processes_whose_work_is_done_may_take_a_while_to_end():
    found = begun(2)
    found.finished_work(0, 10.0)
    assert verdict(found, 1000.0) is None, "the other one still works"
    found.finished_work(1, 1000.0)
    found.finished_work(1, 1030.0)
    assert verdict(found, 1059.0) is None
    outcome, _, reason = verdict(found, 1060.0) or ("", "", "")
    assert (outcome, reason) == ("done", "The job succeeded on all 2 nodes. Its processes did not end.")


# --- lines -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "messages", "closed"),
    [
        (b'{"type": "beat"}\n{"type": "a"', [{"type": "beat"}], ""),
        (b'{"type": "a"}\n\xff\n', [{"type": "a"}], "no JSON"),
        (b"[]\n", [], "no JSON"),
        (b'{"type": 5}\n', [], "no JSON"),
        (b"[" * 20000 + b"\n", [], "no JSON"),
        (b"x" * (LONGEST + 1), [], "too long a line"),
    ],
)
def test_what_is_no_message_ends_the_connection(sent, messages, closed):
    connection, there = pair()
    with there:
        sender = threading.Thread(target=there.sendall, args=[sent])
        sender.start()
        got = connection.receive()
        while len(got) < len(messages) or bool(closed) is not bool(connection.closed):
            got += connection.receive()
        assert (got, connection.closed) == (messages, closed)
        connection.close()
        sender.join()


def test_an_agent_that_is_killed_has_closed_its_connection_whatever_it_left_unread():
    """The kernel resets a connection whose data nobody has read: all other agents must still note the same reason."""
    here, there = pair()
    here.send({"type": "beat"})
    there.close()
    ends = time.monotonic() + 10
    while not here.closed and time.monotonic() < ends:
        here.receive()
    assert here.closed == "closed"
    here.close()


def pair() -> tuple[Connection, socket.socket]:
    """Return both ends of a connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        there = socket.create_connection(listener.getsockname(), 60)
        return Connection(listener.accept()[0]), there


def test_a_connection_says_its_last_words_before_its_end():
    connection, there = pair()
    there.sendall(b'{"type": "last"}\n')
    there.close()
    got: list[Any] = []
    while not connection.closed:
        connection.send({"type": "beat"})
        got += connection.receive()
    assert got == [{"type": "last"}]
    connection.close()


def test_who_does_not_read_holds_nobody_up():
    connection, there = pair()
    with there:
        number = 0
        while not connection.outgoing:
            connection.send({"type": str(number), "text": "x" * 60000})
            number += 1
        read = b""
        while read.count(b"\n") < number:
            connection.flush()
            read += there.recv(1 << 20)
        assert [json.loads(line)["type"] for line in read.splitlines()] == [str(count) for count in range(number)]
        connection.close()


# --- what is read from a box -------------------------------------------------------------------------------------


def evaluate(expression: str, *before: str, **environment: str) -> Any:
    """Return the value of an expression over the agent's modules."""
    lines = ["import json, notice, programs, processes, socket", *before, f"print(json.dumps({expression}))"]
    variables = {"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", **environment}
    done = subprocess.run([PYTHON, "-c", "\n".join(lines)], cwd=FILES, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
def test_a_program_runs_on_the_oldest_python_of_an_image(program):
    ast.parse(program.read_text(), feature_version=(3, 8))


def test_torchrun_sorts_the_names_of_the_nodes_by_their_positions():
    spec = {
        "nodes": [{"address": f"10.0.0.{200 - position}"} for position in range(120)],
        "join_seconds": 20,
        "job": "job-1",
        "rendezvous_port": 29400,
    }
    before = f"spec = {spec!r}"
    names = evaluate('[programs.options({**spec, "position": n}, 1)[6] for n in range(120)]', before)
    assert names[0] == "--local-addr=10.0.0.200"
    assert names == sorted(names)
    assert "--rdzv-conf=join_timeout=60,read_timeout=60,is_host=0" in evaluate(
        'programs.options({**spec, "position": 1}, 1)', before
    )


def test_the_interface_that_has_an_address():
    addresses = "{name: own for _, name in socket.if_nameindex() for own in [address(name)] if own}"
    before = """
import fcntl, struct
def address(name):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            return socket.inet_ntoa(fcntl.ioctl(probe, 0x8915, struct.pack("256s", name.encode()))[20:24])
        except OSError:
            return ""
"""
    found = evaluate(f"[[name, programs.interface_of(own)] for name, own in {addresses}.items()]", before)
    assert ["lo", "lo"] in found
    assert [name for name, _ in found] == [name for _, name in found]
    assert evaluate("programs.interface_of('203.0.113.7')") == ""


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("printf 'GPU 0: A\\nGPU 1: A\\n  MIG 1g.5gb Device 0: x\\n'", 2),
        ("echo 'No devices found.'; exit 6", 1),
        (None, 1),
    ],
)
def test_processes_of_a_node(tmp_path, script, found):
    if script:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    assert evaluate('programs.processes_per_node({"nproc": "auto"})', PATH=f"{tmp_path}:/usr/bin:/bin") == found
    assert evaluate('programs.processes_per_node({"nproc": 3})', PATH=str(tmp_path)) == 3


def test_the_virtual_environment_of_the_box_is_on_the_path(tmp_path):
    expression = 'programs.path("/usr/bin:/bin")'
    assert evaluate(expression, HOME=str(tmp_path)) == "/usr/bin:/bin"
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    own = f"{tmp_path}/venv/bin"
    assert evaluate(expression, HOME=str(tmp_path)) == f"{own}:/usr/bin:/bin"
    assert evaluate(f'programs.path("/usr/bin:{own}")', HOME=str(tmp_path)) == f"/usr/bin:{own}"


@pytest.mark.parametrize(
    ("notice", "text"),
    [
        ("", ""),
        ('{"action": "stop", "time": "2026-01-01T00:02:00Z"}', "stop at 2026-01-01T00:02:00Z"),
        ("something\nelse", "something else"),
        ("[]", "[]"),
    ],
)
def test_what_a_notice_says(notice, text):
    assert evaluate(f"notice.describe({notice!r})") == text


def test_where_the_instance_metadata_is(tmp_path):
    settings = tmp_path / "guardian.env"
    before = f"from pathlib import Path; notice.SETTINGS = Path({str(settings)!r})"
    assert evaluate("notice.address()", before) == "169.254.169.254"
    settings.write_text("GUARDIAN_USER=ubuntu\nGUARDIAN_METADATA=127.0.0.1:80\n")
    assert evaluate("notice.address()", before) == "127.0.0.1:80"
    assert evaluate("notice.address()", before, GUARDIAN_METADATA="127.0.0.1:90") == "127.0.0.1:90"


# --- the jobs that check a cluster -------------------------------------------------------------------------------


def test_the_checks_of_a_node(tmp_path):
    smi = """#!/bin/sh
case "$*" in
  --query-gpu=name*) printf 'NVIDIA A10G, 570.86.15\\nNVIDIA A10G, 570.86.15\\n' ;;
  *) echo '| NVIDIA-SMI 570.86.15    Driver Version: 570.86.15    CUDA Version: 12.8 |' ;;
esac
"""
    nvcc = "#!/bin/sh\necho 'Cuda compilation tools, release 12.6, V12.6.20'\n"
    for name, text in (("nvidia-smi", smi), ("nvcc", nvcc)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    packages = tmp_path / "venv" / "lib" / "python3.12" / "site-packages" / "torch"
    packages.mkdir(parents=True)
    version = (
        "__all__ = ['__version__', 'cuda']\n__version__ = '2.9.0+cu128'\ncuda: Optional[str] = '12.8'\nhip = None\n"
    )
    (packages / "version.py").write_text(version)
    (tmp_path / "venv" / "pyvenv.cfg").write_text("home = /usr/bin\nversion_info = 3.12.3\n")
    before = time.time()
    found = checks(PATH=f"{tmp_path}:/usr/bin:/bin", HOME=str(tmp_path))
    assert before <= found.pop("time") <= time.time()
    assert found.pop("free_bytes") > 0
    addresses = found.pop("addresses")
    assert addresses == sorted({reply[4][0] for reply in socket.getaddrinfo(socket.gethostname(), None)})
    assert found.pop("is_loopback") is any(address.startswith(("127.", "::1")) for address in addresses)
    assert found == {
        "gpus": ["NVIDIA A10G", "NVIDIA A10G"],
        "gpu_count": 2,
        "driver": "570.86.15",
        "cuda_driver_max": "12.8",
        "cuda_toolkit": "12.6",
        "torch": "2.9.0+cu128",
        "torch_cuda": "12.8",
        "venv_python": "3.12.3",
        "python": ".".join(map(str, sys.version_info[:3])),
        "host_name": socket.gethostname(),
    }


def test_the_checks_of_a_node_that_has_nothing(tmp_path):
    smi = tmp_path / "nvidia-smi"
    smi.write_text(
        '#!/bin/sh\necho "NVIDIA-SMI has failed because it couldn\'t communicate with the driver."; exit 9\n'
    )
    smi.chmod(0o755)
    found = checks(PATH=str(tmp_path), HOME=str(tmp_path))
    assert (found["gpus"], found["gpu_count"]) == ([], 0)
    assert [found[name] for name in ("driver", "cuda_driver_max", "torch", "torch_cuda", "venv_python")] == [None] * 5


def checks(**environment: str) -> dict[str, Any]:
    """Return what checks.py prints, which the tool sends to Python's standard input."""
    text = (FILES / "checks.py").read_bytes()
    done = subprocess.run([sys.executable, "-I", "-"], input=text, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_bandwidth_of_a_ring():
    addresses = [f"127.{os.getpid() % 250 + 1}.7.{number}" for number in (1, 2, 3)]
    port = str(free_port())
    running = []
    for node in range(3):
        variables = {"AWSB_NODE_IPS": ",".join(addresses), "AWSB_NODE_RANK": str(node)}
        words = [PYTHON, str(FILES / "bandwidth.py"), port, "0.2"]
        running.append(subprocess.Popen(words, env=variables, stdout=subprocess.PIPE))
    found = [json.loads(process.communicate(timeout=60)[0])["bandwidth"] for process in running]
    assert [(one["from"], one["node"], one["to"]) for one in found] == [(2, 0, 1), (0, 1, 2), (1, 2, 0)]
    assert all(one["gbit_s"] > 0 and one["round_trip_ms"] > 0 for one in found)


def test_the_bandwidth_of_a_single_node():
    variables = {"AWSB_NODE_IPS": "127.0.0.1", "AWSB_NODE_RANK": "0"}
    done = subprocess.run([PYTHON, str(FILES / "bandwidth.py")], env=variables, capture_output=True, check=True)
    assert json.loads(done.stdout)["bandwidth"]["gbit_s"] is None
