"""`extend CLUSTER`: all nodes get the same limits, and the result says of each what it has now."""

from __future__ import annotations

import json
import re
import signal
import time

import pytest

from aws_bootstrap import sshconfig
from aws_bootstrap.errors import SshError
from aws_bootstrap.ssh_frame import Remote
from aws_bootstrap.tests import factories
from aws_bootstrap.tests.cloud import start_box
from aws_bootstrap.tests.clusters import start_nodes
from aws_bootstrap.tests.schema_check import check

WEST = "us-west-2"
HOUR = 3600.0
#: A time when all limits begin.
NOW = int(time.time())


class Guardians:
    """Nodes whose guardians do what they are sent; a deadline is kept by the alias of its node."""

    def __init__(self) -> None:
        self.deadlines: dict[str, float | None] = {}
        self.sent: list[tuple[str, dict]] = []
        #: What some answer instead.
        self.errors: dict[str, SshError] = {}
        #: The alias at which the user presses Ctrl-C.
        self.interrupted = ""

    def run(self, alias: str, command: str, **_: object) -> Remote:
        """Change the limits of a node, as resources/guardian/limits.py does."""
        found = re.search(r"set '(\{.*?\})'", command)
        assert found
        changes = json.loads(found[1])
        self.sent.append((alias, changes))
        if alias == self.interrupted:
            signal.raise_signal(signal.SIGINT)
        if alias in self.errors:
            raise self.errors[alias]
        if "extend" in changes:
            self.deadlines[alias] = max(time.time(), self.deadlines.get(alias) or 0) + changes["extend"]
        elif "deadline" in changes:
            self.deadlines[alias] = changes["deadline"] and time.time() + changes["deadline"]
        limits = {"deadline": self.deadlines.get(alias), "idle_timeout": changes.get("idle_timeout")}
        return Remote(0, (json.dumps(limits),))


@pytest.fixture
def cluster(app, cloud) -> list[str]:
    """The ids of the nodes of `train`, by rank. Beside it is a box of its own."""
    client = cloud.ec2(WEST)
    ids = start_nodes(app, [0, 1, 2])
    other = start_box(client)["InstanceId"]
    sshconfig.add(app.paths.ssh_config, factories.host(alias="aws-gpu1", instance_id=other, region=WEST))
    app.ssh = Guardians()
    return ids


@pytest.fixture
def extend(run):
    """Exit code and document of `extend train`."""

    def extended(*words: str):
        done = run("extend", "train", *words, "-o", "json")
        document = json.loads(done.stdout)
        check(["extend"], document)
        return done.exit_code, document

    return extended


def deadline_tags(cloud) -> dict[str, str]:
    found = cloud.ec2(WEST).describe_tags(Filters=[{"Name": "key", "Values": ["aws-bootstrap-deadline"]}])["Tags"]
    return {tag["ResourceId"]: tag["Value"] for tag in found}


def test_all_nodes_get_the_limits_and_no_other_box(extend, app, cloud, cluster):
    app.ssh.deadlines = {f"aws-train-{rank}": NOW + HOUR + rank for rank in range(3)}
    code, document = extend("2h", "--idle-timeout", "90m")
    assert code == 0
    assert (document["instance_id"], document["ssh_alias"], document["region"]) == (cluster[0], "aws-train-0", WEST)
    assert (document["cluster_id"], document["idle_timeout_seconds"]) == ("train", 5400)
    assert [node["rank"] for node in document["nodes"]] == [0, 1, 2]
    assert [node["instance_id"] for node in document["nodes"]] == cluster
    assert document["deadline"] == document["nodes"][0]["deadline"]
    change = {"extend": 7200.0, "reason": "deadline", "idle_timeout": 5400.0}
    assert sorted(app.ssh.sent, key=lambda sent: sent[0]) == [(f"aws-train-{rank}", change) for rank in range(3)]
    assert set(deadline_tags(cloud)) == set(cluster)
    log_in, end = [command["argv"] for command in document["next"]]
    assert (log_in[-1], end[1:]) == ("aws-train-0", ["cluster", "terminate", "train"])


def test_a_deadline_that_was_earlier_becomes_that_of_the_others(extend, app, cloud, cluster):
    """The second node was extended alone before, and the third one has none."""
    app.ssh.deadlines = {"aws-train-0": NOW + HOUR, "aws-train-1": NOW + 5 * HOUR, "aws-train-2": None}
    code, document = extend("2h")
    assert code == 0
    ends = app.ssh.deadlines.values()
    assert max(ends) - min(ends) < 60
    assert max(ends) == pytest.approx(NOW + 7 * HOUR, abs=60), "none ends earlier than it would have"
    assert len(app.ssh.sent) == 5
    assert len({node["deadline"][:15] for node in document["nodes"]}) <= 2
    assert document["nodes"][0]["deadline"] == deadline_tags(cloud)[cluster[0]]


