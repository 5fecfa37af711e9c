"""The table of docs/accounts.md: each row is a test, which gets from the page what the program must say.

The program runs as its users run it, in a sandbox that plays the row's account.
"""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from aws_bootstrap.sandbox.cloud.accounts import PROFILES
from aws_bootstrap.sandbox.testing import Principal
from aws_bootstrap.tests.programs import Outcome, Program
from reference import ROOT

from .conftest import eventually

PAGE = ROOT / "docs" / "accounts.md"
LAUNCH = ("launch", "--yes", "--no-setup")
TAG = ("--tag", "cost-center=42")
#: In a cell: nothing is said.
NOTHING = "–"
#: In a sentence: text that is left out.
LEFT_OUT = "…"
EVERYTHING = ("instance", "volume", "security-group", "rule", "key-pair")
LIVING = {"pending", "running"}


@dataclass(frozen=True)
class Row:
    """A row of the page."""

    account: str
    tried: str
    says: str
    code: str
    exit_code: int
    test: str


def rows() -> list[Row]:
    """Return the rows of the page's table."""
    table = PAGE.read_text().partition("| account | tried |")[2]
    found: list[Row] = []
    for line in table.splitlines()[2:]:
        account, tried, says, code, exit_code, test = line.strip("| ").split(" | ")
        found.append(Row(account.strip("`"), tried, says, code.strip("`"), int(exit_code), test.strip("`")))
    return found


ROWS = {row.test: row for row in rows()}


@dataclass
class Case:
    """A row whose account is played; called with the row's command, it compares the answer with the row."""

    program: Program
    row: Row
    compared: bool = field(default=False, init=False)

    def __call__(self, *words: str, caller: Principal | None = None) -> dict[str, Any]:
        """Run the row's command, as another caller if one is given; return its document."""
        before = self.living()
        outcome = self.program(*words, "-o", "json", env=caller.variables if caller else None)
        self.compare(outcome)
        if outcome.exit_code == 1:
            assert self.living() <= before, "the failed command left a box"
        document: dict[str, Any] = outcome.document
        return document

    def compare(self, outcome: Outcome) -> None:
        """Assert that the row says what the command has said."""
        self.compared = True
        assert outcome.exit_code == self.row.exit_code, outcome.err
        warnings, error = outcome.document["warnings"], outcome.document.get("error", {})
        codes = {one["code"] for one in [*warnings, error] if one}
        if self.row.says == NOTHING:
            assert codes == set()
            return
        assert self.row.code == error.get("code", self.row.code)
        assert self.row.code in codes
        said = [one["message"] for one in warnings] + [error.get("message", ""), error.get("hint", "")]
        text = "\n".join(said).replace("aws-bootstrap --sandbox ", "aws-bootstrap ")
        pattern = r"[\s\S]*".join(re.escape(part.strip()) for part in self.row.says.split(LEFT_OUT))
        assert re.search(pattern, text), f"{self.row.says!r} is not in:\n{text}"

    def before(self, *words: str, caller: Principal | None = None) -> Any:
        """Run a command that comes before the row's, and must complete; return its document."""
        exit_code, document = self.program.json(*words, env=caller.variables if caller else None)
        assert exit_code == 0, document
        return document

    def living(self) -> set[str]:
        """Return the instances that run, or will."""
        found: set[str] = set()
        for one in self.program.sandbox.status()["instances"]:
            if one["state"] in LIVING:
                found.add(one["instance_id"])
        return found

    def resources(self, *types: str) -> list[dict[str, Any]]:
        """Return the account's resources of these types, in us-west-2, with their tags."""
        found: list[dict[str, Any]] = []
        for one in self.program.sandbox.inventory():
            if one["type"] in types and one["region"] == "us-west-2":
                found.append(one)
        return found

    def subnet(self) -> str:
        """Return a subnet of us-west-2."""
        found: str = self.program.sandbox.client().describe_subnets()["Subnets"][0]["SubnetId"]
        return found


def orphaned(case: Case, launched: dict[str, Any]) -> str:
    """Interrupt the spot box that was launched; return its data volume, which then has no instance."""
    case.program.sandbox.interrupt(launched["instance_id"])
    client, volume = case.program.sandbox.client(), launched["ebs_volume"]["volume_id"]

    def is_available() -> bool:
        found: str = client.describe_volumes(VolumeIds=[volume])["Volumes"][0]["State"]
        return found == "available"

    assert eventually(is_available)
    return str(volume)


@pytest.fixture
def case(program: Program, request: pytest.FixtureRequest) -> Iterator[Case]:
    """The test's row, in its account. Its command must have been compared with it when the test ends."""
    shutil.rmtree(program.sandbox.home.root / "principals", ignore_errors=True)
    case = Case(program, ROWS[request.node.name])
    name, is_setting, value = case.row.account.partition("=")
    if is_setting:
        program.sandbox.account(**{name: value})
    else:
        program.sandbox.account(name)
    yield case
    assert case.compared


