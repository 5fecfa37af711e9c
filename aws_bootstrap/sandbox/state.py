"""The state on disk: written soon after each change, whole or not at all, so that even a kill -9 loses little."""

from __future__ import annotations

import logging
import pickle
import threading
from importlib import metadata
from typing import Any

from .cloud import catalog
from .cloud.backend import Backends
from .cloud.current_account import CurrentAccount
from .cloud.quotas import Quotas
from .home import Home

_LOG = logging.getLogger(__name__)
#: State of another version is not loaded: it holds pickled objects of moto's classes and of this package's.
VERSION = f"5 moto {metadata.version('moto')}"
WRITE_EVERY = 0.5


class State:
    """The state of the EC2 side, saved and loaded. Boxes and volumes are folders on disk already."""

    def __init__(
        self, home: Home, backends: Backends, quotas: Quotas, account: CurrentAccount, lock: threading.RLock
    ) -> None:
        self._home = home
        self._account = account
        self._backends = backends
        self._quotas = quotas
        self._lock = lock
        self._dirty = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="state", daemon=True)

    def load(self) -> None:
        """Load the saved state; one of another version, or an unreadable one, is renamed and ignored."""
        try:
            saved = pickle.loads(self._home.state.read_bytes())
            if saved["version"] != VERSION:
                raise ValueError(f"version {saved['version']}")
        except FileNotFoundError:
            return
        except Exception:
            _LOG.exception("the saved state cannot be read; starting with an empty account")
            self._home.state.rename(self._home.state.with_suffix(".unreadable"))
            return
        self.restore(saved)

    def restore(self, saved: dict[str, Any]) -> None:
        """Replace the state of the EC2 side by the saved one."""
        with self._lock:
            regions = self._backends[catalog.ACCOUNT]
            for region, backend in saved["regions"].items():
                regions[region] = backend
            self._account.restore(saved["account"])
            self._quotas.requests[:] = saved["quota_requests"]

    def pickled(self) -> bytes:
        """Return the current state of the EC2 side."""
        with self._lock:
            return pickle.dumps(
                {
                    "version": VERSION,
                    "regions": self._backends.existing(),
                    "quota_requests": self._quotas.requests,
                    "account": self._account.saved(),
                }
            )

    def start(self) -> None:
        """Start the thread that writes after each change."""
        self._thread.start()

    def changed(self) -> None:
        """Have the state written within WRITE_EVERY seconds."""
        self._dirty.set()

    def stop(self) -> None:
        """Write the state a last time, and stop the thread."""
        self._stopped.set()
        self._dirty.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._dirty.wait()
            self._stopped.wait(WRITE_EVERY)
            self._dirty.clear()
            try:
                self._write()
            except Exception:
                _LOG.exception("the state could not be written")

    def _write(self) -> None:
        draft = self._home.state.with_suffix(".new")
        draft.write_bytes(self.pickled())
        draft.replace(self._home.state)
