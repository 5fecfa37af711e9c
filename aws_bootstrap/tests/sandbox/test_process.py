"""The background process: one a home, found again, state kept, nothing left behind whatever happens to it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aws_bootstrap.errors import BootstrapError
from aws_bootstrap.sandbox import environment, process
from aws_bootstrap.sandbox.boxes.addresses import Addresses
from aws_bootstrap.sandbox.home import Home, Record
from aws_bootstrap.sandbox.testing import Sandbox

from .conftest import describe, eventually, launch, refused, wait_state


@pytest.fixture
def sandbox(tmp_path):
    with Sandbox(tmp_path / "sandbox") as running:
        yield running


def test_instances_and_volumes_outlive_a_restart(sandbox):
    client = sandbox.client()
    kept = wait_state(client, launch(client)["InstanceId"], "running")
    volume = client.create_volume(AvailabilityZone="us-west-2a", Size=5)["VolumeId"]
    sandbox.quota("L-3819A6DF", 8)
    sandbox.stop()
    assert process.running(sandbox.home) is None
    sandbox.start()
    client = sandbox.client()
    assert describe(client, kept["InstanceId"])["PublicIpAddress"] == kept["PublicIpAddress"]
    assert client.describe_volumes(VolumeIds=[volume])["Volumes"][0]["State"] == "available"
    quotas = sandbox.client("service-quotas")
    assert quotas.get_service_quota(ServiceCode="ec2", QuotaCode="L-3819A6DF")["Quota"]["Value"] == 8


def test_a_killed_sandbox_leaves_no_process_and_starts_anew_with_its_state(sandbox):
    client = sandbox.client()
    kept = wait_state(client, launch(client)["InstanceId"], "running")["InstanceId"]
    assert eventually(lambda: "listening" in _console(sandbox, kept) or "cannot listen" in _console(sandbox, kept))
    assert eventually(lambda: kept.encode() in _saved(sandbox))
    record = process.running(sandbox.home)
    assert record is not None
    os.kill(record.pid, signal.SIGKILL)
    assert eventually(lambda: _of_home(sandbox.home.root) == [])
    sandbox.start()
    assert describe(sandbox.client(), kept)["State"]["Name"] == "running"


def _console(sandbox: Sandbox, instance_id: str) -> str:
    path = sandbox.home.boxes / instance_id / "console.log"
    return path.read_text() if path.exists() else ""


def _saved(sandbox: Sandbox) -> bytes:
    return sandbox.home.state.read_bytes() if sandbox.home.state.exists() else b""


def _of_home(root: Path) -> list[str]:
    """The machine's living processes that name this home."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes()
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if str(root).encode() in line and state != "Z":
            found.append(entry.name)
    return found


def test_a_sandbox_whose_folder_was_deleted_ends(sandbox):
    client = sandbox.client()
    wait_state(client, launch(client)["InstanceId"], "running")
    shutil.rmtree(sandbox.home.root, ignore_errors=True)
    assert eventually(lambda: _of_home(sandbox.home.root) == [])
    shutil.rmtree(sandbox.home.root, ignore_errors=True)


def test_an_unreadable_state_is_set_aside(sandbox):
    sandbox.stop()
    sandbox.home.state.write_bytes(b"nonsense")
    sandbox.start()
    assert sandbox.client().describe_instances()["Reservations"] == []
    assert sandbox.home.state.with_suffix(".unreadable").read_bytes() == b"nonsense"


def test_two_that_begin_at_once_get_one_sandbox(tmp_path):
    home = Home.of(tmp_path / "sandbox")
    try:
        with ThreadPoolExecutor(3) as pool:
            ports = set(pool.map(lambda _: process.ensure_running(home, "--no-boxes"), range(3)))
        assert len(ports) == 1
    finally:
        assert process.stop(home)
    assert not process.stop(home)


def test_a_stranger_with_the_recorded_pid_is_left_alone(tmp_path):
    home = Home.of(tmp_path / "sandbox")
    home.create()
    home.write_record(Record(os.getpid(), 1, "another process's birth"))
    assert process.running(home) is None
    assert not process.stop(home)


def test_a_stranger_on_the_recorded_port_is_not_taken_for_ours(tmp_path):
    home = Home.of(tmp_path / "sandbox")
    home.create()
    home.write_record(Record(os.getpid(), 9, process.start_time(os.getpid())))
    assert process.running(home) is None


def test_two_sandboxes_do_not_share_addresses(tmp_path):
    homes = [Home.of(tmp_path / name) for name in ("one", "two")]
    for home in homes:
        home.create()
    given = [Addresses(home) for home in homes]
    same = Addresses(homes[0])
    try:
        if sys.platform == "linux":
            assert len({addresses.next().rpartition(".")[0] for addresses in (*given, same)}) == 3
    finally:
        for addresses in (*given, same):
            addresses.release()


def test_where_addresses_are_few_they_come_in_turn(tmp_path):
    home = Home.of(tmp_path / "sandbox")
    home.create()
    few = Addresses(home, every=False)
    first = few.next()
    assert first == "127.0.0.1"
    assert few.next() == ("127.0.0.2" if sys.platform == "linux" else "127.0.0.1")
    few.release()


def test_the_home_is_its_owners_alone_and_its_key_admits(tmp_path, cloud):
    assert cloud.home.root.stat().st_mode & 0o077 == 0
    with pytest.raises(BootstrapError):
        other = Home.of(tmp_path / "other")
        other.create()
        from aws_bootstrap.sandbox import control_client

        control_client.request(other, cloud.port, "ping")


