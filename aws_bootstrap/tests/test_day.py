"""A day with a box, from the config file to the last terminate: the commands as a person types them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from datetime import datetime
from pathlib import Path
from typing import Any

from aws_bootstrap.retry import poll
from aws_bootstrap.tests.programs import Program

#: Trains until it is told to stop, so that the test decides how long that takes; two minutes at most.
TRAIN = """
import pathlib, time
for epoch in range(600):
    print("epoch", epoch, flush=True)
    if pathlib.Path("enough").exists():
        break
    time.sleep(0.2)
pathlib.Path("result.txt").write_text("accuracy 0.99")
"""


def done(program: Program, *words: str, **settings: Any) -> dict[str, Any]:
    """The document of a command that succeeds."""
    code, document = program.json(*words, **settings)
    assert code == 0, document
    return document


def eventually(look):
    found = poll(lambda: look() or None, timeout=60, every=0.1)
    assert found
    return found


def runs(program: Program) -> dict[str, dict[str, Any]]:
    """The runs of the boxes by their names."""
    return {run["run"]: run for run in done(program, "ps")["runs"]}


def new_project(folder: Path) -> Path:
    """A folder as people have it: code, and files that git ignores."""
    project = folder / "project"
    project.mkdir()
    (project / "train.py").write_text(TRAIN)
    (project / ".gitignore").write_text("*.ckpt\n")
    (project / "old.ckpt").write_text("large")
    return project


def configure(program: Program) -> None:
    """Limits for every launch, and a preset."""
    done(program, "config", "set", "launch.ttl", "8h")
    done(program, "config", "set", "presets.train.on-demand", "true")
    done(program, "config", "set", "presets.train.ebs-storage", "5")
    shown = {value["key"]: value["value"] for value in done(program, "config", "show")["values"]}
    assert shown["launch.ttl"] == "8h"


def train_with_a_closed_laptop(program: Program, project: Path, folder: Path) -> None:
    """Send the project, start the training, kill the client; the training goes on, and its result comes back."""
    done(program, "sync", str(project), "aws-gpu1:project")
    assert "old.ckpt" not in program("ssh", "--", "ls -A project").out
    words = ["run", "aws-gpu1", "--name", "train", "--dir", "project", "--follow", "--", "python3", "train.py"]
    argv = [sys.executable, "-m", "aws_bootstrap", *words]
    with subprocess.Popen(argv, env=program.sandbox.env, stdout=subprocess.PIPE, text=True) as laptop:
        assert laptop.stdout
        assert laptop.stdout.readline().startswith("epoch")
        laptop.kill()
    assert runs(program)["train"]["state"] == "running"
    seen = program("logs", "aws-gpu1").out.count("epoch")
    eventually(lambda: program("logs", "aws-gpu1").out.count("epoch") > seen)
    assert program("ssh", "aws-gpu1", "--", "touch project/enough").exit_code == 0
    attached = program("attach", "aws-gpu1", "train")
    assert (attached.exit_code, attached.out.startswith("epoch 0\n")) == (0, True)
    assert runs(program)["train"]["exit_code"] == 0
    done(program, "cp", "aws-gpu1:project/result.txt", str(folder))
    assert (folder / "result.txt").read_text() == "accuracy 0.99"


def read_jupyter(program: Program) -> None:
    """Read Jupyter's page through a tunnel that ends with its command."""
    argv = [sys.executable, "-m", "aws_bootstrap", "forward", "aws-gpu1", "8888", "-o", "json"]
    with subprocess.Popen(argv, env=program.sandbox.env, stdout=subprocess.PIPE, text=True) as tunnel:
        text = ""
        for line in tunnel.stdout or ():
            text += line
            if line.rstrip() == "}":
                break
        port = json.loads(text)["ports"][0]["local_port"]
        link = program.ssh("aws-gpu1", ".aws-bootstrap/jupyter-link").stdout.strip()
        address = re.sub(r":\d+/", f":{port}/", link, count=1)
        with urllib.request.urlopen(address, timeout=20) as reply:
            assert "Jupyter" in reply.read().decode()
        tunnel.terminate()
        tunnel.communicate(timeout=20)
    assert tunnel.returncode == 143


def look_at_prices(program: Program, folder: Path) -> None:
    prices = done(program, "prices", "--plot", str(folder / "prices.svg"))["prices"]
    known = [price["spot_price_per_hour"] for price in prices if price["spot_price_per_hour"]]
    assert known == sorted(known)
    assert known
    assert "<svg" in (folder / "prices.svg").read_text()


def over_lunch(program: Program) -> None:
    """Stop the box, start it again under the same alias, and give it more time."""
    done(program, "stop", "aws-gpu1", "--yes")
    (stopped,) = done(program, "status", "aws-gpu1")["instances"]
    assert stopped["state"] == "stopped"
    assert stopped["monthly_cost_usd"] > 0, "its disks bill"
    done(program, "start", "aws-gpu1")
    assert program("ssh", "aws-gpu1", "--", "cat project/result.txt").out == "accuracy 0.99"
    (before,) = done(program, "status", "aws-gpu1")["instances"]
    extended = done(program, "extend", "aws-gpu1", "2h")
    gained = datetime.fromisoformat(extended["deadline"]) - datetime.fromisoformat(before["deadline"])
    assert abs(gained.total_seconds() - 7200) < 120


def test_a_day(program, tmp_path):
    configure(program)
    launched = done(program, "launch", "--preset", "train")
    assert (launched["setup"], launched["pricing"], launched["ebs_volume"]["mounted"]) == (
        "completed",
        "on-demand",
        True,
    )
    assert launched["deadline"] is not None
    train_with_a_closed_laptop(program, new_project(tmp_path), tmp_path)
    read_jupyter(program)
    look_at_prices(program, tmp_path)
    over_lunch(program)

    secret = program.ssh("aws-gpu1", "cat .aws-bootstrap/jupyter.env; cat /etc/machine-id").stdout.split()
    baked = done(program, "bake", "aws-gpu1", "--name", "trainer", "--yes")
    assert program("ssh", "aws-gpu1", "--", "cat project/result.txt; ls /data").exit_code == 0, (
        "the box works as before"
    )
    ended = done(program, "terminate", "aws-gpu1", "--yes")["terminated"]
    assert ended[0]["ebs_volumes_deleted"] == [launched["ebs_volume"]["volume_id"]]

    again = done(program, "launch", "--image", "trainer", "--name", "from-image")
    assert (again["ami_id"], again["setup"]) == (baked["image_id"], "completed")
    assert program("ssh", "from-image", "--", "cat project/result.txt").out == "accuracy 0.99", (
        "what was set up is there"
    )
    kept = program.ssh("from-image", "cat .aws-bootstrap/jupyter.env; cat /etc/machine-id").stdout
    assert not [word for word in secret if len(word) > 20 and word in kept], "no token and no identity of the first box"

    done(program, "terminate", "from-image", "--yes")
    done(program, "image", "rm", "trainer", "--yes")
    status = eventually(lambda: nothing_left(program))
    assert status["orphan_volumes"] == []
    assert done(program, "costs", "--sum")["monthly_cost_usd"] == 0


def nothing_left(program: Program) -> dict[str, Any] | None:
    """The status, once nothing bills."""
    status = done(program, "status")
    return None if status["instances"] else status
