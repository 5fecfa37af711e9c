"""The conditions of IAM policies: operators, condition keys, policy variables. Pure.

Operators: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
Set operators: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
Variables: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

#: What is known of a request: the values of each condition key, its name in lower case. A missing key has no entry.
Context = Mapping[str, tuple[str, ...]]

#: The condition keys that the sandbox gives values, and no others. Names of keys are not case-sensitive.
KEYS = frozenset(
    {
        "aws:principalaccount",
        "aws:principalarn",
        "aws:requestedregion",
        "aws:tagkeys",
        "aws:userid",
        "aws:username",
        "ec2:createaction",
        "ec2:instancemarkettype",
        "ec2:instancetype",
        "ec2:metadatahttptokens",
        "ec2:region",
        "iam:awsservicename",
        "servicequotas:service",
    }
)
#: Keys that end with the key of a tag.
TAG_PREFIXES = ("aws:requesttag/", "aws:resourcetag/", "ec2:resourcetag/")
#: Keys with several values: they need ForAllValues or ForAnyValue.
MULTIVALUED = frozenset({"aws:tagkeys"})

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_LITERALS = ("*", "?", "$")
_SET_OPERATORS = ("ForAllValues", "ForAnyValue")
_IF_EXISTS = "IfExists"


class PolicyError(ValueError):
    """A document that is no policy, or one with elements that the sandbox does not know."""


def _same(value: str, expected: str) -> bool:
    return value == expected


def _same_in_any_case(value: str, expected: str) -> bool:
    return value.lower() == expected.lower()


@functools.lru_cache(maxsize=4096)
def glob(pattern: str) -> re.Pattern[str]:
    """Return the pattern of IAM, with `*` and `?`, as a regular expression; `${*}` is a plain asterisk."""
    parts: list[str] = []
    for piece in re.split(r"(\$\{[*?$]\}|\*|\?)", pattern):
        if piece == "*":
            parts.append(".*")
        elif piece == "?":
            parts.append(".")
        else:
            parts.append(re.escape(_plain(piece)))
    return re.compile("".join(parts), re.DOTALL)


def _plain(text: str) -> str:
    """Return the text with its escaped characters as they are."""
    for literal in _LITERALS:
        text = text.replace(f"${{{literal}}}", literal)
    return text


def _like(value: str, pattern: str) -> bool:
    return glob(pattern).fullmatch(value) is not None


def _same_arn(value: str, pattern: str) -> bool:
    """Return whether the ARN fits: each of its six parts is compared by itself."""
    parts = value.split(":", 5)
    patterns = pattern.split(":", 5)
    if len(parts) != len(patterns):
        return False
    return all(_like(part, expected) for part, expected in zip(parts, patterns, strict=True))


#: How each operator compares a value with one of the policy's.
_COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": _same,
    "StringEqualsIgnoreCase": _same_in_any_case,
    "StringLike": _like,
    "ArnEquals": _same_arn,
    "ArnLike": _same_arn,
}
#: The operators that hold where the comparison does not.
_NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}
_WITH_WILDCARDS = frozenset({"StringLike", "ArnEquals", "ArnLike"})


@dataclass(frozen=True)
class Condition:
    """One line of a Condition block: an operator, a key and the values that are compared with the key's."""

    #: `ForAllValues`, `ForAnyValue` or empty.
    set_operator: str
    #: The operator without its negation; `Null` for the check of existence.
    operator: str
    is_negated: bool
    if_exists: bool
    #: In lower case.
    key: str
    values: tuple[str, ...]
    #: Whether `${…}` in the values is replaced by another key's value.
    has_variables: bool = True

    def holds(self, context: Context) -> bool:
        """Return whether the condition holds for a request of this context."""
        found = context.get(self.key, ())
        if self.operator == "Null":
            return any((not found) == (value.lower() == "true") for value in self.values)
        if not found:
            return self._holds_without_key()
        if self.set_operator == "ForAnyValue":
            return any(self._fits(value, context) for value in found)
        return all(self._fits(value, context) for value in found)

    def _holds_without_key(self) -> bool:
        """Return whether the condition holds where the request has no such key."""
        if self.set_operator == "ForAllValues":
            return True
        if self.set_operator == "ForAnyValue":
            return False
        return self.if_exists or self.is_negated

    def _fits(self, value: str, context: Context) -> bool:
        """Return whether one value of the key fits the policy's values: one of them, or none if negated."""
        compare = _COMPARISONS[self.operator]
        fits = False
        for expected in self.values:
            resolved = self._resolved(expected, context)
            if resolved is not None and compare(value, resolved):
                fits = True
        return fits != self.is_negated

    def _resolved(self, expected: str, context: Context) -> str | None:
        """Return a value of the policy with its variables replaced; None where one has no value here."""
        if not self.has_variables:
            return expected
        resolved = substitute(expected, context)
        if resolved is None or self.operator in _WITH_WILDCARDS:
            return resolved
        return _plain(resolved)


