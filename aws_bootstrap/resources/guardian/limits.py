"""The limits of this box, and the instance that they belong to. A copy of its disk has no limits.

They are in two files: in /run for this boot, where they hold on a full or read-only disk too, and on the root disk for
the next boot. Two clocks run towards a deadline, since the wall clock may be set, and the monotonic clock begins anew
at each boot: the earlier end counts.
"""

import contextlib
import fcntl
import json
import os
import sys
import time
from pathlib import Path

RUN = Path("/run/aws-bootstrap")
OF_THIS_BOOT = RUN / "limits.json"
ON_DISK = Path("/var/lib/aws-bootstrap/limits.json")
METADATA = os.environ.get("GUARDIAN_METADATA", "169.254.169.254")
#: A box that was off past its deadline has this long after its start.
GRACE_SECONDS = float(os.environ.get("GUARDIAN_GRACE", "900"))
NEVER = float("inf")


def metadata(path):
    """Return what the instance metadata (IMDSv2) has at this path, "" for nothing. OSError if it does not answer."""
    token = request("PUT", "api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})
    return request("GET", f"meta-data/{path}", {"X-aws-ec2-metadata-token": token})


def request(method, path, headers):
    """Send a request to the instance metadata."""
    from http.client import HTTPConnection, HTTPException  # 6 MB, which the timer's runs do without

    with contextlib.closing(HTTPConnection(METADATA, timeout=2)) as connection:
        try:
            connection.request(method, f"/latest/{path}", headers=headers)
            reply = connection.getresponse()
            text = reply.read().decode(errors="replace")
        except HTTPException as error:
            raise OSError(f"no HTTP: {error!r}") from error
    return text if reply.status == 200 else ""


def own_instance_id():
    """Return the id of this instance; "" if neither the metadata nor cloud-init has it: then limits hold."""
    found = ""
    with contextlib.suppress(OSError):
        found = metadata("instance-id")
    if not found:
        with contextlib.suppress(OSError):
            found = Path("/var/lib/cloud/data/instance-id").read_text().strip()
    return found


@contextlib.contextmanager
def locked(wait=True):
    """Let one process at a time read and save. BlockingIOError if another one does, and this one must not wait."""
    mode = fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB
    folder = os.open(RUN, os.O_RDONLY)
    try:
        fcntl.flock(folder, mode)
        yield
    finally:
        os.close(folder)


def save(limits):
    """Save the limits. OSError if /run does not take them; a disk that does not take them is reported."""
    write(OF_THIS_BOOT, limits)
    try:
        write(ON_DISK, limits)
    except OSError as error:
        print(f"The limits hold until the next boot only, since they were not saved: {error}", file=sys.stderr)


def write(path, limits):
    """Write a file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    with open(draft, "w") as file:
        json.dump(limits, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def read():
    """Return the limits of this instance. The first to call it after a boot saves them: this boot's clock has begun."""
    with contextlib.suppress(OSError, ValueError):
        return json.loads(OF_THIS_BOOT.read_text())
    limits = no_limits()
    with contextlib.suppress(OSError, ValueError, TypeError):
        limits.update(json.loads(ON_DISK.read_text()))
    if limits["instance_id"] and own_instance_id() not in ("", limits["instance_id"]):
        limits = no_limits()
    limits["since"] = time.monotonic()
    if seconds_left(limits) <= 0:
        set_deadline(limits, GRACE_SECONDS)
    return limits


def no_limits():
    """Return the limits of a box that nothing ends. `done`: the notices of EC2 that were handled."""
    return {"instance_id": "", "deadline": None, "idle_timeout": None, "reason": "deadline", "done": []}


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
