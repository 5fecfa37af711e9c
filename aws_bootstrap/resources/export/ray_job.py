"""Run ~/job.sh on all nodes of a Ray cluster at the same time, and end everywhere when it fails on one.

ray_job.py NODES GPUS
"""

import os
import subprocess
import sys
import time

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

HEAD = "node:__internal_head__"
WAIT_SECONDS = 1800


def nodes(count):
    """Return the nodes, the head first, when so many are there."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        found = [node for node in ray.nodes() if node["Alive"]]
        if len(found) >= count:
            return sorted(found, key=lambda node: (HEAD not in node["Resources"], node["NodeID"]))[:count]
        if time.monotonic() > deadline:
            sys.exit(f"{len(found)} of {count} nodes are there after {WAIT_SECONDS} seconds.")
        time.sleep(5)


def run(rank, variables):
    """Run the job on this node; return its rank and exit code."""
    environment = {**os.environ, **variables, "AWSB_NODE_RANK": str(rank)}
    return rank, subprocess.run(["bash", os.path.expanduser("~/job.sh")], env=environment).returncode


def main():
    """Start the job on each node, and wait for all of them."""
    count, gpus = int(sys.argv[1]), int(sys.argv[2])
    ray.init(address="auto")
    chosen = nodes(count)
    shared = {
        "AWSB_JOB": time.strftime("job-%Y%m%d-%H%M%S", time.gmtime()),
        "AWSB_NUM_NODES": str(count),
        "AWSB_NODE_IPS": ",".join(node["NodeManagerAddress"] for node in chosen),
    }
    waiting = []
    for rank, node in enumerate(chosen):
        place = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        task = ray.remote(run).options(num_cpus=0, num_gpus=gpus, max_retries=0, scheduling_strategy=place)
        waiting.append(task.remote(rank, shared))
    while waiting:
        done, waiting = ray.wait(waiting)
        for rank, code in ray.get(done):
            if code:
                sys.exit(f"The job failed on node {rank} with exit code {code}.")


if __name__ == "__main__":
    main()
