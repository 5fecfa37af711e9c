"""A job of a cluster as a batch script of Slurm: https://slurm.schedmd.com/sbatch.html"""

from __future__ import annotations

from . import shell
from .facts import ClusterFacts, Job

FILE_NAME = "{cluster_id}.sbatch"
#: https://slurm.schedmd.com/sbatch.html (output environment variables)
_SOURCES = {
    "AWSB_NODE_RANK": '"$SLURM_NODEID"',
    "AWSB_NUM_NODES": '"$SLURM_JOB_NUM_NODES"',
    "AWSB_MASTER_ADDR": '"${AWSB_NODE_IPS%%,*}"',
    "AWSB_JOB": '"$SLURM_JOB_ID"',
}
#: Slurm knows the nodes by name; their addresses are those of the name service.
_ADDRESSES = (
    "addresses=()",
    'for host in $(scontrol show hostnames "$SLURM_JOB_NODELIST"); do',
    '  read -r address _ < <(getent ahostsv4 "$host")',
    '  addresses+=("$address")',
    "done",
    'AWSB_NODE_IPS=$(IFS=,; echo "${addresses[*]}")',
    "export AWSB_NODE_IPS",
)


def content(facts: ClusterFacts, job: Job) -> str:
    """Return the file. Slurm runs it in the folder in which it is submitted, which all nodes must share."""
    name = FILE_NAME.format(cluster_id=facts.cluster_id)
    lines = [
        "#!/bin/bash",
        f"# The job of the cluster {facts.cluster_id} of aws-bootstrap, for Slurm: https://slurm.schedmd.com",
        "#",
        f"#   sbatch {name}  in the job's folder, on a filesystem that all nodes share",
        "#",
        f"# Its nodes were {facts.node_count} x {facts.instance_type}, {facts.market}, in {facts.zone}.",
        f"#SBATCH --job-name={facts.cluster_id}",
        f"#SBATCH --nodes={facts.node_count}",
        "#SBATCH --ntasks-per-node=1",
        *_gpus(facts),
        "#SBATCH --exclusive",
        "#SBATCH --mem=0",
        "#SBATCH --output=%x-%j.log",
        "set -euo pipefail",
        "",
        *_ADDRESSES,
        "",
        "# What `cluster run` runs on a node. PyTorch is in ~/venv.",
        "run_node() {",
        *shell.indented([*shell.variables(facts, job, _SOURCES), *shell.command(facts, job)], 2),
        "}",
        'srun --kill-on-bad-exit=1 --cpu-bind=none bash -c "$(declare -f run_node); run_node"',
    ]
    return "\n".join(lines) + "\n"


def _gpus(facts: ClusterFacts) -> list[str]:
    """Return the line that requests the GPUs of each node."""
    if not facts.gpus:
        return []
    return [f"#SBATCH --gpus-per-node={facts.gpus}"]
