"""IAM policies: documents, and what they decide about a request. Pure.

Grammar: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
Logic: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .conditions import Condition, Context, PolicyError, check_variables, glob, read_condition, substitute

_VERSIONS = ("2012-10-17", "2008-10-17")
_ACTION = re.compile(r"\*|[a-zA-Z0-9-]+:[a-zA-Z0-9*?]+")
_ARN_PARTS = 6


@dataclass(frozen=True)
class Request:
    """One question to the policies: may this action touch this resource, in this context?"""

    #: With its service, as in `ec2:RunInstances`.
    action: str
    #: An ARN; one that is not created yet ends with `*`. `*` for actions that take no resource.
    resource: str
    context: Context


@dataclass(frozen=True)
class Statement:
    """One statement of a policy."""

    is_deny: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: tuple[Condition, ...] = ()
    #: Whether the actions and resources are those that the statement leaves out.
    not_actions: bool = False
    not_resources: bool = False
    has_variables: bool = True

    def applies(self, request: Request) -> bool:
        """Return whether the statement is about the request."""
        if self._names_action(request.action) == self.not_actions:
            return False
        if self._names_resource(request) == self.not_resources:
            return False
        return all(condition.holds(request.context) for condition in self.conditions)

    def _names_action(self, action: str) -> bool:
        """Return whether the action is in the list; names of actions are not case-sensitive."""
        return any(glob(pattern.lower()).fullmatch(action.lower()) for pattern in self.actions)

    def _names_resource(self, request: Request) -> bool:
        for pattern in self.resources:
            resolved: str | None = pattern
            if self.has_variables:
                resolved = substitute(pattern, request.context)
            if resolved is not None and glob(resolved).fullmatch(request.resource):
                return True
        return False


@dataclass(frozen=True)
class Document:
    """A policy: its statements, by the name under which it was loaded."""

    name: str
    statements: tuple[Statement, ...]

    def denies(self, request: Request) -> bool:
        """Return whether a statement denies the request."""
        return any(one.is_deny and one.applies(request) for one in self.statements)

    def allows(self, request: Request) -> bool:
        """Return whether a statement allows the request."""
        return any(not one.is_deny and one.applies(request) for one in self.statements)

    @property
    def has_allow(self) -> bool:
        """Return whether any statement allows something."""
        return any(not one.is_deny for one in self.statements)


def decide(request: Request, policies: Sequence[Document], scps: Sequence[Document]) -> str | None:
    """Return why the request is denied, in AWS's words; None where it is allowed.

    Without policies the caller is the account's administrator. Service control policies come beside FullAWSAccess, as
    AWS attaches it, unless one of them has an Allow of its own: then all of them together are the list of what may be
    done. https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html (the messages)
    """
    if _any_denies(scps, request):
        return "with an explicit deny in a service control policy"
    if _any_denies(policies, request):
        return "with an explicit deny in an identity-based policy"
    if any(one.has_allow for one in scps) and not _any_allows(scps, request):
        return f"because no service control policy allows the {request.action} action"
    if policies and not _any_allows(policies, request):
        return f"because no identity-based policy allows the {request.action} action"
    return None


def _any_denies(documents: Iterable[Document], request: Request) -> bool:
    return any(one.denies(request) for one in documents)


def _any_allows(documents: Iterable[Document], request: Request) -> bool:
    return any(one.allows(request) for one in documents)


def read_policy(name: str, text: str) -> Document:
    """Return the policy of a JSON text. Raise PolicyError, with its name, for anything the sandbox does not know."""
    try:
        return _document(name, json.loads(text, object_pairs_hook=_without_duplicates))
    except PolicyError as error:
        raise PolicyError(f"{name}: {error}") from error
    except ValueError as error:
        raise PolicyError(f"{name}: not JSON: {error}") from error


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object. Of two elements of one name JSON keeps the last, and a condition would go unnoticed."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise PolicyError(f"{key} occurs twice in one object")
        found[key] = value
    return found


def _document(name: str, raw: Any) -> Document:
    _check_elements(raw, {"Version", "Id", "Statement"}, "a policy")
    version = raw.get("Version", _VERSIONS[-1])
    if version not in _VERSIONS:
        raise PolicyError(f"unknown Version {version!r}")
    statements = raw.get("Statement")
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list) or not statements:
        raise PolicyError("Statement is missing or empty")
    # Variables came with the second version; the first takes `${…}` as it is written.
    has_variables = version == _VERSIONS[0]
    return Document(name, tuple(_statement(one, has_variables=has_variables) for one in statements))


def _check_elements(raw: Any, known: set[str], what: str) -> None:
    """Raise PolicyError for something that is no object, or has elements that are not known."""
    if not isinstance(raw, dict):
        raise PolicyError(f"{what} is an object")
    unknown = sorted(set(raw) - known)
    if unknown:
        raise PolicyError(f"unknown element {unknown[0]!r} in {what}")


def _statement(raw: Any, *, has_variables: bool) -> Statement:
    known = {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"}
    _check_elements(raw, known, "a statement")
    effect = raw.get("Effect")
    if effect not in ("Allow", "Deny"):
        raise PolicyError(f"Effect is Allow or Deny, not {effect!r}")
    actions, not_actions = _one_of(raw, "Action", "NotAction")
    resources, not_resources = _one_of(raw, "Resource", "NotResource")
    for action in actions:
        if not _ACTION.fullmatch(action):
            raise PolicyError(f"{action!r} is no action: write service:Action")
    for resource in resources:
        _check_resource(resource, has_variables=has_variables)
    return Statement(
        is_deny=effect == "Deny",
        actions=actions,
        resources=resources,
        conditions=_conditions(raw.get("Condition", {}), has_variables=has_variables),
        not_actions=not_actions,
        not_resources=not_resources,
        has_variables=has_variables,
    )


def _one_of(raw: dict[str, Any], name: str, opposite: str) -> tuple[tuple[str, ...], bool]:
    """Return the list that a statement has under one of two names, and whether it is the second."""
    if (name in raw) == (opposite in raw):
        raise PolicyError(f"a statement has either {name} or {opposite}")
    if name in raw:
        return _texts(raw[name], name), False
    return _texts(raw[opposite], opposite), True


def _texts(raw: Any, name: str) -> tuple[str, ...]:
    """Return a text or a list of texts as a tuple."""
    if isinstance(raw, str):
        return (raw,)
    if not isinstance(raw, list) or not raw:
        raise PolicyError(f"{name} is a text or a list of texts")
    for one in raw:
        if not isinstance(one, str):
            raise PolicyError(f"{name} is a text or a list of texts")
    return tuple(raw)


def _check_resource(resource: str, *, has_variables: bool) -> None:
    if resource != "*" and (not resource.startswith("arn:") or len(resource.split(":", 5)) < _ARN_PARTS):
        raise PolicyError(f"{resource!r} is no ARN")
    if has_variables:
        check_variables(resource)


def _conditions(raw: Any, *, has_variables: bool) -> tuple[Condition, ...]:
    """Return the lines of a Condition block; all of them must hold."""
    if not isinstance(raw, dict):
        raise PolicyError("Condition is an object")
    found: list[Condition] = []
    for operator, lines in raw.items():
        if not isinstance(lines, dict) or not lines:
            raise PolicyError(f"{operator} takes an object of condition keys")
        for key, value in lines.items():
            values = _texts(_as_text(value), key)
            found.append(read_condition(operator, key, values, has_variables=has_variables))
    return tuple(found)


def _as_text(value: Any) -> Any:
    """Return a boolean as IAM's text for it; IAM takes both."""
    if isinstance(value, bool):
        return str(value).lower()
    return value
