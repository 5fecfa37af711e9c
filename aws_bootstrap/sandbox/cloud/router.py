"""Routes each call to its service. moto is not thread-safe: one lock guards its state."""

from __future__ import annotations

import importlib
import logging
import re
import threading
from collections.abc import Callable
from typing import Any

from moto.core.request import Request

from . import catalog
from .aws_call import AwsCall
from .backend import Backends
from .ec2_actions import SandboxEC2
from .guard import Guard
from .http_responses import HttpResponse, ServiceError, error_response, json_response
from .principals import Principal, Principals
from .quotas import Quotas
from .ssm_and_pricing import ParameterStore, Pricing
from .sts import Sts

_LOG = logging.getLogger(__name__)
# Imported at the first call of the service: most rehearsals never call them.
_MOTO_SERVICES = {
    "sts": ("moto.sts.responses", "TokenResponse"),
    "iam": ("aws_bootstrap.sandbox.cloud.identity", "Identity"),
}
_READS = re.compile(r"Describe|Get|List|Simulate")
_INVALID_KEYS = "AWS was not able to validate the provided access credentials"


class Router:
    """Handles calls; the only entry point to the EC2 side."""

    def __init__(self, backends: Backends, lock: threading.RLock, access_key: str, changed: Callable[[], None]) -> None:
        self.quotas = Quotas(backends)
        self.guard = Guard(backends)
        self.principals = Principals(access_key)
        self._sts = Sts(self.principals)
        self._lock = lock
        self._changed = changed
        self._documents: dict[str, Callable[[AwsCall], Any]] = {
            "servicequotas": self.quotas.handle,
            "ssm": ParameterStore(backends).handle,
            "pricing": Pricing().handle,
        }

    def handle(self, call: AwsCall) -> HttpResponse:
        """Return the response to any call, errors included."""
        try:
            caller = self._authenticate(call)
            with self._lock:
                self.guard.authorize(call, caller)
                response = self._dispatch(call, caller)
            if not _READS.match(call.action):
                self._changed()
            return response
        except ServiceError as error:
            return error_response(call, error.code, error.message, error.status)
        except (KeyError, TypeError, ValueError) as error:
            _LOG.exception("%s %s", call.service, call.action)
            return error_response(call, "ValidationException", f"Invalid request: {error!r}")
        except NotImplementedError as error:
            return error_response(call, "NotImplemented", f"The sandbox does not implement this: {error}", 501)
        except Exception as error:
            _LOG.exception("%s %s", call.service, call.action)
            return error_response(call, "InternalError", f"The sandbox failed: {error!r}", 500)

    def _authenticate(self, call: AwsCall) -> Principal:
        """Return who calls. Raise ServiceError for a key that is nobody's, and for a region that does not exist."""
        caller = self.principals.caller(call.access_key)
        if caller is None:
            # EC2 reports an unknown key as AuthFailure, STS as InvalidClientTokenId, JSON services by the third code.
            code = {"ec2": "AuthFailure", "sts": "InvalidClientTokenId", "iam": "InvalidClientTokenId"}
            status = 401 if call.service == "ec2" else 403
            raise ServiceError(code.get(call.service, "UnrecognizedClientException"), _INVALID_KEYS, status)
        if call.region not in catalog.REGIONS:
            # https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html
            raise ServiceError(
                "AuthFailure" if call.service == "ec2" else "UnrecognizedClientException", _INVALID_KEYS, 401
            )
        return caller

    def _dispatch(self, call: AwsCall, caller: Principal) -> HttpResponse:
        """Return the response of the called service."""
        if call.service == "sts" and call.action in self._sts.actions:
            return self._sts.actions[call.action](call, caller)
        if call.service in self._documents:
            return json_response(self._documents[call.service](call))
        if call.service == "ec2":
            return _from_moto(SandboxEC2, call)
        if call.service in _MOTO_SERVICES:
            module, name = _MOTO_SERVICES[call.service]
            return _from_moto(getattr(importlib.import_module(module), name), call)
        raise ServiceError("UnknownService", f"The sandbox has no {call.service or 'such'} service.", 501)


def _from_moto(action_class: Any, call: AwsCall) -> HttpResponse:
    """Return moto's response to the call."""
    url = f"http://{call.service}.{call.region}.amazonaws.com{call.path}"
    request = Request.from_primitives(call.method, url, dict(call.headers), call.body)
    status, headers, body = action_class.dispatch(request)
    content = body.encode() if isinstance(body, str) else body
    kept = {name: str(value) for name, value in headers.items() if name.lower() in ("content-type", "x-amzn-requestid")}
    return HttpResponse(int(status), content, kept, _error_code(content) if int(status) >= 400 else None)


def _error_code(body: bytes) -> str | None:
    """Return the error code of an XML error, for the log; None if it has none."""
    _, found, rest = body.partition(b"<Code>")
    return rest.partition(b"</Code>")[0].decode() if found else None