@pytest.mark.parametrize("words", [("--idle-timeout", "90m"), ("--never",), ("--never", "--idle-timeout", "90m")])
def test_deadlines_that_were_not_named_are_left_as_they_are(extend, app, cluster, words):
    app.ssh.deadlines = {"aws-train-0": NOW + HOUR, "aws-train-1": NOW + 5 * HOUR}
    assert extend(*words)[0] == 0
    assert len(app.ssh.sent) == 3


def test_a_node_that_does_not_answer_keeps_its_limits_and_is_named(extend, app, cluster):
    app.ssh.errors["aws-train-0"] = SshError("aws-train-0 does not answer.", code="ssh-timeout", hint="Look.")
    code, document = extend("2h")
    assert code == 3
    assert document["ssh_alias"] == "aws-train-1", "the first that answered"
    assert document["nodes"][0]["error"] == "aws-train-0 does not answer."
    assert document["nodes"][0]["deadline"] is None
    assert "error" not in document["nodes"][1]
    error = document["error"]
    assert error["code"] == "ssh-timeout"
    assert error["message"] == "The other nodes have new limits, but not aws-train-0: aws-train-0 does not answer."
    assert "extend aws-train-0 7200s" in error["hint"]


def test_a_cluster_of_which_no_node_answers_has_its_old_limits(extend, app, cloud, cluster):
    for rank in range(3):
        app.ssh.errors[f"aws-train-{rank}"] = SshError(f"aws-train-{rank} does not answer.", code="ssh-timeout")
    code, document = extend("--never", "--idle-timeout", "2h")
    assert (code, document["error"]["code"]) == (1, "ssh-timeout")
    assert "nodes" not in document
    assert deadline_tags(cloud) == {}


def test_a_node_that_is_stopped_or_has_no_alias_here_is_named(extend, app, cloud, cluster):
    cloud.ec2(WEST).stop_instances(InstanceIds=[cluster[1]])
    sshconfig.remove(app.paths.ssh_config, [cluster[2]])
    code, document = extend("2h")
    assert (code, document["error"]["code"]) == (3, "instance-stopped")
    assert "but not aws-train-1, " + cluster[2] in document["error"]["message"]
    assert "cleanup --sync" in document["error"]["hint"]


def test_tags_that_cannot_be_written_are_named_for_each_node(extend, cloud, cluster):
    cloud.fail("CreateTags", "UnauthorizedOperation")
    code, document = extend("2h")
    assert (code, document["error"]["code"]) == (3, "tags-failed")
    assert document["error"]["hint"].count("aws ec2 create-tags") == sum(
        "error" not in node for node in document["nodes"]
    )


def test_an_interrupt_leaves_open_which_nodes_changed(run, app, cluster):
    app.ssh.interrupted = "aws-train-1"
    done = run("extend", "train", "2h", "-o", "json")
    error = json.loads(done.stdout)["error"]
    assert (done.exit_code, error["code"]) == (130, "interrupted")
    assert "not known which nodes have new limits" in error["hint"]


def test_an_alias_comes_before_a_cluster_of_that_name(run, app, cloud, cluster):
    host = factories.host(alias="train", instance_id=start_box(cloud.ec2(WEST))["InstanceId"], region=WEST)
    sshconfig.add(app.paths.ssh_config, host)
    assert run("extend", "train", "2h", "-o", "json").exit_code == 0
    assert [alias for alias, _ in app.ssh.sent] == ["train"]


def test_a_node_alone_is_extended_as_any_box(run, app, cluster):
    document = json.loads(run("extend", "aws-train-1", "2h", "-o", "json").stdout)
    assert "nodes" not in document
    assert [alias for alias, _ in app.ssh.sent] == ["aws-train-1"]


def test_a_cluster_that_is_gone_or_unknown_is_an_error(extend, cloud, cluster, run):
    cloud.ec2(WEST).terminate_instances(InstanceIds=cluster)
    code, document = extend("2h")
    assert (code, document["error"]["code"]) == (1, "not-found")
    done = run("extend", "trian", "2h", "-o", "json")
    assert json.loads(done.stdout)["error"]["message"].startswith("No box named trian.")


def test_a_person_reads_how_many_nodes_have_which_end(run, app, cluster):
    done = run("extend", "train", "2h")
    assert done.exit_code == 0, done.output
    assert "3 nodes of train with new limits" in done.stdout
    assert re.search(r" UTC, in (2 h|1 h 5\d min)$", done.stdout, re.MULTILINE)
    done = run("extend", "train", "--never")
    assert "never by itself" in done.stdout
    assert "extend train 8h" in done.stdout
