"""The files of `cluster export`, read by the tools they are for. `.ci/export` installs the tools and runs this."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from aws_bootstrap.tests.test_cluster_export import FACTS, content

TOOLS = Path(os.environ.get("EXPORT_TOOLS", "/nowhere"))
PLUGINS = TOOLS / "slurm/usr/lib/x86_64-linux-gnu/slurm-wlm"
VARIANTS = {
    "spot": FACTS,
    "on-demand": replace(FACTS, market="on-demand", root_gb=None),
    "one": replace(FACTS, node_count=1),
    "amazon-linux": replace(FACTS, user="ec2-user", cluster_id="on"),
}
#: SkyPilot's catalog of AWS's instance types, which it would download.
CATALOG = """\
InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,Region,AvailabilityZone,Arch
g4dn.12xlarge,T4,4.0,48.0,192.0,"{'Gpus': []}",3.912,1.2,us-west-2,us-west-2a,x86_64
"""
READ_TASK = """
import sys, yaml
import sky
from sky.utils import common_utils, schemas
config = yaml.safe_load(open(sys.argv[1]))
common_utils.validate_schema(config, schemas.get_task_schema(), "schema: ")
task = sky.Task.from_yaml_config(config)
(found,) = task.resources
print("read", task.num_nodes, found.instance_type, found.use_spot, found.zone, found.accelerators)
"""
#: As `ray up` does it.
READ_CLUSTER = """
import sys, yaml
from ray.autoscaler._private.command_runner import _with_interactive
from ray.autoscaler._private.util import prepare_config, validate_config
config = prepare_config(yaml.safe_load(open(sys.argv[1])))
validate_config(config)
print("read", {name: one["max_workers"] for name, one in config["available_node_types"].items()})
for command in [config["setup_commands"][-1], *config["head_setup_commands"]]:
    print("\\0" + " ".join(_with_interactive(command)), end="")
