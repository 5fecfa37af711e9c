"""Whose a box, a volume or a rule is: its tag `aws-bootstrap-owner`, compared with who calls."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .. import output
from ..aws import without_waiting
from ..errors import BootstrapError

if TYPE_CHECKING:
    from ..app import App

#: Session names of roles that a program invents: another one in each shell, or on each instance.
_NAMED_BY_A_PROGRAM = re.compile(r"(botocore-session-|AWS-CLI-session-|aws-sdk-|i-).*|\d+")


def owner_of(user_id: str) -> str:
    """Return the owner tag of what a principal creates: its id, as policies know it by `aws:userid`.

    Where a program invented the session's name, return the role's id alone. Otherwise a person would not be the owner
    of the same boxes in the next shell.
    """
    principal, _, session = user_id.partition(":")
    if _NAMED_BY_A_PROGRAM.fullmatch(session):
        return principal
    return user_id


def is_yours(owner: str | None, caller: str | None) -> bool | None:
    """Return whether the caller is the owner; None if the caller is unknown and there is an owner."""
    if owner is None:
        return False
    if caller is None:
        return None
    return owner == caller


def is_of_another(owner: str | None, caller: str | None) -> bool:
    """Return whether an owner is recorded who is certainly not the caller."""
    return owner is not None and is_yours(owner, caller) is False


def warn_if_caller_unknown(yours: Iterable[bool | None]) -> None:
    """Warn once if one of these answers of `is_yours` is that it is unknown."""
    if None in yours:
        output.warn("It is unknown which boxes are yours, since STS does not say who you are.", code="owner-unknown")


def find_owner(app: App) -> str | None:
    """Return the caller as an owner tag; None if STS does not answer."""
    try:
        return _owner(app)
    except BootstrapError:
        return None


def get_owner(app: App) -> str:
    """Return the caller as an owner tag. BootstrapError `owner-unknown` if STS does not answer."""
    try:
        return _owner(app)
    except BootstrapError as exc:
        raise BootstrapError(
            f"It is unknown what is yours: {exc}",
            hint="Run the command again. To act on everything, whoever owns it, add: --everyone",
            code="owner-unknown",
        ) from exc


def _owner(app: App) -> str:
    return owner_of(without_waiting(app.aws.region, app.aws.user_id))
