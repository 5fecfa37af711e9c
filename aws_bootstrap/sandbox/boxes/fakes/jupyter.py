"""`jupyter lab`: a server on the requested address and port, which requires the token as Jupyter Server does.

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
<h1>JupyterLab</h1><p>This is the sandbox's fake JupyterLab. On a real box your notebooks are here.</p>
"""
LOGIN = b"""<!doctype html><title>Jupyter Server</title>
<h1>Token authentication is enabled</h1><p>Open the address that has the token.</p>
"""


class Handler(BaseHTTPRequestHandler):
    """Responds like a Jupyter server, as far as a health check or a login page needs."""

    protocol_version = "HTTP/1.1"
    token = ""

    def do_GET(self) -> None:
        """Send the response to a GET request."""
        path = urlsplit(self.path).path.rstrip("/")
        if path == "/api":
            self.respond(200, json.dumps({"version": VERSION}).encode(), "application/json")
        elif path == "/login":
            self.respond(200, LOGIN)
        elif self.has_token():
            self.respond_authenticated(path)
        elif path.startswith("/api/"):
            self.respond(403, b'{"message": "Forbidden"}', "application/json")
        else:
            self.respond(302, b"", Location=f"/login?next={quote(self.path)}")

    def respond_authenticated(self, path: str) -> None:
        """Send the response to an authenticated request."""
        if path == "/api/status":
            self.respond(200, json.dumps({"connections": 0, "kernels": 0}).encode(), "application/json")
        else:
            self.respond(200, PAGE)

    def has_token(self) -> bool:
        """Return whether the address or a header has the token."""
        given = parse_qs(urlsplit(self.path).query).get("token", [])
        scheme, _, credentials = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() in ("token", "bearer"):
            given.append(credentials.strip())
        return not self.token or any(hmac.compare_digest(self.token, one) for one in given)

    def log_message(self, format: str, *args: object) -> None:
        """Log the request without its query, which may have the token, as Jupyter does."""
        shown = [str(part).partition("?")[0] for part in args]
        super().log_message(format, *shown)

    def respond(self, status: int, body: bytes, content_type: str = "text/html", **headers: str) -> None:
        """Send a response."""
        self.send_response(status)
        for name, value in {"Content-Type": content_type, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def option(arguments: list[str], names: tuple[str, ...]) -> str | None:
    """Return the value of one of these options on the command line; None if it has none of them."""
    found = None
    for word in arguments:
        name, has_value, value = word.partition("=")
        if name in names and has_value:
            found = value
    return found


def port(arguments: list[str]) -> int:
    """Return the port that the command line requests."""
    value = option(arguments, ("--port", "--ServerApp.port", "--LabApp.port")) or ""
    return int(value) if value.isdigit() else DEFAULT_PORT


def token(arguments: list[str]) -> str:
    """Return the token of the command line, else of the environment, else a new one. An empty one allows everyone."""
    given = option(arguments, ("--token", "--IdentityProvider.token", "--ServerApp.token"))
    if given is None:
        given = os.environ.get("JUPYTER_TOKEN")
    if given is None:
        given = secrets.token_hex(24)
        sys.stderr.write(f"http://localhost:8888/lab?token={given}\n")
    return given


def serve(address: str, requested: int) -> ThreadingHTTPServer:
    """Return the server. On the machine's shared loopback its port may be in use: then write down the one used."""
    try:
        return ThreadingHTTPServer((address, requested), Handler)
    except OSError:
        root = os.environ.get("SANDBOX_ROOT")
        if not root:
            raise
    server = ThreadingHTTPServer((address, 0), Handler)
    ports = Path(root, "run/sandbox/ports")
    ports.mkdir(exist_ok=True)
    (ports / str(requested)).write_text(str(server.server_address[1]))
    return server


if __name__ == "__main__":
    if "--version" in sys.argv:
        sys.exit(sys.stdout.write("jupyterlab: 4.5.0\n") and 0)
    Handler.token = token(sys.argv[1:])
    address = option(sys.argv[1:], ("--ip", "--ServerApp.ip")) or LOOPBACK
    serve(LOOPBACK if address == "localhost" else address, port(sys.argv[1:])).serve_forever()
