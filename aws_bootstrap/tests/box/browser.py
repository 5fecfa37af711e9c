"""A real browser without a window: Debian's Chromium, driven through its DevTools protocol.

The protocol goes over a pair of pipes, so no port is opened and no library is needed. What a person does is done with
the mouse: a click is at the middle of what is seen there, so it fails if something else lies over it.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from aws_bootstrap.tests.box.machines import until

#: The browser reads commands from descriptor 3 and answers on 4. Both come from numbers above: neither hides the other.
START = 'exec "$@" 3<&"$COMMANDS" 4>&"$ANSWERS"'
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # root cannot have one
    "--remote-debugging-pipe",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-smooth-scrolling",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
)
#: The middle of the first element that a selector finds and whose text is as wanted, if it is on the screen.
MIDDLE = """((selector, text) => {
    for (const found of document.querySelectorAll(selector)) {
        const box = found.getBoundingClientRect();
        const wanted = text === null || found.innerText.trim() === text;
        if (wanted && box.width && box.height) return [box.x + box.width / 2, box.y + box.height / 2];
    }
    return null;
})"""

#: Whether a place is the same in two frames that follow each other with some time between.
STEADY = """(async (place) => {
    const before = JSON.stringify(place());
    await new Promise((done) => setTimeout(done, 150));
    return before !== "null" && before === JSON.stringify(place());
})"""


class Page:
    """The one page of a browser."""

    def __init__(self, commands: int, answers: int, log: Path) -> None:
        """Attach to the page that the browser has opened by itself."""
        self._commands, self._answers, self._log = commands, answers, log
        self._number, self._unread = 0, b""
        self._session: str | None = None
        until(self._pages, "the browser's page")
        found = self._pages()[0]["targetId"]
        self._session = self.order("Target.attachToTarget", targetId=found, flatten=True)["sessionId"]

    def _pages(self) -> list[dict]:
        """Return the pages that are open."""
        targets = self.order("Target.getTargets")["targetInfos"]
        return [target for target in targets if target["type"] == "page"]

    def order(self, method: str, **parameters: object) -> dict:
        """Give the browser an order; its answer. Events in between are dropped."""
        self._number += 1
        message: dict[str, object] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        answer = self._next()
        while answer.get("id") != self._number:
            answer = self._next()
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def _next(self) -> dict:
        """Return the next message of the browser."""
        ends = time.monotonic() + 60
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._answers], [], [], max(0, ends - time.monotonic()))
            more = os.read(self._answers, 1 << 20) if ready else b""
            if not more:
                raise RuntimeError(f"the browser does not answer: {self._log.read_text()[-2000:]}")
            self._unread += more
        message, _, self._unread = self._unread.partition(b"\0")
        return json.loads(message)

    def show(self, address: str) -> None:
        """Go to an address."""
        answer = self.order("Page.navigate", url=address)
        assert "errorText" not in answer, f"{address}: {answer['errorText']}"

    def resize(self, width: int, height: int) -> None:
        """Give the page this size."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.order("Emulation.setDeviceMetricsOverride", **size)

    def value(self, script: str) -> object:
        """Return what an expression is on the page, or what its promise brings."""
        answer = self.order("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script}: {answer['exceptionDetails']['exception'].get('description')}")
        return answer["result"].get("value")

    def wait(self, script: str, what: str, seconds: float = 120) -> None:
        """Wait until an expression holds on the page."""
        try:
            until(lambda: self.value(f"(async () => !!(await ({script})))()"), what, seconds)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; the page says: {self.text()[-3000:]}") from None

    def text(self) -> str:
        """Return all text that the page shows."""
        return str(self.value("document.body ? document.body.innerText : ''"))

    def click(self, selector: str, text: str | None = None, times: int = 1) -> None:
        """Click on what a selector finds, by its text if given, as soon as it is there and does not move any more."""
        middle = f"{MIDDLE}({json.dumps(selector)}, {json.dumps(text)})"
        self.wait(f"{STEADY}(() => {middle})", f"{selector} {text or ''}")
        at = self.value(middle)
        assert isinstance(at, list), f"{selector} is gone"
        place = {"x": at[0], "y": at[1]}
        self.order("Input.dispatchMouseEvent", type="mouseMoved", **place)
        for count in range(1, times + 1):
            for action in ("mousePressed", "mouseReleased"):
                self.order("Input.dispatchMouseEvent", type=action, button="left", clickCount=count, **place)

    def scroll(self, pixels: float) -> None:
        """Turn the mouse wheel over the middle of the page; downwards if the number is positive."""
        width, height = (self.value(size) for size in ("innerWidth / 2", "innerHeight / 2"))
        self.order("Input.dispatchMouseEvent", type="mouseWheel", x=width, y=height, deltaX=0, deltaY=pixels)

    def picture(self) -> bytes:
        """Return what is seen, as a PNG."""
        return base64.b64decode(self.order("Page.captureScreenshot", format="png")["data"])


def pipe() -> list[int]:
    """Return the two ends of a pipe, with numbers that the browser's own do not meet."""
    ends = os.pipe()
    moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return moved


@contextlib.contextmanager
def browser(folder: Path, *before: str) -> Iterator[Page]:
    """Yield the page of a new browser whose profile is in the folder; `before`: the words that put it in a network."""
    read, commands = pipe()
    answers, write = pipe()
    log = folder / "browser.log"
    places = {"HOME": str(folder), "COMMANDS": str(read), "ANSWERS": str(write)}
    start = (*before, "bash", "-c", START, "bash", "chromium", *FLAGS, f"--user-data-dir={folder}/profile")
    with log.open("ab") as said:
        process = subprocess.Popen(
            [*start, "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            pass_fds=(read, write),
            env={**os.environ, **places},
        )
    os.close(read)
    os.close(write)
    try:
        yield Page(commands, answers, log)
    finally:
        os.close(commands)  # it ends when nobody can give it orders any more
        process.wait(30)
        os.close(answers)
