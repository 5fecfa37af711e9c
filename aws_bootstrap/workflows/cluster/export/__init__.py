"""`cluster export`: a file for another tool that launches the same cluster or runs the same job. Nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .... import ec2, output
from ....models import ClusterExport, ExportTarget
from .. import members
from . import ray, sbatch, skypilot
from .facts import ClusterFacts, Job

if TYPE_CHECKING:
    from ....app import App
    from ..members import Cluster

_DEFAULT_USER = "ubuntu"


@dataclass(frozen=True)
class Format:
    """The file of one tool."""

    #: With the cluster's id in place of `{cluster_id}`.
    file_name: str
    content: Callable[[ClusterFacts, Job], str]


#: To write files for one more tool, add a module and its line.
FORMATS: dict[ExportTarget, Format] = {
    "skypilot": Format(skypilot.FILE_NAME, skypilot.content),
    "ray": Format(ray.FILE_NAME, ray.content),
    "sbatch": Format(sbatch.FILE_NAME, sbatch.content),
}


def apply(app: App, cluster_id: str, to: ExportTarget, job: Job, regions: Sequence[str] = ()) -> ClusterExport:
    """Return the file for that tool. BootstrapError `not-found` if no node of the cluster exists.

    Its nodes may differ: the file has those of the lowest rank, with a warning.
    """
    cluster = members.get(app, cluster_id, regions, volumes="with-roots")
    facts = _facts(app, cluster)
    notes = _notes(facts, to, job)
    for note in notes:
        output.echo(note)
    chosen = FORMATS[to]
    return ClusterExport(
        cluster_id=cluster_id,
        to=to,
        file_name=chosen.file_name.format(cluster_id=cluster_id),
        content=chosen.content(facts, job),
        notes=tuple(notes),
    )


def _facts(app: App, cluster: Cluster) -> ClusterFacts:
    """Return what the file is written from."""
    first, *others = cluster.nodes
    instance = first.instance
    for box in others:
        other = box.instance
        if (other.instance_type, other.lifecycle) != (instance.instance_type, instance.lifecycle):
            output.warn(
                f"The nodes differ: {other.instance_id} is a {other.lifecycle} {other.instance_type}. The file has "
                f"{instance.lifecycle} {instance.instance_type} for all of them.",
                code="nodes-differ",
                instance_id=other.instance_id,
                region=other.region,
            )
            break
    data = [volume.size_gb for box in cluster.nodes for volume in box.volumes]
    return ClusterFacts(
        cluster_id=cluster.cluster_id,
        region=instance.region,
        zone=instance.availability_zone,
        instance_type=instance.instance_type,
        market=instance.lifecycle,
        image_id=instance.image_id,
        node_count=len(cluster.nodes),
        gpus=_gpus(app, instance.region, instance.instance_type),
        user=_user(cluster),
        root_gb=first.root.size_gb if first.root else None,
        data_gb=max(data, default=None),
    )


def _gpus(app: App, region: str, instance_type: str) -> int:
    """Return how many GPUs the type has; 0 if it has none."""
    for found in ec2.find_instance_types(app.aws.ec2(region), [instance_type]):
        return found.gpu_count
    return 0


def _user(cluster: Cluster) -> str:
    """Return the login user of the nodes, as the SSH config of this machine has it."""
    for box in cluster.nodes:
        if box.host and box.host.user:
            return box.host.user
    return _DEFAULT_USER


def _notes(facts: ClusterFacts, to: ExportTarget, job: Job) -> list[str]:
    """Return what a person has to know of the file."""
    found: list[str] = []
    if job.is_example:
        found.append(f"The file runs {job.script}: pass --script for another one, or edit it.")
    if facts.data_gb and to != "sbatch":
        found.append(f"The data volumes of the nodes ({facts.data_gb} GB) are not in it: add the data to the file.")
    if to == "skypilot" and facts.user != _DEFAULT_USER:
        found.append(f"The user of the image is {facts.user}: set aws.ssh_user in ~/.sky/config.yaml.")
    return found
