"""Boxes, reached by the real ssh and scp, kept apart in each way that this machine has."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aws_bootstrap.sandbox.testing import Sandbox

from .conftest import describe, eventually, launch, state, wait_state

pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh client")

PORT = 2222
ON_2222 = "#cloud-config\nwrite_files:\n- path: /etc/ssh/sshd_config.d/10-port.conf\n  content: |\n    Port 2222\n"
SSH_SECONDS = 30


@dataclass
class Login:
    """The way into one box."""

    sandbox: Sandbox
    client: Any
    key: Path
    instance_id: str
    address: str
    port: int = PORT

    @property
    def options(self) -> list[str]:
        words = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "BatchMode=yes"]
        return ["-F", "/dev/null", "-i", str(self.key), *(word for option in words for word in ("-o", option))]

    @property
    def target(self) -> str:
        return f"ubuntu@{self.address}"

    def ssh(
        self, *words: str, stdin: bytes | None = None, options: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess:
        command = ["ssh", *self.options, *options, "-p", str(self.port), self.target, *words]
        return subprocess.run(command, capture_output=True, input=stdin or b"", timeout=SSH_SECONDS, check=False)

    def said(self, *words: str, stdin: bytes | None = None) -> str:
        done = self.ssh(*words, stdin=stdin)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def wait(self) -> Login:
        assert eventually(lambda: self.ssh("true").returncode == 0), self.console()
        return self

    def console(self) -> str:
        return (self.sandbox.home.boxes / self.instance_id / "console.log").read_text()


def keygen(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


def box(boxes: Sandbox, folder: Path, **changes) -> Login:
    """A running box that its key opens."""
    client = boxes.client()
    key = folder / "key"
    if not key.exists():
        keygen(key)
    if not client.describe_key_pairs()["KeyPairs"]:
        client.import_key_pair(KeyName="key", PublicKeyMaterial=key.with_suffix(".pub").read_bytes())
    made = launch(client, KeyName="key", **({"UserData": ON_2222} | changes))
    up = wait_state(client, made["InstanceId"], "running")
    return Login(boxes, client, key, made["InstanceId"], up["PublicIpAddress"]).wait()


_KEPT: dict[Path, Login] = {}


@pytest.fixture
def login(_boxes, tmp_path_factory):
    """One box for the tests that leave it as they found it, or nearly so; a new one if another test has wiped it."""
    kept = _KEPT.get(_boxes.home.root)
    if kept is None or kept.instance_id not in {one["instance_id"] for one in _boxes.status()["instances"]}:
        _boxes.wipe()
        kept = _KEPT[_boxes.home.root] = box(_boxes, tmp_path_factory.mktemp("login"))
    return kept


def test_a_command_has_its_input_its_output_and_its_exit_code(login):
    assert login.said("cat; echo done", stdin=b"hello ") == "hello done"
    done = login.ssh("echo out; echo err >&2; exit 7")
    assert (done.stdout, done.stderr, done.returncode) == (b"out\n", b"err\n", 7)
    big = os.urandom(3_000_000)
    assert login.ssh("cat", stdin=big).stdout == big


def test_the_box_is_its_own_machine(login):
    assert login.said("echo $USER; cd; pwd").splitlines()[0] == "ubuntu"
    assert "Tesla T4, 595" in login.said("nvidia-smi --query-gpu=name,driver_version --format=csv,noheader")
    assert "CUDA UMD Version: 13.2" in login.said("nvidia-smi")
    assert login.said("sudo -n sh -c 'echo x > /etc/mark'; sudo cat /etc/mark") == "x"
    assert not Path("/etc/mark").exists()
    assert (login.sandbox.home.boxes / login.instance_id / "root/etc/mark").read_text() == "x\n"


def test_only_the_instances_key_gets_in_and_only_as_its_user(login, tmp_path):
    stranger = Login(login.sandbox, login.client, keygen(tmp_path / "other"), login.instance_id, login.address)
    refused = stranger.ssh("true")
    assert refused.returncode == 255
    assert b"Permission denied (publickey)" in refused.stderr
    assert login.ssh("true", options=("-l", "root")).returncode == 255


def test_a_terminal_is_one(login):
    done = login.ssh("tty; stty size", options=("-tt",))
    assert b"/dev/pts/" in done.stdout
    shell = login.ssh(stdin=b"echo $((6 * 7))\nexit 5\n", options=("-tt",))
    assert b"42" in shell.stdout
    assert shell.returncode == 5


def test_a_client_that_goes_hangs_up_its_terminal(login):
    client = subprocess.Popen(
        ["ssh", *login.options, "-tt", "-p", str(login.port), login.target, "sleep 3000"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    assert eventually(lambda: _processes("sleep 3000"))
    client.kill()
    client.communicate()
    assert eventually(lambda: not _processes("sleep 3000"))


def test_files_come_and_go_by_scp_and_through_links(login, tmp_path):
    (tmp_path / "up").write_bytes(os.urandom(200_000))
    login.said("mkdir -p d; ln -s ~/d link; ln -s /etc/hostname name")
    for place in ("d/up", "link/again", "/home/ubuntu/absolute"):
        _scp(login, str(tmp_path / "up"), f"{login.target}:{place}")
    assert (
        login.said("cksum < d/up; cksum < d/again; cksum < absolute").split("\n").count(login.said("cksum < d/up")) == 3
    )
    _scp(login, f"{login.target}:link/up", str(tmp_path / "down"))
    assert (tmp_path / "down").read_bytes() == (tmp_path / "up").read_bytes()


def _scp(login: Login, source: str, target: str) -> None:
    done = subprocess.run(
        ["scp", *login.options, "-P", str(login.port), source, target],
        capture_output=True,
        timeout=SSH_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()


def test_a_forward_leads_to_the_boxs_own_port(login, free_port):
    server = "$SANDBOX_PYTHON -IS $(dirname $(command -v lsblk))/../lib/sandbox/jupyter.py lab --port=18888"
    unit = f"[Service]\\nExecStart={server}\\n"
    login.said(f'printf "{unit}" | sudo tee /etc/systemd/system/page.service >/dev/null')
    login.said("sudo systemctl restart page")
    tunnel = subprocess.Popen(
        ["ssh", *login.options, "-p", str(PORT), "-NL", f"{free_port}:localhost:18888", login.target],
        stderr=subprocess.PIPE,
    )
    try:
        assert eventually(lambda: _page(free_port))
    finally:
        tunnel.terminate()
        tunnel.communicate()


def _page(port: int) -> bytes:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/lab", timeout=2) as reply:
            return reply.read()
    except OSError:
        return b""


@pytest.fixture
def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_shutdown_can_be_scheduled_and_taken_back(login):
    assert "Shutdown scheduled" in login.ssh("sudo shutdown -h +10").stderr.decode()
    login.said("sudo shutdown -c")
    assert login.said("ls /run/systemd/shutdown 2>/dev/null | wc -l" if _apart(login) else "echo 0") == "0"


def test_each_box_has_its_own_host_key_and_address(boxes, tmp_path):
    first, second = box(boxes, tmp_path), box(boxes, tmp_path)
    assert first.address != second.address
    keys = [(boxes.home.boxes / one.instance_id / "host_key").read_text() for one in (first, second)]
    assert keys[0] != keys[1]


def test_sshd_listens_where_its_configuration_says(boxes, tmp_path):
    login = box(boxes, tmp_path)
    login.said("echo 'Port 2022' | sudo tee /etc/ssh/sshd_config.d/10-port.conf; sudo systemctl restart ssh")
    moved = Login(boxes, login.client, login.key, login.instance_id, login.address, 2022)
    moved.wait()
    assert eventually(lambda: login.ssh("true").returncode == 255)


def test_the_console_tells_the_boot(login):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetConsoleOutput.html"""
    said = login.client.get_console_output(InstanceId=login.instance_id)["Output"]
    assert f"listening on {login.address} port {PORT}" in said