# --- the page -------------------------------------------------------------------------------------------------------


def test_each_row_has_its_test_and_each_test_its_row():
    tests: list[str] = []
    for one in ast.parse(Path(__file__).read_text()).body:
        if isinstance(one, ast.FunctionDef) and one.name.startswith("test_") and one.args.args:
            tests.append(one.name)
    assert [row.test for row in rows()] == tests


def test_every_account_of_the_sandbox_has_rows():
    played = {row.account for row in rows()}
    assert {name for name in PROFILES if name != "plain"} <= played
    described = PAGE.read_text().partition("| account | tried |")[0]
    assert [name for name in played if f"`{name}`" not in described] == []


# --- new accounts ---------------------------------------------------------------------------------------------------


def test_launch_on_the_free_plan(case):
    case(*LAUNCH)


def test_wait_on_the_free_plan(case):
    case(*LAUNCH, "--wait")
    assert len(case.program.sandbox.log("RunInstances")) == 1


def test_launch_while_verified(case):
    case(*LAUNCH)


def test_wait_while_verified(case):
    # Longer than a busy machine takes to the first attempt, which must be refused.
    case.program.sandbox.account(verifying=6)
    launched = case(*LAUNCH, "--wait")
    assert {launched["instance_id"]} == case.living()


def test_launch_without_a_quota(case):
    case(*LAUNCH, "--region", "eu-west-1")


def test_launch_beside_a_box(case):
    case.before(*LAUNCH)
    case(*LAUNCH)


def test_launch_after_a_box(case):
    case.before(*LAUNCH)
    case.before("terminate", "--yes")
    case(*LAUNCH)


def test_wait_after_a_box(case):
    case.program.sandbox.account(quota_release=5)
    case.before(*LAUNCH)
    case.before("terminate", "--yes")
    launched = case(*LAUNCH, "--wait")
    assert {launched["instance_id"]} == case.living()


# --- companies ------------------------------------------------------------------------------------------------------


def test_launch_without_a_subnet(case):
    case(*LAUNCH, *TAG)


def test_launch_without_the_tag(case):
    case(*LAUNCH, "--subnet-id", case.subnet())


def test_launch_with_subnet_and_tag(case):
    """The organization denies to create anything without the tag: what is there has it."""
    launched = case(*LAUNCH, "--subnet-id", case.subnet(), *TAG, "--ebs-storage", "1")
    assert launched["ebs_volume"]["mounted"]


def test_launch_in_a_denied_region(case):
    case(*LAUNCH, "--region", "eu-west-1", *TAG)


def test_status_with_denied_regions(case):
    shown = case("status")
    denied = {one["region"] for one in shown["regions_denied"]}
    assert set(shown["regions_queried"]) - denied == {"eu-central-1", "us-west-2"}
    assert shown["regions_failed"] == []


def test_status_of_a_denied_region(case):
    case("status", "--region", "eu-west-1")


def test_cleanup_with_denied_regions(case):
    launched = case.before(*LAUNCH, "--subnet-id", case.subnet(), *TAG, "--ebs-storage", "1")
    volume = orphaned(case, launched)
    cleaned = case("cleanup", "--include-ebs", "--yes")
    assert cleaned["deleted_volumes"] == [{"volume_id": volume, "size_gb": 1, "deleted": True}]
    assert case.resources("volume") == []


def test_access_with_the_tag(case):
    case.before(*LAUNCH, "--subnet-id", case.subnet(), *TAG)
    (changed,) = case("access", "--ssh-cidr", "203.0.113.0/24")["boxes"]
    assert (changed["added"], changed["removed"]) == (["203.0.113.0/24"], ["127.0.0.1/32"])
    (rule,) = case.resources("rule")
    assert rule["tags"]["cost-center"] == "42"


def without_rules(case: Case) -> None:
    """Launch a box, and revoke the rules of its security group, as an administrator may."""
    case.before(*LAUNCH, "--subnet-id", case.subnet(), *TAG)
    client = case.program.sandbox.client()
    for rule in case.resources("rule"):
        client.revoke_security_group_ingress(GroupId=rule["group"], SecurityGroupRuleIds=[rule["id"]])
    assert case.resources("rule") == []


def test_access_without_the_tag(case):
    without_rules(case)
    case("access", "--ssh-cidr", "203.0.113.0/24")
    assert case.resources("rule") == []


def test_access_with_a_tag_of_its_own(case):
    without_rules(case)
    (changed,) = case("access", "--ssh-cidr", "203.0.113.0/24", *TAG)["boxes"]
    assert changed["added"] == ["203.0.113.0/24"]
    (rule,) = case.resources("rule")
    assert rule["tags"]["cost-center"] == "42"


def test_launch_without_default_subnets(case):
    case(*LAUNCH)


def test_launch_with_an_ungranted_key(case):
    case(*LAUNCH)


def test_launch_with_a_disabled_key(case):
    case(*LAUNCH)


