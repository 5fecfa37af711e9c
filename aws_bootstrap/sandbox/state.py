"""The state on disk: written soon after each change, whole or not at all, so that even a kill -9 loses little."""

from __future__ import annotations

import logging
import pickle
import threading
from importlib import metadata
from typing import TYPE_CHECKING, Any

from .cloud import catalog
from .home import Home

if TYPE_CHECKING:
    from .server import Sandbox

_LOG = logging.getLogger(__name__)
VERSION = f"1 moto {metadata.version('moto')}"
"""State of another version is not taken up: it holds moto's own objects."""
WRITE_EVERY = 0.5


class State:
    """Saves and loads what the EC2 side holds. Boxes and volumes are folders, and keep themselves."""

    def __init__(self, home: Home, sandbox: Sandbox) -> None:
        self._home, self._sandbox = home, sandbox
        self._dirty = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="state", daemon=True)

    def load(self) -> None:
        """Takes up the saved state; one of another version, or a broken one, is set aside."""
        try:
            saved = pickle.loads(self._home.state.read_bytes())
            if saved["version"] != VERSION:
                raise ValueError(f"version {saved['version']}")
        except FileNotFoundError:
            return
        except Exception:
            _LOG.exception("the saved state cannot be read; starting anew")
            self._home.state.rename(self._home.state.with_suffix(".unreadable"))
            return
        self.take_up(saved)

    def take_up(self, saved: dict[str, Any]) -> None:
        """Has the EC2 side hold what was saved."""
        account = self._sandbox.backends[catalog.ACCOUNT]
        for region, backend in saved["regions"].items():
            account[region] = backend
        self._sandbox.router.quotas.requests[:] = saved["quota_requests"]

    def pickled(self) -> bytes:
        """What the EC2 side holds now."""
        with self._sandbox.lock:
            return pickle.dumps(
                {
                    "version": VERSION,
                    "regions": self._sandbox.backends.made(),
                    "quota_requests": self._sandbox.router.quotas.requests,
                }
            )

    def start(self) -> None:
        self._thread.start()

    def changed(self) -> None:
        """Has the state written soon."""
        self._dirty.set()

    def stop(self) -> None:
        """Writes what is to be written and ends."""
        self._ended.set()
        self._dirty.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._ended.is_set():
            self._dirty.wait()
            self._ended.wait(WRITE_EVERY)
            self._dirty.clear()
            try:
                self._write()
            except Exception:
                _LOG.exception("the state could not be written")

    def _write(self) -> None:
        draft = self._home.state.with_suffix(".new")
        draft.write_bytes(self.pickled())
        draft.replace(self._home.state)
