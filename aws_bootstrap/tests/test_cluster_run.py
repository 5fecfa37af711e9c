"""Jobs on a cluster of two boxes, with the real program, the real ssh and the real agents."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_bootstrap.sandbox.testing import Sandbox
from aws_bootstrap.tests import schema_check
from aws_bootstrap.tests.programs import Outcome, Program

ID = ("--cluster-id", "train", "-r", "us-west-2")
#: What `job.sh` does with its argument, beside its usual lines.
SCRIPT = """
echo "node $AWSB_NODE_RANK of $AWSB_NUM_NODES: $*"
echo data > "$AWSB_CHECKPOINT_DIR/step-$AWSB_NODE_RANK"
case $1 in
  fail) [ $AWSB_NODE_RANK = 1 ] && exit 5; exec sleep 600;;
  wait) echo waiting; exec sleep 600;;
  restart)
    cd "$AWSB_CHECKPOINT_DIR"
    [ -e third ] && exit 0
    [ -e second ] && { touch third; echo waiting; exec sleep 600; }
    touch second
    [ $AWSB_NODE_RANK = 1 ] && exit 5; exec sleep 600;;
esac
"""


@pytest.fixture(scope="module")
def cluster(session_sandbox: Sandbox) -> Iterator[Program]:
    """The program, and a cluster of two boxes for all tests of this file."""
    session_sandbox.start()
    session_sandbox.wipe()
    Path(session_sandbox.env["AWS_BOOTSTRAP_SSH_CONFIG"]).unlink(missing_ok=True)
    program = Program(session_sandbox)
    launched = program("cluster", "launch", *ID, "--nodes", "2", "--no-setup", "--yes")
    assert launched.exit_code == 0, launched.err
    yield program
    session_sandbox.wipe()


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a script."""
    folder = tmp_path / "code"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "job.sh").write_text(SCRIPT)
    return folder


def document(done: Outcome, schema: str) -> dict[str, Any]:
    """The document of a command, which is as its schema says."""
    shown: dict[str, Any] = done.document
    schema_check.validate(schema, shown)
    return shown


