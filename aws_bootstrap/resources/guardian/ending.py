"""How the box ends, and how its users are warned."""

import contextlib
import fcntl
import os
import pwd
import signal
import subprocess
import threading
import time
from pathlib import Path

#: What a GB of a data volume costs a month, in USD.
GB_MONTH = float(os.environ.get("GUARDIAN_GB_MONTH", "0.08"))
#: How long the programs of a hook folder may run in all, how long jobs may take to end, and any step of the end.
HOOK_SECONDS = float(os.environ.get("GUARDIAN_HOOKS", "100"))
JOB_SECONDS = 20
STEP_SECONDS = 300
PATH = "/usr/local/bin:/usr/bin:/bin"
#: Set once the end has begun.
BEGUN = threading.Event()


def login_user():
    """Return the login user; root if this image has no such user."""
    try:
        return pwd.getpwnam(os.environ.get("GUARDIAN_USER", "root"))
    except KeyError:
        return pwd.getpwuid(0)


USER = login_user()
NOTICE = Path(USER.pw_dir, "AWS-BOOTSTRAP-DEADLINE")


def end(reason):
    """Power the box off, which terminates it. Service and timer may both call this: the second one waits."""
    BEGUN.set()
    lock = os.open(__file__, os.O_RDONLY)
    until = time.monotonic() + 4 * STEP_SECONDS
    while not try_lock(lock) and time.monotonic() < until:
        time.sleep(1)
    write_to_console(f"this box ends: {reason}")
    for step in (run_end_hooks, end_jobs, release_data):
        thread = threading.Thread(target=step, daemon=True)
        thread.start()
        thread.join(STEP_SECONDS)  # whatever became of it, such as a disk that does not answer: go on
    subprocess.run(["systemctl", "poweroff", "-i"])
    time.sleep(STEP_SECONDS)
    os.close(lock)


def try_lock(lock):
    """Return whether this process has the lock now."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def write_to_console(text):
    """Write a line to the serial console, which EC2 keeps after the end, and to the journal."""
    write_to(Path("/dev/console"), f"aws-bootstrap: {text}")
    say(text)


def say(text):
    """Write to the journal, which may be full or stopped."""
    with contextlib.suppress(OSError):
        print(text, flush=True)


def write_to(terminal, text):
    """Write lines to a terminal. One that does not take them is left out."""
    with contextlib.suppress(OSError):
        handle = os.open(terminal, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        with open(handle, "w") as file:
            file.write("\r\n" + text.replace("\n", "\r\n") + "\r\n")


def write_to_terminals(text):
    """Write to every terminal, and to the journal."""
    for terminal in Path("/dev/pts").glob("[0-9]*"):
        write_to(terminal, text)
    say(text)


def warn(sentence, instance_id):
    """Write the warning, and what can be done, to every terminal and to a file in the user's home."""
    name = instance_id or "ALIAS"
    lines = [sentence, f"More time, from your own machine: aws-bootstrap extend {name} 2h", *about_data()]
    write_to_terminals("\n".join(lines))
    with contextlib.suppress(OSError):
        NOTICE.write_text("\n".join(lines) + "\n")
        os.chown(NOTICE, USER.pw_uid, USER.pw_gid)


def about_data():
    """Say what becomes of the data volume: it outlives the box, and bills."""
    try:
        device = subprocess.check_output(["findmnt", "-no", "SOURCE", "/data"], text=True).strip()
        text = subprocess.check_output(["lsblk", "-bdno", "SIZE,SERIAL", device], text=True)
        size, serial = text.split()
    except (OSError, subprocess.SubprocessError, ValueError):
        return []
    if not serial.startswith("vol"):
        return []
    volume = "vol-" + serial[3:].lstrip("-")  # an NVMe disk of EC2 has the id without its dash
    cost = int(size) / 2**30 * GB_MONTH
    return [
        f"The data volume {volume} at /data stays, and bills about ${cost:.2f}/month.",
        f"Use it again: aws-bootstrap launch --ebs-volume-id {volume}",
        "Delete it, if it was created with the box: aws-bootstrap cleanup --include-ebs",
    ]


def tidy_up():
    """Remove the file of a warning that holds no more."""
    with contextlib.suppress(OSError):
        NOTICE.unlink()


def run_end_hooks():
    """Run the user's programs for the end of the box."""
    run_hooks("on-end.d")


def run_hooks(folder):
    """Run the programs of the user's folder as the user, all at the same time. One that takes too long is killed."""
    until = time.monotonic() + HOOK_SECONDS
    running = []
    for hook in sorted(Path(USER.pw_dir, ".aws-bootstrap", folder).glob("*")):
        try:
            running.append(start_as_user(hook))
        except OSError as error:
            say(f"{hook} was not run: {error}")
    for program in running:
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.wait(max(0, until - time.monotonic()))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)


def start_as_user(hook):
    """Start a program as the login user, in his home and in a process group of its own."""
    environment = {"HOME": USER.pw_dir, "USER": USER.pw_name, "LOGNAME": USER.pw_name, "PATH": PATH}
    settings: dict = {"cwd": USER.pw_dir, "env": environment, "stdin": subprocess.DEVNULL, "start_new_session": True}
    if os.getuid() != USER.pw_uid:
        groups = os.getgrouplist(USER.pw_name, USER.pw_gid)
        settings.update(user=USER.pw_uid, group=USER.pw_gid, extra_groups=groups)
    return subprocess.Popen([hook], **settings)


def end_jobs():
    """Send TERM to everything that the user runs; systemd kills later what does not end."""
    jobs = ["aws-bootstrap-run-*.service", "jupyter.service", f"user-{USER.pw_uid}.slice"]
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(["systemctl", "stop", *jobs], timeout=JOB_SECONDS, stderr=subprocess.DEVNULL)


def release_data():
    """Unmount /data, and end whoever uses it. What still holds it then ends with the box, when systemd unmounts it."""
    os.sync()
    if subprocess.run(["mountpoint", "-q", "/data"]).returncode:
        return
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL, signal.SIGKILL, signal.SIGKILL):
        if subprocess.run(["umount", "--recursive", "/data"]).returncode == 0:
            return
        for pid in users_of("/data"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        time.sleep(1)
    say("/data could not be unmounted.")


def users_of(folder):
    """Return the processes that have something open below the folder, but not this one."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        if int(process.name) != os.getpid() and uses(process, folder):
            found.append(int(process.name))
    return found


def uses(process, folder):
    """Return whether a process has something open below the folder. What it has closed meanwhile does not count."""
    names = [process / "cwd", process / "root", process / "exe"]
    for listing in ("fd", "map_files"):
        with contextlib.suppress(OSError):
            names += (process / listing).iterdir()
    for name in names:
        with contextlib.suppress(OSError):
            opened = os.readlink(name)
            if opened == folder or opened.startswith(f"{folder}/"):
                return True
    return False
