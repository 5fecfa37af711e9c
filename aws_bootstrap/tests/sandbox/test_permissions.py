"""The policies of docs/permissions.md, held over a life of boxes that has every command.

One life is enough for the full and the narrowed policy: the caller is under one of them, the organization allows what
the other one does, so that every request must be allowed by both. What the life needed is recorded. From this record
each action and each resource of a policy is left out, one by one, and some request must then be denied.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aws_bootstrap.cli import main
from aws_bootstrap.sandbox.cloud.policy import Request, decide, read_policy
from aws_bootstrap.tests.matrix.bench import Bench, Outcome
from aws_bootstrap.tests.matrix.worlds import ABROAD, HOME, caller, end_unclear, power_off
from reference import ROOT, commands

PAGE = ROOT / "docs" / "permissions.md"
NAMES = ("full", "narrowed", "read-only")
#: IAM's limit for a managed policy, white space not counted:
#: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
LONGEST = 6144
NO_SPOT = {"error": "InsufficientInstanceCapacity", "message": "There is no Spot capacity available."}
#: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
NEEDS_NO_PERMISSION = {"GetCallerIdentity"}
#: Commands that call no AWS service.
OFFLINE = {"completion", "config", "sandbox"}
#: Commands that use SSH. To find the only box they read what `status` reads; for a named one they call no AWS service.
OVER_SSH = {"attach", "cp", "exec", "forward", "logs", "open", "ps", "run", "ssh", "sync"}
#: The same of a cluster: they read what `cluster status` reads. A restart of a job launches and terminates nodes.
CLUSTER_OVER_SSH = {("cluster", name) for name in ("attach", "cancel", "logs", "prepare", "run", "test")}

_BARE = ("launch", "--yes", "--no-setup", "--ssh-timeout", "10s")
#: The life, command by command; words in braces are ids. Each must end with exit code 0 and without a warning.
FIRST_BOX = (
    (*_BARE, "--dry-run"),
    (*_BARE, "--ebs-storage", "1", "--tag", "team=vision", "--wait", "--wait-timeout", "2m"),
    ("extend", "aws-gpu1", "2h"),
    ("extend", "aws-gpu1", "--never"),
    ("terminate", "aws-gpu1", "--keep-ebs", "--yes"),
)
#: Between the two the kept volume loses its tags: it is the user's own.
SECOND_BOX = (
    ("relaunch", "{ended}", "--yes"),
    ("terminate", "--yes"),
    (*_BARE, "--on-demand", "--subnet-id", "{subnet}", "--ebs-volume-id", "{volume}"),
    ("status", "--gpu"),
    ("costs",),
    ("terminate", "--yes"),
)
#: There is no spot capacity, so that `--max-price` looks at the prices; and a volume of a box of long ago is left.
THIRD_BOX = (
    (*_BARE, "-r", HOME, "-r", ABROAD, "--max-price", "0.9"),
    ("setup", "aws-gpu1"),
    ("bake", "aws-gpu1", "--name", "trainer", "--yes"),
    ("image", "ls"),
    ("image", "rm", "trainer", "--yes"),
    ("access", "aws-gpu1", "--ssh-cidr", "203.0.113.0/24"),
    ("access",),
    ("terminate", "--yes"),
    ("cleanup", "--sync", "--include-ebs", "--include-kept", "--yes"),
)
#: The region does not know the quota of P5 spot instances: AWS's default is read, too.
FOURTH_BOX = (
    _BARE,
    ("list", "instance-types", "--prefix", "g4dn"),
    ("list", "amis"),
    ("prices",),
    ("quota", "show", "-r", "us-west-1"),
    ("quota", "request", "--type", "spot", "--family", "gvt", "--desired-value", "900", "--yes"),
    ("quota", "history"),
)
#: An on-demand box with a data volume that grows, is copied and deleted. `{volume}` and `{snapshot}` are ids of it.
FIFTH_BOX = (
    (*_BARE, "--on-demand", "--name", "kept", "--ebs-storage", "5"),
    ("rename", "kept", "trainer"),
    ("volume", "grow", "trainer", "--size", "6", "--yes"),
    ("volume", "snapshot", "trainer"),
    ("stop", "trainer", "--yes"),
    ("start", "trainer"),
    ("volume", "create", "--size", "1"),
    ("volume", "ls"),
    ("terminate", "trainer", "--yes"),
)
COPIES = (
    ("volume", "restore", "{snapshot}", "--zone", f"{HOME}b"),
    ("volume", "restore", "{snapshot}", "--zone", "eu-west-1a"),
    ("volume", "rm", "{snapshot}", "--yes"),
)
_CLUSTER = ("--cluster-id", "train")
CLUSTER = (
    ("cluster", *_BARE, *_CLUSTER, "--nodes", "1", "--ebs-storage", "1"),
    ("cluster", *_BARE, *_CLUSTER, "--nodes", "2"),
    ("cluster", "status", *_CLUSTER),
    ("cluster", "export", *_CLUSTER, "--to", "sbatch"),
    ("cluster", "run", *_CLUSTER, "job.sh"),
    ("cluster", "logs", "train"),
    ("cluster", "attach", "train"),
    ("cluster", "cancel", "train"),
    ("cluster", "terminate", "train", "--yes"),
)
LIFE = (*FIRST_BOX, *SECOND_BOX, *THIRD_BOX, *FOURTH_BOX, *FIFTH_BOX, *COPIES, *CLUSTER)
#: Warnings that belong to the situation; the user's own volume has no owner.
EXPECTED_WARNINGS = {"no-capacity", "not-yours"}
READS = (
    ("status",),
    ("cluster", "status"),
    ("image", "ls"),
    ("costs",),
    ("volume", "ls"),
    ("list", "instance-types", "--prefix", "g4dn"),
    ("list", "amis"),
    ("prices",),
    ("quota", "show", "-r", "us-west-1"),
    ("quota", "history"),
)


@dataclass(frozen=True)
class Lived:
    """How the commands ended, and what the policies decided meanwhile."""

    outcomes: tuple[Outcome, ...]
    decisions: tuple[dict[str, Any], ...]

    def __add__(self, other: Lived) -> Lived:
        return Lived(self.outcomes + other.outcomes, self.decisions + other.decisions)

    @property
    def requests(self) -> list[Request]:
        """Return the requests again, to put them to another policy."""
        found: list[Request] = []
        for one in self.decisions:
            context = {key: tuple(values) for key, values in one["context"].items()}
            found.append(Request(one["action"], one["resource"], context))
        return found


def policies() -> dict[str, dict[str, Any]]:
    """Return the documents of the page, by their names in NAMES."""
    blocks = re.findall(r"^```json\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    return dict(zip(NAMES, map(json.loads, blocks), strict=True))


def _life(bench: Bench) -> Lived:
    """Run every command, under the full and the narrowed policy at once."""
    first = _under_both(bench, FIRST_BOX, {})
    bench.sandbox.policy()
    end_unclear(bench)
    self_ended = bench.run([*_BARE, "-o", "json"])
    power_off(bench, self_ended.document["ssh_alias"])
    bench.run(["cleanup", "--yes"])
    facts = {"subnet": _subnet(bench), "volume": _own_volume(bench), "ended": self_ended.document["instance_id"]}
    second = _under_both(bench, SECOND_BOX, facts)
    bench.sandbox.policy()
    _leave_volume(bench)
    spot = {"InstanceMarketOptions.MarketType": "spot"}
    bench.sandbox.fault(action="RunInstances", match=spot, do=NO_SPOT)
    third = _under_both(bench, THIRD_BOX, {})
    bench.sandbox.clear_faults()
    fifth = _under_both(bench, FIFTH_BOX, {})
    copied = {"snapshot": fifth.outcomes[3].document["snapshot_id"]}
    copies = _under_both(bench, COPIES, copied)
    cluster = _under_both(bench, CLUSTER, {})
    return first + second + third + fifth + copies + cluster + _under_both(bench, FOURTH_BOX, {})


def _under_both(bench: Bench, lines: tuple[tuple[str, ...], ...], facts: dict[str, str]) -> Lived:
    held = policies()
    bench.sandbox.policy(json.dumps(held["narrowed"]), scps=[json.dumps(held["full"])])
    return _live(bench, lines, facts)


def _live(bench: Bench, lines: tuple[tuple[str, ...], ...], facts: dict[str, str]) -> Lived:
    """Run the commands, one after another; return how they ended and what was decided."""
    outcomes = [bench.run([*(word.format(**facts) for word in line), "-o", "json"]) for line in lines]
    return Lived(tuple(outcomes), tuple(bench.sandbox.decisions()))


def _ended(bench: Bench) -> str:
    """The id of a box that has ended."""
    filters = [{"Name": "instance-state-name", "Values": ["shutting-down", "terminated"]}]
    (reservation, *_) = bench.sandbox.client().describe_instances(Filters=filters)["Reservations"]
    instance_id: str = reservation["Instances"][0]["InstanceId"]
    return instance_id


def _subnet(bench: Bench) -> str:
    filters = [{"Name": "availability-zone", "Values": [f"{HOME}a"]}]
    subnet: str = bench.sandbox.client().describe_subnets(Filters=filters)["Subnets"][0]["SubnetId"]
    return subnet


def _own_volume(bench: Bench) -> str:
    """Return the volume that the first box left, without tags and in the subnet's zone: as one of the user's."""
    client = bench.sandbox.client()
    for volume in client.describe_volumes()["Volumes"]:
        client.delete_tags(Resources=[volume["VolumeId"]], Tags=volume["Tags"])
        return volume["VolumeId"]
    raise AssertionError("no volume was kept")


def _leave_volume(bench: Bench) -> None:
    """Create a data volume of a box that is no longer there."""
    tags = {
        "created-by": "aws-bootstrap-g4dn",
        "aws-bootstrap-owner": caller(bench.sandbox),
        "aws-bootstrap-instance": "i-0deadbeef00000001",
    }
    specification = {"ResourceType": "volume", "Tags": [{"Key": key, "Value": tags[key]} for key in tags]}
    bench.sandbox.client().create_volume(AvailabilityZone=f"{HOME}a", Size=1, TagSpecifications=[specification])


# --- what the page promises -----------------------------------------------------------------------------------------


def test_every_command_runs_under_its_policy_and_needs_all_of_it(tmp_path: Path):
    """One test, since the life takes seconds: whatever is wrong is in the list."""
    with Bench(tmp_path / "bench") as bench:
        life = _life(bench)
        bench.sandbox.policy(json.dumps(policies()["read-only"]))
        reading = _live(bench, READS, {})
    assert reading.outcomes[0].document["instances"], "nothing was there to read"
    wrong = [*_failures(life), *_failures(reading)]
    for name, lived in (("full", life), ("narrowed", life), ("read-only", reading)):
        wrong += [f"{name}: {one}" for one in _differences(policies()[name], lived.requests)]
    wrong += [f"narrowed: {action} is allowed without the tag" for action in _unguarded(life.requests)]
    assert wrong == []


def test_the_life_has_every_command():
    paths = {path for path, _ in commands(main) if path[0] not in OFFLINE | OVER_SSH} - CLUSTER_OVER_SSH
    lived = {path for path in paths for line in LIFE if line[: len(path)] == path}
    assert lived == paths


def test_a_policy_with_an_action_too_many_or_too_few_is_noticed():
    actions = ["ec2:RunInstances"]
    document = {"Statement": [{"Sid": "A", "Effect": "Allow", "Action": actions, "Resource": "*"}]}
    launch = Request("ec2:RunInstances", "*", {})
    assert _differences(document, [launch]) == []
    assert _differences(document, [launch, Request("ec2:CreateTags", "*", {})]) == ["ec2:CreateTags on * is denied"]
    actions.append("ec2:DetachVolume")
    assert _differences(document, [launch]) == ["A: Action ec2:DetachVolume is not needed"]


def test_the_full_policy_has_each_call_of_the_fault_matrix():
    """A new call must be in `recorded_calls.txt`, and so on the page."""
    recorded = (ROOT / "aws_bootstrap/tests/matrix/recorded_calls.txt").read_text().splitlines()
    named: set[str] = set()
    for statement in policies()["full"]["Statement"]:
        named |= {action.partition(":")[2] for action in _listed(statement, "Action")}
    assert named - {"CreateServiceLinkedRole"} == set(recorded[1:]) - NEEDS_NO_PERMISSION


@pytest.mark.parametrize("name", NAMES)
def test_it_fits_a_managed_policy(name):
    text = json.dumps(policies()[name], separators=(",", ":"))
    assert len(text) <= LONGEST


def _failures(lived: Lived) -> Iterator[str]:
    """Yield the commands that failed or warned, and the requests that were denied.

    A command may do without an answer and say nothing: what it was denied counts all the same.
    """
    for outcome in lived.outcomes:
        if outcome.code != 0 or _warnings(outcome):
            yield str(outcome)
    for one in lived.decisions:
        if not one["allowed"]:
            yield f"{one['action']} on {one['resource']} was denied {one['reason']}"


def _differences(document: dict[str, Any], requests: list[Request]) -> list[str]:
    """Return what the policy denies of these requests, and what of it none of them needs."""
    found = [f"{one.action} on {one.resource} is denied" for one in _denied(document, requests)]
    used = {one.action for one in requests}
    for statement in document["Statement"]:
        wide = set(_listed(statement, "Action")) - used
        found += [f"{statement['Sid']}: Action {action} is not needed" for action in sorted(wide)]
    for what, smaller in _smaller(document):
        if not _denied(smaller, requests):
            found.append(f"{what} is not needed")
    return list(dict.fromkeys(found))


def _unguarded(requests: list[Request]) -> list[str]:
    """Return the actions that the narrowed policy allows just as well where resource and request lack the tag."""
    guarded = {
        "ec2:TerminateInstances",
        "ec2:DeleteVolume",
        "ec2:RevokeSecurityGroupIngress",
        "ec2:AuthorizeSecurityGroupIngress",
        "ec2:DeleteTags",
        "ec2:CreateVolume",
        "ec2:ImportKeyPair",
        "ec2:CreateSecurityGroup",
        "ec2:RunInstances",
        "ec2:CreatePlacementGroup",
        "ec2:DeletePlacementGroup",
        "ec2:DeleteSecurityGroup",
    }
    untagged = [_without_tag(one) for one in requests]
    denied = {one.action for one in _denied(policies()["narrowed"], untagged)}
    return sorted(guarded - denied)


def _warnings(outcome: Outcome) -> list[Any]:
    """Return the warnings that do not belong to the situation."""
    if not isinstance(outcome.document, dict):
        return []
    found = outcome.document.get("warnings", [])
    return [one for one in found if one["code"] not in EXPECTED_WARNINGS]


def _without_tag(request: Request) -> Request:
    context = {key: value for key, value in request.context.items() if not key.endswith("/created-by")}
    return Request(request.action, request.resource, context)


def _denied(document: dict[str, Any], requests: list[Request]) -> list[Request]:
    if not document["Statement"]:
        return requests
    policy = read_policy("policy", json.dumps(document))
    return [one for one in requests if decide(one, [policy], [])]


def _smaller(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the document without one action or resource of a statement, and without a whole statement."""
    for number, statement in enumerate(document["Statement"]):
        for element in ("Action", "Resource"):
            for one in _listed(statement, element):
                smaller = copy.deepcopy(document)
                rest = [other for other in _listed(statement, element) if other != one]
                smaller["Statement"][number][element] = rest
                if not rest:
                    del smaller["Statement"][number]
                yield f"{statement['Sid']}: {element} {one}", smaller


def _listed(statement: dict[str, Any], element: str) -> list[str]:
    value = statement[element]
    return [value] if isinstance(value, str) else value
