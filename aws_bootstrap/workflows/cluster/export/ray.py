"""A cluster for Ray's cluster launcher.

https://docs.ray.io/en/latest/cluster/vms/references/ray-cluster-configuration.html
"""

from __future__ import annotations

import json
from importlib.resources import files

from . import shell
from .facts import ClusterFacts, Job

FILE_NAME = "{cluster_id}.ray.yaml"
#: The program of resources/ that starts the job on all nodes, from the head.
_PROGRAM = "ray_job.py"
#: What that program sets on each node.
_SOURCES = {
    "AWSB_MASTER_ADDR": '"${AWSB_NODE_IPS%%,*}"',
}
#: The name of the root device, by the login user of the image: Amazon Linux has another one.
_ROOT_DEVICE, _ROOT_DEVICES = "/dev/sda1", {"ec2-user": "/dev/xvda"}
_HEAD_OPTIONS = "--head --port=6379 --autoscaling-config=~/ray_bootstrap_config.yaml"


def content(facts: ClusterFacts, job: Job) -> str:
    """Return the file."""
    lines = [*_heading(facts), *_nodes(facts), *_commands(facts, job)]
    return "\n".join(lines) + "\n"


def _heading(facts: ClusterFacts) -> list[str]:
    """Return how the file is used, and where its nodes are."""
    name = FILE_NAME.format(cluster_id=facts.cluster_id)
    return [
        f"# The cluster {facts.cluster_id} of aws-bootstrap, for Ray's cluster launcher: https://docs.ray.io",
        *shell.usage(
            (
                (f"ray up -y {name}", "launch the nodes, send this folder"),
                (f"ray exec {name} '{_run(facts)}'", "run the job"),
                (f"ray down -y {name}", "end the nodes"),
            )
        ),
        f"cluster_name: {json.dumps(facts.cluster_id)}",
        f"max_workers: {facts.node_count - 1}",
        "",
        "provider:",
        "  type: aws",
        f"  region: {facts.region}",
        f"  availability_zone: {facts.zone}",
        "  cache_stopped_nodes: false",
        "",
        "auth:",
        f"  ssh_user: {facts.user}",
        "",
        "file_mounts:",
        f"  {_code(facts)}: .",
        "",
    ]


def _nodes(facts: ClusterFacts) -> list[str]:
    """Return the node types: a head, and workers like it."""
    lines = [
        "# For nodes that are close to each other, create a placement group and add its name to both node_config:",
        "#   Placement: {GroupName: NAME}",
        "head_node_type: head",
        "available_node_types:",
        *_node_type("head", facts),
    ]
    workers = facts.node_count - 1
    if workers:
        lines += [*_node_type("worker", facts), f"    min_workers: {workers}", f"    max_workers: {workers}"]
    return [*lines, ""]


def _commands(facts: ClusterFacts, job: Job) -> list[str]:
    """Return what Ray runs on the nodes."""
    return [
        "# On each node, once. Change it to what your job needs.",
        "setup_commands:",
        "  - |",
        *shell.indented([f"cd {_code(facts)}", *shell.install("torch", "'ray[default]'", "boto3")], 4),
        f"  # What `cluster run` runs on a node. {_PROGRAM} sets the variables that the lines do not set.",
        "  - |",
        *shell.indented(["cat >~/job.sh <<'END'", *_job(facts, job), "END"], 4),
        "",
        "head_setup_commands:",
        "  # Runs ~/job.sh on all nodes.",
        "  - |",
        *shell.indented([f"cat >~/{_PROGRAM} <<'END'", *_program(), "END"], 4),
        "",
        "head_start_ray_commands:",
        "  - ~/venv/bin/ray stop",
        f"  - ulimit -n 65536; ~/venv/bin/ray start {_HEAD_OPTIONS}",
        "worker_start_ray_commands:",
        "  - ~/venv/bin/ray stop",
        "  - ulimit -n 65536; ~/venv/bin/ray start --address=$RAY_HEAD_IP:6379",
    ]


def _run(facts: ClusterFacts) -> str:
    """Return the command that runs the job on all nodes."""
    return f"~/venv/bin/python ~/{_PROGRAM} {facts.node_count} {facts.gpus}"


def _code(facts: ClusterFacts) -> str:
    """Return the folder of the nodes that gets the local one."""
    return f"/home/{facts.user}/code"


def _node_type(name: str, facts: ClusterFacts) -> list[str]:
    """Return the lines of one node type. Ray finds out what resources an instance type of AWS has."""
    lines = [
        f"  {name}:",
        "    resources: {}",
        "    node_config:",
        f"      InstanceType: {facts.instance_type}",
        f"      ImageId: {facts.image_id}",
    ]
    if facts.market == "spot":
        lines += ["      InstanceMarketOptions:", "        MarketType: spot"]
    if facts.root_gb:
        lines += [
            "      BlockDeviceMappings:",
            f"        - DeviceName: {_ROOT_DEVICES.get(facts.user, _ROOT_DEVICE)}",
            f"          Ebs: {{VolumeSize: {facts.root_gb}, VolumeType: gp3}}",
        ]
    return lines


def _job(facts: ClusterFacts, job: Job) -> list[str]:
    """Return the lines of the script that runs the job on one node."""
    return [
        "set -e",
        f"cd {_code(facts)}",
        *shell.variables(facts, job, _SOURCES),
        *shell.command(facts, job),
    ]


def _program() -> list[str]:
    """Return the lines of the program that runs it on all nodes."""
    return (files("aws_bootstrap") / "resources" / "export" / _PROGRAM).read_text().splitlines()
