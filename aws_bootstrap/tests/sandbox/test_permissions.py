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
from typing import Any

import pytest

from aws_bootstrap.cli import main
from aws_bootstrap.sandbox.cloud.policy import Request, decide, read_policy
from aws_bootstrap.tests.matrix.bench import Bench, Outcome
from aws_bootstrap.tests.matrix.worlds import ABROAD, HOME
from aws_bootstrap.tests.reference import ROOT, commands

PAGE = ROOT / "docs" / "permissions.md"
NAMES = ("full", "narrowed", "read-only")
#: IAM's limit for a managed policy, white space not counted:
#: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
LONGEST = 6144
NO_SPOT = {"error": "InsufficientInstanceCapacity", "message": "There is no Spot capacity available."}
#: Commands that call no AWS service.
OFFLINE = {"completion", "sandbox"}

_BARE = ("launch", "--yes", "--no-setup", "--ssh-timeout", "10s")
#: The life, command by command; words in braces are ids. Each must end with exit code 0 and without a warning.
FIRST_BOX = (
    (*_BARE, "--dry-run"),
    (*_BARE, "--ebs-storage", "5", "--tag", "team=vision", "--wait", "--wait-timeout", "2m"),
    ("terminate", "aws-gpu1", "--keep-ebs", "--yes"),
)
#: Between the two the kept volume loses its tags: it is the user's own.
SECOND_BOX = (
    (*_BARE, "--on-demand", "--subnet-id", "{subnet}", "--ebs-volume-id", "{volume}"),
    ("status", "--gpu"),
    ("terminate", "--yes"),
)
#: There is no spot capacity, so that `--max-price` looks at the prices; and a volume of a box of long ago is left.
THIRD_BOX = (
    (*_BARE, "-r", HOME, "-r", ABROAD, "--max-price", "0.9"),
    ("setup", "aws-gpu1"),
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
    ("quota", "show", "-r", "us-west-1"),
    ("quota", "request", "--type", "spot", "--family", "gvt", "--desired-value", "900", "--yes"),
    ("quota", "history"),
)
LIFE = (*FIRST_BOX, *SECOND_BOX, *THIRD_BOX, *FOURTH_BOX)
#: Warnings that belong to the situation.
EXPECTED_WARNINGS = {"no-capacity"}
READS = (
    ("status",),
    ("list", "instance-types", "--prefix", "g4dn"),
    ("list", "amis"),
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


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench(tmp_path_factory.mktemp("permissions")) as bench:
        yield bench


@pytest.fixture(scope="module")
def life(bench: Bench) -> Lived:
    """Every command, under the full and the narrowed policy at once."""
    first = _under_both(bench, FIRST_BOX, {})
    bench.sandbox.policy()
    facts = {"subnet": _subnet(bench), "volume": _own_volume(bench)}
    second = _under_both(bench, SECOND_BOX, facts)
    spot = {"InstanceMarketOptions.MarketType": "spot"}
    bench.sandbox.fault(action="RunInstances", match=spot, do=NO_SPOT)
    bench.sandbox.policy()
    _leave_volume(bench)
    third = _under_both(bench, THIRD_BOX, {})
    bench.sandbox.clear_faults()
    return first + second + third + _under_both(bench, FOURTH_BOX, {})


@pytest.fixture(scope="module")
def reading(life: Lived, bench: Bench) -> Lived:
    """The commands that only read, under the read-only policy, while a box runs."""
    bench.sandbox.policy(json.dumps(policies()["read-only"]))
    return _live(bench, READS, {})


def _under_both(bench: Bench, lines: tuple[tuple[str, ...], ...], facts: dict[str, str]) -> Lived:
    held = policies()
    bench.sandbox.policy(json.dumps(held["narrowed"]), scps=[json.dumps(held["full"])])
    return _live(bench, lines, facts)


def _live(bench: Bench, lines: tuple[tuple[str, ...], ...], facts: dict[str, str]) -> Lived:
    """Run the commands, one after another; return how they ended and what was decided."""
    outcomes = [bench.run([*(word.format(**facts) for word in line), "-o", "json"]) for line in lines]
    return Lived(tuple(outcomes), tuple(bench.sandbox.decisions()))


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
    tags = {"created-by": "aws-bootstrap-g4dn", "aws-bootstrap-instance": "i-0deadbeef00000001"}
    specification = {"ResourceType": "volume", "Tags": [{"Key": key, "Value": tags[key]} for key in tags]}
    bench.sandbox.client().create_volume(AvailabilityZone=f"{HOME}a", Size=1, TagSpecifications=[specification])


# --- what the page promises -----------------------------------------------------------------------------------------


def test_every_command_succeeds_under_the_full_and_the_narrowed_policy(life):
    for outcome in life.outcomes:
        assert outcome.code == 0, outcome
        assert not _warnings(outcome), outcome


def test_reading_succeeds_under_the_read_only_policy(reading):
    for outcome in reading.outcomes:
        assert outcome.code == 0, outcome
        assert not _warnings(outcome), outcome
    assert reading.outcomes[0].document["instances"]


def test_nothing_is_denied(life, reading):
    """A command may do without an answer and say nothing: what it was denied counts all the same."""
    assert [one for one in (*life.decisions, *reading.decisions) if not one["allowed"]] == []


def test_the_life_has_every_command():
    paths = {path for path, _ in commands(main) if path[0] not in OFFLINE}
    lived = {path for path in paths for line in LIFE if line[: len(path)] == path}
    assert lived == paths


@pytest.mark.parametrize("name", NAMES)
def test_its_actions_are_those_that_are_used(name, life, reading):
    used = {one["action"] for one in (reading if name == "read-only" else life).decisions}
    named: set[str] = set()
    for statement in policies()[name]["Statement"]:
        named |= set(_listed(statement, "Action"))
    assert named == used


@pytest.mark.parametrize("name", NAMES)
def test_each_action_resource_and_statement_is_needed(name, life, reading):
    requests = (reading if name == "read-only" else life).requests
    document = policies()[name]
    assert _denied(document, requests) == []
    idle = [what for what, smaller in _smaller(document) if not _denied(smaller, requests)]
    assert idle == []


def test_the_full_policy_has_each_call_of_the_fault_matrix():
    """A new call must be in `recorded_calls.txt`, and so on the page."""
    recorded = (ROOT / "aws_bootstrap/tests/matrix/recorded_calls.txt").read_text().splitlines()
    named: set[str] = set()
    for statement in policies()["full"]["Statement"]:
        named |= {action.partition(":")[2] for action in _listed(statement, "Action")}
    assert named - {"CreateServiceLinkedRole"} == set(recorded[1:])


@pytest.mark.parametrize("name", NAMES)
def test_it_fits_a_managed_policy(name):
    text = json.dumps(policies()[name], separators=(",", ":"))
    assert len(text) <= LONGEST


def test_the_narrowed_policy_leaves_what_others_created_alone(life):
    """The same requests are denied on resources that lack the tag, and where the request lacks it."""
    document = policies()["narrowed"]
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
    }
    untagged = [_without_tag(one) for one in life.requests]
    denied = {one.action for one in _denied(document, untagged)}
    assert guarded <= denied


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
