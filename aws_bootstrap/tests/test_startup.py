"""The process itself: signals at any time from the first import on, and standard streams that are closed or old."""

from __future__ import annotations

import gc
import json
import os
import pty
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import aws_bootstrap

PROGRAM = [sys.executable, "-m", "aws_bootstrap"]
SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
IDS = ["int", "term", "hup"]


def started(program, *words, env=None, **streams):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **streams}
    return subprocess.Popen([*PROGRAM, *words], env={**program.sandbox.env, **(env or {})}, **pipes)


def told(out, err, code):
    """The one document of a command that was interrupted."""
    assert "Traceback" not in err
    assert "Exception ignored" not in err
    failed = json.loads(out)
    assert failed["error"]["code"] == "interrupted"
    assert failed["error"]["message"] in err
    return failed


# --- signals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), SIGNALS, ids=IDS)
def test_a_signal_while_reading_has_its_own_exit_code(program, wait_for, number, code):
    program.sandbox.fault(action="DescribeInstances", do={"delay": 2})
    process = started(program, "status", "-r", "us-west-2", "-o", "json")
    wait_for(lambda: program.sandbox.log("DescribeInstances"))
    process.send_signal(number)
    out, err = process.communicate(timeout=40)
    assert process.returncode == code
    told(out, err, code)


SLOW_CLICK = """
import importlib, os, sys
open(os.environ["READY"], "w").close()
open(os.environ["GO"]).close()
sys.path.remove(os.path.dirname(__file__))
del sys.modules["click"]
importlib.import_module("click")
"""
"""Stands before the library that the program imports first: says that loading has begun, and waits for leave."""


@pytest.fixture
def loading(tmp_path, program):
    """The program, held while it loads; `go()` lets it go on."""
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "click.py").write_text(SLOW_CLICK)
    fifos = {name: str(tmp_path / name) for name in ("READY", "GO")}
    for path in fifos.values():
        os.mkfifo(path)
    process = started(program, "status", "-o", "json", env={**fifos, "PYTHONPATH": str(tmp_path / "first")})
    with open(fifos["READY"]):
        pass
    yield process, lambda: open(fifos["GO"], "w").close()
    process.kill()
    process.communicate()


@pytest.mark.parametrize(("number", "code"), SIGNALS, ids=IDS)
def test_a_signal_while_the_program_loads_is_reported(loading, program, number, code):
    process, go = loading
    process.send_signal(number)
    go()
    out, err = process.communicate(timeout=40)
    assert process.returncode == code
    told(out, err, code)
    assert program.sandbox.log() == []


def test_a_second_signal_ends_a_program_that_does_not_load(loading):
    process, _ = loading
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=40)
    assert process.returncode in (130, 143)
    assert out == ""
    assert err == "Interrupted.\n"


def test_sighup_that_is_ignored_stays_ignored(program, wait_for):
    program.sandbox.fault(action="DescribeInstances", do={"delay": 1})
    process = started(program, "status", "-r", "us-west-2", "-o", "json", preexec_fn=_ignore_hangups)
    wait_for(lambda: program.sandbox.log("DescribeInstances"))
    process.send_signal(signal.SIGHUP)
    out, _ = process.communicate(timeout=40)
    assert process.returncode == 0
    assert json.loads(out)["instances"] == []


def _ignore_hangups():
    """As nohup does."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def test_a_signal_at_the_question_has_its_own_exit_code(program):
    ours, theirs = pty.openpty()
    words = ["quota", "request", "--type", "spot", "--desired-value", "900"]
    process = started(program, *words, stdin=theirs, stderr=theirs)
    os.close(theirs)
    shown = ""
    while "[y/N]" not in shown:
        assert select.select([ours], [], [], 30)[0]
        shown += os.read(ours, 4096).decode()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=40)
    os.close(ours)
    assert process.returncode == 143
    assert not program.sandbox.log("RequestServiceQuotaIncrease")


def test_a_question_takes_yes_and_no_and_asks_again_for_anything_else():
    script = """
from aws_bootstrap.app import App
for _ in range(6):
    print(App().confirm("Go on?", yes=False), flush=True)
try:
    App().confirm("Go on?", yes=False)
except KeyboardInterrupt:
    print("end")
"""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", script], stdin=theirs, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    os.write(ours, b"y\nYES\nn\n\nno\nwhat\ny\n\x04")
    out, _ = process.communicate(timeout=40)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert out.decode().split() == ["True", "True", "False", "False", "False", "True", "end"]
    assert shown.count("Go on? [y/N]: ") == 8
    assert "Answer y or n." in shown


def test_importing_the_package_leaves_signals_alone():
    script = """
import signal
before = [signal.getsignal(n) for n in (1, 2, 15)]
import aws_bootstrap.cli
assert [signal.getsignal(n) for n in (1, 2, 15)] == before
"""
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_signals_are_taken_over_before_anything_is_imported_that_takes_time():
    script = """
import signal, sys
sys.argv = ["/bin/aws-bootstrap"]
known = set(sys.modules)
import aws_bootstrap
assert signal.getsignal(15) == signal.getsignal(2) != signal.default_int_handler
print(*sorted({"click", "contextlib", "re", "typing"} & (set(sys.modules) - known)))
"""
    root = Path(aws_bootstrap.__file__).parents[1]
    done = subprocess.run([sys.executable, "-S", "-c", script], cwd=root, capture_output=True, text=True)
    assert done.stdout == "\n", done.stderr


@pytest.mark.parametrize("argv0", ["/bin/aws-bootstrap", "/bin/another"])
def test_the_program_alone_looks_for_garbage_rarely(argv0):
    script = f"import gc, sys; sys.argv = [{argv0!r}]; import aws_bootstrap.cli; print(gc.get_threshold()[0])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    is_rare = int(done.stdout) > gc.get_threshold()[0]
    assert is_rare == (argv0 == "/bin/aws-bootstrap")


def test_a_command_in_another_process_puts_signals_back(run):
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    assert run("status", "--nonsense").exit_code == 2
    assert [signal.getsignal(number) for number in numbers] == before


# --- standard streams ------------------------------------------------------------------------------------


def shell(program, command, **env):
    """Run a shell command in which $AB is the program; exit code and stderr."""
    whole = {**program.sandbox.env, "AB": " ".join(PROGRAM), **env}
    done = subprocess.run(["bash", "-c", command], env=whole, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("closed", [">/dev/full", ">&-"])
def test_a_launch_whose_result_nobody_reads_is_incomplete(program, closed):
    code, _, err = shell(program, f"$AB launch --no-setup -o json {closed}")
    assert code == 3
    assert "could not be written" in err
    assert "(billing)" in err
    assert len(program.sandbox.client().describe_instances()["Reservations"]) == 1


def test_closed_streams_are_reported_as_far_as_that_is_possible(program):
    assert shell(program, "$AB status -r us-west-2 -o json >&-")[0] == 1
    code, out, _ = shell(program, "$AB status -r us-west-2 <&- 2>&-")
    assert code == 0
    assert "No instances" in out
    assert shell(program, "$AB quota request --type spot --desired-value 900 <&-")[0] == 2
    assert shell(program, "$AB status --nonsense -o json >&- 2>&-")[0] == 2


def test_what_a_terminal_cannot_show_is_escaped(program):
    words = "$AB launch --subnet-id Ж… -o json"
    code, out, err = shell(program, words, PYTHONIOENCODING="latin-1")
    assert code == 2
    assert "Ж…" in json.loads(out)["error"]["message"]
    assert "\\u0416\\u2026" in err
