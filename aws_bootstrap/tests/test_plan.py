"""What is read and checked before anything costs money."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from aws_bootstrap import sshconfig
from aws_bootstrap.config import LaunchConfig
from aws_bootstrap.models import Image, InstanceType, LocalKey, Network
from aws_bootstrap.paths import Paths
from aws_bootstrap.ssh import LoginTimeouts
from aws_bootstrap.tests import factories
from aws_bootstrap.tests.test_ssh_config import GLOBAL_OPTIONS
from aws_bootstrap.workflows.launch.places import RegionPlan
from aws_bootstrap.workflows.launch.plan import LaunchPlan

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


def test_a_plan_knows_its_places_and_what_holds_for_all_of_them():
    regions = (region_plan("r1", "first"), region_plan("r2", "first"))
    plan = LaunchPlan(LaunchConfig(), regions, (), (), LocalKey(Path("id.pub"), Path("id"), None))
    assert plan.of("r2") is regions[1]
    assert plan.first is plan.of("r1") is regions[0]
    amazon, ubuntu = (Image("ami-1", name, "x86_64", "", "/dev/sda1", 8) for name in ("amzn2-ami", "ubuntu"))
    assert (plan.user(amazon), plan.user(ubuntu)) == ("ec2-user", "ubuntu")
    assert (plan.login_timeouts, plan.zone) == (LoginTimeouts(30.0, 300.0), None)
    other = replace(plan, config=LaunchConfig(ssh_timeout=5.0, ssh_port=2222, ssh_user="me"))
    assert (other.login_timeouts, other.user(amazon)) == (LoginTimeouts(5.0, 5.0), "me")


# --- what a dry run tells --------------------------------------------------------------------------------


def document(done) -> dict:
    return json.loads(done.stdout)


def without_steps(done) -> dict:
    """The document without its steps, and without its spot prices: those are moto's."""
    found = document(done)
    del found["steps"]
    assert found["price_per_hour"] == found["spot_price_per_hour" if found["pricing"] == "spot" else ON_DEMAND]
    del found["price_per_hour"], found["spot_price_per_hour"]
    return found


ON_DEMAND = "on_demand_price_per_hour"
ROOT = {"item": "root volume", "monthly_cost_usd": 8.0, "size_gb": 100}
ADDRESS = {"item": "public IPv4 address", "monthly_cost_usd": 3.65}
PLAIN = {
    "instance_type": "g4dn.xlarge",
    "ami_id": "ami-00000000000000019",
    "ami_name": "NEWEST",
    "pricing": "spot",
    "key_name": "aws-bootstrap-key",
    "security_group": None,
    "volume_size_gb": 100,
    "regions": ["us-west-2"],
    "wait": False,
    "wait_timeout_seconds": 1800,
    "ssh_cidr": ["203.0.113.7/32"],
    "regions_failed": [],
    "dry_run": True,
    "warnings": [],
    ON_DEMAND: 0.526,
    "monthly_cost_usd": 11.65,
    "monthly_costs": [ROOT, ADDRESS],
    "next": [{"do": "config-set", "argv": ["aws-bootstrap", "config", "set", "launch.ttl", "8h"]}],
}


def test_a_dry_run_of_the_defaults_tells_nothing_that_was_not_asked_for(launch, cloud):
    done = launch("--dry-run", "-o", "json")
    newest = max(cloud.ec2("us-west-2").describe_images(Filters=NOBLE)["Images"], key=lambda i: i["CreationDate"])
    image = {"ami_id": newest["ImageId"], "ami_name": newest["Name"]}
    assert done.exit_code == 0
    assert without_steps(done) == PLAIN | image
    assert changes(cloud) == []


NOBLE = [{"Name": "name", "Values": ["ubuntu-noble-24.04-*"]}, {"Name": "architecture", "Values": ["x86_64"]}]


