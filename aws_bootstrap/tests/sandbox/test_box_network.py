"""Boxes that reach each other by their private addresses, and the fake torchrun that runs on them."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aws_bootstrap.sandbox.boxes.isolation import USER, Isolation
from aws_bootstrap.sandbox.boxes.network import Network
from aws_bootstrap.sandbox.boxes.tree import FAKES

from .conftest import describe, eventually, launch, wait_state
from .test_boxes import ON_2222, Login, box

TORCHRUN = FAKES / "torchrun.py"
SERVE = "import socket, sys; held = socket.create_server((sys.argv[1], 5000)); held.accept()[0].sendall(b'hello')"
CONNECT = "import socket, sys; print(socket.create_connection((sys.argv[1], 5000), 5).recv(9).decode())"
SHOW = "import json, os, sys; os.write(1, json.dumps([dict(os.environ), sys.argv[1:]]).encode() + bytes([10]))"
needs_ssh = pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh client")


def private_address(login: Login) -> str:
    return describe(login.client, login.instance_id)["PrivateIpAddress"]


def serve(login: Login) -> None:
    """Listen on the box's private address."""
    login.said(f'(setsid "$SANDBOX_PYTHON" -c "{SERVE}" {private_address(login)} >/dev/null 2>&1 &); true')


def answers(client: Login, server: Login) -> bool:
    """Whether the server answers the client at its private address."""
    done = client.ssh(f'"$SANDBOX_PYTHON" -c "{CONNECT}" {private_address(server)}')
    return done.stdout == b"hello\n"


@needs_ssh
def test_boxes_reach_each_other_by_their_private_addresses(boxes, tmp_path):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-instance-addressing.html"""
    first, second = box(boxes, tmp_path), box(boxes, tmp_path)
    assert private_address(first) != private_address(second)
    serve(first)
    assert eventually(lambda: answers(second, first)), first.console()


@needs_ssh
def test_a_box_knows_its_private_address(boxes, tmp_path):
    login = box(boxes, tmp_path)
    own = private_address(login)
    assert login.said("hostname -I").split() == [own]
    assert login.said("hostname") == f"ip-{own.replace('.', '-')}"
    if login.sandbox.status()["boxes"] != "plain":
        assert login.said("getent hosts $(hostname)").split()[0] == own
        token = "curl -s -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token"
        address = "http://169.254.169.254/latest/meta-data/local-ipv4"
        assert login.said(f'curl -s -H "X-aws-ec2-metadata-token: $({token})" {address}') == own


@needs_ssh
def test_a_private_address_stays_over_a_stop(boxes, tmp_path):
    first, second = box(boxes, tmp_path), box(boxes, tmp_path)
    before = private_address(first)
    first.client.stop_instances(InstanceIds=[first.instance_id])
    wait_state(first.client, first.instance_id, "stopped")
    first.client.start_instances(InstanceIds=[first.instance_id])
    first.address = wait_state(first.client, first.instance_id, "running")["PublicIpAddress"]
    first.wait()
    assert private_address(first) == before
    serve(first)
    assert eventually(lambda: answers(second, first)), first.console()


@needs_ssh
def test_boxes_of_two_vpcs_do_not_reach_each_other(boxes, tmp_path):
    """https://docs.aws.amazon.com/vpc/latest/userguide/how-it-works.html"""
    if boxes.status()["boxes"] == "plain":
        pytest.skip("plain boxes share the machine's loopback")
    near = box(boxes, tmp_path)
    abroad = boxes.client(region="eu-west-1")
    abroad.import_key_pair(KeyName="key", PublicKeyMaterial=near.key.with_suffix(".pub").read_bytes())
    made = launch(abroad, KeyName="key", UserData=ON_2222, PrivateIpAddress="172.31.0.200")
    up = wait_state(abroad, made["InstanceId"], "running")
    far = Login(boxes, abroad, near.key, made["InstanceId"], up["PublicIpAddress"]).wait()
    serve(far)
    assert eventually(lambda: answers(far, far))
    serve(far)
    assert not answers(near, far)


def test_a_machine_that_allows_no_network_namespace_gets_none():
    """The boxes boot all the same, without a private network."""
    network = Network(Isolation("broken", ("--no-such-option", "--net"), USER.nsenter))
    wanted = Isolation("broken", ("--no-such-option", "--net"))

    async def start() -> list[str]:
        return await network.holder(Path("/tree"), Path("/volumes"), "name")

    assert asyncio.run(start()) == wanted.holder(Path("/tree"), Path("/volumes"), "name")


