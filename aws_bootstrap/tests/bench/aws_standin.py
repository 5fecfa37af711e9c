"""AWS on loopback, for measurements: a fixed time a call, connections that stay open, TLS, many boxes, a log of calls.

The answers are written down here instead of computed by moto, whose work would compete with the program that is
measured. It keeps no state but what `terminate` needs (when the boxes of a region were terminated, and which volumes
are gone), and what a launch has started. Calls are throttled as EC2 throttles them.

    python -m aws_bootstrap.tests.bench.aws_standin --boxes 100 --regions 17 --delay-ms 80

prints its address and answers until its standard input ends. `GET /log` returns the calls, `POST /reset` forgets them
and brings back every box. `GET /box` says when the SSH port of the launched boxes opened, and how many connections they
had; `POST /box` opens it.
"""

from __future__ import annotations

import argparse
import json
import re
import ssl
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from . import aws_answers, aws_launch
from .aws_answers import Call, Refused, World
from .throttling import Throttle

if TYPE_CHECKING:
    from .box_standin import Boxes

#: As in `Credential=AKIA/20260101/us-west-2/ec2/aws4_request`.
_SCOPE = re.compile(r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/")
_XML = "text/xml;charset=UTF-8"
_JSON = "application/x-amz-json-1.1"


@dataclass(frozen=True)
class LoggedCall:
    """One call as it was answered."""

    #: Seconds since the epoch at which it came.
    time: float
    region: str
    action: str
    #: The client's port, so one value a connection.
    connection: int
    #: How many calls were under way with it.
    in_flight: int
    #: The code of the error that it was answered with.
    error: str | None = None


@dataclass
class Standin:
    """The state of the server, and what it answers."""

    world: World
    delay: float
    #: The boxes that a launch starts; None: nothing answers there.
    box: Boxes | None = None
    calls: list[LoggedCall] = field(default_factory=list)
    #: Answers that are the same each time, by action, region and parameters.
    _kept: dict[tuple[str, str, str], str] = field(default_factory=dict)
    _throttle: Throttle = field(default_factory=Throttle)
    _in_flight: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, call: Call, connection: int) -> tuple[int, str]:
        """Return the status and the body of the answer, after the time that a call takes, and log the call."""
        begun = time.time()
        with self._lock:
            self._in_flight += 1
            in_flight = self._in_flight
        error = None
        try:
            self._throttle.take(call)
            answer = 200, self._body(call)
        except Refused as exc:
            error = exc.code
            answer = exc.status, exc.body()
        with self._lock:
            self.calls.append(LoggedCall(begun, call.region, call.action, connection, in_flight, error))
        time.sleep(max(0.0, begun + self.delay - time.time()))
        with self._lock:
            self._in_flight -= 1
        return answer

    def _body(self, call: Call) -> str:
        """Return the body, written once where nothing has been terminated in the region."""
        if call.action in aws_launch.CHANGES:
            return self._launch(call)
        if self.world.launched and call.action in aws_launch.LAUNCHED:
            return aws_launch.LAUNCHED[call.action](self.world, call)
        answer = aws_answers.ANSWERS[call.action]
        if call.region in self.world.terminated_at or call.action in aws_answers.CHANGES:
            return answer(self.world, call)
        parameters = {name: value for name, value in call.parameters.items() if name != "StartTime"}
        key = (call.action, call.region, json.dumps(parameters, sort_keys=True))
        if key not in self._kept:
            self._kept[key] = answer(self.world, call)
        return self._kept[key]

    def _launch(self, call: Call) -> str:
        body = aws_launch.CHANGES[call.action](self.world, call)
        if call.action == "RunInstances" and self.box:
            self.box.opens_with_launch()
        return body

    def reset(self) -> None:
        """Forget the calls, and bring back every box."""
        self.calls.clear()
        self.world.terminated_at.clear()
        self.world.deleted.clear()
        self.world.launched = None
        self._throttle.reset()
        if self.box:
            self.box.close()


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection's calls, one after another."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    #: One packet an answer.
    wbufsize = -1

    def __init__(self, standin: Standin, *arguments: Any) -> None:
        self.standin = standin
        super().__init__(*arguments)

    def do_GET(self) -> None:
        if urlsplit(self.path).path == "/log":
            self._reply(_JSON, json.dumps([asdict(call) for call in self.standin.calls]))
        elif urlsplit(self.path).path == "/box":
            box = self.standin.box
            facts = {"opened_at": box.opened_at if box else 0.0, "connections": box.connections if box else 0}
            self._reply(_JSON, json.dumps(facts))
        else:  # in place of checkip.amazonaws.com
            time.sleep(self.standin.delay)
            self._reply("text/plain", "203.0.113.7\n")

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        if urlsplit(self.path).path == "/reset":
            self.standin.reset()
            self._reply(_JSON, "{}")
            return
        if urlsplit(self.path).path == "/box" and self.standin.box:
            self.standin.box.open_now()
            self._reply(_JSON, "{}")
            return
        call = self._call(content)
        status, body = self.standin.answer(call, self.client_address[1])
        self._reply(_JSON if call.is_json else _XML, body, status)

    def _call(self, content: str) -> Call:
        scope = _SCOPE.search(self.headers.get("Authorization", ""))
        region = scope[1] if scope else ""
        target = self.headers.get("X-Amz-Target")
        if target:
            return Call(region, target.rpartition(".")[2], json.loads(content or "{}"), is_json=True)
        parameters = dict(parse_qsl(content, keep_blank_values=True))
        return Call(region, parameters["Action"], parameters)

    def _reply(self, content_type: str, body: str, status: int = 200) -> None:
        encoded = body.encode()
        self.send_response_only(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    """A server with room for the connections of all regions at once; over TLS if it has a context."""

    daemon_threads = True
    request_queue_size = 256
    tls: ssl.SSLContext | None = None

    def get_request(self) -> tuple[Any, Any]:
        """Accept a connection; its handshake is done by its own thread, so that none waits for another's."""
        connection, address = super().get_request()
        if self.tls is not None:
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that hung up, or that refused the certificate."""


def server(standin: Standin, certificate: str | None = None) -> _Server:
    """Return a server on a free port; over TLS with this certificate, whose file holds its key, too."""
    handler: Callable[..., _Handler] = partial(_Handler, standin)
    made = _Server(("127.0.0.1", 0), handler)
    if certificate:
        made.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.tls.load_cert_chain(certificate)
    return made


def main() -> None:
    """Answer until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boxes", type=int, default=100)
    parser.add_argument("--regions", type=int, default=17)
    parser.add_argument("--volumes", type=int, default=0, help="so many boxes have a data volume")
    parser.add_argument("--delay-ms", type=float, default=80)
    parser.add_argument("--detach", type=float, default=0, help="seconds until a terminated box's volumes are detached")
    parser.add_argument("--box-port", type=int, help="the SSH port of the boxes that a launch starts")
    parser.add_argument("--box-opens", type=float, default=0, help="seconds from RunInstances until it opens")
    parser.add_argument("--box-setup", type=float, default=0, help="seconds that a setup of a box takes")
    parser.add_argument("--certificate", help="speak TLS with this certificate and key")
    chosen = parser.parse_args()
    world = World(chosen.boxes, chosen.regions, chosen.volumes, chosen.detach)
    standin = Standin(world, chosen.delay_ms / 1000)
    if chosen.box_port:
        from .box_standin import Boxes  # asyncssh, which takes a while

        standin.box = Boxes(world, chosen.box_port, chosen.box_opens, chosen.box_setup)
    serving = server(standin, chosen.certificate)
    threading.Thread(target=serving.serve_forever, args=(0.05,), daemon=True).start()
    scheme = "https" if chosen.certificate else "http"
    sys.stdout.write(f"{scheme}://127.0.0.1:{serving.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