def test_user_data_writes_files_and_runs_commands_once(boxes, tmp_path):
    data = ON_2222 + "runcmd:\n- [sh, -c, 'echo ran >> /var/log/mark']\n- echo shell >> /var/log/mark\n"
    login = box(boxes, tmp_path, UserData=data)
    assert eventually(lambda: login.ssh("sudo cat /var/log/mark").stdout == b"ran\nshell\n")
    login.ssh("sudo reboot")
    assert eventually(lambda: login.console().count("boots") == 2)
    login.wait()
    assert login.said("sudo cat /var/log/mark") == "ran\nshell"


def test_a_reboot_ends_processes_and_keeps_files(boxes, tmp_path):
    login = box(boxes, tmp_path)
    login.said("echo kept > file; (setsid sleep 1000 >/dev/null 2>&1 &) ; true")
    login.client.reboot_instances(InstanceIds=[login.instance_id])
    assert eventually(lambda: login.console().count("boots") == 2)
    login.wait()
    assert login.said("cat file") == "kept"
    assert state(login.client, login.instance_id) == "running"
    assert login.address == describe(login.client, login.instance_id)["PublicIpAddress"]
    assert _processes("sleep 1000") == []


def _processes(words: str) -> list[str]:
    """The machine's processes with this command line."""
    listed = [entry for entry in Path("/proc").glob("[0-9]*/cmdline")]
    found = []
    for entry in listed:
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode().strip()
        except OSError:
            continue
        found += [line] if line == words else []
    return found