def substitute(text: str, context: Context) -> str | None:
    """Return the text with its policy variables replaced; None where one has neither a value nor a default."""
    pieces: list[str] = []
    end = 0
    for match in _VARIABLE.finditer(text):
        replacement = match.group()
        if match[1] not in _LITERALS:
            value = _value_of(match[1], context)
            if value is None:
                return None
            replacement = _escaped(value)
        pieces += [text[end : match.start()], replacement]
        end = match.end()
    return "".join([*pieces, text[end:]])


def _value_of(variable: str, context: Context) -> str | None:
    """Return the value of a variable, else the default that it names, as in `${aws:username, 'nobody'}`."""
    name, comma, default = variable.partition(",")
    found = context.get(name.strip().lower(), ())
    if len(found) == 1:
        return found[0]
    if comma:
        return default.strip().strip("'")
    return None


def _escaped(value: str) -> str:
    """Return a value that is compared as it is, whatever characters it has."""
    return re.sub(r"[*?$]", lambda match: f"${{{match.group()}}}", value)


def check_variables(text: str) -> None:
    """Raise PolicyError for a variable that is no known key."""
    for match in _VARIABLE.finditer(text):
        if match[1] not in _LITERALS:
            known_key(match[1].partition(",")[0].strip())


def known_key(name: str) -> str:
    """Return the key's name in lower case. Raise PolicyError for one that the sandbox gives no value."""
    lower = name.lower()
    for prefix in TAG_PREFIXES:
        if lower.startswith(prefix) and lower != prefix:
            return lower
    if lower not in KEYS:
        raise PolicyError(f"unknown condition key {name!r}")
    return lower


def read_condition(operator: str, name: str, values: tuple[str, ...], *, has_variables: bool) -> Condition:
    """Return one line of a Condition block. Raise PolicyError for an unknown operator, key or variable."""
    set_operator, base = _split(operator)
    if_exists = base.endswith(_IF_EXISTS)
    base = base.removesuffix(_IF_EXISTS)
    is_negated = base in _NEGATED
    positive = _NEGATED.get(base, base)
    if positive == "Null":
        if if_exists or set_operator:
            raise PolicyError(f"unknown condition operator {operator!r}")
    elif positive not in _COMPARISONS:
        raise PolicyError(f"unknown condition operator {operator!r}")
    key = known_key(name)
    if key in MULTIVALUED and positive != "Null" and not set_operator:
        raise PolicyError(f"{name} has several values: {operator} needs ForAllValues: or ForAnyValue:")
    for value in values:
        _check_value(positive, value, has_variables=has_variables)
    return Condition(set_operator, positive, is_negated, if_exists, key, values, has_variables)


def _split(operator: str) -> tuple[str, str]:
    """Return the set operator, if there is one, and the rest."""
    prefix, colon, base = operator.partition(":")
    if not colon:
        return "", operator
    if prefix not in _SET_OPERATORS:
        raise PolicyError(f"unknown condition operator {operator!r}")
    return prefix, base


def _check_value(operator: str, value: str, *, has_variables: bool) -> None:
    if operator == "Null" and value.lower() not in ("true", "false"):
        raise PolicyError(f"Null takes true or false, not {value!r}")
    if has_variables:
        check_variables(value)
