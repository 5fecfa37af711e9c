"""`aws-bootstrap sandbox account`: the IAM policies that the caller is under, and what they decided so far."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, TextIO

import click

from ..app import App
from ..commands.command import Command
from ..errors import UsageError
from ..models import Result
from ..views.text import heading, pairs, plural, text
from . import process
from .home import Home

_POLICY_HELP = "IAM policy of the caller, a JSON file; repeatable: what any of them allows is allowed."
_SCP_HELP = "Service control policy of the organization, a JSON file; repeatable."


@dataclass(frozen=True)
class PolicyDecision:
    """What the policies decided about one action on one resource; `reason` is null where it is allowed."""

    action: str
    resource: str
    allowed: bool
    reason: str | None
    context: dict[str, list[str]]


@dataclass(frozen=True)
class SandboxAccount(Result):
    """The policies in force, by their files, and each different request since they were loaded."""

    policies: tuple[str, ...]
    scps: tuple[str, ...]
    decisions: tuple[PolicyDecision, ...]

    columns: ClassVar[dict[str, str]] = {
        "action": "Action",
        "resource": "Resource",
        "allowed": "Allowed",
        "reason": "Reason",
    }


@click.command(cls=Command)
@click.option(
    "--policy", "policies", type=click.File(encoding="utf-8"), multiple=True, metavar="FILE", help=_POLICY_HELP
)
@click.option("--scp", "scps", type=click.File(encoding="utf-8"), multiple=True, metavar="FILE", help=_SCP_HELP)
@click.option("--no-policy", is_flag=True, help="Remove all policies: the caller may do everything.")
@click.pass_obj
def account(app: App, policies: tuple[TextIO, ...], scps: tuple[TextIO, ...], no_policy: bool) -> None:
    """Put the caller under IAM policies, or show those in force and the actions that calls needed.

    The given files replace every policy loaded before. A denied call gets AWS's own error.

    \b
    Examples:
      aws-bootstrap sandbox account --policy policy.json
      aws-bootstrap sandbox account --policy policy.json --scp organization.json
      aws-bootstrap sandbox account
      aws-bootstrap sandbox account --no-policy
    """
    home = Home.of()
    if no_policy and (policies or scps):
        raise UsageError("--no-policy cannot be combined with --policy or --scp.")
    process.ensure_running(home)
    if policies or scps or no_policy:
        process.request(home, "account", {"policies": _texts(policies), "scps": _texts(scps)})
    facts = process.request(home, "account")
    decisions = tuple(PolicyDecision(**one) for one in facts["decisions"])
    app.show(SandboxAccount(tuple(facts["policies"]), tuple(facts["scps"]), decisions))


def _texts(files: Sequence[TextIO]) -> list[dict[str, str]]:
    return [{"name": file.name, "text": file.read()} for file in files]


@text.register
def _(result: SandboxAccount) -> str:
    """Return the policies, the actions that calls needed, and what was denied."""
    if not result.policies and not result.scps:
        return "No policy is in force: the caller may do everything."
    facts = [
        ("Policies", ", ".join(result.policies) or None),
        ("Service control policies", ", ".join(result.scps) or None),
    ]
    lines = [heading("The caller is under policies"), *pairs(facts)]
    actions = sorted({one.action for one in result.decisions if one.allowed})
    lines += [heading(f"Allowed: {plural(len(actions), 'action')}"), *(f"  {action}" for action in actions)]
    denied = list(dict.fromkeys(_denied(result.decisions)))
    return "\n".join([*lines, heading(f"Denied: {plural(len(denied), 'request')}"), *denied])


def _denied(decisions: Iterable[PolicyDecision]) -> list[str]:
    """Return one line for each denied action and resource."""
    return [f"  {one.action} on {one.resource}: {one.reason}" for one in decisions if not one.allowed]
