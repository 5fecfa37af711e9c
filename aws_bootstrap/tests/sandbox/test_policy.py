"""IAM policies: documents, and what they decide."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from aws_bootstrap.sandbox.cloud.conditions import PolicyError
from aws_bootstrap.sandbox.cloud.policy import Request, decide, read_policy

BOX = "arn:aws:ec2:us-west-2:123456789012:instance/i-1"


def statement(**changes: Any) -> dict[str, Any]:
    """Return a statement that allows everything, with changes; None removes an element."""
    elements = {"Effect": "Allow", "Action": "*", "Resource": "*"} | changes
    return {name: value for name, value in elements.items() if value is not None}


def policy(*statements: dict[str, Any], version: str = "2012-10-17") -> str:
    return json.dumps({"Version": version, "Statement": list(statements)})


def request(action: str = "ec2:TerminateInstances", resource: str = BOX, **context: str | tuple[str, ...]) -> Request:
    """Return a request; keys of the context are given with `__` for `:` and `___` for `/`."""
    known: dict[str, tuple[str, ...]] = {}
    for name, value in context.items():
        key = name.replace("___", "/").replace("__", ":").lower()
        known[key] = (value,) if isinstance(value, str) else value
    return Request(action, resource, known)


def reason(text: str, question: Request, *scps: str) -> str | None:
    return decide(question, [read_policy("test", text)], [read_policy("scp", one) for one in scps])


def allows(one: dict[str, Any], question: Request) -> bool:
    return reason(policy(one), question) is None


# --- statements -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"Action": "ec2:TerminateInstances"}, True),
        ({"Action": "EC2:terminateinstances"}, True),
        ({"Action": "ec2:Terminate*"}, True),
        ({"Action": "ec2:TerminateInstance?"}, True),
        ({"Action": "ec2:TerminateInstance"}, False),
        ({"Action": ["ec2:RunInstances", "ec2:*"]}, True),
        ({"Action": "iam:*"}, False),
        ({"Action": None, "NotAction": "iam:*"}, True),
        ({"Action": None, "NotAction": ["iam:*", "ec2:Terminate*"]}, False),
        ({"Resource": BOX}, True),
        ({"Resource": "arn:aws:ec2:*:*:instance/*"}, True),
        ({"Resource": "arn:aws:ec2:*:*:instance/i-?"}, True),
        ({"Resource": "arn:aws:ec2:eu-west-1:*:instance/*"}, False),
        ({"Resource": "arn:aws:ec2:*:*:INSTANCE/*"}, False),
        ({"Resource": ["arn:aws:ec2:*:*:volume/*", BOX]}, True),
        ({"Resource": None, "NotResource": "arn:aws:ec2:*:*:volume/*"}, True),
        ({"Resource": None, "NotResource": "arn:aws:ec2:*:*:*/*"}, False),
        ({"Effect": "Deny"}, False),
    ],
)
def test_actions_and_resources(elements, expected):
    assert allows(statement(**elements), request()) is expected


def test_an_action_without_resources_needs_the_asterisk():
    """https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html (DescribeInstances)"""
    question = request("ec2:DescribeInstances", "*")
    assert allows(statement(), question)
    assert not allows(statement(Resource="arn:aws:ec2:*:*:instance/*"), question)


def test_a_resource_that_is_not_created_yet_fits_no_id():
    question = request("ec2:RunInstances", "arn:aws:ec2:us-west-2:123456789012:instance/*")
    assert allows(statement(Resource="arn:aws:ec2:*:*:instance/*"), question)
    assert not allows(statement(Resource=BOX), question)


@pytest.mark.parametrize(
    ("policies", "scps", "expected"),
    [
        ([statement()], [], None),
        ([statement(Action="iam:*")], [], "because no identity-based policy allows the ec2:TerminateInstances action"),
        ([statement(), statement(Effect="Deny")], [], "with an explicit deny in an identity-based policy"),
        ([statement()], [statement(Effect="Deny")], "with an explicit deny in a service control policy"),
        ([statement()], [statement(Effect="Deny", Action="iam:*")], None),
        (
            [statement()],
            [statement(Action="iam:*")],
            "because no service control policy allows the ec2:TerminateInstances action",
        ),
    ],
)
def test_deny_beats_allow_and_nothing_is_allowed_by_itself(policies, scps, expected):
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html"""
    assert reason(policy(*policies), request(), *[policy(one) for one in scps]) == expected


