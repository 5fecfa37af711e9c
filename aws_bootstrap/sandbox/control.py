"""The wire to a running sandbox: plain HTTP to its control paths, past any proxy that the user has set."""

from __future__ import annotations

import json
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from ..errors import BootstrapError
from .home import CONTROL_PATH, Home

KEY_HEADER = "X-Sandbox-Key"
_OPENER = build_opener(ProxyHandler({}))


def ask(home: Home, port: int, path: str, body: Any = None, *, method: str | None = None, timeout: float = 30) -> Any:
    """The sandbox's answer to one control call. Raises OSError when nothing of ours answers there."""
    payload = None if body is None else json.dumps(body).encode()
    request = Request(
        f"http://127.0.0.1:{port}{CONTROL_PATH}/{path}",
        data=payload,
        headers={KEY_HEADER: home.access_key()[0], "Content-Type": "application/json"},
        method=method or ("GET" if payload is None else "POST"),
    )
    try:
        with _OPENER.open(request, timeout=timeout) as reply:
            return json.loads(reply.read() or b"null")
    except HTTPError as refusal:
        raise BootstrapError(f"The sandbox refused: {refusal.read().decode(errors='replace')}") from refusal
    except (URLError, ValueError) as silence:
        raise OSError(str(silence)) from silence
