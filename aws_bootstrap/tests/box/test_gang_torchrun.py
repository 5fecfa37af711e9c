"""Jobs of torchrun, with a stand-in for it that starts the processes of a node: markers, and what success is."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aws_bootstrap.tests.box.gangs import FILES, PYTHON, Gang

Create = Callable[..., Gang]
#: Starts the processes as torchrun does: sessions of their own, LOCAL_RANK, the interpreter with -u.
TORCHRUN = f"""#!{sys.executable}
import itertools, json, os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, lambda *_: None)  # as torchrun, which then waits for its processes and for its store
options = list(itertools.takewhile(lambda word: word.startswith("--"), sys.argv[1:]))
words = sys.argv[1 + len(options):]
values = dict(option[2:].split("=", 1) for option in options)
with open("called." + os.environ["NODE"], "w") as file:
    json.dump([values, words], file)
running = []
for rank in range(int(values["nproc-per-node"])):
    environment = {{**os.environ, "LOCAL_RANK": str(rank), "GROUP_RANK": os.environ["AWSB_NODE_RANK"]}}
    command = [sys.executable, "-u", *words]
    running.append(subprocess.Popen(command, env=environment, start_new_session=True))
codes = [process.wait() for process in running]
EXIT
"""
BY_WORST = "sys.exit(1 if any(codes) else 0)"


@pytest.fixture
def create(tmp_path: Path) -> Iterator[Create]:
    """A function that writes a gang of one node or more, whose torchrun ends in this way."""
    created: list[Gang] = []

    def write(text: str, size: int = 1, how_torchrun_ends: str = BY_WORST, **spec: Any) -> Gang:
        settings = {"launcher": "torchrun", "script": "train.py", "nproc": 2, "end_seconds": 1, **spec}
        gang = Gang(tmp_path / f"gang{len(created)}", size, **settings)
        gang.script(text, "train.py").program("torchrun", TORCHRUN.replace("EXIT", how_torchrun_ends))
        created.append(gang)
        return gang

    yield write
    for gang in created:
        gang.close()


def test_torchrun_numbers_the_processes_by_the_position_of_their_node(create):
    gang = create("", size=3, nproc=1, arguments=["--lr", "0.1"]).start()
    assert gang.result() == ("done", None, "The job succeeded on all 3 nodes.")
    names = []
    for position in range(3):
        values, words = json.loads((gang.code / f"called.{position}").read_text())
        names.append(values["local-addr"])
        assert words == [str(gang.run(position) / "marked.py"), "train.py", "--lr", "0.1"]
        is_host = int(position == 0)
        assert values == {
            "nnodes": "3",
            "nproc-per-node": "1",
            "rdzv-backend": "c10d",
            "rdzv-endpoint": f"{gang.spec['nodes'][0]['address']}:{gang.spec['rendezvous_port']}",
            "rdzv-id": "job-20260101-000000",
            "rdzv-conf": f"join_timeout=120,read_timeout=120,is_host={is_host}",
            "local-addr": names[-1],
            "max-restarts": "0",
        }
    assert names[0] == gang.spec["nodes"][0]["address"], "torchrun connects to this one"
    assert names[1:] == ["node-00001", "node-00002"], "torchrun sorts them as texts, after the address"
    assert "RANK is another order" not in gang.log(1)


def test_a_torchrun_that_numbers_the_nodes_in_another_way_is_warned_of(create):
    gang = create("", nproc=1)
    torchrun = gang.folder / "bin" / "torchrun"
    torchrun.write_text(torchrun.read_text().replace('os.environ["AWSB_NODE_RANK"]', '"1"'))
    assert gang.start().result()[0] == "done"
    assert "torchrun calls node 0 node 1: RANK is another order." in gang.log(0)


def test_markers_of_all_processes_count_more_than_the_exit_code(create):
    gang = create("", how_torchrun_ends="sys.exit(1)").start()
    assert gang.codes() == [0]
    assert gang.result()[0] == "done"
    assert gang.results()[0]["returncode"] == 0


def test_a_process_without_a_marker_means_that_the_exit_code_counts(create):
    aborts = "import os\nif os.environ['LOCAL_RANK'] == '1': os.abort()"
    gang = create(aborts).start()
    assert gang.codes() == [1]
    reason = "The job on node 0 failed with exit code 1: process 1 was killed or crashed."
    assert gang.result() == ("job-failed", 0, reason)
    assert create(aborts, how_torchrun_ends="sys.exit(0)").start().result()[0] == "done"


def test_the_first_error_of_a_script_is_the_reason(create):
    script = """
import os, time
if os.environ["LOCAL_RANK"] == "0":
    time.sleep(0.3)
    raise ConnectionError("closed by peer")
raise ValueError("no\\n data.")
"""
    gang = create(script).start()
    assert gang.codes() == [1]
    assert gang.result()[2] == "The job on node 0 failed with exit code 1: ValueError: no data."


def test_the_node_whose_process_failed_first_is_the_culprit(create):
    """The others fail because of it, and its torchrun is the last one to report it."""
    script = """
import os, time
if os.environ["NODE"] == "1":
    if os.environ["LOCAL_RANK"] == "0":
        os.kill(os.getpid(), 9)
    time.sleep(1)
else:
    time.sleep(0.4)
    raise ConnectionError("closed by peer")
