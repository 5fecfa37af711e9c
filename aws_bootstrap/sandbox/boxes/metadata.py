"""The instance metadata of a box (IMDSv2), at 169.254.169.254 in its own network namespace.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
A box without namespaces has none: there the address would be the machine's.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import time
from collections.abc import Mapping
from http import HTTPStatus

from ..cloud.world import Machine

_ROOT = "/latest/"
_TOKEN_HEADER = "x-aws-ec2-metadata-token"  # noqa: S105 (the name of a header)
_TTL_HEADER = "x-aws-ec2-metadata-token-ttl-seconds"
_LONGEST_TTL = 21600
_REQUEST_SECONDS = 10


class Metadata:
    """The documents of one box by their path, for those who have a token."""

    def __init__(self) -> None:
        self._documents: dict[str, str] = {}
        #: When each token expires.
        self._tokens: dict[str, float] = {}
        self._server: asyncio.Server | None = None

    def describe(self, machine: Machine) -> None:
        """Set the documents that follow from the machine."""
        self._documents |= {
            "meta-data/instance-id": machine.instance_id,
            "meta-data/instance-type": machine.instance_type,
            "meta-data/local-ipv4": machine.private_ip,
            "meta-data/placement/availability-zone": machine.zone,
            "meta-data/placement/region": machine.region,
        }

    def show(self, path: str, text: str) -> None:
        """Add a document, such as the notice of an interruption."""
        self._documents[path] = text

    async def serve(self, listening: socket.socket) -> None:
        """Answer the requests at this socket until `close`."""
        self._server = await asyncio.start_server(self._answer, sock=listening)

    def close(self) -> None:
        """Answer nothing more."""
        if self._server:
            self._server.close()
            self._server = None

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request and close the connection."""
        with contextlib.suppress(OSError, ValueError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _REQUEST_SECONDS)
            first, *lines = head.decode("latin-1").split("\r\n")
            method, path, _ = first.split(" ")
            headers: dict[str, str] = {}
            for line in lines:
                name, _, value = line.partition(":")
                headers[name.strip().lower()] = value.strip()
            status, text = self.response(method, path, headers)
            body = text.encode()
            answer = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: text/plain\r\n"
            answer += f"Content-Length: {len(body)}\r\nServer: EC2ws\r\nConnection: close\r\n\r\n"
            writer.write(answer.encode() + body)
            await writer.drain()
        writer.close()

    def response(self, method: str, path: str, headers: Mapping[str, str]) -> tuple[HTTPStatus, str]:
        """Return the status and the text for a request."""
        if method == "PUT":
            return self._new_token(path, headers)
        if self._tokens.get(headers.get(_TOKEN_HEADER, ""), 0) < time.monotonic():
            return HTTPStatus.UNAUTHORIZED, ""
        found = self._documents.get(path.removeprefix(_ROOT).rstrip("/"))
        if found is None or not path.startswith(_ROOT):
            return HTTPStatus.NOT_FOUND, ""
        return HTTPStatus.OK, found

    def _new_token(self, path: str, headers: Mapping[str, str]) -> tuple[HTTPStatus, str]:
        """Return a new token. One who asks through a proxy gets none."""
        if path != f"{_ROOT}api/token":
            return HTTPStatus.NOT_FOUND, ""
        if "x-forwarded-for" in headers:
            return HTTPStatus.FORBIDDEN, ""
        ttl = headers.get(_TTL_HEADER, "")
        if not ttl.isdigit() or not 1 <= int(ttl) <= _LONGEST_TTL:
            return HTTPStatus.BAD_REQUEST, ""
        now = time.monotonic()
        for token, until in list(self._tokens.items()):
            if until < now:
                del self._tokens[token]
        token = secrets.token_urlsafe(42)
        self._tokens[token] = now + int(ttl)
        return HTTPStatus.OK, token
