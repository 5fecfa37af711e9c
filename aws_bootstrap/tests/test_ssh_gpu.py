"""`status --gpu`: each running box is asked over real SSH."""

from __future__ import annotations

ONE_FOR_ALL = """
Host *
    RequestTTY force
    RemoteCommand false
    ControlMaster auto
    ControlPath ~/%C
    LocalForward 1 127.0.0.1:1
    ExitOnForwardFailure yes
"""
NOISE = "yes noise-noise-noise-noise | head -c 100000 >&2; echo more noise"


def test_each_running_box_tells_its_gpu(program):
    program.json("launch", "--no-setup")
    # A noisy rc file, and settings of the user's own for every host, change nothing.
    assert program.ssh("aws-gpu1", f"sed -i '1i {NOISE}' .bashrc").returncode == 0
    with (program.sandbox.home.root / "ssh_config").open("a") as config:
        config.write(ONE_FOR_ALL)
    code, seen = program.json("status", "--gpu", "-r", "us-west-2")
    assert code == 0
    assert seen["instances"][0]["gpu"] == {
        "name": "Tesla T4",
        "architecture": "Turing",
        "cuda_toolkit": "13.2",
        "cuda_driver_max": "13.2",
        "driver": "595.91.07",
    }
    assert "Tesla T4 (Turing)" in program("status", "--gpu", "-r", "us-west-2").out


def test_a_box_that_does_not_answer_is_shown_without_its_gpu(program):
    program.json("launch", "--no-setup")
    (program.sandbox.home.root / "id_ed25519").unlink()
    outcome = program("status", "--gpu", "-r", "us-west-2")
    assert outcome.exit_code == 3
    assert "Could not query the GPU of aws-gpu1" in outcome.err
    assert "aws-gpu1" in outcome.out
