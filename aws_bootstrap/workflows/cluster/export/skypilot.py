"""A cluster as a task of SkyPilot: https://docs.skypilot.co/en/latest/reference/yaml-spec.html"""

from __future__ import annotations

import json

from . import shell
from .facts import ClusterFacts, Job

FILE_NAME = "{cluster_id}.sky.yaml"
#: https://docs.skypilot.co/en/latest/running-jobs/environment-variables.html
_SOURCES = {
    "AWSB_NODE_RANK": '"$SKYPILOT_NODE_RANK"',
    "AWSB_NUM_NODES": '"$SKYPILOT_NUM_NODES"',
    "AWSB_NODE_IPS": '"$(echo "$SKYPILOT_NODE_IPS" | paste -sd, -)"',
    "AWSB_MASTER_ADDR": '"${AWSB_NODE_IPS%%,*}"',
    "AWSB_JOB": '"$SKYPILOT_TASK_ID"',
}


def content(facts: ClusterFacts, job: Job) -> str:
    """Return the file. SkyPilot sends the folder in which it is called."""
    name = FILE_NAME.format(cluster_id=facts.cluster_id)
    lines = [
        f"# The cluster {facts.cluster_id} of aws-bootstrap, as a task of SkyPilot: https://docs.skypilot.co",
        *shell.usage(
            (
                (f"sky launch -c {facts.cluster_id} {name}", "launch the nodes, send this folder, run the job"),
                (f"sky jobs launch {name}", "the same, and again where spot interrupts it"),
                (f"sky down {facts.cluster_id}", "end the nodes"),
            )
        ),
        f"name: {json.dumps(facts.cluster_id)}",
        f"num_nodes: {facts.node_count}",
        "workdir: .",
        "",
        "resources:",
        f"  infra: aws/{facts.region}/{facts.zone}",
        f"  instance_type: {facts.instance_type}",
        f"  use_spot: {json.dumps(facts.market == 'spot')}",
        f"  image_id: {facts.image_id}",
    ]
    if facts.root_gb:
        lines.append(f"  disk_size: {facts.root_gb}")
    lines += [
        "",
        "# On each node, once. Change it to what your job needs.",
        "setup: |",
        *shell.indented(["set -e", *shell.install("torch")], 2),
        "",
        "# On each node, at the same time. A managed job finds its checkpoints again only in a bucket: mount one by",
        "# file_mounts, and set AWSB_CHECKPOINT_DIR.",
        "run: |",
        *shell.indented(["set -e", *shell.variables(facts, job, _SOURCES), *shell.command(facts, job)], 2),
    ]
    return "\n".join(lines) + "\n"
