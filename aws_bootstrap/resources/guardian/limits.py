"""The limits of this box, on its root disk, and the instance that they belong to.

A copy of the disk has no limits. Two clocks run towards a deadline, the wall clock and the monotonic one, since either
may be set: the earlier end counts.
"""

import contextlib
import fcntl
import json
import os
import time
from http.client import HTTPConnection
from pathlib import Path

LIMITS = Path("/var/lib/aws-bootstrap/limits.json")
METADATA = os.environ.get("GUARDIAN_METADATA", "169.254.169.254")
#: A box that was off past its deadline has this long after its start.
GRACE_SECONDS = float(os.environ.get("GUARDIAN_GRACE", "900"))
NEVER = float("inf")


def metadata(path, method="GET", header="", value=""):
    """Return what the instance metadata (IMDSv2) has at this path, "" for nothing. OSError if it does not answer."""
    if method == "GET":
        header, value = "token", metadata("api/token", "PUT", "token-ttl-seconds", "60")
    with contextlib.closing(HTTPConnection(METADATA, timeout=2)) as connection:
        connection.request(method, f"/latest/{path}", headers={f"X-aws-ec2-metadata-{header}": value})
        reply = connection.getresponse()
        text = reply.read().decode()
        return text if reply.status == 200 else ""


def own_instance_id():
    """Return the id of this instance; "" if neither the metadata nor cloud-init has it: then limits hold."""
    with contextlib.suppress(OSError):
        return metadata("meta-data/instance-id")
    with contextlib.suppress(OSError):
        return Path("/var/lib/cloud/data/instance-id").read_text().strip()
    return ""


@contextlib.contextmanager
def locked():
    """Let one process at a time read and save. The folder is locked, which works on a full or read-only disk too."""
    LIMITS.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(LIMITS.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def save(limits):
    """Write the limits, whole or not at all. OSError if the disk does not take them."""
    draft = LIMITS.with_suffix(".new")
    with open(draft, "w") as file:
        json.dump(limits, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(LIMITS)


def save_if_possible(limits):
    """Save what the end of the box must not depend on."""
    try:
        save(limits)
    except OSError as error:
        print(f"{LIMITS} was not saved: {error}", flush=True)


def read():
    """Return the limits of this instance; no limits on a copy of another instance's disk."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    none: dict = {
        "boot": boot,
        "instance_id": "",
        "deadline": None,
        "idle_timeout": None,
        "reason": "deadline",
        "done": [],
    }
    try:
        limits = json.loads(LIMITS.read_text())
    except (OSError, ValueError):
        return none
    if limits["boot"] == boot:
        return limits
    if limits["instance_id"] and own_instance_id() not in ("", limits["instance_id"]):
        return none
    limits.update(boot=boot, since=time.monotonic())  # this clock begins anew at each boot
    if seconds_left(limits) <= 0:
        set_deadline(limits, GRACE_SECONDS)
    return limits


def set_deadline(limits, seconds):
    """Set the deadline so many seconds from now, by the wall clock and by the monotonic clock."""
    limits.update(deadline=time.time() + seconds, remaining=seconds, since=time.monotonic())


def seconds_left(limits):
    """Return the seconds until the deadline, by the clock that ends first."""
    if not limits["deadline"]:
        return NEVER
    by_monotonic_clock = limits["remaining"] - (time.monotonic() - limits["since"])
    return min(limits["deadline"] - time.time(), by_monotonic_clock)


def change(changes):
    """Change the limits: `deadline` in seconds from now, `extend` in seconds more, `idle_timeout`. None removes one."""
    with locked():
        limits = read()
        limits["instance_id"] = limits["instance_id"] or own_instance_id()
        seconds = changes.pop("deadline", 0)
        more = changes.pop("extend", None)
        if more:
            seconds = more
            if limits["deadline"]:
                seconds += max(0, seconds_left(limits))
        if seconds:
            set_deadline(limits, seconds)
        elif seconds is None:
            limits["deadline"] = None
        limits.update(changes)
        save(limits)
    print(json.dumps(limits))
