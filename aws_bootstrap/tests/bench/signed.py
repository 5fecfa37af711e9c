"""Requests to AWS without an SDK: signed here, over one connection that stays open."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import ssl
import threading
import time
import xml.etree.ElementTree as ET
from typing import Any
from urllib.parse import quote, urlsplit

_lock = threading.Lock()
_contexts: list[ssl.SSLContext] = []


def _context() -> ssl.SSLContext:
    """Return the TLS context of all connections: reading the certificates takes 20 ms."""
    with _lock:
        if not _contexts:
            _contexts.append(ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE")))
        return _contexts[0]


def _hmac(key: bytes, message: str) -> bytes:
    return hmac.new(key, message.encode(), hashlib.sha256).digest()


class Connection:
    """A connection to a service in a region, at the address that AWS_ENDPOINT_URL names."""

    def __init__(self, service: str, region: str) -> None:
        self._service = service
        self._region = region
        endpoint = urlsplit(os.environ["AWS_ENDPOINT_URL"])
        self._host = endpoint.netloc
        if endpoint.scheme == "https":
            self._http: http.client.HTTPConnection = http.client.HTTPSConnection(endpoint.netloc, context=_context())
        else:
            self._http = http.client.HTTPConnection(endpoint.netloc)

    def query(self, action: str, version: str, parameters: dict[str, str]) -> ET.Element:
        """Return the answer to a call of the query protocol, without namespaces."""
        named = {"Action": action, "Version": version, **parameters}
        body = "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in named.items())
        root = ET.fromstring(self._post(body, {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}))
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]
        return root

    def target(self, target: str, parameters: dict[str, str]) -> Any:
        """Return the answer to a call of the JSON protocol."""
        headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": target}
        return json.loads(self._post(json.dumps(parameters), headers))

    def _post(self, body: str, headers: dict[str, str]) -> bytes:
        headers = {**headers, "host": self._host, "x-amz-date": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())}
        headers["authorization"] = self._authorization(body, headers)
        self._http.request("POST", "/", body, headers)
        reply = self._http.getresponse()
        content = reply.read()
        if reply.status != 200:
            raise RuntimeError(content)
        return content

    def _authorization(self, body: str, headers: dict[str, str]) -> str:
        """Return the header with the signature, version 4."""
        moment = headers["x-amz-date"]
        day = moment[:8]
        scope = f"{day}/{self._region}/{self._service}/aws4_request"
        names = sorted(headers)
        signed_names = ";".join(names)
        lines = "".join(f"{name}:{headers[name]}\n" for name in names)
        content_hash = hashlib.sha256(body.encode()).hexdigest()
        canonical = f"POST\n/\n\n{lines}\n{signed_names}\n{content_hash}"
        canonical_hash = hashlib.sha256(canonical.encode()).hexdigest()
        to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{canonical_hash}"
        key = f"AWS4{os.environ['AWS_SECRET_ACCESS_KEY']}".encode()
        for word in (day, self._region, self._service, "aws4_request"):
            key = _hmac(key, word)
        signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
        credential = f"{os.environ['AWS_ACCESS_KEY_ID']}/{scope}"
        return f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={signed_names}, Signature={signature}"
