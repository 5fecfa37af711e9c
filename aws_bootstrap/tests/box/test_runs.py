"""A run with files of its own and a result (resources/runs), where a stand-in for systemd starts it.

What systemd does with a run is in linux_runs.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aws_bootstrap.workflows.runs import RESOURCES, program

SUDO = '#!/bin/sh\nshift\nexec "$@"\n'
SYSTEMD_RUN = """#!/bin/sh
while [ "${1#--}" != "$1" ]; do shift; done
"$@"
"""


class Home:
    """A home folder whose user starts runs."""

    def __init__(self, folder: Path) -> None:
        """Write the stand-ins."""
        self.folder = folder
        self.runs = folder / ".aws-bootstrap" / "runs"
        tools = folder / "bin"
        tools.mkdir()
        for name, text in (("sudo", SUDO), ("systemd-run", SYSTEMD_RUN), ("systemctl", "#!/bin/sh\n")):
            (tools / name).write_text(text)
            (tools / name).chmod(0o755)
        self.environment = {"HOME": str(folder), "PATH": f"{tools}:/usr/bin:/bin"}

    def send(self, what: str, **spec: Any) -> dict[str, Any]:
        """Return the answer to a request."""
        sent = program(what, spec)
        done = subprocess.run([sys.executable, "-I", "-"], input=sent, env=self.environment, capture_output=True)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def start(self, command: str, **more: Any) -> dict[str, Any]:
        """Return a run that has ended, as it is listed."""
        job = (RESOURCES / "job.py").read_text()
        started = self.send("start", command=command, folder=None, name=None, then=None, job=job, **more)
        assert "error" not in started, started
        (found,) = [about for about in self.send("list")["runs"] if about["id"] == started["id"]]
        return found


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_a_run_finds_its_files_in_its_folder(home):
    files = {"spec.json": '{"é": 1}', "agent.py": "print('agent')\n"}
    command = 'cat "$AWS_BOOTSTRAP_RUN_FOLDER/spec.json"; python3 "$AWS_BOOTSTRAP_RUN_FOLDER/agent.py"'
    found = home.start(command, files=files)
    assert (found["exit_code"], found["result"]) == (0, None)
    assert (home.runs / found["id"] / "log").read_text() == '{"é": 1}agent\n'


def test_files_are_written_into_the_folder_alone(home):
    home.start("true", files={"../../outside": "x", "/tmp/outside": "y"})
    assert (home.runs / "1" / "outside").exists()
    assert not (home.runs.parent / "outside").exists()


def test_a_run_without_files_is_as_before(home):
    found = home.start("echo $AWS_BOOTSTRAP_RUN_FOLDER; exit 3")
    assert (found["exit_code"], found["result"]) == (3, None)
    assert (home.runs / "1" / "log").read_text() == f"{home.runs / '1'}\n"


@pytest.mark.parametrize(("written", "result"), [('{"succeeded": true}', {"succeeded": True}), ("{", None)])
def test_what_a_run_writes_as_its_result_is_listed(home, written, result):
    found = home.start(f"echo '{written}' >$AWS_BOOTSTRAP_RUN_FOLDER/result.json")
    assert found["result"] == result