def test_launch_with_public_access_blocked(case):
    case(*LAUNCH, "--ssh-timeout", "2s")


def test_launch_with_a_slow_first_boot(case):
    """The port accepts connections and says nothing for 40 s: longer than a refused key is waited for."""
    assert case.program.sandbox.status()["timing"]["first_boot"] == 40
    launched = case(*LAUNCH)
    assert case.program.ssh(launched["ssh_alias"], "true").returncode == 0


# --- the user of the public tool ------------------------------------------------------------------------------------


def leftovers(case: Case) -> tuple[str, str]:
    """Return the box and the data volume that the public tool left, once the box runs."""

    def is_running() -> bool:
        return [one["state"] for one in case.resources("instance")] == ["running"]

    assert eventually(is_running)
    (box,) = case.resources("instance")
    (volume,) = [one for one in case.resources("volume") if not one["root"]]
    return box["id"], volume["id"]


def test_launch_beside_leftovers(case):
    earlier = case.resources("security-group", "rule", "key-pair")
    launched = case(*LAUNCH)
    later = case.resources("security-group", "rule", "key-pair")
    assert [one for one in earlier if one not in later] == []
    assert {one["id"] for one in later if one["type"] == "security-group"} == {
        one["id"] for one in earlier if one["type"] == "security-group"
    }
    assert launched["instance_id"] in case.living()


def test_launch_into_an_open_group(case):
    case(*LAUNCH, "--dry-run", "--ssh-port", "22")


def test_status_of_leftovers(case):
    box, volume = leftovers(case)
    shown = case("status")
    assert [(one["instance_id"], one["owner"], one["yours"]) for one in shown["instances"]] == [(box, None, False)]
    assert [(one["volume_id"], one["owner"], one["yours"]) for one in shown["orphan_volumes"]] == [
        (volume, None, False)
    ]


def test_access_to_leftovers(case):
    case("access")


def test_access_closes_the_open_port(case):
    box, _ = leftovers(case)
    (changed,) = case("access", box, "--ssh-cidr", "me", "--yes")["boxes"]
    assert (changed["added"], changed["removed"]) == (["127.0.0.1/32"], ["0.0.0.0/0"])


def test_terminate_with_leftovers(case):
    leftovers(case)
    existing = case.resources(*EVERYTHING)
    case("terminate", "--yes")
    assert case.resources(*EVERYTHING) == existing


def test_cleanup_with_leftovers(case):
    leftovers(case)
    existing = case.resources(*EVERYTHING)
    case("cleanup", "--include-ebs", "--yes")
    assert case.resources(*EVERYTHING) == existing


def test_cleanup_of_leftovers(case):
    _, volume = leftovers(case)
    cleaned = case("cleanup", "--include-ebs", "--everyone", "--yes")
    assert [one["volume_id"] for one in cleaned["deleted_volumes"]] == [volume]


# --- shared accounts ------------------------------------------------------------------------------------------------


def bob_of(case: Case) -> Principal:
    """Return bob, after alice has launched a box with a data volume."""
    case.before(*LAUNCH, "--ebs-storage", "1")
    return case.program.sandbox.principal("bob")


def test_status_shows_the_owner(case):
    bob = bob_of(case)
    shown = case("status", caller=bob)
    (box,) = shown["instances"]
    assert shown["next"] == [], "it is not bob's to end"
    alice = case.program.sandbox.principal("alice")
    assert (box["owner"], box["yours"]) == (alice.user_id, False)


def test_costs_beside_others(case):
    bob = bob_of(case)
    shown = case("costs", caller=bob)
    assert (shown["items"], shown["monthly_cost_usd"]) == ([], 0.0)
    assert [item["item"] for item in shown["left_out"]] == [
        "instance",
        "root volume",
        "data volume",
        "public IPv4 address",
    ]


def test_terminate_beside_others(case):
    bob = bob_of(case)
    existing = case.resources(*EVERYTHING)
    case("terminate", "--yes", caller=bob)
    assert case.resources(*EVERYTHING) == existing


def test_cleanup_beside_others(case):
    launched = case.before(*LAUNCH, "--ebs-storage", "1")
    orphaned(case, launched)
    existing = case.resources(*EVERYTHING)
    case("cleanup", "--include-ebs", "--yes", caller=case.program.sandbox.principal("bob"))
    assert case.resources(*EVERYTHING) == existing


def test_access_beside_others(case):
    bob = bob_of(case)
    existing = case.resources(*EVERYTHING)
    case("access", "--ssh-cidr", "me", "--yes", caller=bob)
    assert case.resources(*EVERYTHING) == existing


def test_terminate_of_your_own(case):
    bob = case.program.sandbox.principal("bob")
    of_bob = case.before(*LAUNCH, caller=bob)["instance_id"]
    of_alice = case.before(*LAUNCH)["instance_id"]
    terminated = case("terminate", "--yes")["terminated"]
    assert [one["instance_id"] for one in terminated] == [of_alice]
    assert case.living() == {of_bob}
