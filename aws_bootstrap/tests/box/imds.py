"""A stand-in for the instance metadata service of one box (IMDSv2): it serves a folder to those who have a token.

    imds.py FOLDER ADDRESS PORT

FOLDER/instance-id is /latest/meta-data/instance-id, and so on. Port 0 is any free one, which is printed. It runs on a
box, so it uses the standard library alone. Paths, headers and answers are those of
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
AWS publishes a mock as well, as a Go program: amazon-ec2-metadata-mock. Neither PyPI nor Debian nor npm has it.
"""

from __future__ import annotations

import secrets
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FOLDER = Path(sys.argv[1])
META_DATA = "/latest/meta-data/"
TOKENS: set[str] = set()


class Handler(BaseHTTPRequestHandler):
    """Answers as EC2 does: 401 without a token, 404 for what this instance does not have."""

    def do_PUT(self) -> None:
        """Give out a token."""
        seconds = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        if self.path != "/latest/api/token" or not seconds.isdigit():
            self.answer(400, "")
            return
        token = secrets.token_urlsafe()
        TOKENS.add(token)
        self.answer(200, token)

    def do_GET(self) -> None:
        """Serve a file."""
        name = FOLDER / self.path.removeprefix(META_DATA)
        if self.headers.get("X-aws-ec2-metadata-token") not in TOKENS:
            self.answer(401, "")
        elif not self.path.startswith(META_DATA) or not name.is_file():
            self.answer(404, "")
        else:
            self.answer(200, name.read_text())

    def answer(self, status: int, text: str) -> None:
        """Send a whole answer."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_words: object) -> None:
        """Write no log."""


if __name__ == "__main__":
    server = ThreadingHTTPServer((sys.argv[2], int(sys.argv[3])), Handler)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
