"""`aws-bootstrap sandbox account`: the account that the sandbox plays, its principals, policies and their decisions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TextIO

import click

from ..app import App
from ..commands.command import Command
from ..errors import UsageError
from ..models import Result
from ..views.text import heading, pairs, plural, text
from . import process
from .cloud.accounts import PLAIN, PROFILES
from .home import Home

_ACCOUNT_HELP = f"Play this account: {', '.join(PROFILES)}."
_SETTING_HELP = "Change a setting of the account (docs/sandbox.md); repeatable."
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
class SandboxPrincipal:
    """Who can call: a user, or with a `role` a session of it; GetCallerIdentity answers `arn` and `user_id`."""

    name: str
    role: str
    arn: str
    user_id: str


@dataclass(frozen=True)
class SandboxAccount(Result):
    """The account, the policies in force, by their files, and each different request since they were loaded.

    `settings` are those that differ from the plain account's.
    """

    account: str
    settings: dict[str, Any]
    principals: tuple[SandboxPrincipal, ...]
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
@click.option("--account", "name", metavar="NAME", help=_ACCOUNT_HELP)
@click.option("--set", "settings", multiple=True, metavar="SETTING=VALUE", help=_SETTING_HELP)
@click.option("--plain", is_flag=True, help="Play the plain account again: the same as --account plain.")
@click.option(
    "--policy", "policies", type=click.File(encoding="utf-8"), multiple=True, metavar="FILE", help=_POLICY_HELP
)
@click.option("--scp", "scps", type=click.File(encoding="utf-8"), multiple=True, metavar="FILE", help=_SCP_HELP)
@click.option("--no-policy", is_flag=True, help="Remove all policies: the caller may do everything.")
@click.pass_obj
def account(app: App, /, **options: Any) -> None:
    """Choose the account and the IAM policies.

    Without options it shows what is in force.

    What exists in the account stays. The given files replace every policy loaded before. A denied call gets AWS's own
    error.

    \b
    Examples:
      aws-bootstrap sandbox account --account new-paid
      aws-bootstrap sandbox account --account company --set network=no-default-subnets
      aws-bootstrap sandbox account --set public-access=block-ingress
      aws-bootstrap sandbox account --plain
      aws-bootstrap sandbox account --policy policy.json
      aws-bootstrap sandbox account --policy policy.json --scp organization.json
      aws-bootstrap sandbox account
      aws-bootstrap sandbox account --no-policy
    """
    home = Home.of()
    policies, scps = options["policies"], options["scps"]
    if options["no_policy"] and (policies or scps):
        raise UsageError("--no-policy cannot be combined with --policy or --scp.")
    if options["plain"] and options["name"]:
        raise UsageError("--plain cannot be combined with --account.")
    settings = dict(_setting(one) for one in options["settings"])
    name = PLAIN if options["plain"] else options["name"]
    process.ensure_running(home)
    if name or settings:
        process.request(home, "account-profile", {"name": name, "settings": settings})
    if policies or scps or options["no_policy"]:
        process.request(home, "account", {"policies": _texts(policies), "scps": _texts(scps)})
    app.show(_account(process.request(home, "account")))


def _account(facts: dict[str, Any]) -> SandboxAccount:
    """Return the result of these facts."""
    return SandboxAccount(
        account=facts["account"],
        settings=facts["settings"],
        principals=tuple(SandboxPrincipal(**one) for one in facts["principals"]),
        policies=tuple(facts["policies"]),
        scps=tuple(facts["scps"]),
        decisions=tuple(PolicyDecision(**one) for one in facts["decisions"]),
    )


def _setting(text: str) -> tuple[str, str]:
    """Return the name and the value of SETTING=VALUE."""
    name, sign, value = text.partition("=")
    if not sign:
        raise UsageError(f"'{text}' is not SETTING=VALUE.")
    return name, value


def _texts(files: Sequence[TextIO]) -> list[dict[str, str]]:
    return [{"name": file.name, "text": file.read()} for file in files]


@text.register
def _(result: SandboxAccount) -> str:
    """Return the account, the policies, the actions that calls needed, and what was denied."""
    shown = [heading(f"Account: {result.account}")]
    for name, value in result.settings.items():
        shown.append(f"  {name} = {_value(value)}")
    shown += [f"  caller: {one.arn}" for one in result.principals]
    if not result.policies and not result.scps:
        return "\n".join([*shown, "  No policy is in force: every caller may do everything."])
    facts = [
        ("Policies", ", ".join(result.policies) or None),
        ("Service control policies", ", ".join(result.scps) or None),
    ]
    lines = [*shown, heading("The callers are under policies"), *pairs(facts)]
    actions = sorted({one.action for one in result.decisions if one.allowed})
    lines += [heading(f"Allowed: {plural(len(actions), 'action')}"), *(f"  {action}" for action in actions)]
    denied = list(dict.fromkeys(_denied(result.decisions)))
    return "\n".join([*lines, heading(f"Denied: {plural(len(denied), 'request')}"), *denied])


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value)


def _denied(decisions: Iterable[PolicyDecision]) -> list[str]:
    """Return one line for each denied action and resource."""
    return [f"  {one.action} on {one.resource}: {one.reason}" for one in decisions if not one.allowed]
