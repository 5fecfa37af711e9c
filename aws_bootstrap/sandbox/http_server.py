"""The HTTP server: reads a request, applies the fault that it matches, logs it and sends the response.

HTTP/1.1 with persistent connections, as the real endpoints have. The AWS API and the control paths share one port.
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

from .call_log import CallLog, Entry
from .cloud import aws_call
from .cloud.aws_call import AwsCall
from .cloud.http_responses import HttpResponse, error_response
from .control_client import KEY_HEADER
from .faults import Faults, status_of
from .home import CONTROL_PATH

_LOG = logging.getLogger(__name__)


#: Handles a control request (method, path, body): ValueError is a bad request, KeyError an unknown path.
ControlHandler = Callable[[str, str, Any], Any]


class HttpServer(ThreadingHTTPServer):
    """Listen on loopback and serve each connection in a thread of its own."""

    daemon_threads = True
    request_queue_size = 256
    allow_reuse_address = True

    handle_control: ControlHandler

    def __init__(
        self, port: int, access_key: str, handle_call: Callable[[AwsCall], HttpResponse], faults: Faults, log: CallLog
    ) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.access_key = access_key
        self.handle_call = handle_call
        self.faults = faults
        self.log = log

    def start(self, handle_control: ControlHandler) -> None:
        """Serve from now on, in a thread of its own; `handle_control` handles the control requests."""
        self.handle_control = handle_control
        threading.Thread(target=self.serve_forever, args=(0.05,), name="http-server", daemon=True).start()

    @property
    def port(self) -> int:
        """Return the port that the server listens on."""
        return self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log at the lowest level that a client closed its connection early: clients are killed in many tests."""
        _LOG.debug("a connection broke", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: HttpServer

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the call log has more than http.server's lines."""

    def _serve(self) -> None:
        """Read one request and pass it on by its path."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == f"{CONTROL_PATH}/checkip":
            self._send(HttpResponse(200, f"{self.client_address[0]}\n".encode(), {"Content-Type": "text/plain"}))
        elif self.path.startswith(f"{CONTROL_PATH}/"):
            self._serve_control(self.path.removeprefix(f"{CONTROL_PATH}/"), body)
        else:
            headers = {name.lower(): value for name, value in self.headers.items()}
            self._serve_call(aws_call.parse(self.command, self.path, headers, body))

    do_GET = do_POST = do_PUT = do_DELETE = _serve

    def _serve_call(self, call: AwsCall) -> None:
        """Serve one AWS call, under the fault that it matches."""
        entry = self.server.log.begin(call)
        effect = entry.fault = self.server.faults.hit(call.matchable())
        response: HttpResponse | None = None
        try:
            response = self._apply_fault(call, effect) if effect else self.server.handle_call(call)
        finally:
            self._log_end(entry, response)
        if response is None:
            self._reset()
        else:
            self._send(response)

    def _apply_fault(self, call: AwsCall, effect: dict[str, Any]) -> HttpResponse | None:
        """Return the response under this fault; None is a broken connection."""
        time.sleep(float(effect.get("delay", 0)))
        if "error" in effect:
            message = effect.get("message", f"Injected by a fault rule: {effect['error']}")
            return error_response(call, effect["error"], message, status_of(effect))
        if "http" in effect:
            return HttpResponse(
                int(effect["http"]), str(effect.get("body", "")).encode(), {"Content-Type": "text/html"}
            )
        if effect.get("reset"):
            return None
        if effect.get("hold"):
            self.server.faults.hold()
        response = self.server.handle_call(call)
        if effect.get("silent"):
            self.server.faults.hold()
            return None
        if effect.get("reset_after"):
            return None
        return response

    def _log_end(self, entry: Entry, response: HttpResponse | None) -> None:
        if response is None:
            self.server.log.end(entry, None, None)
        else:
            self.server.log.end(entry, response.status, response.error)

    def _serve_control(self, path: str, body: bytes) -> None:
        """Serve a request to the sandbox itself. The key keeps out other users of the machine, and web pages."""
        if not hmac.compare_digest(self.headers.get(KEY_HEADER, ""), self.server.access_key):
            return self._send(HttpResponse(403, b"The access key is not that of this sandbox."))
        try:
            document = self.server.handle_control(self.command, path, json.loads(body or b"null"))
        except KeyError as error:
            return self._send(HttpResponse(404, f"unknown: {error.args[0]}".encode()))
        except ValueError as error:
            return self._send(HttpResponse(400, str(error).encode()))
        return self._send(HttpResponse(200, json.dumps(document).encode(), {"Content-Type": "application/json"}))

    def _send(self, response: HttpResponse) -> None:
        """Send the response."""
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        self.wfile.write(response.body)

    def _reset(self) -> None:
        """Break the connection so that the client sees a reset and not an orderly close.

        Closing a socket with a linger time of zero sends RST (socket(7)); going around http.server's own
        buffers keeps it from sending anything first, which would leave the client waiting for its timeout.
        """
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())