"""
#: Two nodes of Ray on this machine, and the job on both.
RUN_JOB = """
import os, subprocess, sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 1})
cluster.add_node(num_cpus=1, num_gpus=1)
job = [sys.executable, os.path.expanduser("~/ray_job.py"), "2", "1"]
done = subprocess.run(job, env={**os.environ, "RAY_ADDRESS": cluster.address}, timeout=120)
cluster.shutdown()
sys.exit(done.returncode)
"""
SLURM_CONF = """\
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=1
AuthType=auth/munge
PluginDir={plugins}
NodeName=n[1-9] CPUs=4 Gres=gpu:4
PartitionName=all Nodes=ALL Default=YES
GresTypes=gpu
MessageTimeout=2
"""


def tool(name: str, program: str, *words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """A Python program on the Python of that tool, with a home of its own."""
    command = [TOOLS / name / "bin/python", "-c", program, *words]
    env = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "RAY_USAGE_STATS_ENABLED": "0"}
    return subprocess.run(command, env=env | variables, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def skypilot(tmp_path):
    """How SkyPilot reads a file."""
    catalog = Path(os.environ["HOME"], ".sky/catalogs/v8/aws/vms.csv")
    catalog.parent.mkdir(parents=True)
    catalog.write_text(CATALOG)

    def read(text: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "task.yaml").write_text(text)
        return tool("skypilot", READ_TASK, tmp_path / "task.yaml", SKYPILOT_DISABLE_USAGE_COLLECTION="1")

    return read


@pytest.mark.parametrize("variant", VARIANTS)
def test_skypilot_reads_the_task(skypilot, variant):
    facts = VARIANTS[variant]
    done = skypilot(content("skypilot", facts))
    is_spot = facts.market == "spot"
    wanted = f"read {facts.node_count} g4dn.12xlarge {is_spot} us-west-2a {{'T4': 4}}"
    assert wanted in done.stdout, done.stdout + done.stderr


def test_skypilot_refuses_what_it_does_not_know(skypilot):
    done = skypilot(content("skypilot").replace("num_nodes:", "number_of_nodes:"))
    assert "number_of_nodes" in done.stderr
    assert "read" not in done.stdout


def ray(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """How Ray reads a file."""
    (folder / "cluster.yaml").write_text(text)
    return tool("ray", READ_CLUSTER, folder / "cluster.yaml")


@pytest.mark.parametrize("variant", VARIANTS)
def test_ray_reads_the_cluster(tmp_path, variant):
    facts = VARIANTS[variant]
    done = ray(content("ray", facts), tmp_path)
    workers = {"worker": facts.node_count - 1} if facts.node_count > 1 else {}
    assert f"read { ({'head': 0} | workers)!r}" in done.stdout, done.stdout + done.stderr


def test_ray_refuses_what_it_does_not_know(tmp_path):
    done = ray(content("ray").replace("max_workers: 1", "most_workers: 1", 1), tmp_path)
    assert "'most_workers' was unexpected" in done.stderr


def test_ray_s_command_runner_writes_the_job_and_its_program(tmp_path):
    """The commands are run as they come to a node, in the quotes that Ray puts around them."""
    done = ray(content("ray"), tmp_path)
    home = Path(os.environ["HOME"])
    home.mkdir(exist_ok=True)
    (home / ".bashrc").touch()
    for command in done.stdout.split("\0")[1:]:
        assert subprocess.run(["bash", "-c", command], capture_output=True, check=False).returncode == 0
    cluster = yaml.safe_load(content("ray"))
    for name, source in {
        "job.sh": cluster["setup_commands"][-1],
        "ray_job.py": cluster["head_setup_commands"][0],
    }.items():
        assert (home / name).read_text() in source


@pytest.mark.parametrize(("code", "status"), [(0, 0), (3, 1)])
def test_ray_runs_the_job_on_two_nodes_and_ends_it_when_one_fails(tmp_path, code, status):
    home = Path(os.environ["HOME"])
    home.mkdir(exist_ok=True)
    program = yaml.safe_load(content("ray"))["head_setup_commands"][0]
    assert subprocess.run(["bash", "-c", program], check=False).returncode == 0
    lines = [f'echo "node $AWSB_NODE_RANK of $AWSB_NUM_NODES $AWSB_NODE_IPS" >>{tmp_path}/out']
    lines += [f"[ $AWSB_NODE_RANK = 0 ] && [ {code} != 0 ] && exec sleep 3457", f"exit {code}"]
    (home / "job.sh").write_text("\n".join(lines))
    done = tool("ray", RUN_JOB)
    assert done.returncode == status, done.stderr
    assert sorted(line[:11] for line in (tmp_path / "out").read_text().splitlines()) == ["node 0 of 2", "node 1 of 2"]
    assert ("The job failed on node 1 with exit code 3." in done.stderr) is bool(code)
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert "sleep 3457" not in left


def sbatch(text: str, folder: Path) -> str:
    """What sbatch says of the script. It reads the script first, and then it finds no controller."""
    if not (TOOLS / "slurm/usr/bin/sbatch").exists():
        pytest.skip("no apt-get on this machine, so no sbatch")
    (folder / "slurm.conf").write_text(SLURM_CONF.format(plugins=PLUGINS))
    (folder / "job.sbatch").write_text(text)
    env = {
        "LD_LIBRARY_PATH": f"{PLUGINS}:{PLUGINS.parent}",
        "PATH": os.environ["PATH"],
        "SLURM_CONF": str(folder / "slurm.conf"),
    }
    command = [TOOLS / "slurm/usr/bin/sbatch", folder / "job.sbatch"]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False).stderr


@pytest.mark.parametrize("variant", [*VARIANTS, "no-gpu"])
def test_sbatch_reads_the_script(tmp_path, variant):
    facts = VARIANTS.get(variant, replace(FACTS, gpus=0))
    assert "Unable to contact slurm controller" in sbatch(content("sbatch", facts), tmp_path)


@pytest.mark.parametrize(("right", "wrong"), [("--nodes=2", "--nodes=two"), ("--exclusive", "--exclusively")])
def test_sbatch_refuses_what_it_does_not_know(tmp_path, right, wrong):
    text = content("sbatch")
    assert right in text
    said = sbatch(text.replace(right, wrong), tmp_path)
    assert re.search("not a valid node count|unrecognized option|invalid", said), said
    assert "Unable to contact" not in said
