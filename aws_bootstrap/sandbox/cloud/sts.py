"""STS, as far as the sandbox's own principals matter: who calls, and sessions of roles. moto answers the rest."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable
from xml.sax.saxutils import escape

from .aws_call import AwsCall
from .http_responses import XML_TYPE, HttpResponse, ServiceError
from .principals import Principal, Principals

_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
_ROLE_ARN = re.compile(r"arn:aws:iam::\d{12}:role/(?:.*/)?([^/]+)")
_HOUR = 3600


class Sts:
    """The STS actions that concern principals, by name."""

    def __init__(self, principals: Principals) -> None:
        self._principals = principals
        self.actions: dict[str, Callable[[AwsCall, Principal], HttpResponse]] = {
            "GetCallerIdentity": self._caller_identity,
            "AssumeRole": self._assume_role,
        }

    def _caller_identity(self, call: AwsCall, caller: Principal) -> HttpResponse:
        """Return who calls. https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html"""
        account = caller.principal_arn.split(":")[4]
        found = _element("Arn", caller.arn) + _element("UserId", caller.user_id) + _element("Account", account)
        return _response(call.action, found)

    def _assume_role(self, call: AwsCall, caller: Principal) -> HttpResponse:
        """Return a new session's credentials; every role exists and may be assumed.

        https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
        """
        found = _ROLE_ARN.fullmatch(call.parameters.get("RoleArn", ""))
        if found is None:
            raise ServiceError("ValidationError", f"{call.parameters.get('RoleArn')} is invalid")
        session = self._principals.create(call.parameters.get("RoleSessionName", ""), found[1])
        seconds = int(call.parameters.get("DurationSeconds", _HOUR))
        expiration = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
        credentials = (
            _element("AccessKeyId", session.access_key)
            + _element("SecretAccessKey", session.secret_key)
            + _element("SessionToken", session.session_token)
            + _element("Expiration", expiration)
        )
        user = _element("AssumedRoleId", session.user_id) + _element("Arn", session.arn)
        body = f"<Credentials>{credentials}</Credentials><AssumedRoleUser>{user}</AssumedRoleUser>"
        return _response(call.action, body)


def _element(name: str, text: str) -> str:
    return f"<{name}>{escape(text)}</{name}>"


def _response(action: str, result: str) -> HttpResponse:
    """Return a successful response of the query protocol."""
    request_id = str(uuid.uuid4())
    body = (
        f'<{action}Response xmlns="{_NAMESPACE}"><{action}Result>{result}</{action}Result>'
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{action}Response>"
    )
    return HttpResponse(200, body.encode(), {"Content-Type": XML_TYPE, "x-amzn-RequestId": request_id})
