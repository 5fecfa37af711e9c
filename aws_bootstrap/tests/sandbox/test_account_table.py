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

PAGE = ROOT / "docs" / "accounts.md"
LAUNCH = ("launch", "--yes", "--no-setup")
TAG = ("--tag", "cost-center=42")
#: In a cell: nothing is said.
NOTHING = "–"
#: In a sentence: text that is left out.
LEFT_OUT = "…"
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

    def subnet(self) -> str:
        """Return a subnet of us-west-2."""
        found: str = self.program.sandbox.client().describe_subnets()["Subnets"][0]["SubnetId"]
        return found


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
    case.program.sandbox.account(verifying=3)
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


def test_launch_without_default_subnets(case):
    case(*LAUNCH)


def test_launch_with_an_ungranted_key(case):
    case(*LAUNCH)


def test_launch_with_a_disabled_key(case):
    case(*LAUNCH)


def test_launch_with_public_access_blocked(case):
    case(*LAUNCH, "--ssh-timeout", "2s")
