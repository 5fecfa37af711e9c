"""Answers in each AWS protocol's own form. Pure."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

from .call import Call

JSON_TYPE = "application/x-amz-json-1.1"
XML_TYPE = "text/xml;charset=UTF-8"


@dataclass(frozen=True)
class Reply:
    """One HTTP answer. `error` is AWS's code where it is one."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    error: str | None = None


class Refusal(Exception):
    """An AWS error on its way to the caller."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


def document(value: Any) -> Reply:
    """A JSON protocol's success."""
    return Reply(200, json.dumps(value).encode(), {"Content-Type": JSON_TYPE, "x-amzn-RequestId": str(uuid.uuid4())})


def refusal(call: Call, code: str, message: str, status: int = 400) -> Reply:
    """An error in the form of the service that is called.

    Forms: EC2's query protocol, the query protocol of STS and IAM, and AWS JSON
    (https://smithy.io/2.0/aws/protocols/aws-ec2-query-protocol.html and its neighbours).
    """
    request = str(uuid.uuid4())
    if call.wants_json:
        body = json.dumps({"__type": code, "message": message})
        return Reply(status, body.encode(), {"Content-Type": JSON_TYPE, "x-amzn-RequestId": request}, code)
    code_xml, words = escape(code), escape(message)
    if call.service == "ec2":
        body = (
            f"<?xml version='1.0' encoding='UTF-8'?>\n<Response><Errors><Error><Code>{code_xml}</Code>"
            f"<Message>{words}</Message></Error></Errors><RequestID>{request}</RequestID></Response>"
        )
    else:
        body = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{code_xml}</Code><Message>{words}</Message></Error>"
            f"<RequestId>{request}</RequestId></ErrorResponse>"
        )
    return Reply(status, body.encode(), {"Content-Type": XML_TYPE, "x-amzn-RequestId": request}, code)
