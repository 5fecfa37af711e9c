"""A stand-in for Jupyter's list of kernels: one kernel, whose state is in a file. It requires the token.

    kernels.py STATE_FILE TOKEN PORT

It runs on a box, so it uses the standard library alone. https://jupyter-server.readthedocs.io/en/latest/developers/rest-api.html
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

STATE, TOKEN = Path(sys.argv[1]), sys.argv[2]


class Handler(BaseHTTPRequestHandler):
    """Answers as Jupyter does: 403 without the token."""

    def do_GET(self) -> None:
        """Send the kernels."""
        status: int = 404
        document: object = {"message": "Not Found"}
        if self.headers.get("Authorization") != f"token {TOKEN}":
            status, document = 403, {"message": "Forbidden"}
        elif self.path.partition("?")[0] == "/api/kernels":
            status, document = 200, [{"name": "python3", "execution_state": STATE.read_text().strip()}]
        text = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_words: object) -> None:
        """Write no log."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[3])), Handler)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
