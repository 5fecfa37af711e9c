"""The HTTP door: reads a request, lets faults befall it, logs it, hands it on and sends the answer.

HTTP/1.1 with kept connections, as the real endpoints have. The AWS API and the control paths share one port.
"""

from __future__ import annotations

import hmac
import json
import logging
import os
import socket
import struct
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .calls import CallLog, Entry
from .cloud import call as calls
from .cloud.call import Call
from .cloud.replies import Reply, refusal
from .control import KEY_HEADER
from .faults import Faults, status_of
from .home import CONTROL_PATH

_LOG = logging.getLogger(__name__)


#: Answers a control call, of a method, a path and a body: ValueError is a bad request, KeyError an unknown path.
Control = Callable[[str, str, Any], Any]


class Door(ThreadingHTTPServer):
    """Listen on loopback and serve each connection in a thread of its own."""

    daemon_threads = True
    request_queue_size = 256
    allow_reuse_address = True

    control: Control

    def __init__(
        self, port: int, access_key: str, answer: Callable[[Call], Reply], faults: Faults, log: CallLog
    ) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.access_key = access_key
        self.answer = answer
        self.faults = faults
        self.log = log

    def open(self, control: Control) -> None:
        """Serve from now on, in a thread of its own; `control` answers the control calls."""
        self.control = control
        threading.Thread(target=self.serve_forever, args=(0.05,), name="door", daemon=True).start()

    @property
    def port(self) -> int:
        return self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Note at the lowest level only that a client went away in the middle: it is no news."""
        _LOG.debug("a connection broke", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Door

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the call log tells more than http.server's lines."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == f"{CONTROL_PATH}/checkip":
            self._send(Reply(200, f"{self.client_address[0]}\n".encode(), {"Content-Type": "text/plain"}))
        elif self.path.startswith(f"{CONTROL_PATH}/"):
            self._control(self.path.removeprefix(f"{CONTROL_PATH}/"), body)
        else:
            headers = {name.lower(): value for name, value in self.headers.items()}
            self._call(calls.read(self.command, self.path, headers, body))

    do_GET = do_POST = do_PUT = do_DELETE = _serve

    def _call(self, call: Call) -> None:
        """Serve one AWS call, with whatever is to befall it."""
        entry = self.server.log.begin(call)
        effect = entry.fault = self.server.faults.hit(call.matchable())
        reply: Reply | None = None
        try:
            reply = self._befall(call, effect) if effect else self.server.answer(call)
        finally:
            self._note(entry, reply)
        if reply is None:
            self._reset()
        else:
            self._send(reply)

    def _befall(self, call: Call, effect: dict[str, Any]) -> Reply | None:
        """Return what the caller sees under this fault; None is a broken connection."""
        time.sleep(float(effect.get("delay", 0)))
        if "error" in effect:
            words = effect.get("message", f"Injected by a fault rule: {effect['error']}")
            return refusal(call, effect["error"], words, status_of(effect))
        if "http" in effect:
            return Reply(int(effect["http"]), str(effect.get("body", "")).encode(), {"Content-Type": "text/html"})
        if effect.get("reset"):
            return None
        if effect.get("hold"):
            self.server.faults.hold()
        reply = self.server.answer(call)
        if effect.get("silent"):
            self.server.faults.hold()
            return None
        if effect.get("reset_after"):
            return None
        return reply

    def _note(self, entry: Entry, reply: Reply | None) -> None:
        if reply is None:
            self.server.log.end(entry, None, None)
        else:
            self.server.log.end(entry, reply.status, reply.error)

    def _control(self, path: str, body: bytes) -> None:
        """Serve a call to the sandbox itself. The key keeps out other users of the machine, and web pages."""
        if not hmac.compare_digest(self.headers.get(KEY_HEADER, ""), self.server.access_key):
            return self._send(Reply(403, b"This sandbox belongs to someone else."))
        try:
            answer = self.server.control(self.command, path, json.loads(body or b"null"))
        except KeyError as error:
            return self._send(Reply(404, f"unknown: {error.args[0]}".encode()))
        except ValueError as error:
            return self._send(Reply(400, str(error).encode()))
        return self._send(Reply(200, json.dumps(answer).encode(), {"Content-Type": "application/json"}))

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def _reset(self) -> None:
        """Break the connection so that the client sees a reset and not an end.

        Closing a socket with a linger time of zero sends RST (socket(7)); going around http.server's own
        buffers keeps it from sending anything first, which would leave the client waiting for its timeout.
        """
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())
