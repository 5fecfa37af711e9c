"""The state on disk: written soon after each change, whole or not at all, so that even a kill -9 loses little."""

from __future__ import annotations

import logging
import pickle
import threading
from importlib import metadata
from typing import Any

from .cloud import catalog
from .cloud.backend import Backends
from .cloud.quotas import Quotas
from .home import Home

_LOG = logging.getLogger(__name__)
#: State of another version is not taken up: it holds moto's own objects.
VERSION = f"1 moto {metadata.version('moto')}"
WRITE_EVERY = 0.5


class State:
    """What the EC2 side holds, saved and loaded. Boxes and volumes are folders, and keep themselves."""

    def __init__(self, home: Home, backends: Backends, quotas: Quotas, lock: threading.RLock) -> None:
        self._home = home
        self._backends = backends
        self._quotas = quotas
        self._lock = lock
        self._dirty = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="state", daemon=True)

    def load(self) -> None:
        """Take up the saved state; one of another version, or a broken one, is set aside."""
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
        """Have the EC2 side hold what was saved."""
        with self._lock:
            account = self._backends[catalog.ACCOUNT]
            for region, backend in saved["regions"].items():
                account[region] = backend
            self._quotas.requests[:] = saved["quota_requests"]

    def pickled(self) -> bytes:
        """Return what the EC2 side holds now."""
        with self._lock:
            return pickle.dumps(
                {
                    "version": VERSION,
                    "regions": self._backends.made(),
                    "quota_requests": self._quotas.requests,
                }
            )

    def start(self) -> None:
        """Start writing after each change."""
        self._thread.start()

    def changed(self) -> None:
        """Have the state written soon."""
        self._dirty.set()

    def stop(self) -> None:
        """Write what is to be written, and end."""
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
