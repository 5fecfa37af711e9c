"""EC2's answers are read as botocore reads them: every answer of its model, with and without each part."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest
from botocore.parsers import EC2QueryParser, QueryParser, ResponseParserFactory
from botocore.utils import parse_timestamp

from aws_bootstrap.aws_clients import new_botocore_session
from aws_bootstrap.aws_parser import FastEC2Parser, FastParserFactory

NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"

SERVICE: Any = botocore.session.get_session().get_service_model("ec2")
ANSWERS = sorted(name for name in SERVICE.operation_names if SERVICE.operation_model(name).output_shape)

TEXTS = {
    "string": "a &lt;b&gt; &#228;",
    "integer": "-7",
    "long": "9000000000",
    "boolean": "true",
    "double": "0.1578",
    "float": "0.5",
    "timestamp": "2026-01-15T10:30:00.000Z",
    "blob": "aGVsbG8=",
}


def element(tag, shape, depth=0, *, items=2):
    """An element as EC2 writes it, with each member of each structure once; shapes that hold themselves end."""
    if depth > 9:
        return ""
    if shape.type_name == "structure":
        inner = "".join(
            element(member.serialization.get("name", name), member, depth + 1, items=items)
            for name, member in shape.members.items()
        )
    elif shape.type_name == "list":
        inner = items * element("item", shape.member, depth + 1, items=items)
    else:
        inner = TEXTS[shape.type_name]
    return f"<{tag}>\n  {inner}</{tag}>" if shape.type_name == "structure" else f"<{tag}>{inner}</{tag}>"


def answer(inner, name="Response"):
    body = f'<?xml version="1.0"?><{name} xmlns="{NAMESPACE}"><requestId>r-1</requestId>{inner}</{name}>'
    return {"status_code": 200, "headers": {"Server": "AmazonEC2"}, "body": body.encode()}


def members_of(operation, **how):
    shape = SERVICE.operation_model(operation).output_shape
    whole = element("x", shape, **how)
    return whole.removeprefix("<x>").removesuffix("</x>")


def both(operation, inner):
    """What this parser and botocore's read."""
    shape = SERVICE.operation_model(operation).output_shape
    reply = answer(inner, f"{operation}Response")
    return FastEC2Parser().parse(reply, shape), EC2QueryParser().parse(reply, shape)


@pytest.mark.parametrize("items", [0, 1, 2])
def test_every_answer_of_ec2_is_read_as_botocore_reads_it(items):
    assert len(ANSWERS) > 500
    parser = FastEC2Parser()
    for operation in ANSWERS:
        shape = SERVICE.operation_model(operation).output_shape
        reply = answer(members_of(operation, items=items), f"{operation}Response")
        assert parser.parse(reply, shape) == EC2QueryParser().parse(reply, shape), operation


@pytest.mark.parametrize(
    "inner",
    [
        "",
        "<reservationSet/>",
        "<nextToken></nextToken>",
        "<unknown><item>1</item></unknown><nextToken>t</nextToken>",
        "<reservationSet><item><instancesSet><item><tagSet><item><key>Name</key><value/></item></tagSet></item>"
        "</instancesSet></item></reservationSet>",
    ],
)
def test_what_is_missing_or_unknown_is_read_as_botocore_reads_it(inner):
    ours, botocores = both("DescribeInstances", inner)
    assert ours == botocores


def test_an_element_that_comes_twice_is_left_to_botocore():
    """EC2 has no such answers."""
    inner = "<reservationSet><item><ownerId>1</ownerId></item></reservationSet>"
    ours, botocores = both("DescribeInstances", inner * 2)
    assert ours == botocores
    assert len(ours["Reservations"]) == 2


@pytest.mark.parametrize("status", [400, 503])
def test_errors_are_read_as_botocore_reads_them(status):
    error = "<Error><Code>C</Code><Message>M</Message></Error>"
    body = f"<Response><Errors>{error}</Errors><RequestID>r</RequestID></Response>".encode()
    reply = {"status_code": status, "headers": {}, "body": body}
    shape = SERVICE.operation_model("DescribeInstances").output_shape
    ours = FastEC2Parser().parse(reply, shape)
    assert ours == EC2QueryParser().parse(reply, shape)
    assert ours["Error"] == {"Code": "C", "Message": "M"}


def test_clients_of_ec2_share_a_parser_and_other_services_have_botocores():
    parsers = FastParserFactory(parse_timestamp)
    assert parsers.create_parser("ec2") is parsers.create_parser("ec2")
    assert type(parsers.create_parser("query")) is QueryParser
    assert type(parsers.create_parser("json")) is type(ResponseParserFactory().create_parser("json"))


def test_the_session_of_this_tool_reads_ec2_with_it():
    """Otherwise every test here would pass, and nobody would gain."""
    parsers = new_botocore_session().get_component("response_parser_factory")
    assert type(parsers.create_parser("ec2")) is FastEC2Parser


def test_without_a_private_method_botocore_reads_alone(monkeypatch):
    monkeypatch.delattr(EC2QueryParser.__mro__[2], "_member_key_name")
    assert type(FastParserFactory(parse_timestamp).create_parser("ec2")) is EC2QueryParser