def test_a_dry_run_tells_each_setting_that_was_asked_for(launch, cloud, tmp_path):
    client = cloud.ec2("us-east-1")
    subnet = client.describe_subnets()["Subnets"][0]
    group = client.create_security_group(GroupName="mine", Description="mine", VpcId=subnet["VpcId"])["GroupId"]
    script = tmp_path / "own.sh"
    script.write_text("true\n")
    words = "--on-demand --wait --wait-timeout 10m --key-name other --security-group mine --volume-size 120 --no-setup"
    words += " --ssh-port 2222 --metadata-hop-limit 2 --ebs-storage 5"
    words += " --instance-type g4dn.2xlarge --instance-type g4dn.xlarge -r us-east-1"
    more = ("--tag", "team=blue", "--subnet-id", subnet["SubnetId"])
    done = launch("--dry-run", "-o", "json", *words.split(), *more)
    asked = {
        "instance_type": "g4dn.2xlarge",
        "instance_types": ["g4dn.2xlarge", "g4dn.xlarge"],
        "pricing": "on-demand",
        "wait": True,
        "wait_timeout_seconds": 600,
        "key_name": "other",
        "security_group": group,
        "volume_size_gb": 120,
        "no_setup": True,
        "ssh_port": 2222,
        "metadata_hop_limit": 2,
        "ebs_storage": 5,
        "regions": ["us-east-1"],
        "tags": {"team": "blue"},
        "subnet_id": subnet["SubnetId"],
        "monthly_cost_usd": 13.65,
        "monthly_costs": [
            {"item": "root volume", "monthly_cost_usd": 9.6, "size_gb": 120},
            {"item": "data volume", "monthly_cost_usd": 0.4, "size_gb": 5},
            ADDRESS,
        ],
    }
    found = without_steps(done)
    prices = found.pop("prices")
    assert [(p["instance_type"], p["region"], p[ON_DEMAND]) for p in prices] == [
        ("g4dn.2xlarge", "us-east-1", 0.526),
        ("g4dn.xlarge", "us-east-1", 0.526),
    ]
    assert done.exit_code == 0, done.stderr
    of_setup = ("--python-version", "3.12", "--setup-script", str(script), "--name", "trainer")
    told = document(launch("--dry-run", "-o", "json", *of_setup))
    assert (told["python_version"], told["setup_script"], told["name"]) == ("3.12", str(script), "trainer")
    assert found == PLAIN | asked | {"ami_id": found["ami_id"], "ami_name": found["ami_name"]}


def test_a_dry_run_tells_the_zone_of_the_users_volume(launch, cloud):
    volume = cloud.ec2("us-east-1").create_volume(AvailabilityZone="us-east-1b", Size=3)["VolumeId"]
    words = ("--ebs-volume-id", volume, "-r", "us-east-1", "--max-price", "0.5")
    found = document(launch("--dry-run", "-o", "json", *words))
    assert (found["availability_zone"], found["ebs_volume_id"]) == ("us-east-1b", volume)
    assert found["max_price"] == 0.5


def test_the_type_is_that_of_the_first_pair_that_there_is(launch, cloud):
    """The first region lacks the first type."""
    absent(cloud, "us-west-2", "g4dn.2xlarge")
    kinds = ("--instance-type", "g4dn.2xlarge", "--instance-type", "g4dn.xlarge")
    found = document(launch("--dry-run", "-o", "json", *kinds, "-r", "us-west-2", "-r", "us-east-1"))
    assert (found["instance_type"], found["regions"]) == ("g4dn.2xlarge", ["us-west-2", "us-east-1"])
    assert (found["regions_failed"], found["warnings"]) == ([], [])


# --- types and images that there are not -----------------------------------------------------------------


def absent(cloud, region: str, *kinds: str) -> None:
    """Have a region lack these types."""

    def lack(reply):
        reply["InstanceTypes"] = [kind for kind in reply["InstanceTypes"] if kind["InstanceType"] not in kinds]

    cloud.ec2(region).meta.events.register_last(
        "after-call.ec2.DescribeInstanceTypes", lambda parsed, **_: lack(parsed)
    )


def failure(done) -> dict:
    found = document(done)["error"]
    return {key: found[key] for key in ("code", "message", "hint")}


def lists(prefix: str, region: str) -> str:
    return f"List instance types: aws-bootstrap list instance-types --prefix {prefix} --region {region}"


def test_a_type_that_the_only_region_lacks_is_an_error_with_the_list(launch, cloud):
    done = launch("--instance-type", "g9x.huge", "--instance-type", "g8y.huge", "-o", "json")
    assert done.exit_code == 1
    assert changes(cloud) == []
    assert failure(done) == {
        "code": "bad-instance-type",
        "message": "There is no instance type g9x.huge or g8y.huge in us-west-2.",
        "hint": lists("g9x", "us-west-2"),
    }


def test_a_type_that_no_region_has_is_an_error_beside_one_that_there_is(launch, cloud):
    kinds = ("--instance-type", "g4dn.xlarge", "--instance-type", "g9x.huge")
    done = launch(*kinds, "-r", "us-east-1", "-r", "us-west-2", "-o", "json")
    assert done.exit_code == 1
    assert changes(cloud) == []
    assert failure(done) == {
        "code": "bad-instance-type",
        "message": "There is no instance type g9x.huge in us-east-1 or us-west-2.",
        "hint": lists("g9x", "us-east-1"),
    }


def test_a_region_that_lacks_every_type_is_left_out(launch, cloud):
    absent(cloud, "us-west-2", "g4dn.xlarge")
    found = document(launch("--dry-run", "-r", "us-west-2", "-r", "us-east-1", "-o", "json"))
    assert found["regions"] == ["us-east-1"]
    assert found["regions_failed"] == [
        {"region": "us-west-2", "error": "There is no instance type g4dn.xlarge in us-west-2."}
    ]


