"""Commands on a box, detached or not, with the real program and the real ssh: streams, exit codes, signals, logs."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aws_bootstrap import sshconfig
from aws_bootstrap.errors import SshError
from aws_bootstrap.paths import Paths
from aws_bootstrap.retry import poll
from aws_bootstrap.sandbox.testing import Sandbox
from aws_bootstrap.ssh import Ssh
from aws_bootstrap.ssh_session import Sessions
from aws_bootstrap.tests import schema_check
from aws_bootstrap.tests.programs import Program

#: Another name of the box, and a name of one that does not answer.
TWIN, DEAD = "aws-gpu8", "aws-gpu9"
BYTES = bytes(range(256)) * 2000
#: Part of a command that waits for the test, which calls `go_on`.
WAIT = "until rm go 2>/dev/null; do sleep 0.1; done"


@pytest.fixture(scope="module")
def box(session_sandbox: Sandbox) -> Iterator[Program]:
    """The program, and one box for all tests of this file: `aws-gpu1`, also called `aws-gpu8`."""
    session_sandbox.start()
    session_sandbox.wipe()
    config = Path(session_sandbox.env["AWS_BOOTSTRAP_SSH_CONFIG"])
    config.unlink(missing_ok=True)
    program = Program(session_sandbox)
    launched = program("launch", "--no-setup")
    assert launched.exit_code == 0, launched.err
    (host,) = sshconfig.hosts(config.read_text())
    sshconfig.add(config, replace(host, alias=TWIN, instance_id="i-0aaaaaaaaaaaaaaa8"))
    sshconfig.add(config, replace(host, alias=DEAD, instance_id="i-0aaaaaaaaaaaaaaa9", port=9))
    yield program
    session_sandbox.wipe()


@pytest.fixture(autouse=True)
def _without_faults(box: Program) -> None:
    box.sandbox.clear_ssh_fault()


def piped(box: Program, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """The program with pipes, and bytes in them."""
    argv = [sys.executable, "-m", "aws_bootstrap", *words]
    return subprocess.run(argv, env=box.sandbox.env, input=stdin, capture_output=True, timeout=60)


def document(box: Program, *words: str) -> tuple[int, Any]:
    """Exit code and document of a command, which is as its schema says; the words after `--` are the box's."""
    place = words.index("--") if "--" in words else len(words)
    done = box(*words[:place], "-o", "json", *words[place:])
    schema_check.check(words[:1], done.document)
    return done.exit_code, done.document


class Terminal:
    """The program at a terminal."""

    def __init__(self, box: Program, *words: str) -> None:
        self._ours, theirs = pty.openpty()
        argv = [sys.executable, "-m", "aws_bootstrap", *words]
        self.process = subprocess.Popen(
            argv, env=box.sandbox.env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        self.shown = b""

    def until(self, words: bytes) -> None:
        """Read until these words are shown."""
        while words not in self.shown:
            if not select.select([self._ours], [], [], 30)[0]:
                self.process.kill()
                raise AssertionError(self.shown)
            self.shown += os.read(self._ours, 4096)

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._ours, keys)

    def ends(self) -> int:
        """Return the exit code."""
        code = self.process.wait(30)
        os.close(self._ours)
        return code


def ssh_of(process: subprocess.Popen[Any]) -> int:
    """Return the pid of the ssh that the program has started, once it has."""

    def find() -> str | None:
        found = subprocess.run(["pgrep", "-x", "-P", str(process.pid), "ssh"], capture_output=True, text=True)
        return found.stdout.strip() or None

    found = poll(find, timeout=30, every=0.05)
    assert found
    return int(found)


# --- ssh -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "code"),
    [("true", 0), ("exit 3", 3), ("sh -c 'kill -INT $$'", 130), ("sh -c 'kill -9 $$'", 137), ("exit 255", 255)],
)
def test_the_exit_code_of_the_command_is_passed_on(box, line, code):
    assert box("ssh", "aws-gpu1", "--", line).exit_code == code
    exit_code, shown = document(box, "ssh", "aws-gpu1", "--", line)
    assert (exit_code, shown["exit_code"]) == (code, code)
    assert "error" not in shown