"""
    gang = create(script, size=3).start()
    reason = "The job on node 1 failed with exit code 1: process 0 was killed or crashed."
    assert gang.result() == ("job-failed", 1, reason)


def test_the_success_file_counts_too(create):
    script = "import os\nopen(os.environ['AWSB_SUCCESS_FILE'], 'w').close()\nraise SystemExit(1)"
    assert create(script).start().result()[0] == "done"


def test_the_marks_of_an_earlier_start_do_not_count(create):
    gang = create("").start()
    assert gang.result()[0] == "done"
    gang.script("raise ValueError", "train.py")
    (gang.run(0) / "success").touch()
    assert gang.start().result()[0] == "job-failed"


def test_torchrun_that_waits_for_others_is_ended_after_the_work_is_done(create):
    gang = create("", size=2, how_torchrun_ends="time.sleep(1000)").start()
    assert gang.result() == ("done", None, "The job succeeded on all 2 nodes.")
    assert gang.codes() == [0, 0]
    assert gang.processes() == []


def test_torchrun_that_waits_for_a_lost_store_is_ended_when_its_processes_have_ended(create):
    script = "import os, time\nopen('begun.' + os.environ['LOCAL_RANK'], 'w').close()\ntime.sleep(1000)"
    gang = create(script, how_torchrun_ends="time.sleep(1000)", end_seconds=1000).start()
    gang.until(lambda: {path.name for path in gang.code.glob("begun.*")} == {"begun.0", "begun.1"}, "both processes")
    gang.send(0, signal.SIGTERM)
    assert gang.codes() == [75]
    assert gang.result()[0] == "stopped"
    assert gang.processes() == []


def test_a_script_without_torchrun_has_its_time_to_end(create):
    script = """
import pathlib, signal, time

def save(*_):
    time.sleep(3)
    pathlib.Path("saved").write_text("all\\n")
    raise SystemExit

signal.signal(signal.SIGTERM, save)
pathlib.Path("begun").touch()
time.sleep(1000)
"""
    gang = create(script, launcher="shell", end_seconds=1000).start()
    gang.until(lambda: (gang.code / "begun").exists(), "the script")
    gang.send(0, signal.SIGTERM)
    gang.codes()
    assert gang.lines("saved") == ["all"]


def test_processes_that_hang_at_their_exit_are_ended_after_the_work_is_done(create):
    hangs = "import threading, time\nthreading.Thread(target=time.sleep, args=[1000]).start()"
    gang = create(hangs, size=2, exit_seconds=1).start()
    assert gang.result() == ("done", None, "The job succeeded on all 2 nodes. Its processes did not end.")
    assert gang.processes() == []


def test_without_torchrun_its_module_is_called(create):
    gang = create("", nproc=1)
    (gang.folder / "bin" / "torchrun").unlink()
    gang.program("python", '#!/bin/sh\necho "$1 $2" >called\n').start()
    assert gang.result()[0] == "done"
    assert gang.lines("called") == ["-m torch.distributed.run"]


def test_one_process_for_each_gpu(create):
    gang = create("", nproc="auto")
    smi = (
        "#!/bin/sh\n[ $1 = -L ] && printf 'GPU 0: A10G (UUID: a)\\n  MIG 1g.5gb Device 0\\nGPU 1: A10G (UUID: b)\\n'\n"
    )
    gang.program("nvidia-smi", smi).start()
    assert gang.result()[0] == "done"
    assert sorted(path.name for path in (gang.run(0) / "marks").glob("done.*")) == ["done.0", "done.1"]


# --- each process ------------------------------------------------------------------------------------------------


def run_marked(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a script of the folder as each process of torchrun does. Its marks are below `run`."""
    run = folder / "run"
    (run / "marks").mkdir(parents=True)
    shutil.copy(FILES / "marked.py", run)
    environment = {"LOCAL_RANK": "3", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [PYTHON, "-u", str(run / "marked.py"), *words], cwd=folder, env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        ("raise ValueError('no\\n data.')", 1, "ValueError: no data."),
        ("raise KeyError", 1, "KeyError"),
        ("import sys; sys.exit(3)", 3, "exit code 3"),
        ("import sys; sys.exit('no data')", 1, "exit code no data"),
        ("def", 1, "SyntaxError: invalid syntax (train.py, line 1)"),
        (None, 1, "FileNotFoundError: [Errno 2] No such file or directory: 'train.py'"),
        ("import sys; sys.exit()", 0, None),
        ("import sys; sys.exit(0)", 0, None),
        ("", 0, None),
    ],
)
def test_a_process_marks_how_its_script_has_ended(tmp_path, script, code, said):
    if script is not None:
        (tmp_path / "train.py").write_text(script)
    done = run_marked(tmp_path, "train.py")
    assert done.returncode == code
    marks = {path.name: json.loads(path.read_text()) for path in (tmp_path / "run" / "marks").iterdir()}
    assert set(marks) == {"started.3", "failed.3" if said else "done.3"}
    if said:
        since, text = marks["failed.3"]
        assert 0 < since <= time.monotonic()
        assert text == said
        assert ("Traceback" in done.stderr) is ("exit code" not in said)


def test_a_script_runs_as_python_runs_it(tmp_path):
    script = """
import __main__, json, multiprocessing, os, pickle, sys, helper

class Thing:
    pass

def square(number):
    return number * number

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        squares = pool.map(square, [3])
    found = {
        "argv": sys.argv,
        "path": sys.path[0],
        "file": __file__,
        "pickled": type(pickle.loads(pickle.dumps(Thing()))) is Thing,
        "main": __main__.square is square,
        "squares": squares,
        "spec": __spec__,
    }
    print("found", json.dumps(found))
"""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "helper.py").write_text("")
    (tmp_path / "sub" / "train.py").write_text(script)
    done = run_marked(tmp_path, "sub/train.py", "--epochs", "3")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("found ")]
    assert json.loads(line.partition(" ")[2]) == {
        "argv": ["sub/train.py", "--epochs", "3"],
        "path": str(tmp_path / "sub"),
        "file": "sub/train.py",
        "pickled": True,
        "main": True,
        "squares": [9],
        "spec": None,
    }
