"""Errors: exit codes by type, stable words, remedies, and the one door."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import click
import pytest
from botocore import exceptions as boto
from botocore import parsers

from aws_bootstrap import errors
from aws_bootstrap.aws import translate_aws_errors
from aws_bootstrap.aws_errors import KNOWN_EXCEPTIONS, to_aws_error
from aws_bootstrap.errors import (
    KNOWN_CODES,
    AwsError,
    BootstrapError,
    CapacityError,
    SigtermReceived,
    TransientError,
    interrupt_behind,
)

PACKAGE = Path(__file__).parents[1]
DOCUMENTED = set(re.findall(r"^\| `([a-z-]+)` \|", (PACKAGE.parent / "docs/errors.md").read_text(), re.MULTILINE))


def written_codes() -> set[str]:
    """Every word given as an error's `code`, wherever it stands in the program."""
    found = {known.code for known in [*KNOWN_CODES.values(), *KNOWN_EXCEPTIONS.values()] if known.code}
    for path in PACKAGE.rglob("*.py"):
        if {"tests", "resources"} & set(path.relative_to(PACKAGE).parts):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "code" and isinstance(node.value, ast.Constant):
                found.add(str(node.value.value))
    kinds = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.BootstrapError)]
    return found | {kind.code for kind in kinds}


def test_the_documented_words_are_the_written_ones():
    assert written_codes() == DOCUMENTED


@pytest.mark.parametrize("name", KNOWN_EXCEPTIONS)
def test_explained_exceptions_exist(name):
    assert hasattr(boto, name) or hasattr(parsers, name)


@pytest.mark.parametrize("name", [*KNOWN_CODES, *KNOWN_EXCEPTIONS])
def test_every_explained_error_has_a_remedy(name):
    assert to_aws_error(name, "what AWS said").hint


@pytest.mark.parametrize("name", [*KNOWN_CODES, *KNOWN_EXCEPTIONS])
def test_no_hint_names_a_file_of_the_repository(name):
    """A wheel does not contain it."""
    assert "docs/" not in str(to_aws_error(name, "what AWS said").hint).replace("https://docs.", "")


def test_who_lacks_a_permission_is_shown_where_permissions_are_explained():
    assert "https://" in str(to_aws_error("UnauthorizedOperation", "what AWS said").hint)


def test_an_unknown_code_keeps_awss_sentence():
    error = to_aws_error("SomethingNew", "what AWS said")
    assert str(error) == "what AWS said"
    assert error.aws_code == "SomethingNew"
    assert error.code == "aws-error"


def client_error(code: str) -> boto.ClientError:
    return boto.ClientError({"Error": {"Code": code, "Message": "said"}}, "RunInstances")


@pytest.mark.parametrize(
    ("raised", "kind", "code"),
    [
        (client_error("InsufficientInstanceCapacity"), CapacityError, "no-capacity"),
        (client_error("ExpiredToken"), AwsError, "expired-credentials"),
        (boto.NoCredentialsError(), AwsError, "no-credentials"),
        (boto.PartialCredentialsError(provider="env", cred_var="X"), AwsError, "partial-credentials"),
        (boto.ProfileNotFound(profile="x"), AwsError, "no-profile"),
        (boto.EndpointConnectionError(endpoint_url="x"), TransientError, "unreachable"),
        (boto.SSOTokenLoadError(error_msg="x"), AwsError, "expired-credentials"),
        (boto.ReadTimeoutError(endpoint_url="x"), TransientError, "unreachable"),
        (boto.ConnectionClosedError(endpoint_url="x"), TransientError, "unreachable"),
        (client_error("503"), TransientError, "aws-unavailable"),
        (parsers.ResponseParserError("<html>"), TransientError, "aws-unavailable"),
    ],
    ids=lambda value: getattr(value, "__name__", None) or str(value)[:40],
)
def test_botocores_exceptions_become_ours(raised, kind, code):
    with pytest.raises(kind) as caught, translate_aws_errors():
        raise raised
    assert caught.value.code == code
    assert caught.value.hint


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (errors.BootstrapError("x"), 1),
        (errors.UsageError("x"), 2),
        (errors.IncompleteError("x"), 3),
        (errors.Interrupted(1), 129),
        (errors.Interrupted(2), 130),
        (errors.Interrupted(15), 143),
        (errors.SshError("x"), 1),
    ],
)
def test_the_type_fixes_the_exit_code(error, exit_code):
    assert error.exit_code == exit_code


def test_the_signal_behind_what_click_makes_of_it_decides():
    question = KeyboardInterrupt()
    question.__cause__ = click.Abort()
    question.__cause__.__context__ = errors.SigtermReceived()
    assert errors.Interrupted.of(question).exit_code == 143
    assert errors.Interrupted.of(errors.SighupReceived()).exit_code == 129
    assert errors.Interrupted.of(KeyboardInterrupt()).exit_code == 130
    assert errors.interrupt_behind(ValueError()) is None


def test_an_error_that_was_raised_from_itself_is_not_gone_round_for_ever():
    """`launch` raises the cause of a failure again where nothing was made; a signal may come while that is handled."""
    broken = BootstrapError("broken")
    broken.__cause__ = broken
    signalled = SigtermReceived()
    signalled.__context__ = broken
    assert interrupt_behind(signalled) is signalled
    assert interrupt_behind(broken) is None