def test_bytes_pass_through_unchanged_in_both_directions(box):
    done = piped(box, "ssh", "aws-gpu1", "--", "cat; echo err >&2", stdin=BYTES)
    assert (done.returncode, done.stderr) == (0, b"err\n")
    assert hashlib.md5(done.stdout).digest() == hashlib.md5(BYTES).digest()


def test_one_word_is_a_line_of_shell_and_several_stay_words(box):
    assert box("ssh", "aws-gpu1", "--", "echo a b | tr a-z A-Z").out == "A B\n"
    words = ["printf", "<%s>", "a  b", "$HOME", "it's", "*", "--", "back\\slash", "line\nend"]
    assert box("ssh", "aws-gpu1", "--", *words).out == "".join(f"<{word}>" for word in words[2:])


def test_a_document_has_the_end_of_the_output_errors_among_it(box):
    done = piped(box, "ssh", "-o", "json", "--", "cat; echo err >&2; printf '\\377'", stdin=b"in\n")
    assert json.loads(done.stdout)["output"] == "in\nerr\n�"
    _, shown = document(box, "ssh", "aws-gpu1", "--", "yes | head -n 200000; echo end")
    assert shown["truncated"] is True
    assert len(shown["output"]) == 256 * 1024
    assert shown["output"].endswith("y\nend\n")


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (("ssh", DEAD, "--", "true"), 255, "ssh-timeout"),
        (("ssh", "nobody", "--", "true"), 255, "not-found"),
        (("ssh", "aws-gpu1"), 2, "usage"),
        (("ssh", "aws-gpu1", "-t", "--", "true"), 2, "usage"),
        (("ssh", "aws-gpu1", "true"), 2, "usage"),
        (("exec", "aws-gpu1"), 2, "usage"),
        (("run", "aws-gpu1"), 2, "usage"),
        (("logs", "aws-gpu1", "-f"), 2, "usage"),
        (("logs", "aws-gpu1", "--setup"), 1, "not-found"),
        (("logs", "aws-gpu1", "nothing"), 1, "not-found"),
        (("attach", "aws-gpu1", "nothing"), 255, "not-found"),
        (("attach", DEAD), 255, "ssh-timeout"),
        (("run", "aws-gpu1", "--dir", "nowhere", "--", "true"), 1, "not-found"),
    ],
)
def test_what_fails_on_this_side_is_an_error(box, words, code, error):
    exit_code, shown = document(box, *words)
    assert (exit_code, shown["error"]["code"]) == (code, error)
    assert "exit_code" not in shown


def test_a_text_has_the_error_in_ssh_s_own_words(box):
    done = box("ssh", DEAD, "--", "true")
    assert done.exit_code == 255
    assert "Error: aws-gpu9 does not answer: ssh: connect to host" in done.err


def test_a_connection_that_breaks_is_no_exit_code(box):
    box.sandbox.ssh_fault("dropped")
    exit_code, shown = document(box, "exec", "aws-gpu1", "--", "true")
    assert (exit_code, shown["error"]["code"]) == (255, shown["results"][0]["error_code"])
    assert box("ssh", "aws-gpu1", "--", "true").exit_code == 255


def test_a_box_that_never_begins_with_a_command_is_given_up(box):
    """It accepts the login; ssh would wait for ever."""
    ssh = Ssh(Paths({"AWS_BOOTSTRAP_SSH_CONFIG": box.sandbox.env["AWS_BOOTSTRAP_SSH_CONFIG"]}))
    box.sandbox.ssh_fault("hanging")
    chunks: list[bytes] = []
    with Sessions(ssh, first_within=2.0) as sessions, pytest.raises(SshError) as caught:
        sessions.stream("aws-gpu1", "echo", chunks.append, chunks.append)
    assert (caught.value.code, chunks) == ("ssh-timeout", [])
    assert str(caught.value) == "aws-gpu1 accepted the connection, and answered nothing for 2 s."
    box.sandbox.clear_ssh_fault()
    with Sessions(ssh, first_within=2.0) as sessions:
        sessions.stream("aws-gpu1", "echo first; sleep 3; echo later", chunks.append, chunks.append)
    assert b"".join(chunks) == b"first\nlater\n", "after its first word it may be silent"


