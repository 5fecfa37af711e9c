"""`jupyter lab`: a server on the address and port that are asked for, which asks for the token as Jupyter Server does.

https://jupyter-server.readthedocs.io/en/latest/operators/security.html
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

DEFAULT_PORT = 8888
LOOPBACK = "127.0.0.1"
VERSION = "2.17.0"  # of jupyter_server, as /api answers
PAGE = b"""<!doctype html><title>JupyterLab</title>
<h1>JupyterLab</h1><p>This is the sandbox's stand-in for JupyterLab. On a real box your notebooks are here.</p>
"""
LOGIN = b"""<!doctype html><title>Jupyter Server</title>
<h1>Token authentication is enabled</h1><p>Open the address that has the token in it.</p>
"""


class Handler(BaseHTTPRequestHandler):
    """Answers like a Jupyter server, as far as a health check or a person at the door looks."""

    protocol_version = "HTTP/1.1"
    token = ""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path.rstrip("/")
        if path == "/api":
            self.answer(200, json.dumps({"version": VERSION}).encode(), "application/json")
        elif path == "/login":
            self.answer(200, LOGIN)
        elif self.knows_the_token():
            self.show(path)
        elif path.startswith("/api/"):
            self.answer(403, b'{"message": "Forbidden"}', "application/json")
        else:
            self.answer(302, b"", Location=f"/login?next={quote(self.path)}")

    def show(self, path: str) -> None:
        """Answers one who may come in."""
        if path == "/api/status":
            self.answer(200, json.dumps({"connections": 0, "kernels": 0}).encode(), "application/json")
        else:
            self.answer(200, PAGE)

    def knows_the_token(self) -> bool:
        """Whether the address or a header has the token in it."""
        given = parse_qs(urlsplit(self.path).query).get("token", [])
        scheme, _, credentials = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() in ("token", "bearer"):
            given.append(credentials.strip())
        return not self.token or any(hmac.compare_digest(self.token, one) for one in given)

    def log_message(self, format: str, *args: object) -> None:
        """Notes the request without its query, which may hold the token, as Jupyter does."""
        shown = [str(part).partition("?")[0] for part in args]
        super().log_message(format, *shown)

    def answer(self, status: int, body: bytes, kind: str = "text/html", **headers: str) -> None:
        """Sends an answer."""
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def option(arguments: list[str], names: tuple[str, ...]) -> str | None:
    """The value that the command line gives one of these options; None if it names none of them."""
    found = None
    for word in arguments:
        name, has_value, value = word.partition("=")
        if name in names and has_value:
            found = value
    return found


def port(arguments: list[str]) -> int:
    """The port that the command line asks for."""
    value = option(arguments, ("--port", "--ServerApp.port", "--LabApp.port")) or ""
    return int(value) if value.isdigit() else DEFAULT_PORT


def token(arguments: list[str]) -> str:
    """The token: of the command line, else of the environment, else a new one. An empty one asks nobody."""
    given = option(arguments, ("--token", "--IdentityProvider.token", "--ServerApp.token"))
    if given is None:
        given = os.environ.get("JUPYTER_TOKEN")
    if given is None:
        given = secrets.token_hex(24)
        sys.stderr.write(f"http://localhost:8888/lab?token={given}\n")
    return given


def serve(address: str, wanted: int) -> ThreadingHTTPServer:
    """The server. In a box that shares the machine's loopback the port may be taken: then it notes which it got."""
    try:
        return ThreadingHTTPServer((address, wanted), Handler)
    except OSError:
        root = os.environ.get("SANDBOX_ROOT")
        if not root:
            raise
    server = ThreadingHTTPServer((address, 0), Handler)
    ports = Path(root, "run/sandbox/ports")
    ports.mkdir(exist_ok=True)
    (ports / str(wanted)).write_text(str(server.server_address[1]))
    return server


if __name__ == "__main__":
    if "--version" in sys.argv:
        sys.exit(sys.stdout.write("jupyterlab: 4.5.0\n") and 0)
    Handler.token = token(sys.argv[1:])
    address = option(sys.argv[1:], ("--ip", "--ServerApp.ip")) or LOOPBACK
    serve(LOOPBACK if address == "localhost" else address, port(sys.argv[1:])).serve_forever()
