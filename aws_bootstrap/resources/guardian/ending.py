"""How the box ends, and how its users are warned."""

import contextlib
import fcntl
import os
import pwd
import signal
import subprocess
import time
from pathlib import Path

USER = pwd.getpwnam(os.environ.get("GUARDIAN_USER", "root"))
#: What a GB of a data volume costs a month, in USD.
GB_MONTH = float(os.environ.get("GUARDIAN_GB_MONTH", "0.08"))
NOTICE = Path(USER.pw_dir, "AWS-BOOTSTRAP-DEADLINE")
#: How long the programs of a hook folder may run in all, and how long jobs may take to end.
HOOK_SECONDS = float(os.environ.get("GUARDIAN_HOOKS", "100"))
JOB_SECONDS = 20
PATH = "/usr/local/bin:/usr/bin:/bin"


def end(reason):
    """Power the box off, which terminates it. Service and timer may both come to this."""
    with open("/run/aws-bootstrap/ending.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the second one waits until the box is off
        write_to_console(f"this box ends: {reason}")
        run_hooks("on-end.d")
        end_jobs()
        release_data()
        subprocess.run(["systemctl", "poweroff"])
        time.sleep(600)


def write_to_console(text):
    """Write a line to the serial console, which EC2 keeps after the end, and to the journal."""
    with contextlib.suppress(OSError), open("/dev/console", "w") as console:
        console.write(f"\r\naws-bootstrap: {text}\r\n")
    print(text, flush=True)


def warn(sentence, instance_id):
    """Write the warning, and what can be done, to every terminal and to a file in the user's home."""
    lines = [sentence, f"More time, from your own machine: aws-bootstrap extend {instance_id} 2h", *about_data()]
    write_to_terminals("\n".join(lines))
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
    volume = serial.replace("vol", "vol-").replace("--", "-")  # an NVMe disk of EC2 has the id without its dash
    cost = int(size) / 2**30 * GB_MONTH
    return [
        f"The data volume {volume} at /data stays, and bills about ${cost:.2f}/month.",
        f"Use it again: aws-bootstrap launch --ebs-volume-id {volume}",
        "Delete it, if it was created with the box: aws-bootstrap cleanup --include-ebs",
    ]


def tidy_up():
    """Remove the file of a warning that holds no more."""
    NOTICE.unlink(missing_ok=True)


def write_to_terminals(text):
    """Write to every terminal. One that does not take it is left out."""
    for terminal in Path("/dev/pts").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            handle = os.open(terminal, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
            with open(handle, "w") as file:
                file.write("\r\n" + text.rstrip().replace("\n", "\r\n") + "\r\n")
    print(text, flush=True)


def run_hooks(folder):
    """Run the programs of the user's folder as the user, all at the same time. One that takes too long is killed."""
    until = time.monotonic() + HOOK_SECONDS
    running = []
    for hook in sorted(Path(USER.pw_dir, ".aws-bootstrap", folder).glob("*")):
        try:
            running.append(start_as_user(hook))
        except OSError as error:
            print(f"{hook} was not run: {error}", flush=True)
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
    """Unmount /data, and end whoever uses it."""
    os.sync()
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL, signal.SIGKILL, None):
        if subprocess.run(["mountpoint", "-q", "/data"]).returncode:
            return
        if subprocess.run(["umount", "/data"]).returncode == 0 or number is None:
            continue
        for pid in users_of("/data"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        time.sleep(1)
    subprocess.run(["umount", "--lazy", "/data"])
    os.sync()


def users_of(folder):
    """Return the processes that have something open below the folder, but not this one."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        if int(process.name) == os.getpid():
            continue
        names = [process / "cwd", process / "root", process / "exe"]
        try:
            names += [*(process / "fd").iterdir(), *(process / "map_files").iterdir()]
            opened = [os.readlink(name) for name in names]
        except OSError:  # it has ended
            continue
        if any(name == folder or name.startswith(f"{folder}/") for name in opened):
            found.append(int(process.name))
    return found