@pytest.mark.parametrize(("behaviour", "end"), [("terminate", "terminated"), ("stop", "stopped")])
def test_a_shutdown_in_the_box_follows_the_shutdown_behaviour(boxes, tmp_path, behaviour, end):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_ChangingInstanceInitiatedShutdownBehavior.html"""
    login = box(boxes, tmp_path, InstanceInitiatedShutdownBehavior=behaviour)
    login.ssh("sudo shutdown -h now")
    gone = wait_state(login.client, login.instance_id, end)
    assert gone["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    assert login.ssh("true").returncode == 255


def _apart(login: Login) -> bool:
    return login.sandbox.status()["boxes"] in ("root", "user")


def test_a_terminated_box_leaves_nothing(boxes, tmp_path):
    login = box(boxes, tmp_path)
    login.said("(setsid sleep 2000 >/dev/null 2>&1 &) ; true")
    tunnel = subprocess.Popen(["ssh", *login.options, "-N", "-p", str(PORT), login.target], stderr=subprocess.DEVNULL)
    terminal = subprocess.Popen(
        ["ssh", *login.options, "-tt", "-p", str(PORT), login.target], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    login.client.terminate_instances(InstanceIds=[login.instance_id])
    wait_state(login.client, login.instance_id, "terminated")
    assert eventually(lambda: not (boxes.home.boxes / login.instance_id).exists())
    assert _processes("sleep 2000") == []
    assert tunnel.wait(SSH_SECONDS) == 255
    terminal.communicate(timeout=SSH_SECONDS)


# --- data volumes -----------------------------------------------------------------------------------------------


def volume_for(login: Login) -> str:
    zone = describe(login.client, login.instance_id)["Placement"]["AvailabilityZone"]
    made = login.client.create_volume(AvailabilityZone=zone, Size=96, VolumeType="gp3")["VolumeId"]
    attach(login, made)
    return made


def attach(login: Login, volume_id: str) -> None:
    def available():
        found = login.client.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]
        return found["State"] == "available"

    assert eventually(available)
    login.client.attach_volume(VolumeId=volume_id, InstanceId=login.instance_id, Device="/dev/sdf")
    serial = volume_id.replace("-", "")
    assert eventually(lambda: serial in login.said("lsblk -dno SERIAL"))


def test_a_data_volume_shows_its_serial_after_the_instance_store(boxes, tmp_path):
    """https://docs.aws.amazon.com/ebs/latest/userguide/identify-nvme-ebs-device.html"""
    login = box(boxes, tmp_path)
    volume_id = volume_for(login)
    rows = [line.split(maxsplit=2) for line in login.said("lsblk -dpno NAME,SERIAL,MODEL").splitlines()]
    assert [row[0] for row in rows] == ["/dev/nvme0n1", "/dev/nvme1n1", "/dev/nvme2n1"]
    assert rows[1][2] == "Amazon EC2 NVMe Instance Storage"
    assert rows[2][1] == volume_id.replace("-", "")