def test_the_terminal_is_that_of_the_box_and_ctrl_c_reaches_it(box):
    seen = Terminal(box, "ssh", "aws-gpu1", "--", "trap 'echo caught; exit 9' INT; tty; echo ready; sleep 60 & wait")
    seen.until(b"ready")
    assert b"/dev/pts/" in seen.shown
    seen.type(b"\x03")
    seen.until(b"caught")
    assert seen.ends() == 9


def test_ctrl_c_ends_a_command_with_the_shell_s_code(box):
    seen = Terminal(box, "ssh", "aws-gpu1", "--", "echo ready; exec sleep 60")
    seen.until(b"ready")
    seen.type(b"\x03")
    assert seen.ends() == 130


def test_a_login_shell_has_the_terminal(box):
    seen = Terminal(box, "ssh", "aws-gpu1")
    seen.until(b"# ")
    seen.type(b"echo $((6 * 7)); exit 4\n")
    seen.until(b"42")
    assert seen.ends() == 4


def test_a_signal_ends_the_program_and_its_ssh(box):
    process = box.started("ssh", "aws-gpu1", "--", "echo ready; sleep 60")
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    ssh = ssh_of(process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 143
    assert not Path(f"/proc/{ssh}").exists()


# --- exec ------------------------------------------------------------------------------------------------


def test_lines_of_several_boxes_have_their_names_and_the_worst_code_counts(box):
    line = "echo out; echo err >&2; printf end; exit $((${SSH_CONNECTION:+3}))"
    done = box("exec", "aws-gpu1", TWIN, "--", line)
    assert done.exit_code == 3
    assert sorted(done.out.splitlines()) == ["aws-gpu1: end", "aws-gpu1: out", "aws-gpu8: end", "aws-gpu8: out"]
    assert {"aws-gpu1: err", "aws-gpu8: err", "aws-gpu1: exit code 3"} <= set(done.err.splitlines())


def test_a_box_that_does_not_answer_is_among_the_results(box):
    exit_code, shown = document(box, "exec", "aws-gpu1", DEAD, "aws-gpu1", "--", "cat; echo out; exit 1")
    assert exit_code == 255
    assert shown["error"]["code"] == "ssh-timeout"
    there, dead = shown["results"]
    assert (there["ssh_alias"], there["exit_code"], there["output"]) == ("aws-gpu1", 1, "out\n")
    assert dead["error_code"] == "ssh-timeout"
    assert "exit_code" not in shown


# --- run, logs, attach, ps -------------------------------------------------------------------------------


def start(box: Program, line: str, *options: str) -> str:
    """Start a run; return its id."""
    exit_code, shown = document(box, "run", "aws-gpu1", *options, "--", line)
    assert exit_code == 0, shown
    return shown["run"]["run"]


def go_on(box: Program) -> None:
    """Have the run that waits go on."""
    assert box("ssh", "aws-gpu1", "--", "touch go").exit_code == 0


def state(box: Program, run: str) -> tuple[str, int | None]:
    """The run's state and exit code, as `ps` lists it."""
    _, shown = document(box, "ps", "aws-gpu1")
    (found,) = [one for one in shown["runs"] if one["run"] == run]
    return found["state"], found["exit_code"]


@pytest.mark.parametrize(("line", "code"), [("echo out; echo err >&2; exit 5", 5), ("nosuchprogram", 127)])
def test_a_run_keeps_its_log_and_its_exit_code(box, line, code):
    done = box("run", "aws-gpu1", "--follow", "--", line)
    assert done.exit_code == code
    exit_code, shown = document(box, "attach", "aws-gpu1")
    assert (exit_code, shown["exit_code"], shown["run"]["state"]) == (code, code, "exited")
    assert shown["output"] == done.out
    logged = box("logs", "aws-gpu1")
    assert (logged.exit_code, logged.out) == (0, done.out)
    assert state(box, shown["run"]["run"]) == ("exited", code)


def test_a_run_has_the_login_s_variables_a_folder_and_the_usual_umask(box):
    box("ssh", "aws-gpu1", "--", "mkdir -p work; sed -i '1i export FROM_RC=yes' .bashrc")
    done = box("run", "aws-gpu1", "--dir", "work", "--follow", "--", "echo ${PWD##*/} $FROM_RC $SSH_CLIENT; umask")
    assert done.out == "work yes\n0022\n"


def test_a_run_goes_on_when_its_client_is_killed(box):
    process = box.started("run", "aws-gpu1", "--follow", "--", f"echo begun; {WAIT}; echo ended; exit 6")
    assert process.stdout
    assert process.stdout.readline() == "begun\n"
    os.kill(ssh_of(process), signal.SIGKILL)
    process.kill()
    process.wait()
    listed = box("ssh", "aws-gpu1", "--", "systemctl list-units 'aws-bootstrap-run-*'").out
    assert ".service loaded active running" in listed
    go_on(box)
    done = box("attach", "aws-gpu1")
    assert (done.exit_code, done.out) == (6, "begun\nended\n")


def test_logs_go_on_from_the_same_byte_when_the_connection_breaks(box):
    run = start(box, f"head -c 5000 /dev/urandom; {WAIT}; head -c 200000 /dev/urandom")
    argv = [sys.executable, "-m", "aws_bootstrap", "logs", "aws-gpu1", run, "-f"]
    with subprocess.Popen(argv, env=box.sandbox.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        begun = os.read(process.stdout.fileno(), 5000)
        os.kill(ssh_of(process), signal.SIGKILL)
        go_on(box)
        rest, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert b"Connecting again" in errors
    assert begun + rest == piped(box, "ssh", "aws-gpu1", "--", f"cat .aws-bootstrap/runs/{run}/log").stdout


def test_ctrl_c_detaches_and_leaves_the_run_alone(box):
    run = start(box, f"echo begun; {WAIT}; exit 2")
    process = box.started("attach", "aws-gpu1", run)
    assert process.stdout
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert f"The run goes on. Follow it again: aws-bootstrap --sandbox attach aws-gpu1 {run}" in errors
    go_on(box)
    assert box("attach", "aws-gpu1", run).exit_code == 2


def test_only_the_last_lines_of_a_log(box):
    run = start(box, "seq 30000")
    box("attach", "aws-gpu1", run)
    assert box("logs", "aws-gpu1", run, "-n", "2").out == "29999\n30000\n"
    assert box("logs", run, "-n", "0").out == ""
    assert box("logs", "aws-gpu1", run, "-n", "20000").out == "".join(f"{n}\n" for n in range(10001, 30001))
    assert box("logs", "aws-gpu1", run, "-n", "99999").out.startswith("1\n2\n")


def test_a_name_is_used_once_at_a_time(box):
    assert start(box, "sleep 60", "--name", "train") == "train"
    exit_code, shown = document(box, "run", "aws-gpu1", "--name", "train", "--", "true")
    assert (exit_code, shown["error"]["code"]) == (1, "run-exists")
    assert state(box, "train") == ("running", None)
    box("ssh", "aws-gpu1", "--", "sudo systemctl stop 'aws-bootstrap-run-train'")
    assert state(box, "train") == ("exited", 143)
    assert start(box, "true", "--name", "train") == "train-2"


def test_a_run_that_was_killed_is_lost(box):
    run = start(box, "sleep 60")
    box("ssh", "aws-gpu1", "--", f"sudo kill -9 $(sudo cat $SANDBOX_ROOT/run/sandbox/services/aws-bootstrap-run-{run})")
    exit_code, shown = document(box, "attach", "aws-gpu1", run)
    assert (exit_code, shown["error"]["code"], shown["run"]["state"]) == (255, "run-lost", "lost")


def test_runs_of_all_boxes_and_those_that_do_not_answer(box):
    start(box, "true")
    exit_code, shown = document(box, "ps")
    assert (exit_code, shown["boxes"]) == (0, ["aws-gpu1"])
    exit_code, shown = document(box, "ps", "aws-gpu1", DEAD)
    assert (exit_code, shown["error"]["code"]) == (3, "runs-unknown")
    assert [one["ssh_alias"] for one in shown["boxes_failed"]] == [DEAD]
    assert shown["runs"]


def test_the_guardian_s_journal(box):
    done = box("logs", "aws-gpu1", "--guardian", "-n", "5")
    assert done.exit_code == 0, done.err