def test_no_image_of_that_name_is_an_error_that_tells_the_pattern(launch, cloud):
    done = launch("--ami-filter", "ubuntu-none-*", "-o", "json")
    assert done.exit_code == 1
    assert changes(cloud) == []
    assert failure(done) == {
        "code": "not-found",
        "message": "No AMI in us-west-2 matches 'ubuntu-none-*' for x86_64.",
        "hint": "Pass another --ami-filter, in quotes and with * at its end.\n"
        "List AMIs: aws-bootstrap list amis --region us-west-2",
    }


@pytest.mark.parametrize(("size", "enough"), [(119, False), (120, True)])
def test_a_root_volume_smaller_than_the_image_is_an_error_that_tells_the_size(launch, cloud, size, enough):
    def grow(reply):
        for image in reply["Images"]:
            image["Name"] = "big"
            image["BlockDeviceMappings"] = [{"DeviceName": image["RootDeviceName"], "Ebs": {"VolumeSize": 120}}]

    cloud.faults.change_answer("DescribeImages", grow)
    done = launch("--dry-run", "--volume-size", str(size), "-o", "json")
    if enough:
        assert done.exit_code == 0
        return
    assert done.exit_code == 1
    assert failure(done) == {
        "code": "bad-volume-size",
        "message": f"The image big needs a root volume of 120 GB, but --volume-size is {size}.",
        "hint": "Add: --volume-size 120",
    }


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
    assert done.exit_code == 1
    assert changes(cloud) == []
    assert f"{closed} is not writable" in done.stderr


# --- the SSH config is asked of ssh ----------------------------------------------------------------------


def test_a_user_config_full_of_global_options_is_no_obstacle(launch, app):
    """faults.md F4."""
    app.paths.ssh_config.write_text(GLOBAL_OPTIONS)
    done = launch("--dry-run", "-o", "json")
    assert done.exit_code == 0, done.output
    assert app.paths.ssh_config.read_text() == GLOBAL_OPTIONS


def test_a_proxy_that_is_not_used_for_the_box_is_reported(launch, app):
    app.paths.ssh_config.write_text("Host *\n    ProxyJump bastion\n")
    done = launch("--dry-run")
    assert done.exit_code == 0
    assert "not through proxyjump bastion" in done.stderr


def test_a_syntax_error_in_the_ssh_config_is_found_before_anything_is_created(launch, app, cloud):
    """faults.md F4: it was noticed when the box billed already. The words are ssh's own, with the file's own lines."""
    app.paths.ssh_config.write_text("Host mine\n    Prot 22\n")
    done = launch("-o", "json")
    assert done.exit_code == 1
    assert changes(cloud) == []
    assert f"{app.paths.ssh_config}: line 2: Bad configuration option: prot" in done.stderr
    assert '"code": "ssh-config"' in done.stdout
    assert "AWS_BOOTSTRAP_SSH_CONFIG" in done.stderr


def test_a_syntax_error_in_an_included_file_is_found_too(launch, app, cloud, tmp_path):
    (tmp_path / "included").write_text("Nonsense yes\n")
    app.paths.ssh_config.write_text(f"Include {tmp_path}/included\n")
    done = launch()
    assert done.exit_code == 1
    assert changes(cloud) == []
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
    assert done.exit_code == 1
    assert changes(cloud) == []
    assert f"{path}: it is not a regular file" in done.stderr


def test_without_ssh_nothing_is_launched(launch, cloud, monkeypatch, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ssh-keygen").symlink_to(str(shutil.which("ssh-keygen")))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    done = launch("-o", "json")
    assert done.exit_code == 1
    assert failure(done)["code"] == "no-ssh"
    assert changes(cloud) == []


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", "a${HOME}b"])
def test_a_key_that_the_ssh_config_cannot_name_is_refused(launch, cloud, tmp_path, name):
    path = tmp_path / f"{name}.pub"
    done = launch("--key-path", str(path))
    assert done.exit_code == 1
    assert changes(cloud) == []
    assert not path.exists()
    assert "An SSH config cannot hold the path" in done.stderr


@pytest.mark.parametrize("name", ["a b", "100%h", "it's", "#1", "=", "é", "a  b#c%%d"])
def test_ssh_finds_the_key_by_what_the_block_says(tmp_path, name):
    """The key is made by the same path as the block names: `ssh` itself reads it, and says that it is a key."""
    folder = tmp_path / name
    folder.mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "id")], check=True)
    sshconfig.check_path(folder / "id")
    config = tmp_path / "config"
    sshconfig.add(config, factories.host(identity_file=str(folder / "id"), known_hosts=str(folder / "hosts")))
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
    assert code == 0
    assert program.ssh(box["ssh_alias"], "echo in").stdout == "in\n"

    block = config.read_text().removesuffix(GLOBAL_OPTIONS)
    older = block.replace("Host *\n", "").replace("    ProxyCommand none\n", "")
    config.write_text(GLOBAL_OPTIONS + older)
    moved = program("setup", box["ssh_alias"])
    assert moved.exit_code == 0, moved.err
    assert f"Moved the block of {box['ssh_alias']} to the top" in moved.err
    assert config.read_text() == block + GLOBAL_OPTIONS
