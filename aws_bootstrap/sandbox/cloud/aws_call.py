"""One AWS API call, parsed from its HTTP request: service, region, action, parameters. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-signing-elements.html
_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/([^/]*)/([^/]+)/aws4_request")


@dataclass(frozen=True)
class AwsCall:
    """A parsed call."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    service: str = ""
    region: str = ""
    action: str = ""
    access_key: str = ""
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def is_json(self) -> bool:
        """Return whether the call uses the AWS JSON protocol, which has a target header."""
        return "x-amz-target" in self.headers

    def document(self) -> Any:
        """Return the body of a JSON call."""
        return json.loads(self.body or b"{}")

    def matchable(self) -> dict[str, str]:
        """Return the names and values that a fault rule can match."""
        return self.parameters | {"service": self.service, "region": self.region, "action": self.action}


def parse(method: str, target: str, headers: Mapping[str, str], body: bytes) -> AwsCall:
    """Return the AWS call of this HTTP request. `headers` has lower-case names."""
    url = urlsplit(target)
    credential = _CREDENTIAL.search(headers.get("authorization", ""))
    key, region, service = "", "", ""
    if credential:
        key, region, service = credential.groups()
    parameters = _parameters(url.query, headers, body)
    action = headers.get("x-amz-target", "").rpartition(".")[2] or parameters.pop("Action", "")
    parameters.pop("Version", None)
    return AwsCall(method, target, headers, body, service.lower(), region, action or method, key, parameters)


def _parameters(query: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    """Return the request's parameters by their flat names: `Filter.1.Name`, `Filters.0.Field`."""
    if "x-amz-target" in headers:
        try:
            return dict(_flat(json.loads(body or b"{}")))
        except ValueError:
            return {}
    pairs = parse_qsl(query, keep_blank_values=True)
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        pairs += parse_qsl(body.decode(errors="replace"), keep_blank_values=True)
    return dict(pairs)


def _flat(value: Any, name: str = "") -> list[tuple[str, str]]:
    """Return the leaves of a document, each with the dotted path to it."""
    inner: list[tuple[Any, Any]]
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    elif name:
        return [(name, str(value))]
    else:
        return []
    leaves = []
    for key, part in inner:
        leaves += _flat(part, f"{name}.{key}" if name else str(key))
    return leaves
