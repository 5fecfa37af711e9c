"""Faults for the AWS in this process: answers that are lost, and signals that come while a call is under way.

    cloud.faults.lose("AttachVolume", times=1)         it took effect; the answer is lost, and the SDK asks again
    cloud.faults.lose("TerminateInstances")            the same for every answer
    cloud.faults.drop("DescribeInstances")             the connection breaks before the call takes effect
    cloud.faults.interrupt("CreateTags", signal.SIGTERM)   it took effect, a signal comes, and the answer never does

They come in at botocore's `before-send`, before and after moto has its turn, so that the SDK's own retries run.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ConnectionClosedError

ATTEMPTS = 5
BOUND = 30.0


class Lost(ConnectionClosedError):
    """A connection that a fault broke."""

    def __init__(self) -> None:
        super().__init__(endpoint_url="the cloud in this process")


@dataclass
class Fault:
    """What befalls a call, where, and how often (None: always)."""

    operation: str
    befall: Callable[[], None]
    region: str | None
    times: int | None
    takes_effect: bool
    skip: int = 0

    def hits(self, region: str, operation: str) -> bool:
        """Whether it hits this call; counts it if so."""
        if operation != self.operation or self.region not in (None, region) or self.times == 0:
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


class Hold:
    """A call that is held back until the test lets it go."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._released = threading.Event()
        self._thread: threading.Thread | None = None

    def befall(self) -> None:
        """Wait for the test."""
        self._thread = threading.current_thread()
        self.reached.set()
        self._released.wait(BOUND)

    def release(self) -> None:
        """Let the call go on, and wait until the thread that made it has ended."""
        self._released.set()
        assert self._thread
        self._thread.join(BOUND)
        assert not self._thread.is_alive()


class Faults:
    """The faults in force. All that are set for a call befall it."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._changes: dict[str, list[Callable[[dict[str, Any]], Any]]] = {}

    def lose(self, operation: str, *, region: str | None = None, times: int | None = None) -> None:
        """The call takes effect; the connection breaks before the answer comes."""
        self._faults.append(Fault(operation, _break, region, times, takes_effect=True))

    def drop(self, operation: str, *, region: str | None = None, times: int | None = None, skip: int = 0) -> None:
        """The connection breaks before the call takes effect; the first `skip` calls pass."""
        self._faults.append(Fault(operation, _break, region, times, takes_effect=False, skip=skip))

    def on(self, operation: str, act: Callable[[], Any], *, region: str | None = None, skip: int = 0) -> None:
        """Something happens in the account just before one call takes effect; the first `skip` calls pass."""
        self._faults.append(Fault(operation, act, region, 1, takes_effect=False, skip=skip))

    def hold(self, operation: str, *, region: str | None = None, skip: int = 0) -> Hold:
        """One call takes effect, and its answer waits for the test; the first `skip` calls pass."""
        hold = Hold()
        self._faults.append(Fault(operation, hold.befall, region, 1, takes_effect=True, skip=skip))
        return hold

    def interrupt(
        self,
        operation: str,
        number: int = signal.SIGINT,
        *,
        region: str | None = None,
        takes_effect: bool = True,
        after: Hold | None = None,
    ) -> None:
        """A signal reaches the program while the call is under way; its answer never comes.

        `after`: not before the call that is held back has been sent.
        """

        def befall() -> None:
            assert after is None or after.reached.wait(BOUND)
            signal.pthread_kill(threading.main_thread().ident or 0, number)
            if threading.current_thread() is not threading.main_thread():
                threading.Event().wait()  # a daemon of the program: nobody waits for it

        self._faults.append(Fault(operation, befall, region, 1, takes_effect))

    def befall(self, region: str, operation: str, *, took_effect: bool) -> None:
        """Let befall what is set for a call that has (not yet) taken effect."""
        for fault in self._faults:
            if fault.takes_effect is took_effect and fault.hits(region, operation):
                fault.befall()

    def around(self, region: str, operation: str, call: Callable[[], Any]) -> Any:
        """The answer of a call that is made without the SDK, sent again as the SDK would."""
        for _ in range(ATTEMPTS):
            try:
                self.befall(region, operation, took_effect=False)
                answer = call()
                self.befall(region, operation, took_effect=True)
            except Lost:
                continue
            return answer
        raise Lost

    def change_answer(self, operation: str, change: Callable[[dict[str, Any]], Any]) -> None:
        """Every answer of this operation, as botocore has read it, is changed before the program sees it."""
        self._changes.setdefault(operation, []).append(change)

    def watch(self, client: Any, service: str, region: str, *, retry: bool) -> None:
        """Have the faults befall the calls of this client; its retries do not wait."""

        def before(event_name: str, **_: Any) -> None:
            self.befall(region, event_name.rpartition(".")[2], took_effect=False)

        def after(event_name: str, **_: Any) -> None:
            self.befall(region, event_name.rpartition(".")[2], took_effect=True)

        def again(attempts: int, caught_exception: Exception | None, **_: Any) -> int | None:
            return 0 if isinstance(caught_exception, Lost) and retry and attempts < ATTEMPTS else None

        def answered(model: Any, parsed: dict[str, Any], **_: Any) -> None:
            for change in self._changes.get(model.name, []):
                change(parsed)

        client.meta.events.register_first("before-send", before)
        client.meta.events.register_last(f"after-call.{service}", answered)
        client.meta.events.register_last("before-send", after)
        client.meta.events.register_first(f"needs-retry.{service}", again)


def _break() -> None:
    raise Lost
