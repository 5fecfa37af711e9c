"""The client of the control API: plain HTTP to a running sandbox, past any proxy that the user has set."""

from __future__ import annotations

import json
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from ..errors import BootstrapError
from .home import CONTROL_PATH, Home

KEY_HEADER = "X-Sandbox-Key"
_OPENER = build_opener(ProxyHandler({}))


def request(
    home: Home, port: int, path: str, body: Any = None, *, method: str | None = None, timeout: float = 30
) -> Any:
    """Return the response to one control request. Raise OSError if no sandbox of this home responds there."""
    payload = None if body is None else json.dumps(body).encode()
    http_request = Request(
        f"http://127.0.0.1:{port}{CONTROL_PATH}/{path}",
        data=payload,
        headers={KEY_HEADER: home.access_key()[0], "Content-Type": "application/json"},
        method=method or ("GET" if payload is None else "POST"),
    )
    try:
        with _OPENER.open(http_request, timeout=timeout) as response:
            return json.loads(response.read() or b"null")
    except HTTPError as error:
        message = error.read().decode(errors="replace")
        raise BootstrapError(f"The sandbox rejected the request: {message}") from error
    except (URLError, ValueError) as error:
        raise OSError(str(error)) from error
