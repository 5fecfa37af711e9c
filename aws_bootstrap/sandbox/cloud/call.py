"""One API call as the wire carries it: which service, region and action, and with what parameters. Pure."""

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
class Call:
    """A call, read once and passed on."""

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
    def wants_json(self) -> bool:
        """Whether the service speaks JSON, as told by its target header."""
        return "x-amz-target" in self.headers

    def document(self) -> Any:
        """The body of a JSON call."""
        return json.loads(self.body or b"{}")

    def matchable(self) -> dict[str, str]:
        """What a fault rule can match."""
        return self.parameters | {"service": self.service, "region": self.region, "action": self.action}


def read(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Call:
    """The call that this request makes. `headers` has lower-case names."""
    url = urlsplit(target)
    credential = _CREDENTIAL.search(headers.get("authorization", ""))
    key, region, service = credential.groups() if credential else ("", "", "")
    parameters = _parameters(url.query, headers, body)
    action = headers.get("x-amz-target", "").rpartition(".")[2] or parameters.pop("Action", "")
    parameters.pop("Version", None)
    return Call(method, target, headers, body, service.lower(), region, action or method, key, parameters)


def _parameters(query: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    """The request's parameters by their flat names: `Filter.1.Name`, `Filters.0.Field`."""
    if "x-amz-target" in headers:
        try:
            return dict(_flat(json.loads(body or b"{}")))
        except ValueError:
            return {}
    form = headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    text = body.decode(errors="replace") if form else ""
    return dict(parse_qsl(query, keep_blank_values=True) + parse_qsl(text, keep_blank_values=True))


def _flat(value: Any, name: str = "") -> list[tuple[str, str]]:
    """The leaves of a document, each with the dotted path to it."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if pairs is None:
        return [(name, str(value))] if name else []
    return [leaf for key, inner in pairs for leaf in _flat(inner, f"{name}.{key}" if name else str(key))]
