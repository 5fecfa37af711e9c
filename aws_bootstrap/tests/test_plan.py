"""What is read and checked before anything costs money."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from aws_bootstrap import sshconfig
from aws_bootstrap.config import LaunchConfig, Paths
from aws_bootstrap.keys import LocalKey
from aws_bootstrap.models import InstanceType, Network
from aws_bootstrap.tests.test_ssh_config import BOX, GLOBAL_OPTIONS
from aws_bootstrap.workflows.plan import LaunchPlan, RegionPlan

READS = ("Describe", "Get", "List")


@pytest.fixture
def key(tmp_path):
    """A key pair of the test's own."""
    path = tmp_path / "id_test"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path.with_suffix(".pub")


@pytest.fixture
def launch(run, cloud, key):
    """A launch in this process, up to the first thing that it creates; `launch("--dry-run")` ends before that."""

    def launched(*words):
        return run("launch", "--yes", "--key-path", str(key), "--ssh-cidr", "203.0.113.7", *IMAGE, *words)

    return launched


IMAGE = ("--ami-filter", "ubuntu-noble-24.04-*")


def changes(cloud) -> list[str]:
    """The calls so far that may have changed something."""
    return [operation for _, operation in cloud.calls if not operation.startswith(READS)]


def region_plan(region: str, *types: str) -> RegionPlan:
    kinds = {name: InstanceType(name, 4, 16384, ("x86_64",)) for name in types}
    return RegionPlan(region, kinds, {}, Network("vpc-1"), None, ())


def test_the_first_type_is_tried_in_every_region_before_the_second():
    """mutants.md, `pairs`: the second type of the first region may be dearer than the first type of the second."""
    config = LaunchConfig(instance_type=("first", "second"))
    regions = (region_plan("r1", "first", "second"), region_plan("r2", "second"), region_plan("r3", "second", "first"))
    plan = LaunchPlan(config, regions, (), (), LocalKey(Path("id.pub"), Path("id"), None))
    assert plan.pairs == (
        ("r1", "first"),
        ("r3", "first"),
        ("r1", "second"),
        ("r2", "second"),
        ("r3", "second"),
    )


# --- files that have to be written -----------------------------------------------------------------------


@pytest.mark.parametrize("which", ["ssh_config", "known_hosts"])
def test_a_folder_that_cannot_be_written_is_noticed_before_an_instance_runs(launch, app, cloud, key, as_others, which):
    """mutants.md, `_check_files`: a box whose alias or host key cannot be written bills without a name."""
    closed = as_others / "closed"
    closed.mkdir(mode=0o555)
    places = {"ssh_config": as_others, "known_hosts": as_others} | {which: closed}
    environ = {
        "AWS_BOOTSTRAP_SSH_CONFIG": str(places["ssh_config"] / "config"),
        "AWS_BOOTSTRAP_HOME": str(places["known_hosts"]),
    }
    app.paths = Paths(environ)
    for half in (key, key.with_suffix("")):
        shutil.copy(half, as_others)
    done = launch("--key-path", str(as_others / key.name))
    assert done.exit_code == 1 and changes(cloud) == []
    assert f"{closed} is not writable" in done.stderr


# --- the SSH config is asked of ssh ----------------------------------------------------------------------


def test_a_user_config_full_of_global_options_is_no_obstacle(launch, app):
    """faults.md F4."""
    app.paths.ssh_config.write_text(GLOBAL_OPTIONS)
    done = launch("--dry-run", "-o", "json")
    assert done.exit_code == 0, done.output
    assert app.paths.ssh_config.read_text() == GLOBAL_OPTIONS


def test_a_proxy_that_is_not_used_for_the_box_is_told(launch, app):
    app.paths.ssh_config.write_text("Host *\n    ProxyJump bastion\n")
    done = launch("--dry-run")
    assert done.exit_code == 0 and "not through proxyjump bastion" in done.stderr


