"""The guard before every call: may the caller do it under the policies in force? It keeps what it decided."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import catalog
from .accounts import Account, service_control_policy
from .aws_call import AwsCall
from .backend import Backends
from .http_responses import ServiceError
from .permissions import requests
from .policy import Document, Request, decide, read_policy
from .principals import Principal

#: How many different requests are kept.
KEPT = 10_000
_QUERY_SERVICES = ("sts", "iam")
_ROLES = "arn:aws:iam::{account}:role/aws-service-role/{service}/{role}"
#: The service-linked roles that a first call creates for its caller, and their services.
SPOT = ("spot.amazonaws.com", "AWSServiceRoleForEC2Spot")
QUOTAS = ("servicequotas.amazonaws.com", "AWSServiceRoleForServiceQuotas")


class Guard:
    """The policies of the caller and of the organization, and what they decided so far.

    Every method is called with the state's lock held, or before calls come.
    """

    def __init__(self, backends: Backends) -> None:
        self._backends = backends
        self._policies: tuple[Document, ...] = ()
        self._scps: tuple[Document, ...] = ()
        #: What the organization of the account denies, beside `_scps`.
        self._account_scps: tuple[Document, ...] = ()
        self._is_tag_required = False
        self._texts: dict[str, list[dict[str, str]]] = {}
        self._decisions: dict[tuple[Any, ...], dict[str, Any]] = {}
        #: The services whose role the account has already.
        self._roles: set[str] = set()
        self._file: Path | None = None

    def keep_in(self, path: Path) -> None:
        """Have the policies stay in this file over a restart; those that are in it come into force."""
        self._file = path
        if path.exists():
            self._take(json.loads(path.read_text()))

    def load(self, texts: dict[str, list[dict[str, str]]]) -> None:
        """Put policies in force in place of all before: `policies` and `scps`, each with `name` and `text`.

        Raise PolicyError, and change nothing, where one of them is not understood.
        """
        self._take(texts)
        self._decisions.clear()
        if self._file:
            self._file.write_text(json.dumps(texts))

    def _take(self, texts: dict[str, list[dict[str, str]]]) -> None:
        policies = _read(texts.get("policies", []))
        scps = _read(texts.get("scps", []))
        self._policies, self._scps, self._texts = policies, scps, texts

    def clear(self) -> None:
        """Let the caller do everything again, in an account that never created a service-linked role."""
        self._roles.clear()
        self.load({})

    def enter_account(self, account: Account) -> None:
        """Apply what the account's organization denies."""
        text = service_control_policy(account)
        self._account_scps = ()
        if text:
            self._account_scps = (read_policy(f"organization of {account.name}", text),)
        self._is_tag_required = bool(account.required_tag)
        self._decisions.clear()

    def facts(self) -> dict[str, Any]:
        """Return the names of the policies in force, and each request that they decided about."""
        return {
            "policies": [one.name for one in self._policies],
            "scps": [one.name for one in (*self._scps, *self._account_scps)],
            "decisions": list(self._decisions.values()),
        }

    @property
    def _has_policies(self) -> bool:
        return bool(self._policies or self._scps or self._account_scps)

    def authorize(self, call: AwsCall, caller: Principal) -> None:
        """Return where the policies allow the call. Raise ServiceError, with AWS's words, where they do not."""
        if self._has_policies:
            for request in requests(call, self._backends, is_tag_required=self._is_tag_required):
                reason = self._decide(request, caller)
                if reason:
                    raise _refusal(call, request, reason, caller)
        self._ensure_role(call, caller)

    def _decide(self, request: Request, caller: Principal) -> str | None:
        """Return why the request is denied, None if it is not; keep what was decided."""
        context = {**caller.context(), **request.context}
        scps = (*self._scps, *self._account_scps)
        reason = decide(Request(request.action, request.resource, context), self._policies, scps)
        key = (request.action, request.resource, tuple(sorted(context.items())))
        if len(self._decisions) < KEPT or key in self._decisions:
            self._decisions[key] = {
                "action": request.action,
                "resource": request.resource,
                "allowed": reason is None,
                "reason": reason,
                "context": {name: list(values) for name, values in sorted(context.items())},
            }
        return reason

    def _ensure_role(self, call: AwsCall, caller: Principal) -> None:
        """Create the service-linked role that the call needs, if the account has it not yet and the caller may.

        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/service-linked-roles-spot-instance-requests.html
        https://docs.aws.amazon.com/servicequotas/latest/userguide/using-service-linked-roles.html
        """
        if call.action == "CreateServiceLinkedRole":
            self._roles.add(call.parameters.get("AWSServiceName", ""))
            return
        needed = _role_for(call)
        if needed is None or needed[0] in self._roles:
            return
        service, role = needed
        arn = _ROLES.format(account=catalog.ACCOUNT, service=service, role=role)
        context = {"aws:requestedregion": ("us-east-1",), "iam:awsservicename": (service,)}
        if self._has_policies and self._decide(Request("iam:CreateServiceLinkedRole", arn, context), caller):
            raise _role_refusal(call)
        self._roles.add(service)


def _read(texts: Iterable[dict[str, str]]) -> tuple[Document, ...]:
    return tuple(read_policy(one["name"], one["text"]) for one in texts)


def _role_for(call: AwsCall) -> tuple[str, str] | None:
    """Return the service and the name of the role that AWS creates at the first call like this one."""
    if call.action == "RunInstances" and call.parameters.get("InstanceMarketOptions.MarketType") == "spot":
        return SPOT
    if call.action == "RequestSpotInstances":
        return SPOT
    if call.action == "RequestServiceQuotaIncrease":
        return QUOTAS
    return None


def _role_refusal(call: AwsCall) -> ServiceError:
    """Return what AWS answers a caller who may not create the role."""
    if call.service == "ec2":
        return ServiceError(
            "AuthFailure.ServiceLinkedRoleCreationNotPermitted",
            "The provided credentials do not have permission to create the service-linked role for EC2 Spot Instances.",
            403,
        )
    return ServiceError("DependencyAccessDeniedException", "Service-linked role creation access denied.")


def _refusal(call: AwsCall, request: Request, reason: str, caller: Principal) -> ServiceError:
    """Return the denial in the words of the service.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
    """
    words = f"User: {caller.arn} is not authorized to perform: {request.action}"
    if request.resource != "*":
        words += f" on resource: {request.resource}"
    words += f" {reason}"
    if call.service == "ec2":
        return ServiceError("UnauthorizedOperation", _ec2_words(words, request), 403)
    if call.service in _QUERY_SERVICES:
        return ServiceError("AccessDenied", words, 403)
    return ServiceError("AccessDeniedException", words)


def _ec2_words(words: str, request: Request) -> str:
    """Return EC2's message. What AWS encrypts at its end is here plain JSON in Base64."""
    message = f"You are not authorized to perform this operation. {words}"
    if request.resource == "*":
        return message
    facts = {"allowed": False, "action": request.action, "resource": request.resource, "context": request.context}
    encoded = base64.urlsafe_b64encode(json.dumps(facts).encode()).decode()
    return f"{message}. Encoded authorization failure message: {encoded}"
