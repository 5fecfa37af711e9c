"""`launch --ebs-volume-id` with a volume of another region: where it is, and the launch that can use it."""

from __future__ import annotations

from pathlib import Path

import pytest

from aws_bootstrap.commands.launch import launch as command
from aws_bootstrap.config import LaunchConfig
from aws_bootstrap.tests.cloud import start_box
from aws_bootstrap.workflows.launch.words import option_words

EAST, WEST, IRELAND = "us-east-1", "us-west-2", "eu-west-1"
NOWHERE = "vol-0123456789abcdef0"


@pytest.fixture
def eastern(cloud) -> str:
    """A volume of the user's in another region than the launch's."""
    made = cloud.ec2(EAST).create_volume(AvailabilityZone=f"{EAST}a", Size=3)
    cloud.calls.clear()
    return made["VolumeId"]


def looks(cloud) -> list[str]:
    """The regions in which the volume was looked up, in any order."""
    return sorted(region for region, operation in cloud.calls if operation == "DescribeVolumes")


def test_a_volume_of_another_region_is_found_with_the_launch_that_uses_it(launch, cloud, eastern):
    code, failed = launch("--ebs-volume-id", eastern, "--max-price", "0.4", "--on-demand", "-r", WEST)
    error = failed["error"]
    assert (code, error["code"]) == (1, "not-found")
    assert error["message"] == f"There is no volume {eastern} in {WEST}: it is in {EAST}."
    assert error["hint"].startswith(f"Launch there: aws-bootstrap launch --region {EAST} --ami-filter ")
    assert " --on-demand --max-price 0.4 " in error["hint"]
    assert looks(cloud) == [IRELAND, EAST, WEST]
    again, copy = error["next"]
    assert (again["do"], copy["do"], copy["argv"][-1]) == ("launch", "volume-snapshot", eastern)
    words = again["argv"][2:]
    code, plan = launch("--dry-run", *words)
    assert (code, plan["regions"], plan["ebs_volume_id"]) == (0, [EAST], eastern)
    assert "RunInstances" not in {operation for _, operation in cloud.calls}


def test_a_volume_of_this_region_is_looked_up_nowhere_else(launch, cloud, own_volume):
    cloud.calls.clear()
    assert launch("--dry-run", "--ebs-volume-id", own_volume)[0] == 0
    assert looks(cloud) == [WEST]


def test_a_volume_of_another_region_that_is_in_use_is_not_proposed(launch, cloud, eastern):
    client = cloud.ec2(EAST)
    box = start_box(client)
    client.attach_volume(VolumeId=eastern, InstanceId=box["InstanceId"], Device="/dev/sdf")
    _, failed = launch("--ebs-volume-id", eastern)
    error = failed["error"]
    assert error["code"] == "volume-in-use"
    assert error["message"] == (
        f"There is no volume {eastern} in {WEST}: it is in {EAST}. "
        f"{eastern} is in-use; a volume must be available to be attached."
    )
    assert error["hint"] == f"Show its attachment: aws ec2 describe-volumes --region {EAST} --volume-ids {eastern}"


def test_a_volume_of_no_region_is_reported_with_the_regions_that_were_read(launch, cloud):
    code, failed = launch("--ebs-volume-id", NOWHERE)
    error = failed["error"]
    assert (code, error["code"]) == (1, "not-found")
    assert error["message"] == f"There is no volume {NOWHERE} in {WEST}, and none in 2 other enabled regions."
    assert error["hint"] == "Show your data volumes: aws-bootstrap status"
    assert error["regions"] == []


def test_a_region_that_cannot_be_read_may_have_the_volume(launch, cloud):
    cloud.deny(IRELAND)
    error = launch("--ebs-volume-id", NOWHERE)[1]["error"]
    assert error["message"] == (
        f"There is no volume {NOWHERE} in {WEST}, and none in 1 other enabled region. "
        f"It may be where nothing could be read: {IRELAND}."
    )
    reason = "You are not authorized to perform this operation."
    assert error["regions"] == [{"region": IRELAND, "reason": reason}]


def test_regions_that_the_organization_denies_are_counted(launch, cloud):
    cloud.organization_denies = {IRELAND}
    error = launch("--ebs-volume-id", NOWHERE)[1]["error"]
    assert error["message"] == (
        f"There is no volume {NOWHERE} in {WEST}, and none in 1 other enabled region. "
        "Your organization denies access to 1 more."
    )
    assert error["regions"] == []


def test_without_a_list_of_regions_the_launchs_own_is_named(launch, cloud):
    cloud.deny(WEST, "DescribeRegions")
    error = launch("--ebs-volume-id", NOWHERE)[1]["error"]
    assert error["message"] == (
        f"There is no volume {NOWHERE} in {WEST}. The other regions could not be listed: "
        "You are not authorized to perform this operation."
    )


EVERYTHING = LaunchConfig(
    instance_type=("g5.xlarge", "g6.xlarge"),
    ami_filter="Deep Learning*",
    image="baked",
    spot=False,
    region=("us-west-2",),
    cheapest=True,
    wait=True,
    wait_timeout=900.0,
    max_price=0.4,
    key_path=Path("my key.pub"),
    key_name="mine",
    security_group="group",
    ssh_cidr=("203.0.113.0/24", "me"),
    subnet_id=("subnet-0123456789abcdef0",),
    name="trainer",
    volume_size=200,
    ebs_storage=5,
    ebs_volume_id=NOWHERE,
    python_version="3.14.0",
    ssh_port=2222,
    ssh_user="ec2-user",
    ssh_timeout=60.0,
    metadata_hop_limit=2,
    no_setup=True,
    setup_script=Path("setup.sh"),
    ttl=28800.0,
    idle_timeout=3600.0,
    max_cost=10.5,
    tag={"team": "vision"},
)


def test_every_option_is_repeated_but_those_of_the_region():
    words = option_words(EVERYTHING, without=("region", "subnet_id"))
    chosen = command.make_context("launch", words).params
    for name in ("yes", "dry_run"):
        chosen.pop(name, None)
    chosen["tag"] = dict(chosen["tag"])
    again = {name: chosen[name] for name in LaunchConfig.__dataclass_fields__}
    expected = vars(EVERYTHING) | {"region": (), "subnet_id": ()}
    assert again == expected
    assert all(value != getattr(LaunchConfig(), name) for name, value in vars(EVERYTHING).items())


def test_a_launch_with_the_defaults_needs_no_words():
    assert option_words(LaunchConfig(region=("eu-west-1",)), without=("region",)) == []
