"""From a call to its answer. moto is not made for parallel callers: one lock guards everything it holds."""

from __future__ import annotations

import importlib
import logging
import re
import threading
from collections.abc import Callable
from typing import Any

from moto.core.request import Request

from . import catalog, replies
from .backend import Backends
from .call import Call
from .guard import Guard
from .others import Parameters, Pricing
from .quotas import Quotas
from .replies import Refusal, Reply
from .responses import SandboxEC2

_LOG = logging.getLogger(__name__)
# Services that moto answers as it is, imported when first asked: most rehearsals never do.
_MOTO_SERVICES = {
    "sts": ("moto.sts.responses", "TokenResponse"),
    "iam": ("aws_bootstrap.sandbox.cloud.identity", "Identity"),
}
_READS = re.compile(r"Describe|Get|List|Simulate")
_INVALID_KEYS = "AWS was not able to validate the provided access credentials"


class Router:
    """Answers calls; the only way in to the EC2 side."""

    def __init__(self, backends: Backends, lock: threading.RLock, access_key: str, changed: Callable[[], None]) -> None:
        self.quotas = Quotas(backends)
        self.guard = Guard(backends)
        self._lock = lock
        self._access_key = access_key
        self._changed = changed
        self._documents: dict[str, Callable[[Call], Any]] = {
            "servicequotas": self.quotas.answer,
            "ssm": Parameters(backends).answer,
            "pricing": Pricing().answer,
        }

    def answer(self, call: Call) -> Reply:
        """The reply to any call, errors included."""
        try:
            self._admit(call)
            with self._lock:
                self.guard.authorize(call)
                reply = self._answer(call)
            if not _READS.match(call.action):
                self._changed()
            return reply
        except Refusal as refused:
            return replies.refusal(call, refused.code, refused.message, refused.status)
        except (KeyError, TypeError, ValueError) as error:
            _LOG.exception("%s %s", call.service, call.action)
            return replies.refusal(call, "ValidationException", f"The request was not understood: {error!r}")
        except NotImplementedError as error:
            return replies.refusal(call, "NotImplemented", f"The sandbox does not do this: {error}", 501)
        except Exception as error:
            _LOG.exception("%s %s", call.service, call.action)
            return replies.refusal(call, "InternalError", f"The sandbox broke: {error!r}", 500)

    def _admit(self, call: Call) -> None:
        """Lets in who holds this sandbox's key, in a region that is enabled."""
        if call.access_key != self._access_key:
            # An unknown key: EC2 says AuthFailure, STS InvalidClientTokenId, JSON services UnrecognizedClientException.
            code = {"ec2": "AuthFailure", "sts": "InvalidClientTokenId", "iam": "InvalidClientTokenId"}
            status = 401 if call.service == "ec2" else 403
            raise Refusal(code.get(call.service, "UnrecognizedClientException"), _INVALID_KEYS, status)
        if call.region not in catalog.REGIONS:
            # https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html
            raise Refusal("AuthFailure" if call.service == "ec2" else "UnrecognizedClientException", _INVALID_KEYS, 401)

    def _answer(self, call: Call) -> Reply:
        if call.service in self._documents:
            return replies.document(self._documents[call.service](call))
        if call.service == "ec2":
            return _from_moto(SandboxEC2, call)
        if call.service in _MOTO_SERVICES:
            module, name = _MOTO_SERVICES[call.service]
            return _from_moto(getattr(importlib.import_module(module), name), call)
        raise Refusal("UnknownService", f"The sandbox has no {call.service or 'such'} service.", 501)


def _from_moto(responder: Any, call: Call) -> Reply:
    """moto's own answer to the call."""
    url = f"http://{call.service}.{call.region}.amazonaws.com{call.path}"
    request = Request.from_primitives(call.method, url, dict(call.headers), call.body)
    status, headers, body = responder.dispatch(request)
    content = body.encode() if isinstance(body, str) else body
    kept = {name: str(value) for name, value in headers.items() if name.lower() in ("content-type", "x-amzn-requestid")}
    return Reply(int(status), content, kept, _error_code(content) if int(status) >= 400 else None)


def _error_code(body: bytes) -> str | None:
    """The error code in an XML error, for the log."""
    _, found, rest = body.partition(b"<Code>")
    return rest.partition(b"</Code>")[0].decode() if found else None
