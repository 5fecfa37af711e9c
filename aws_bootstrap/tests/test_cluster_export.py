"""`cluster export`: what the files request of each tool, and what their jobs run. `.ci/export` has the real tools."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from aws_bootstrap.tests import factories
from aws_bootstrap.tests.cloud import make_volume
from aws_bootstrap.workflows.cluster.export import FORMATS
from aws_bootstrap.workflows.cluster.export.facts import ClusterFacts, Job

FACTS = ClusterFacts(
    cluster_id="train",
    region="us-west-2",
    zone="us-west-2a",
    instance_type="g4dn.12xlarge",
    market="spot",
    image_id="ami-0123456789abcdef0",
    node_count=2,
    gpus=4,
    root_gb=120,
)
ARGUMENTS = ("--steps", "300", "--name", 'it\'s "new"; $HOME!\n')
JOB = Job("train.py", ARGUMENTS)
#: Writes what it was called with, and where it was called.
RECORD = """#!/bin/sh
printf '%s\\0' "$0" "$@" >"$RECORD/words.$AWSB_NODE_RANK"
env >"$RECORD/env.$AWSB_NODE_RANK"
"""
SCONTROL = "#!/bin/sh\n[ \"$*\" = 'show hostnames node-[1-2]' ] && printf 'node-1\\nnode-2\\n'\n"
GETENT = '#!/bin/sh\n[ "$1" = ahostsv4 ] && echo "10.0.0.${2#node-} STREAM $2"\n'
#: Runs the command once a node, as srun does; `--` options come first.
SRUN = """#!/bin/sh
while [ "${1#--}" != "$1" ]; do shift; done
for SLURM_NODEID in 0 1; do export SLURM_NODEID; "$@" || exit; done
"""


def content(to: str, facts: ClusterFacts = FACTS, job: Job = JOB) -> str:
    return FORMATS[to].content(facts, job)  # type: ignore[index]


@pytest.fixture
def bash(tmp_path: Path):
    """Runs a script of bash with programs that record how they are called; returns the variables."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in {"torchrun": RECORD, "scontrol": SCONTROL, "getent": GETENT, "srun": SRUN}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    (tmp_path / "home").mkdir(exist_ok=True)
    base = {"PATH": f"{programs}:/usr/bin:/bin", "RECORD": str(tmp_path), "HOME": str(tmp_path / "home")}

    def run(script: str, **variables: str) -> None:
        done = subprocess.run(
            ["bash", "-c", script], env=base | variables, cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    return run


def called(folder: Path, rank: int) -> list[str]:
    """The words of the recorded call on that node, without the program."""
    return (folder / f"words.{rank}").read_text().split("\0")[1:-1]


def cluster_variables(folder: Path, rank: int) -> dict[str, str]:
    """The recorded variables of the cluster."""
    lines = (folder / f"env.{rank}").read_text().splitlines()
    return {line.partition("=")[0]: line.partition("=")[2] for line in lines if line.startswith("AWSB_")}


def words(rank: int) -> list[str]:
    """What torchrun gets on that node."""
    return [
        "--nnodes=2",
        "--nproc-per-node=4",
        f"--node-rank={rank}",
        "--master-addr=10.0.0.1",
        "--master-port=29500",
        "--max-restarts=0",
        "train.py",
        *ARGUMENTS,
    ]


def check(folder: Path, rank: int, job_name: str) -> None:
    """Check the call of torchrun on that node."""
    assert called(folder, rank) == words(rank)
    found = cluster_variables(folder, rank)
    assert Path(found.pop("AWSB_SUCCESS_FILE")).parent.is_dir()
    assert found == {
        "AWSB_CLUSTER_ID": "train",
        "AWSB_NODE_RANK": str(rank),
        "AWSB_NUM_NODES": "2",
        "AWSB_NUM_GPUS_PER_NODE": "4",
        "AWSB_NODE_IPS": "10.0.0.1,10.0.0.2",
        "AWSB_MASTER_ADDR": "10.0.0.1",
        "AWSB_CHECKPOINT_DIR": f"{folder}/checkpoints",
        "AWSB_JOB": job_name,
    }


def test_a_task_of_skypilot_has_the_nodes_of_the_cluster():
    """https://docs.skypilot.co/en/latest/reference/yaml-spec.html"""
    task = yaml.safe_load(content("skypilot"))
    assert (task["name"], task["num_nodes"], task["workdir"]) == ("train", 2, ".")
    assert task["resources"] == {
        "infra": "aws/us-west-2/us-west-2a",
        "instance_type": "g4dn.12xlarge",
        "use_spot": True,
        "image_id": "ami-0123456789abcdef0",
        "disk_size": 120,
    }
    on_demand = yaml.safe_load(content("skypilot", replace(FACTS, market="on-demand", root_gb=None)))
    assert on_demand["resources"]["use_spot"] is False
    assert "disk_size" not in on_demand["resources"]


def test_a_task_of_skypilot_runs_torchrun_with_the_variables_of_a_cluster(bash, tmp_path):
    """https://docs.skypilot.co/en/latest/running-jobs/environment-variables.html"""
    script = yaml.safe_load(content("skypilot"))["run"]
    for rank in (0, 1):
        given = {"NODE_RANK": str(rank), "NUM_NODES": "2", "NODE_IPS": "10.0.0.1\n10.0.0.2", "TASK_ID": "sky-7"}
        bash(script, **{f"SKYPILOT_{name}": value for name, value in given.items()})
        check(tmp_path, rank, "sky-7")


def test_a_cluster_of_ray_has_a_head_and_workers_alike():
    """https://docs.ray.io/en/latest/cluster/vms/references/ray-cluster-configuration.html"""
    cluster = yaml.safe_load(content("ray", replace(FACTS, node_count=4)))
    assert (cluster["cluster_name"], cluster["max_workers"], cluster["auth"]) == ("train", 3, {"ssh_user": "ubuntu"})
    assert cluster["provider"]["availability_zone"] == "us-west-2a"
    head, worker = (cluster["available_node_types"][name] for name in (cluster["head_node_type"], "worker"))
    assert (worker["min_workers"], worker["max_workers"]) == (3, 3)
    assert head["node_config"] == worker["node_config"]
    assert head["node_config"] == {
        "InstanceType": "g4dn.12xlarge",
        "ImageId": "ami-0123456789abcdef0",
        "InstanceMarketOptions": {"MarketType": "spot"},
        "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 120, "VolumeType": "gp3"}}],
    }
    assert cluster["file_mounts"] == {"/home/ubuntu/code": "."}


def test_a_cluster_of_ray_with_one_node_has_no_workers():
    cluster = yaml.safe_load(content("ray", replace(FACTS, node_count=1, market="on-demand")))
    assert (cluster["max_workers"], list(cluster["available_node_types"])) == (0, ["head"])
    assert "InstanceMarketOptions" not in cluster["available_node_types"]["head"]["node_config"]


def test_a_cluster_of_ray_for_amazon_linux_has_its_root_device():
    cluster = yaml.safe_load(content("ray", replace(FACTS, user="ec2-user")))
    (device,) = cluster["available_node_types"]["head"]["node_config"]["BlockDeviceMappings"]
    assert device["DeviceName"] == "/dev/xvda"


def test_a_cluster_of_ray_runs_torchrun_with_the_variables_of_a_cluster(bash, tmp_path):
    """Its commands are run in parentheses, by Ray's command runner."""
    cluster = yaml.safe_load(content("ray"))
    home = tmp_path / "home"
    for command in (cluster["setup_commands"][-1], cluster["head_setup_commands"][0]):
        bash(f"({command})")
    compile((home / "ray_job.py").read_text(), "ray_job.py", "exec")
    script = (home / "job.sh").read_text().replace("cd /home/ubuntu/code\n", "")
    assert script != (home / "job.sh").read_text()
    given = {"AWSB_NUM_NODES": "2", "AWSB_NODE_IPS": "10.0.0.1,10.0.0.2", "AWSB_JOB": "job-7"}
    for rank in (0, 1):
        bash(script, AWSB_NODE_RANK=str(rank), **given)
        check(tmp_path, rank, "job-7")


def test_a_batch_script_of_slurm_requests_the_nodes_and_runs_torchrun_on_each(bash, tmp_path):
    """https://slurm.schedmd.com/sbatch.html"""
    script = content("sbatch")
    options = dict(line[10:].partition("=")[::2] for line in script.splitlines() if line.startswith("#SBATCH --"))
    assert options == {
        "job-name": "train",
        "nodes": "2",
        "ntasks-per-node": "1",
        "gpus-per-node": "4",
        "exclusive": "",
        "mem": "0",
        "output": "%x-%j.log",
    }
    bash(script, SLURM_JOB_NODELIST="node-[1-2]", SLURM_JOB_NUM_NODES="2", SLURM_JOB_ID="77")
    for rank in (0, 1):
        check(tmp_path, rank, "77")


def test_a_node_without_gpu_requests_none_and_runs_one_process():
    script = content("sbatch", replace(FACTS, gpus=0))
    assert "gpus-per-node" not in script
    assert "--nproc-per-node=1 " in script


def test_a_script_of_the_shell_runs_once_a_node(bash, tmp_path):
    (tmp_path / "job.sh").write_text('printf "%s|" "$AWSB_NODE_RANK" "$@" >>out\n')
    script = content("sbatch", FACTS, Job("job.sh", ("a b",)))
    bash(script, SLURM_JOB_NODELIST="node-[1-2]", SLURM_JOB_NUM_NODES="2", SLURM_JOB_ID="77")
    assert (tmp_path / "out").read_text() == "0|a b|1|a b|"


def test_the_number_of_processes_is_the_one_requested():
    for to in FORMATS:
        text = content(to, FACTS, Job("train.py", (), "2"))
        assert "--nproc-per-node=2 " in text
        assert "AWSB_NUM_GPUS_PER_NODE=2\n" in text


@pytest.mark.parametrize("to", ["skypilot", "ray"])
@pytest.mark.parametrize("cluster_id", ["on", "null", "a-1"])
def test_the_name_of_a_cluster_stays_a_text(to, cluster_id):
    document = yaml.safe_load(content(to, replace(FACTS, cluster_id=cluster_id)))
    assert document.get("name", document.get("cluster_name")) == cluster_id


def test_each_script_is_one_for_bash(tmp_path):
    documents = {to: yaml.safe_load(content(to)) for to in ("skypilot", "ray")}
    scripts = [content("sbatch"), documents["skypilot"]["setup"], documents["skypilot"]["run"]]
    for name in ("setup_commands", "head_setup_commands", "head_start_ray_commands", "worker_start_ray_commands"):
        scripts += documents["ray"][name]
    for script in scripts:
        checked = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, env=dict(os.environ))
        assert (checked.returncode, checked.stderr) == (0, ""), json.dumps(script)