MOUNT = "sudo mkdir -p /data && sudo mount /dev/nvme2n1 /data"


def test_a_volume_keeps_its_files_when_it_moves(boxes, tmp_path):
    login = box(boxes, tmp_path)
    volume_id = volume_for(login)
    assert login.ssh("sudo blkid -p /dev/nvme2n1").returncode == 2
    assert login.ssh("sudo mkdir -p /data; sudo mount /dev/nvme2n1 /data").returncode == 32
    login.said(f"sudo mkfs.ext4 -q /dev/nvme2n1 && {MOUNT} && echo kept | sudo tee /data/file >/dev/null")
    assert login.said("findmnt -n -o SOURCE --mountpoint /data") == "/dev/nvme2n1"
    _scp(login, f"{login.target}:/data/file", str(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "kept\n"
    login.client.detach_volume(VolumeId=volume_id)
    assert eventually(lambda: "nvme2n1" not in login.said("lsblk -dno NAME"))
    assert login.ssh("findmnt -n --mountpoint /data").returncode == 1
    zone = describe(login.client, login.instance_id)["Placement"]["AvailabilityZone"]
    other = box(boxes, tmp_path, Placement={"AvailabilityZone": zone})
    attach(other, volume_id)
    other.said(MOUNT)
    assert other.said("sudo cat /data/file") == "kept"
    assert other.said("sudo blkid -p -o value -s TYPE /dev/nvme2n1") == "ext4"


def test_a_volume_of_fstab_is_back_after_a_reboot(boxes, tmp_path):
    login = box(boxes, tmp_path)
    volume_for(login)
    login.said(f"sudo mkfs.ext4 -q /dev/nvme2n1 && {MOUNT} && echo kept | sudo tee /data/file >/dev/null")
    line = "UUID=$(sudo blkid -p -o value -s UUID /dev/nvme2n1) /data ext4 defaults,nofail 0 2"
    login.said(f'echo "{line}" | sudo tee -a /etc/fstab >/dev/null')
    login.ssh("sudo reboot")
    assert eventually(lambda: login.console().count("boots") == 2)
    login.wait()
    assert login.said("sudo cat /data/file") == "kept"


# --- the machine ------------------------------------------------------------------------------------------------

WATCHED = ("/etc", "/home", "/opt", "/root/.ssh", "/root/.aws", "/srv", "/usr/local", "/var/lib/dpkg", "/data", "/mnt")


def snapshot() -> dict[str, tuple[int, int, int]]:
    """The files of the machine that a setup script could change: size, mode and time of change."""
    found = {}
    for place in WATCHED:
        for path in [Path(place), *Path(place).rglob("*")]:
            try:
                facts = path.lstat()
            except OSError:
                continue
            found[str(path)] = (facts.st_size, facts.st_mode, facts.st_mtime_ns)
    return found


def test_the_machine_is_as_it_was_before(boxes, tmp_path):
    before, mounts = snapshot(), Path("/proc/mounts").read_text() if Path("/proc/mounts").exists() else ""
    login = box(boxes, tmp_path)
    volume_for(login)
    for command in (
        "sudo apt-get install -y htop",
        f"sudo mkfs.ext4 -q /dev/nvme2n1; {MOUNT}; sudo touch /data/x",
        "echo 'options nvidia' | sudo tee /etc/modprobe.d/nvidia.conf",
        "sudo install -D -m 0644 /etc/hostname /etc/systemd/system/x/y.conf",
        "sudo rm -f /etc/fstab; sudo mkdir -p /opt/x /usr/local/x; sudo touch /usr/local/x/y",
        "sudo sed -i s/ubuntu/other/ /etc/passwd; sudo sh -c 'echo x > /etc/hosts; mkdir -p /srv/x'",
        "sudo systemctl daemon-reload; sudo hostname other 2>/dev/null; mkdir -p ~/.ssh ~/.aws; touch ~/.aws/config",
    ):
        login.ssh(command)
    login.client.terminate_instances(InstanceIds=[login.instance_id])
    wait_state(login.client, login.instance_id, "terminated")
    assert snapshot() == before
    assert mounts in ("", Path("/proc/mounts").read_text())


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("refused", "Connection refused"),
        ("mute", "timed out"),
        ("unreachable", "timed out"),
        ("wrong-key", "Permission denied .publickey."),
        # Which of them depends on whether ssh was writing when the connection broke.
        ("dropped", "closed by remote host|Broken pipe"),
    ],
)
def test_an_ssh_fault_befalls_a_command_until_it_is_cleared(login, kind, words):
    login.sandbox.clear_ssh_fault()
    login.sandbox.ssh_fault(kind, skip=1)
    assert login.ssh("echo first").stdout == b"first\n", "one command may pass"
    failed = login.ssh("echo second", options=("-o", "ConnectTimeout=1", "-o", "LogLevel=INFO"))
    assert failed.returncode == 255
    assert re.search(words, failed.stderr.decode())
    assert failed.stdout == b""
    assert "echo first" in login.sandbox.ssh_commands()[0]["command"]
    login.sandbox.clear_ssh_fault()
    assert login.said("echo third") == "third"


