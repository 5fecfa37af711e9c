"""The examples of clusters, run for real with torchrun on the CPU, on one node. Run by .ci/payload."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples" / "cluster"
#: As many processes each: a training does not depend on it.
ALONE, THREE = "1", "3"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return the variables of a node with prepared data."""
    settings = os.environ | {"HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    prepare(settings)
    return settings


def prepare(environment: dict[str, str]) -> str:
    """Prepare the data; what the script prints."""
    words = [sys.executable, str(EXAMPLES / "prepare_data.py")]
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout


def train(environment: dict[str, str], processes: str, checkpoints: Path, *options: str) -> str:
    """Train; the log."""
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", processes]
    done = subprocess.run(
        [*words, str(EXAMPLES / "train.py"), *options],
        env=environment | {"AWSB_CHECKPOINT_DIR": str(checkpoints)},
        capture_output=True,
        text=True,
    )
    # No look at the exit code: gloo may abort at exit, when all work is done.
    assert "step" in done.stdout, done.stderr
    return done.stdout


def losses(log: str) -> dict[int, float]:
    """Return the losses by step."""
    return {int(step): float(loss) for step, loss in re.findall(r"step (\d+) loss (\S+)", log)}


def test_the_loss_does_not_depend_on_the_number_of_processes(environment, tmp_path):
    alone = losses(train(environment, ALONE, tmp_path / "a", "--steps", "60"))
    three = losses(train(environment, THREE, tmp_path / "b", "--steps", "60"))
    assert list(alone) == [10, 20, 30, 40, 50, 60]
    assert three == pytest.approx(alone, abs=1e-5)
    assert alone[60] < alone[10] / 3


def test_a_training_continues_with_the_loss_that_it_would_have_had(environment, tmp_path):
    complete = losses(train(environment, ALONE, tmp_path / "a", "--steps", "40"))
    train(environment, ALONE, tmp_path / "b", "--steps", "25")
    log = train(environment, THREE, tmp_path / "b", "--steps", "40")
    assert "3 processes continue after step 25" in log
    assert losses(log) == pytest.approx({30: complete[30], 40: complete[40]}, abs=1e-5)
    assert {path.name for path in (tmp_path / "b").iterdir()} == {"step-000000025.pt", "step-000000040.pt"}


def test_only_complete_checkpoints_count_and_old_ones_are_deleted(environment, tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "step-000000099.draft").write_text("the node failed here")
    log = train(environment, THREE, folder, "--steps", "20", "--checkpoint-every", "5")
    assert "continue after step 0" in log
    assert sorted(path.name for path in folder.glob("*.pt")) == ["step-000000015.pt", "step-000000020.pt"]


def test_the_data_is_prepared_once(environment):
    (file,) = Path(environment["HOME"]).rglob("train.pt")
    before = file.stat().st_mtime_ns
    assert prepare(environment) == f"{file} exists\n"
    assert file.stat().st_mtime_ns == before


def test_without_data_it_says_what_to_run(tmp_path):
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", str(EXAMPLES / "train.py")]
    done = subprocess.run(words, env=os.environ | {"HOME": str(tmp_path)}, capture_output=True, text=True)
    assert "Run prepare_data.py on each node first." in done.stderr