def test_the_environment_points_at_the_sandbox_and_away_from_the_real_files(cloud):
    given = environment(cloud.home.root)
    assert given["AWS_ENDPOINT_URL"] == f"http://127.0.0.1:{cloud.port}"
    assert all(given[name] is None for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE"))
    inside = [value for name, value in given.items() if name.endswith(("_FILE", "_CONFIG", "_PATH", "_HOME"))]
    assert all(value and value.startswith(str(cloud.home.root)) for value in inside)
    assert (
        refused(cloud.client().describe_instances, InstanceIds=["i-0123456789abcdef0"]) == "InvalidInstanceID.NotFound"
    )


def test_checkip_answers_the_callers_address(cloud):
    from urllib.request import urlopen

    with urlopen(cloud.variables["AWS_BOOTSTRAP_CHECKIP_URL"], timeout=10) as reply:
        assert reply.read().decode().strip() == "127.0.0.1"


def test_starting_imports_nothing_heavy():
    """`aws-bootstrap --help` must not pay for moto."""
    words = (
        "import sys, aws_bootstrap.sandbox; print(*sorted({'moto', 'asyncssh', 'boto3', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_log_is_one_document(cloud, ec2):
    ec2.describe_regions()
    assert json.loads(json.dumps(cloud.log()))[0]["action"] == "DescribeRegions"


# --- a folder that cannot be written ---------------------------------------------------------------------

UNUSABLE = {
    "code": "sandbox-failed",
    "hint": 'Use another folder: export AWS_BOOTSTRAP_SANDBOX_HOME="$(mktemp -d)"',
    "resources": [],
    "regions": [],
    "next": [],
}


@pytest.mark.parametrize("below", ["", "below/it"], ids=["file", "below a file"])
def test_a_home_that_is_no_folder_is_named_with_the_variable_that_moves_the_sandbox(run, monkeypatch, tmp_path, below):
    blocked = tmp_path / "a-file"
    blocked.write_text("mine")
    monkeypatch.setenv("HOME", str(blocked / below))
    failed = run("--sandbox", "status", "-o", "json")
    sentence = f"The sandbox cannot use its folder {blocked / below}/.aws-bootstrap/sandbox: Not a directory."
    assert json.loads(failed.stdout)["error"] == UNUSABLE | {"message": sentence}
    assert failed.exit_code == 1
    assert blocked.read_text() == "mine"


READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
"""Run the words after a folder with that folder read-only, which binds root as well."""


def test_a_read_only_home_is_named_and_another_folder_works(tmp_path):
    home = tmp_path / "read-only"
    home.mkdir()
    mounted = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", READ_ONLY, "sh", str(home)]
    if subprocess.run([*mounted, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no mount namespaces on this machine")
    started = [*mounted, sys.executable, "-m", "aws_bootstrap", "sandbox", "start", "--no-boxes", "-o", "json"]
    env = dict(os.environ, HOME=str(home))
    failed = subprocess.run(started, env=env, capture_output=True, text=True, timeout=60, check=False)
    sentence = f"The sandbox cannot use its folder {home}/.aws-bootstrap/sandbox: Read-only file system."
    assert json.loads(failed.stdout)["error"] == UNUSABLE | {"message": sentence}
    elsewhere = tmp_path / "elsewhere"
    env["AWS_BOOTSTRAP_SANDBOX_HOME"] = str(elsewhere)
    try:
        done = subprocess.run(started, env=env, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, json.loads(done.stdout)["running"]) == (0, True), done.stderr
    finally:
        process.stop(Home.of(elsewhere))
    assert list(home.iterdir()) == []


def test_an_existing_sandbox_in_a_folder_that_became_read_only(tmp_path):
    home = Home.of(tmp_path / "sandbox")
    home.create()
    lock = home.root / "lock"
    lock.mkdir()  # as a read-only folder would, it lets nobody write the file
    with pytest.raises(BootstrapError) as stopped:
        process.stop(home)
    with pytest.raises(BootstrapError) as started:
        process.ensure_running(home, "--no-boxes")
    assert str(stopped.value) == str(started.value) == f"The sandbox cannot use its folder {home.root}: Is a directory."


FULL_DISK = """
import resource, sys
from pathlib import Path
from aws_bootstrap.sandbox.home import Home
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
Home.of(Path(sys.argv[1])).create()
"""


def test_a_full_disk_leaves_no_half_a_sandbox(tmp_path):
    folder = tmp_path / "new" / "sandbox"
    words = [sys.executable, "-c", FULL_DISK, str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert f"The sandbox cannot use its folder {folder}: File too large." in done.stderr
    assert list(folder.iterdir()) == []


def test_a_user_without_a_home_is_told_where_to_name_one(tmp_path):
    """Containers run as any user id, with no account and no HOME."""
    words = "import os, pwd; from aws_bootstrap.sandbox.home import Home; os.setuid(54321); Home.of()"
    env = {name: value for name, value in os.environ.items() if name != "HOME"}
    if os.getuid() != 0:
        pytest.skip("only root becomes another user")
    done = subprocess.run([sys.executable, "-c", words], env=env, capture_output=True, text=True, check=False)
    assert "BootstrapError: There is no home folder for the sandbox: HOME is not set." in done.stderr