def begun(cluster: Program, *words: str) -> subprocess.Popen[str]:
    """A job under way on both nodes, followed."""
    argv = [sys.executable, "-m", "aws_bootstrap", "cluster", *words]
    process = subprocess.Popen(argv, env=cluster.sandbox.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    waiting: set[str] = set()
    while len(waiting) < 2:
        line = process.stdout.readline()
        assert line, process.communicate()
        if line.endswith("waiting\n"):
            waiting.add(line)
    return process


def processes_of_jobs(cluster: Program) -> str:
    """What runs of jobs on the boxes: agents and scripts."""
    done = cluster("exec", "aws-train-0", "aws-train-1", "--", "pgrep -fa '[g]ang.py|[s]leep 600'")
    return done.out


def test_the_script_runs_on_all_nodes_and_its_lines_come_with_their_ranks(cluster, code):
    done = cluster("cluster", "run", *ID, "job.sh", "--", "two words", "-o")
    assert done.exit_code == 0, done.err
    assert {"rank 0: node 0 of 2: two words -o", "rank 1: node 1 of 2: two words -o"} <= set(done.out.splitlines())
    (logs,) = (code / ".aws-bootstrap/clusters/train").iterdir()
    assert f"{logs.name} succeeded on 2 nodes." in done.out
    assert "node 1 of 2: two words -o\n" in (logs / "rank-1.log").read_text()
    shown = cluster("cluster", "logs", *ID, "--rank", "1", "-n", "2")
    assert shown.out.startswith("node 1 of 2: two words -o\n")
    listed = cluster("ssh", "aws-train-1", "--", "ls -A code code/checkpoints")
    assert listed.out.split() == ["code:", "checkpoints", "job.sh", "code/checkpoints:", "step-1"]


def test_a_failure_on_one_node_ends_the_job_on_all(cluster, code):
    done = cluster("cluster", "run", *ID, "job.sh", "-o", "json", "--", "fail")
    shown = document(done, "cluster-run")
    assert (done.exit_code, shown["succeeded"], shown["outcome"], shown["culprit"]) == (1, False, "job-failed", 1)
    assert [one["returncode"] for one in shown["results"]] == [75, 5]
    assert shown["error"]["code"] == "job-failed"
    assert shown["reason"] in done.err
    assert processes_of_jobs(cluster) == ""
    logs = document(cluster("cluster", "logs", *ID, "-o", "json"), "cluster-logs")
    assert "node 1 of 2: fail\n" in logs["results"][1]["output"]


@pytest.mark.parametrize(("number", "code_of_signal"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_the_job_on_all_nodes(cluster, code, number, code_of_signal):
    process = begun(cluster, "run", *ID, "job.sh", "--", "wait")
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code_of_signal, err
    assert processes_of_jobs(cluster) == ""
    assert (
        "Run it again: aws-bootstrap --sandbox cluster run --cluster-id train --region us-west-2 job.sh -- wait" in err
    )
    assert "node 1 ends." in out, "the last lines of the log are shown"


def test_a_killed_client_leaves_the_job_which_attach_follows_and_cancel_stops(cluster, code):
    process = begun(cluster, "run", *ID, "job.sh", "--", "wait")
    process.kill()
    process.wait()
    refused = cluster("cluster", "run", *ID, "--detach", "job.sh", "-o", "json")
    assert (refused.exit_code, refused.document["error"]["code"]) == (1, "job-running")
    attached = begun(cluster, "attach", *ID)
    attached.send_signal(signal.SIGINT)
    _, err = attached.communicate(timeout=60)
    assert attached.returncode == 130
    assert "The job goes on. Follow it again: aws-bootstrap --sandbox cluster attach --cluster-id train" in err
    assert processes_of_jobs(cluster).count("sleep 600") == 2
    stopped = document(cluster("cluster", "cancel", *ID, "-o", "json"), "cluster-cancel")
    assert [one["returncode"] for one in stopped["results"]] == [75, 75]
    assert processes_of_jobs(cluster) == ""
    done = cluster("cluster", "attach", *ID, "-o", "json")
    shown = document(done, "cluster-attach")
    assert (done.exit_code, shown["outcome"], shown["job"]) == (1, "stopped", stopped["job"])
    again = cluster("cluster", "cancel", *ID, "-o", "json")
    assert (again.exit_code, again.document["job"]) == (0, None)


def test_a_job_is_started_again_with_a_new_node_for_one_that_is_lost(cluster, code):
    """The first job fails by itself, the second one by the end of a node, whose checkpoint the third one needs."""
    process = begun(cluster, "run", *ID, "--max-restarts", "2", "--checkpoint-dir", "kept", "job.sh", "--", "restart")
    ec2 = cluster.sandbox.client()
    host = cluster.ssh("-G", "aws-train-1").stdout
    (lost,) = re.findall(r"^hostkeyalias (\S+)", host, re.M)
    ec2.terminate_instances(InstanceIds=[lost])
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "The job on node 1 failed with exit code 5. It is started again, 1 of 2." in err
    assert f"Node 1 ({lost}) has ended. It is replaced." in err
    (folder,) = re.findall(r"  Logs  (\S+)", out)
    assert "node 1 of 2: restart\n" in Path(folder, "rank-1.log").read_text()
    assert out.count("before it: ") == 2


def test_what_keeps_the_nodes_from_training_is_named(cluster):
    """Their setup was left out."""
    done = cluster("cluster", "prepare", *ID, "-o", "json")
    shown = document(done, "cluster-prepare")
    assert (done.exit_code, shown["error"]["code"], shown["canary_passed"]) == (1, "cluster-not-ready", None)
    assert [check["name"] for check in shown["checks"] if not check["passed"]] == ["torch"]
    assert all(node["gbit_per_second"] > 0 and node["gpus"] for node in shown["nodes"])
    assert shown["master_addr"] == shown["nodes"][0]["private_ip"]
    tested = cluster("cluster", "test", *ID, "-o", "json")
    shown = document(tested, "cluster-test")
    assert (tested.exit_code, shown["passed"], shown["error"]["code"]) == (1, False, "cluster-test-failed")
    assert [node["returncode"] for node in shown["results"]] != [0, 0]
