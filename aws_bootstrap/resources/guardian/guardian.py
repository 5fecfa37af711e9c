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

import ending
import limits
import peers
import probes

IDLENESS = limits.RUN / "idleness.json"
LOOK_SECONDS = float(os.environ.get("GUARDIAN_LOOK", "5"))
PROBE_SECONDS = float(os.environ.get("GUARDIAN_PROBE", "20"))
#: The warnings: so many seconds before the end.
WARN_AT = sorted(float(at) for at in os.environ.get("GUARDIAN_WARN_AT", "1800 900 300").split())
#: A look that takes longer hangs.
LONGEST_LOOK_SECONDS = 60 + 2 * PROBE_SECONDS
#: When the last look ended, and whether it found work on this box.
LOOK = {"at": time.monotonic(), "work": False}
#: EC2's notices that this process has handled.
HANDLED: set = set()


def watch():
    """Watch the instance metadata and the limits until the box ends."""
    probes.MARKER.touch()
    probes.MARKER.chmod(0o666)  # any user may say that the box is busy
    with limits.locked():
        limits.save(limits.read())
    threading.Thread(target=watch_idleness, daemon=True).start()
    threading.Thread(target=peers.watch, args=[has_work, LOOK_SECONDS], daemon=True).start()
    warned = None
    while True:
        with contextlib.suppress(OSError):
            look_for_interruption()
        current = limits.read()
        left, reason = next_end(current)
        if left <= 0:
            ending.end(reason)
        warned = warn_in_time(left, reason, current, warned)
        time.sleep(LOOK_SECONDS)


def check():
    """End the box at its deadline. Save what is left by the monotonic clock, which begins anew at each boot."""
    current = limits.read()
    if limits.seconds_left(current) <= 0:
        ending.end(current["reason"])
    with contextlib.suppress(BlockingIOError), limits.locked(wait=False):  # a stopped process may hold the lock
        current = limits.read()
        if current["deadline"]:
            current.update(remaining=limits.seconds_left(current), since=time.monotonic())
        limits.save(current)


def next_end(current):
    """Return the seconds until the box ends, and why."""
    left = limits.seconds_left(current)
    if current["idle_timeout"]:
        idle_left = current["idle_timeout"] - read_idleness()["idle_seconds"]
        if idle_left < left:
            return idle_left, "idle"
    return left, current["reason"]


def warn_in_time(left, reason, current, warned):
    """Warn once at each of WARN_AT; take the warning back when the end is far. Return what was warned of."""
    longest = limits.NEVER
    if reason == "idle":
        longest = current["idle_timeout"]
    reached = [at for at in WARN_AT if left <= at < longest]
    if not reached:
        ending.tidy_up()
        return None
    warning = (reached[0], current["deadline"])
    if warning != warned:
        end = datetime.fromtimestamp(time.time() + left, timezone.utc)
        sentence = f"This box ends in {left / 60:.0f} min, at {end:%H:%M} UTC ({reason})."
        if reason == "idle":
            sentence += " If you need it, type on it: aws-bootstrap keep-busy"
        ending.warn(sentence, current["instance_id"])
    return warning


def watch_idleness():
    """Look at what the box does, again and again. A probe that hangs stops this thread, and with it the idle time."""
    idle = read_idleness()["idle_seconds"]
    before = time.monotonic()
    while True:
        found = probes.look()
        now = time.monotonic()
        LOOK.update(at=now, work=probes.has_work(found))
        idle += min(now - before, 2 * PROBE_SECONDS)  # what nobody looked at does not count
        if any(found.values()):
            idle = 0
        before = now
        with contextlib.suppress(OSError):
            write_idleness({"idle_seconds": round(idle), "probes": found})
        time.sleep(PROBE_SECONDS)


def has_work():
    """Return whether the other nodes of the cluster must know that this box works: a probe that hangs may hide work.

    What a box does while it ends is no work, or each node that ends would give the others a new idle time.
    """
    hangs = time.monotonic() - LOOK["at"] > LONGEST_LOOK_SECONDS
    return (LOOK["work"] or hangs) and not ending.BEGUN.is_set()


def read_idleness():
    """Return what the probes found since the boot, which empties /run. A restarted guardian goes on from there."""
    try:
        return json.loads(IDLENESS.read_text())
    except (OSError, ValueError):
        return {"idle_seconds": 0}


def write_idleness(idleness):
    """Save what the probes found: `status --gpu` reads it."""
    draft = IDLENESS.with_suffix(".new")
    draft.write_text(json.dumps(idleness))
    draft.replace(IDLENESS)


def look_for_interruption():
    """Act on EC2's notices, once on each. OSError if the instance metadata does not answer."""
    notice = limits.metadata("spot/instance-action")
    if notice and "interruption" not in HANDLED:
        HANDLED.add("interruption")
        threading.Thread(target=os.sync, daemon=True).start()  # much may have to be written
        ending.write_to_console(f"spot interruption: {notice}")
        ending.write_to_terminals("EC2 takes this spot box away in two minutes. Save your work now.")
        if is_new("interruption"):
            ending.run_hooks("on-interrupt.d")
        ending.release_data()
    elif "rebalance" not in HANDLED and limits.metadata("events/recommendations/rebalance"):
        HANDLED.add("rebalance")
        if is_new("rebalance"):
            ending.write_to_terminals("EC2 reports a raised risk of a spot interruption: in hours, or never.")
            threading.Thread(target=ending.run_hooks, args=["on-rebalance.d"], daemon=True).start()


def is_new(notice):
    """Return whether no guardian of this box has handled the notice, and note it: hooks run at most once."""
    with limits.locked():
        current = limits.read()
        if notice in current["done"]:
            return False
        current["done"].append(notice)
        limits.save(current)
    return True


if __name__ == "__main__":
    os.umask(0o022)
    limits.RUN.mkdir(exist_ok=True)
    if sys.argv[1] == "set":
        limits.change(json.loads(sys.argv[2]))
        probes.MARKER.touch()  # who extends a box needs it: the idle time begins anew
    else:
        {"watch": watch, "check": check}[sys.argv[1]]()
