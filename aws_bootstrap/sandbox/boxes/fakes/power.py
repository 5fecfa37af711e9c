"""shutdown, reboot, poweroff: requests to the sandbox, which changes the instance's state in EC2.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_ChangingInstanceInitiatedShutdownBehavior.html
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta

import box

SCHEDULED = "/run/systemd/shutdown/scheduled"


def poweroff(program: str, arguments: list[str]) -> int:
    """Power the machine off."""
    box.request("poweroff")
    return 0


def reboot(program: str, arguments: list[str]) -> int:
    """Reboot the machine."""
    box.request("reboot")
    return 0


def shutdown(program: str, arguments: list[str]) -> int:
    """Schedule `shutdown [-h|-P|-r] [now|+minutes|hh:mm]`, or cancel it (`shutdown -c`)."""
    if "-c" in arguments:
        return _cancel()
    action = "reboot" if "-r" in arguments or "--reboot" in arguments else "poweroff"
    when = next((word for word in arguments if not word.startswith("-")), "+1")
    seconds = _seconds(when)
    if seconds is None:
        return box.complain(f"Failed to parse time specification: {when}")
    if seconds == 0:
        box.request(action)
        return 0
    return _schedule(action, seconds)


def _seconds(when: str) -> float | None:
    """Return the seconds until then; None if `when` is invalid."""
    if when == "now":
        return 0
    if when.lstrip("+").isdigit():
        return int(when.lstrip("+")) * 60
    try:
        clock = datetime.strptime(when, "%H:%M")
    except ValueError:
        return None
    now = datetime.now()
    then = now.replace(hour=clock.hour, minute=clock.minute, second=0, microsecond=0)
    return (then + timedelta(days=then <= now) - now).total_seconds()


def _schedule(action: str, seconds: float) -> int:
    """Start a background process that waits; the file is the one that systemd-logind writes (systemd-logind(8))."""
    _cancel()
    control = str(box.place("/run/sandbox/control"))
    program = f"import time; time.sleep({seconds}); open({control!r}, 'w').write('{action}\\n')"
    waiter = subprocess.Popen(
        [sys.executable, "-ISc", program],
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    scheduled = box.place(SCHEDULED)
    scheduled.parent.mkdir(parents=True, exist_ok=True)
    moment = time.time() + seconds
    scheduled.write_text(f"USEC={int(moment * 1e6)}\nWARN_WALL=1\nMODE={action}\nPID={waiter.pid}\n")
    stamp = time.strftime("%a %Y-%m-%d %H:%M:%S %Z", time.localtime(moment))
    box.complain(f"Shutdown scheduled for {stamp}, use 'shutdown -c' to cancel.")
    return 0


def _cancel() -> int:
    """Cancel the scheduled shutdown, if there is one."""
    scheduled = box.place(SCHEDULED)
    if scheduled.exists():
        found = dict(line.split("=", 1) for line in scheduled.read_text().splitlines())
        with contextlib.suppress(OSError):
            os.kill(int(found["PID"]), signal.SIGTERM)
        scheduled.unlink()
    return 0