# --- conditions -----------------------------------------------------------------------------------------------------

OURS, FOREIGN = {"aws__ResourceTag___team": "vision"}, {"aws__ResourceTag___team": "sound"}
TAG = "aws:ResourceTag/team"


@pytest.mark.parametrize(
    ("operator", "value", "same", "other", "missing"),
    [
        ("StringEquals", "vision", True, False, False),
        ("StringEquals", ["x", "vision"], True, False, False),
        ("StringEqualsIgnoreCase", "VISION", True, False, False),
        ("StringLike", "vis*", True, False, False),
        ("StringEquals", "vis*", False, False, False),
        ("StringNotEquals", "vision", False, True, True),
        ("StringNotEquals", ["x", "vision"], False, True, True),
        ("StringNotEqualsIgnoreCase", "VISION", False, True, True),
        ("StringNotLike", "v?sion", False, True, True),
        ("StringEqualsIfExists", "vision", True, False, True),
        ("StringLikeIfExists", "v*", True, False, True),
        ("StringNotEqualsIfExists", "vision", False, True, True),
        ("Null", "false", True, True, False),
        ("Null", True, False, False, True),
    ],
)
def test_operators_on_one_value(operator, value, same, other, missing):
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html"""
    one = statement(Condition={operator: {TAG: value}})
    assert [allows(one, request(**tags)) for tags in (OURS, FOREIGN, {})] == [same, other, missing]


@pytest.mark.parametrize(
    ("operator", "inside", "across", "outside", "missing"),
    [
        ("ForAllValues:StringEquals", True, False, False, True),
        ("ForAnyValue:StringEquals", True, True, False, False),
        ("ForAllValues:StringNotEquals", False, False, True, True),
        ("ForAnyValue:StringNotEquals", False, True, True, False),
        ("ForAllValues:StringLike", True, False, False, True),
        ("ForAnyValue:StringEqualsIfExists", True, True, False, False),
    ],
)
def test_operators_on_several_values(operator, inside, across, outside, missing):
    """…/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html"""
    one = statement(Condition={operator: {"aws:TagKeys": ["a", "b"]}})
    values = [("a", "b"), ("b", "c"), ("c", "d")]
    found = [allows(one, request(aws__TagKeys=keys)) for keys in values]
    assert [*found, allows(one, request())] == [inside, across, outside, missing]


def test_arns_are_compared_part_by_part():
    one = statement(Condition={"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/admin*"}})
    assert allows(one, request(aws__PrincipalArn="arn:aws:iam::1:role/admin-x"))
    assert not allows(one, request(aws__PrincipalArn="arn:aws:iam::1:role:2:role/admin"))
    assert not allows(one, request())
    negated = statement(Condition={"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/admin*"}})
    assert allows(negated, request(aws__PrincipalArn="arn:aws:iam::1:user/me"))


def test_all_lines_of_a_condition_must_hold():
    one = statement(Condition={"StringEquals": {TAG: "vision", "ec2:Region": "us-west-2"}, "Null": {TAG: "false"}})
    assert allows(one, request(**OURS, ec2__Region="us-west-2"))
    assert not allows(one, request(**OURS, ec2__Region="eu-west-1"))


def test_names_of_keys_are_not_case_sensitive():
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition.html"""
    assert allows(statement(Condition={"StringEquals": {"AWS:resourcetag/TEAM": "vision"}}), request(**OURS))


