"""A box with the guardian on it, as the user data of a launch puts it there. Its time runs as its settings say."""

from __future__ import annotations

import gzip
import json
import subprocess
from dataclasses import replace
from pathlib import Path

from aws_bootstrap import cloud_init, guardian
from aws_bootstrap.cloud_init import File, Part
from aws_bootstrap.guardian import Limits
from aws_bootstrap.tests.box.machines import Box, Container, command, until

ENV = "/etc/aws-bootstrap/guardian.env"
NOTICE = "home/ubuntu/AWS-BOOTSTRAP-DEADLINE"
IDLENESS = "run/aws-bootstrap/idleness.json"
SERVICE = "aws-bootstrap-guardian"

#: Twenty times as fast as on a user's box: what a look counts is the same, so a login is as little traffic as there.
FAST = {
    "GUARDIAN_LOOK": "0.25",
    "GUARDIAN_PROBE": "1",
    "GUARDIAN_SSH": "81920",
    "GUARDIAN_WARN_AT": "9 6 3",
    "GUARDIAN_GRACE": "8",
    "GUARDIAN_HOOKS": "2",
}
_FAST_TIMER = """[Timer]
OnBootSec=
OnActiveSec=1s
OnUnitActiveSec=1s
AccuracySec=50ms
"""

#: What cloud-init does with the two keys that the tool uses, as root.
_CLOUD_INIT = """
import gzip, json, os, subprocess, sys
config = json.loads(gzip.decompress(sys.stdin.buffer.read()).split(b"\\n", 1)[1])
for file in config["write_files"]:
    os.makedirs(os.path.dirname(file["path"]), exist_ok=True)
    with open(file["path"], "w") as written:
        written.write(file["content"])
    os.chmod(file["path"], int(file["permissions"], 8))
for words in config["runcmd"]:
    subprocess.run(words, check=True)
"""


def user_data(limits: Limits, settings: dict[str, str], timer: str = "") -> bytes:
    """Return the user data of a launch, with these settings added to the guardian's."""
    part = guardian.part(limits, user="ubuntu", ssh_port=22)
    added = "".join(f"{name}={value}\n" for name, value in settings.items())
    files: list[File] = []
    for file in part.files:
        if file.path == ENV:
            file = replace(file, content=file.content + added)
        files.append(file)
    if timer:
        files.append(File("/etc/systemd/system/aws-bootstrap-deadline.timer.d/fast.conf", timer))
    data = cloud_init.user_data([Part(tuple(files), part.commands)])
    assert data is not None
    assert gzip.decompress(data).startswith(b"#cloud-config\n")
    return data


def install(box: Box, limits: Limits, settings: dict[str, str] | None = None, timer: str = _FAST_TIMER) -> None:
    """Do at a box what cloud-init does at its first boot."""
    if settings is None:
        settings = FAST
    words = [*box.ssh_words(), f"sudo python3 -c '{_CLOUD_INIT}'"]
    done = subprocess.run(words, input=user_data(limits, settings, timer), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


#: The stand-in for the instance metadata, at its real address, from the boot on.
_IMDS_UNIT = """[Unit]
Before=aws-bootstrap-guardian.service aws-bootstrap-deadline.service

[Service]
ExecStartPre=ip address replace 169.254.169.254/32 dev lo
ExecStart=python3 /usr/local/lib/imds.py /srv/imds 169.254.169.254 80
ExecStartPost=sh -c 'until ss -Hltn sport = :80 | grep -q .; do sleep 0.05; done'

[Install]
WantedBy=multi-user.target
"""


def serve_metadata(box: Box, instance_id: str) -> None:
    """Give a box instance metadata: the files below /srv/imds."""
    put(box, "/usr/local/lib/imds.py", (Path(__file__).parent / "imds.py").read_text())
    put(box, "/srv/imds/instance-id", instance_id)
    put(box, "/etc/systemd/system/imds.service", _IMDS_UNIT)
    box.says("sudo systemctl daemon-reload && sudo systemctl enable -q --now imds")


def change(box: Box, **changes: object) -> dict:
    """Change the limits, as `extend` does."""
    words = " ".join(f"'{word}'" for word in guardian.change_command(changes))
    return json.loads(box.says(words))


def put(box: Box, path: str, content: str, mode: int = 0o644) -> None:
    """Write a file of root's into a box."""
    words = f"sudo install -D -m {mode:o} /dev/stdin {path}"
    subprocess.run([*box.ssh_words(), words], input=content.encode(), check=True)


def hook(box: Box, folder: str, name: str, script: str) -> None:
    """Give the login user a program in a hook folder."""
    path = f"~/.aws-bootstrap/{folder}/{name}"
    words = f"mkdir -p ~/.aws-bootstrap/{folder} && cat >{path} && chmod +x {path}"
    subprocess.run([*box.ssh_words(), words], input=f"#!/bin/sh\n{script}\n".encode(), check=True)


def inside(box: Container, path: str) -> Path:
    """Return a file of a running container, those in /run included, without a login that the guardian would see."""
    assert box.process
    leader = command("ps", "-o", "pid=", "--ppid", str(box.process.pid)).split()[0]
    return Path(f"/proc/{leader}/root") / path


def idleness(box: Container) -> dict:
    """Return what the guardian has found."""
    until(lambda: inside(box, IDLENESS).exists(), "what the guardian finds")
    return json.loads(inside(box, IDLENESS).read_text())


def wait_for_end(box: Box, seconds: float) -> None:
    """Wait until the box is off."""
    assert box.process
    box.process.wait(seconds)


def is_running(box: Box) -> bool:
    """Return whether the box is on."""
    assert box.process
    return box.process.poll() is None


def console(box: Box) -> str:
    """Return what the box wrote to its console."""
    return (box.folder / "console").read_text(errors="replace")


def wait_for_console(box: Box, text: str, seconds: float = 30) -> None:
    """Wait until a box writes this to its console."""
    until(lambda: text in console(box), text, seconds)


def restart(box: Container) -> None:
    """Shut a container down in order, and boot it again."""
    box.ssh("sudo systemctl poweroff", check=False)
    wait_for_end(box, 60)
    box.start()
