"""`jupyter lab`: a server on the port that is asked for, with a page that says what it is and Jupyter's own status."""

from __future__ import annotations

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

DEFAULT_PORT = 8888
VERSION = "2.17.0"  # of jupyter_server, as /api answers
PAGE = b"""<!doctype html><title>JupyterLab</title>
<h1>JupyterLab</h1><p>This is the sandbox's stand-in for JupyterLab. On a real box your notebooks are here.</p>
"""


class Handler(BaseHTTPRequestHandler):
    """Answers like a Jupyter server, as far as a health check looks."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        answers = {"/api": {"version": VERSION}, "/api/status": {"connections": 0, "kernels": 0}}
        found = answers.get(self.path.partition("?")[0].rstrip("/"))
        body = json.dumps(found).encode() if found else PAGE
        self.send_response(200)
        self.send_header("Content-Type", "application/json" if found else "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def port(arguments: list[str]) -> int:
    """The port that the command line asks for."""
    for word in arguments:
        name, _, value = word.partition("=")
        if name in ("--port", "--ServerApp.port", "--LabApp.port") and value.isdigit():
            return int(value)
    return DEFAULT_PORT


def serve(wanted: int) -> ThreadingHTTPServer:
    """The server. In a box that shares the machine's loopback the port may be taken: then it notes which it got."""
    try:
        return ThreadingHTTPServer(("127.0.0.1", wanted), Handler)
    except OSError:
        root = os.environ.get("SANDBOX_ROOT")
        if not root:
            raise
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    ports = Path(root, "run/sandbox/ports")
    ports.mkdir(exist_ok=True)
    (ports / str(wanted)).write_text(str(server.server_address[1]))
    return server


if __name__ == "__main__":
    if "--version" in sys.argv:
        sys.exit(sys.stdout.write("jupyterlab: 4.5.0\n") and 0)
    serve(port(sys.argv[1:])).serve_forever()