def test_variables_have_the_value_of_their_key():
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html"""
    one = statement(Condition={"StringEquals": {TAG: "${aws:userid}"}})
    assert allows(one, request(**OURS, aws__userid="vision"))
    assert not allows(one, request(**OURS, aws__userid="*"))
    assert not allows(one, request(**OURS))
    with_default = statement(Condition={"StringEquals": {TAG: "${aws:username, 'vision'}"}})
    assert allows(with_default, request(**OURS))
    literal = statement(Condition={"StringLike": {TAG: "${*}ision"}})
    assert not allows(literal, request(**OURS))
    named = statement(Resource="arn:aws:ec2:*:*:instance/${aws:username}")
    assert allows(named, request(aws__username="i-1"))
    assert not allows(named, request(aws__username="*"))
    assert not allows(named, request())


def test_the_older_version_has_no_variables():
    one = statement(Condition={"StringEquals": {TAG: "${aws:nothing}"}})
    text = policy(one, version="2008-10-17")
    assert reason(text, request(aws__ResourceTag___team="${aws:nothing}")) is None


# --- documents that are refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no json", "not JSON"),
        ("[]", "a policy is an object"),
        ("{}", "Statement is missing"),
        ('{"Statement": []}', "Statement is missing"),
        ('{"Version": "2020-01-01", "Statement": {}}', "unknown Version '2020-01-01'"),
        ('{"Statement": {"Effect": "Allow", "Effect": "Deny"}}', "Effect occurs twice"),
        (policy(statement(Effect="allow")), "Effect is Allow or Deny, not 'allow'"),
        (policy(statement(Principal="*")), "unknown element 'Principal'"),
        (policy(statement(Action=None)), "either Action or NotAction"),
        (policy(statement(NotAction="ec2:*")), "either Action or NotAction"),
        (policy(statement(Resource=None)), "either Resource or NotResource"),
        (policy(statement(Action=[])), "Action is a text or a list of texts"),
        (policy(statement(Action=[1])), "Action is a text or a list of texts"),
        (policy(statement(Action="RunInstances")), "'RunInstances' is no action"),
        (policy(statement(Resource="i-1")), "'i-1' is no ARN"),
        (policy(statement(Resource="arn:aws:ec2:*:*:instance/${aws:Colour}")), "unknown condition key 'aws:Colour'"),
        (policy(statement(Condition=[])), "Condition is an object"),
        (policy(statement(Condition={"StringEquals": "x"})), "StringEquals takes an object"),
        (policy(statement(Condition={"StringEquals": {TAG: 3}})), "is a text or a list of texts"),
        (policy(statement(Condition={"StringEqual": {TAG: "x"}})), "unknown condition operator 'StringEqual'"),
        (policy(statement(Condition={"ForSome:StringEquals": {TAG: "x"}})), "unknown condition operator 'ForSome:"),
        (policy(statement(Condition={"NullIfExists": {TAG: "true"}})), "unknown condition operator 'NullIfExists'"),
        (policy(statement(Condition={"StringEquals": {"aws:Colour": "x"}})), "unknown condition key 'aws:Colour'"),
        (policy(statement(Condition={"StringEquals": {"aws:ResourceTag/": "x"}})), "unknown condition key"),
        (policy(statement(Condition={"StringEquals": {TAG: "${aws:Colour}"}})), "unknown condition key 'aws:Colour'"),
        (policy(statement(Condition={"StringEquals": {"aws:TagKeys": "x"}})), "needs ForAllValues: or ForAnyValue:"),
        (policy(statement(Condition={"Null": {TAG: "yes"}})), "Null takes true or false"),
    ],
)
def test_what_is_not_known_is_an_error_and_never_true(text, words):
    with pytest.raises(PolicyError, match=re.escape(words)) as raised:
        read_policy("mine.json", text)
    assert str(raised.value).startswith("mine.json: ")