def test_a_box_shows_another_host_key_floods_and_hangs_when_told(login, tmp_path):
    known = ["-o", f"UserKnownHostsFile={tmp_path / 'known'}", "-o", "StrictHostKeyChecking=accept-new"]
    # The first of two values counts (ssh_config(5)).
    command = ["ssh", *known, *login.options, "-p", str(login.port), login.target]
    assert subprocess.run([*command, "true"], capture_output=True, timeout=SSH_SECONDS).returncode == 0
    login.sandbox.ssh_fault("changed-key")
    changed = subprocess.run([*command, "true"], capture_output=True, text=True, timeout=SSH_SECONDS)
    assert changed.returncode == 255
    assert "Host key verification failed" in changed.stderr
    login.sandbox.ssh_fault("flood")
    assert len(login.ssh("echo calm").stderr) > 1_000_000
    login.sandbox.ssh_fault("hanging")
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run([*command, "true"], capture_output=True, timeout=2)
    login.sandbox.clear_ssh_fault()
    assert login.said("echo back") == "back"


def test_a_box_has_the_toolkits_of_a_deep_learning_image(login):
    """https://docs.aws.amazon.com/dlami/latest/devguide/appendix-ami-release-notes.html (nvidia_cuda_stack)"""
    local = login.said("echo ${SANDBOX_ROOT:+$SANDBOX_ROOT/.local}") or "/usr/local"
    names = login.said(f"cd {local}; ls -d cuda*; readlink cuda").split()
    assert names == ["cuda", "cuda-12.8", "cuda-12.9", "cuda-13.0", "cuda-13.2", "cuda-13.2"]
    assert "release 13.2, V13.2" in login.said(f"{local}/cuda/bin/nvcc --version")
    assert "release 12.8, V12.8" in login.said(f"{local}/cuda-12.8/bin/nvcc --version")


def test_a_slow_first_boot_keeps_its_banner_back(boxes, tmp_path):
    """The port is open; the banner comes late, and only at the first boot."""
    boxes.account(first_boot=3)
    login = box(boxes, tmp_path)
    assert "port 2222 answers in " in login.console()
    login.client.reboot_instances(InstanceIds=[login.instance_id])
    assert eventually(lambda: login.console().count("box of ") == 2)
    login.wait()
    assert login.console().count("answers in ") == 1


def test_a_company_that_blocks_public_access_is_not_reached(boxes, tmp_path):
    """https://docs.aws.amazon.com/vpc/latest/userguide/security-vpc-bpa.html: packets are dropped."""
    login = box(boxes, tmp_path)
    boxes.account(public_access="block-ingress")
    failed = login.ssh("true", options=("-o", "ConnectTimeout=2"))
    assert failed.returncode == 255
    assert b"timed out" in failed.stderr
    boxes.account(public_access="off")
    login.wait()