@pytest.fixture
def train(cloud, box):
    """The cluster train, of two on-demand nodes; returns their ids by rank."""

    def start(*types: str) -> list[str]:
        ids = [box(user="ec2-user", InstanceType=instance_type) for instance_type in types]
        for rank, instance_id in enumerate(ids):
            tags = {"aws-bootstrap-cluster": "train", "aws-bootstrap-cluster-rank": str(rank)}
            cloud.ec2(factories.REGION).create_tags(
                Resources=[instance_id], Tags=[{"Key": key, "Value": value} for key, value in tags.items()]
            )
        return ids

    return start


def test_the_output_is_the_file_alone(run, cloud, train, tmp_path):
    train("g4dn.12xlarge", "g4dn.12xlarge")
    done = run("cluster", "export", "--cluster-id", "train", "--to", "skypilot")
    assert done.exit_code == 0, done.output
    task = yaml.safe_load(done.stdout)
    assert (task["name"], task["num_nodes"]) == ("train", 2)
    assert task["resources"]["instance_type"] == "g4dn.12xlarge"
    assert task["resources"]["use_spot"] is False
    assert "--nproc-per-node=4 " in task["run"]
    assert "The file runs train.py" in done.stderr
    assert "aws.ssh_user" in done.stderr
    named = run("cluster", "export", "--cluster-id", "train", "--to", "skypilot", "--script", "train.py")
    assert (named.stdout, "train.py" in named.stderr) == (done.stdout, False)


