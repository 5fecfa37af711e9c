"""HTTP responses in the format of each AWS protocol. Pure."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

from .aws_call import AwsCall

JSON_TYPE = "application/x-amz-json-1.1"
XML_TYPE = "text/xml;charset=UTF-8"


@dataclass(frozen=True)
class HttpResponse:
    """One HTTP response. `error` is AWS's error code, if it is an error."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    error: str | None = None


class ServiceError(Exception):
    """An AWS error, to be sent as the response."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


def json_response(value: Any) -> HttpResponse:
    """Return a successful response of the AWS JSON protocol."""
    headers = {"Content-Type": JSON_TYPE, "x-amzn-RequestId": str(uuid.uuid4())}
    return HttpResponse(200, json.dumps(value).encode(), headers)


def error_response(call: AwsCall, code: str, message: str, status: int = 400) -> HttpResponse:
    """Return an error in the format of the called service.

    Formats: EC2's query protocol, the query protocol of STS and IAM, and AWS JSON
    (https://smithy.io/2.0/aws/protocols/aws-ec2-query-protocol.html and its neighbours).
    """
    request_id = str(uuid.uuid4())
    if call.is_json:
        body = json.dumps({"__type": code, "message": message})
        return HttpResponse(status, body.encode(), {"Content-Type": JSON_TYPE, "x-amzn-RequestId": request_id}, code)
    code_xml, message_xml = escape(code), escape(message)
    if call.service == "ec2":
        body = (
            f"<?xml version='1.0' encoding='UTF-8'?>\n<Response><Errors><Error><Code>{code_xml}</Code>"
            f"<Message>{message_xml}</Message></Error></Errors><RequestID>{request_id}</RequestID></Response>"
        )
    else:
        body = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{code_xml}</Code><Message>{message_xml}</Message></Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
    return HttpResponse(status, body.encode(), {"Content-Type": XML_TYPE, "x-amzn-RequestId": request_id}, code)