def test_a_syntax_error_in_the_ssh_config_is_found_before_anything_is_created(launch, app, cloud):
    """faults.md F4: it was noticed when the box billed already. The words are ssh's own, with the file's own lines."""
    app.paths.ssh_config.write_text("Host mine\n    Prot 22\n")
    done = launch("-o", "json")
    assert done.exit_code == 1 and changes(cloud) == []
    assert f"{app.paths.ssh_config}: line 2: Bad configuration option: prot" in done.stderr
    assert '"code": "ssh-config"' in done.stdout and "AWS_BOOTSTRAP_SSH_CONFIG" in done.stderr


def test_a_syntax_error_in_an_included_file_is_found_too(launch, app, cloud, tmp_path):
    (tmp_path / "included").write_text("Nonsense yes\n")
    app.paths.ssh_config.write_text(f"Include {tmp_path}/included\n")
    done = launch()
    assert done.exit_code == 1 and changes(cloud) == []
    assert f"{tmp_path}/included: line 1: Bad configuration option: nonsense" in done.stderr


@pytest.mark.parametrize("which", ["ssh_config", "known_hosts"])
@pytest.mark.parametrize("obstacle", ["fifo", "folder"])
def test_what_cannot_be_written_is_noticed_before_an_instance_runs(launch, app, cloud, which, obstacle):
    """mutants.md, `_check_files`: a box whose alias or host key cannot be written bills without a name."""
    path = getattr(app.paths, which)
    path.parent.mkdir(exist_ok=True)
    if obstacle == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    done = launch()
    assert done.exit_code == 1 and changes(cloud) == []
    assert f"{path}: it is not a regular file" in done.stderr


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", "a${HOME}b"])
def test_a_key_that_the_ssh_config_cannot_name_is_refused(launch, cloud, tmp_path, name):
    path = tmp_path / f"{name}.pub"
    done = launch("--key-path", str(path))
    assert done.exit_code == 1 and changes(cloud) == [] and not path.exists()
    assert "ssh cannot be given the path" in done.stderr


@pytest.mark.parametrize("name", ["a b", "100%h", "it's", "#1", "=", "é", "a  b#c%%d"])
def test_ssh_finds_the_key_by_what_the_block_says(tmp_path, name):
    """The key is made by the same path as the block names: `ssh` itself reads it, and says that it is a key."""
    folder = tmp_path / name
    folder.mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "id")], check=True)
    sshconfig.check_path(folder / "id")
    config = tmp_path / "config"
    sshconfig.add(config, replace(BOX, identity_file=str(folder / "id"), known_hosts=str(folder / "hosts")))
    found = sshconfig.hosts(sshconfig.read(config))[0]
    assert (found.identity_file, found.known_hosts) == (str(folder / "id"), str(folder / "hosts"))
    told = subprocess.run(
        ["ssh", "-v", "-F", str(config), "-o", "ProxyCommand=false", "aws-gpu1", "true"], capture_output=True, text=True
    )
    assert "/id type 3" in told.stderr, told.stderr  # 3: an Ed25519 key; -1: no such file


def test_the_box_is_reached_past_global_options_and_an_older_block_is_moved_above_them(program):
    """faults.md F4: `launch` bought a box and `setup` failed, both refused as another user."""
    config = Path(program.sandbox.env["AWS_BOOTSTRAP_SSH_CONFIG"])
    config.write_text(GLOBAL_OPTIONS)
    code, box = program.json("launch", "--no-setup")
    assert code == 0 and program.ssh(box["ssh_alias"], "echo in").stdout == "in\n"

    block = config.read_text().removesuffix(GLOBAL_OPTIONS)
    older = block.replace("Host *\n", "").replace("    ProxyCommand none\n", "")
    config.write_text(GLOBAL_OPTIONS + older)
    moved = program("setup", box["ssh_alias"])
    assert moved.exit_code == 0, moved.err
    assert f"Moved the block of {box['ssh_alias']} to the top" in moved.err
    assert config.read_text() == block + GLOBAL_OPTIONS