@pytest.mark.parametrize(
    ("to", "name"), [("skypilot", "train.sky.yaml"), ("ray", "train.ray.yaml"), ("sbatch", "train.sbatch")]
)
def test_a_document_has_the_file_and_its_name(run, cloud, train, to, name):
    train("g4dn.xlarge")
    words = ("--script", "job.sh", "--nproc-per-node", "3", "-o", "json", "--", "--x", "a b")
    done = run("cluster", "export", "--cluster-id", "train", "--to", to, *words)
    assert done.exit_code == 0, done.output
    shown = json.loads(done.stdout)
    assert (shown["cluster_id"], shown["to"], shown["file_name"]) == ("train", to, name)
    assert "bash job.sh --x 'a b'" in shown["content"]
    assert "AWSB_NUM_GPUS_PER_NODE=3\n" in shown["content"]
    assert shown["content"].endswith("\n")


def test_the_size_of_root_and_data_volumes_is_known(run, cloud, train):
    (node,) = train("g4dn.xlarge")
    make_volume(cloud.ec2(factories.REGION), node, size=200)
    done = run("cluster", "export", "--cluster-id", "train", "--to", "ray", "-o", "json")
    shown = json.loads(done.stdout)
    cluster = yaml.safe_load(shown["content"])
    (device,) = cluster["available_node_types"]["head"]["node_config"]["BlockDeviceMappings"]
    assert device["Ebs"]["VolumeSize"] == 8
    assert any("200 GB" in note for note in shown["notes"])


def test_nodes_that_differ_are_warned_of(run, cloud, train):
    _, other = train("g4dn.xlarge", "g5.xlarge")
    done = run("cluster", "export", "--cluster-id", "train", "--to", "sbatch", "-o", "json")
    (warning,) = json.loads(done.stdout)["warnings"]
    assert (warning["code"], warning["instance_id"]) == ("nodes-differ", other)


def test_nothing_is_changed(run, cloud, train):
    train("g4dn.xlarge")
    cloud.calls.clear()
    run("cluster", "export", "--cluster-id", "train", "--to", "ray")
    assert {operation for _, operation in cloud.calls} <= {
        "DescribeInstances",
        "DescribeInstanceTypes",
        "DescribeRegions",
        "DescribeVolumes",
        "GetCallerIdentity",
    }


def test_a_cluster_that_does_not_exist_is_not_found(run, cloud):
    done = run("cluster", "export", "--cluster-id", "train", "--to", "ray", "-o", "json")
    assert (done.exit_code, json.loads(done.stdout)["error"]["code"]) == (1, "not-found")


@pytest.mark.parametrize("wrong", [("--to", "kubernetes"), ("--to", "ray", "--nproc-per-node", "0")])
def test_a_wrong_option_is_a_wrong_usage(run, cloud, wrong):
    assert run("cluster", "export", "--cluster-id", "train", *wrong).exit_code == 2
