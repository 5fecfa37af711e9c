"""Which nodes are replaced before a job is started again, and which must not be."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from aws_bootstrap import ec2
from aws_bootstrap.errors import SshError
from aws_bootstrap.models import ClusterJobReport
from aws_bootstrap.ssh_frame import Remote
from aws_bootstrap.tests import factories
from aws_bootstrap.tests.clusters import start_nodes
from aws_bootstrap.workflows.cluster import members
from aws_bootstrap.workflows.cluster.restarts import Replacement


class Answers:
    """SSH that these aliases answer."""

    def __init__(self, *aliases: str) -> None:
        self._aliases: Collection[str] = aliases

    def run(self, alias: str, command: str, **_: Any) -> Remote:
        if alias not in self._aliases:
            raise SshError(f"{alias} does not answer.", code="ssh-timeout")
        return Remote(0, ())


class Launched(Exception):
    """The missing nodes would be launched now."""


def launch(cluster: members.Cluster, size: int) -> None:
    raise Launched(size)


def failed(outcome: str = "node-lost", culprit: int | None = 1) -> ClusterJobReport:
    """The report of a job that is to be started again."""
    return ClusterJobReport("train", factories.REGION, "job-1", False, outcome, "It failed.", culprit, None, ())


@pytest.fixture
def cluster(app, cloud) -> members.Cluster:
    """Three nodes that run."""
    start_nodes(app, [0, 1, 2])
    return members.get(app, "train", [factories.REGION])


def living(app) -> list[int]:
    """The ranks of the nodes that have not ended."""
    found = ec2.find_cluster(app.aws.ec2(factories.REGION), "train")
    return sorted(node.rank or 0 for node in found if node.state not in ec2.ENDED)


def test_no_node_is_replaced_where_all_answer(app, cluster):
    app.ssh = Answers("aws-train-0", "aws-train-1", "aws-train-2")
    replacement = Replacement(app, cluster, launch)
    found = replacement.run(failed("job-failed"), "~/code/checkpoints")
    assert ([one.instance_id for one in found.nodes], replacement.lost) == (
        [one.instance_id for one in cluster.nodes],
        (),
    )


def test_a_node_that_does_not_answer_is_terminated(app, cluster):
    app.ssh = Answers("aws-train-0", "aws-train-2")
    replacement = Replacement(app, cluster, launch)
    with pytest.raises(Launched, match="3"):
        replacement.run(failed(), "~/code/checkpoints")
    assert (living(app), replacement.lost) == ([0, 2], (1,))


def test_a_node_that_is_about_to_be_taken_away_is_terminated(app, cluster):
    app.ssh = Answers("aws-train-0", "aws-train-1", "aws-train-2")
    with pytest.raises(Launched):
        Replacement(app, cluster, launch).run(failed("spot-notice", 2), "~/code/checkpoints")
    assert living(app) == [0, 1]


def test_no_node_is_terminated_where_none_answers(app, cluster):
    """The fault is then probably on this side: another network, a key that is missing."""
    app.ssh = Answers()
    with pytest.raises(SshError, match="No node of train answers, so that none is replaced") as caught:
        Replacement(app, cluster, launch).run(failed("spot-notice", 2), "~/code/checkpoints")
    assert (living(app), caught.value.code) == ([0, 1, 2], "ssh-timeout")


def test_a_node_that_has_ended_is_replaced_alone(app, cluster):
    app.ssh = Answers("aws-train-0", "aws-train-2")
    app.aws.ec2(factories.REGION).terminate_instances(InstanceIds=[cluster.nodes[1].instance_id])
    replacement = Replacement(app, cluster, launch)
    with pytest.raises(Launched):
        replacement.run(failed(), "~/code/checkpoints")
    assert (living(app), replacement.lost) == ([0, 2], (1,))
