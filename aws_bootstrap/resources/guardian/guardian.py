#!/usr/bin/env python3
"""End this box at its deadline or when it is idle, and prepare it for a spot interruption: docs/guardian.md.

    guardian.py watch          the service
    guardian.py check          what a timer runs each minute: the deadline alone, whatever became of the service
    guardian.py set CHANGES    change the limits, given in JSON, and print them

It needs root, no credentials, and no network but the instance metadata.
"""

import contextlib
import json
import os
import sys
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

import ending
import limits
import probes

IDLENESS = Path("/run/aws-bootstrap/idleness.json")
LOOK_SECONDS = float(os.environ.get("GUARDIAN_LOOK", "5"))
PROBE_SECONDS = float(os.environ.get("GUARDIAN_PROBE", "20"))
#: EC2's notices that this process has handled.
HANDLED: set = set()
WARN_AT = sorted(float(at) for at in os.environ.get("GUARDIAN_WARN_AT", "1800 900 300").split())


def watch():
    """Watch the instance metadata and the limits until the box ends."""
    probes.MARKER.touch()
    probes.MARKER.chmod(0o666)  # any user may say that the box is busy
    with limits.locked():
        limits.save_if_possible(limits.read())  # after a boot it has changed
    threading.Thread(target=watch_idleness, daemon=True).start()
    warned_at = None
    while True:
        with contextlib.suppress(OSError):
            look_for_interruption()
        current = limits.read()
        left, reason = next_end(current)
        if left <= 0:
            ending.end(reason)
        warned_at = warn_in_time(left, reason, current, warned_at)
        time.sleep(LOOK_SECONDS)


def check():
    """End the box at its deadline. Save what is left by the monotonic clock, which begins anew at each boot."""
    with limits.locked():
        current = limits.read()
        left = limits.seconds_left(current)
        if current["deadline"]:
            current.update(remaining=left, since=time.monotonic())
            limits.save_if_possible(current)
    if left <= 0:
        ending.end(current["reason"])


def next_end(current):
    """Return the seconds until the box ends, and why."""
    left = limits.seconds_left(current)
    if current["idle_timeout"]:
        idle_left = current["idle_timeout"] - read_idleness()["idle_seconds"]
        if idle_left < left:
            return idle_left, "idle"
    return left, current["reason"]


def warn_in_time(left, reason, current, warned_at):
    """Warn once at each of WARN_AT; take the warning back when the end is far. Return the last one that was reached."""
    longest = current["idle_timeout"] if reason == "idle" else limits.NEVER
    reached = [at for at in WARN_AT if left <= at < longest]
    if not reached:
        ending.tidy_up()
        return None
    if reached[0] != warned_at:
        end = datetime.fromtimestamp(time.time() + left, timezone.utc)
        ending.warn(f"This box ends in {left / 60:.0f} minutes, at {end:%H:%M} UTC ({reason}).", current["instance_id"])
    return reached[0]


def watch_idleness():
    """Look at what the box does, again and again. A probe that hangs stops this thread, and with it the idle time."""
    idle_since = read_idleness().get("idle_since", time.monotonic())
    while True:
        found = probes.look()
        now = time.monotonic()
        if any(found.values()):
            idle_since = now
        idleness = {"idle_since": idle_since, "idle_seconds": now - idle_since, "probes": found}
        draft = IDLENESS.with_suffix(".new")
        draft.write_text(json.dumps(idleness))
        draft.replace(IDLENESS)
        time.sleep(PROBE_SECONDS)


def read_idleness():
    """Return what the probes found since the boot, which empties /run. A restarted guardian goes on from there."""
    try:
        return json.loads(IDLENESS.read_text())
    except (OSError, ValueError):
        return {"idle_seconds": 0}


def look_for_interruption():
    """Act on EC2's notices, once on each. OSError if the instance metadata does not answer."""
    notice = limits.metadata("meta-data/spot/instance-action")
    if notice and is_new("interruption"):
        ending.write_to_console(f"spot interruption: {notice}")
        ending.write_to_terminals("EC2 takes this spot box away in two minutes. Save your work now.")
        ending.run_hooks("on-interrupt.d")
        ending.release_data()
    elif limits.metadata("meta-data/events/recommendations/rebalance") and is_new("rebalance"):
        ending.write_to_terminals("EC2 reports a raised risk of a spot interruption. It may come in hours, or never.")
        threading.Thread(target=ending.run_hooks, args=["on-rebalance.d"]).start()


def is_new(notice):
    """Return whether the notice was not handled before, and note it: a restarted guardian repeats nothing."""
    with limits.locked():
        current = limits.read()
        if notice in current["done"] or notice in HANDLED:
            return False
        HANDLED.add(notice)
        current["done"].append(notice)
        limits.save_if_possible(current)
    return True


if __name__ == "__main__":
    IDLENESS.parent.mkdir(mode=0o755, exist_ok=True)
    if sys.argv[1] == "set":
        limits.change(json.loads(sys.argv[2]))
    else:
        {"watch": watch, "check": check}[sys.argv[1]]()