def torchrun(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    """The fake, on this machine."""
    return subprocess.run(
        [sys.executable, "-IS", str(TORCHRUN), *words], capture_output=True, text=True, env=env, timeout=60, check=False
    )


def test_torchrun_sets_the_variables_of_each_process(tmp_path):
    """https://docs.pytorch.org/docs/stable/elastic/run.html#environment-variables"""
    script = tmp_path / "show.py"
    script.write_text(SHOW)
    words = ("--nnodes=2", "--nproc_per_node", "2", "--rdzv-backend=c10d", "--rdzv-endpoint=10.0.0.9:29400")
    rest = ("--rdzv-conf=join_timeout=60,is_host=0", "--local-addr=10.0.0.10", "--max-restarts=0", "--rdzv-id=job-1")
    done = torchrun(*words, *rest, str(script), "--lr", "3", env={"AWSB_NODE_IPS": "10.0.0.9,10.0.0.10"})
    assert done.returncode == 0, done.stderr
    assert "a fake one" in done.stderr
    shown = sorted((json.loads(line) for line in done.stdout.splitlines()), key=lambda one: one[0]["RANK"])
    assert [(one["RANK"], one["LOCAL_RANK"], one["GROUP_RANK"]) for one, _ in shown] == [
        ("2", "0", "1"),
        ("3", "1", "1"),
    ]
    (variables, arguments), _ = shown
    assert arguments == ["--lr", "3"]
    assert (
        variables.items()
        >= {
            "WORLD_SIZE": "4",
            "LOCAL_WORLD_SIZE": "2",
            "MASTER_ADDR": "10.0.0.9",
            "MASTER_PORT": "29401",
            "TORCHELASTIC_RUN_ID": "job-1",
        }.items()
    )


@pytest.mark.parametrize(
    ("words", "variables", "rank"),
    [
        (("--nnodes=3", "--node-rank=2"), {}, "2"),
        (("--nnodes=3", "--local-addr=node-00001"), {"AWSB_NODE_IPS": "10.0.0.9", "AWSB_NODE_RANK": "1"}, "1"),
        (("--standalone",), {}, "0"),
    ],
)
def test_torchrun_knows_the_place_of_its_node(tmp_path, words, variables, rank):
    script = tmp_path / "show.py"
    script.write_text(SHOW)
    done = torchrun(*words, str(script), env=variables)
    ((shown, _),) = [json.loads(line) for line in done.stdout.splitlines()]
    assert shown["RANK"] == rank


def test_torchrun_ends_all_processes_when_one_fails(tmp_path):
    script = tmp_path / "fail.py"
    script.write_text("import os, sys, time\nif os.environ['RANK'] == '1': sys.exit(3)\ntime.sleep(600)\n")
    done = torchrun("--nproc-per-node=2", str(script))
    assert done.returncode == 1
    assert "exitcode: 3) local_rank: 1" in done.stderr


def test_torchrun_ends_its_processes_when_it_is_ended(tmp_path):
    script = tmp_path / "long.py"
    script.write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)\n")
    program = subprocess.Popen([sys.executable, "-IS", str(TORCHRUN), str(script)], stdout=subprocess.PIPE)
    try:
        assert program.stdout is not None
        pid = program.stdout.readline().decode().strip()
        program.terminate()
        assert program.wait(30) == 128 + 15
    finally:
        program.kill()
        program.communicate()
    assert eventually(lambda: not Path(f"/proc/{pid}").exists())


@needs_ssh
def test_a_box_has_torchrun_with_pytorch_and_a_process_for_each_gpu(boxes, tmp_path):
    login = box(boxes, tmp_path, InstanceType="g4dn.12xlarge")
    assert [line[:5] for line in login.said("nvidia-smi -L").splitlines()] == ["GPU 0", "GPU 1", "GPU 2", "GPU 3"]
    login.said("uv venv -q venv && uv pip install -q --python venv/bin/python torch")
    # One write a line: the processes share the output.
    script = b"import os, torch\nos.write(1, f'{os.environ[\"RANK\"]} {torch.cuda.device_count()}\\n'.encode())\n"
    login.said("cat > t.py", stdin=script)
    for program in ("venv/bin/torchrun", "venv/bin/python -m torch.distributed.run"):
        said = login.said(f"{program} --standalone --nproc-per-node auto t.py")
        assert sorted(said.splitlines()) == ["0 4", "1 4", "2 4", "3 4"]
