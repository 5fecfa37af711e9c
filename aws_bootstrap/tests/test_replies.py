"""Replies that lack a field: each field of each reply is left out once, and nothing that exists is hidden by it.

A promise of all modules that read replies, so that it is no test of one of them.
"""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from aws_bootstrap import ec2, quota, sshconfig
from aws_bootstrap.config import LaunchConfig
from aws_bootstrap.errors import AwsError
from aws_bootstrap.keys import LocalKeys
from aws_bootstrap.tests import factories
from aws_bootstrap.tests.cloud import make_snapshot, make_volume, start_box

REGION = "us-west-2"
Path = tuple[str | int, ...]


class Strip:
    """Has a client's replies to one operation lack what `path` leads to, once there is a path.

    From then on the first reply is given again and again: nothing is sent, so that trying every field is quick.
    """

    def __init__(self, client: Any, operation: str, path: Path = ()) -> None:
        self.path = path
        self.seen: dict[str, Any] | None = None
        events = client.meta.events
        events.register_first(f"before-call.*.{operation}", self._answer)
        events.register(f"after-call.*.{operation}", self._answered)

    def each(self) -> Iterator[Path]:
        """Set `path` to each field of the first reply in turn."""
        assert self.seen
        for path in list(paths({k: v for k, v in self.seen.items() if k != "ResponseMetadata"})):
            self.path = path
            yield path

    def _answer(self, **_: Any) -> tuple[SimpleNamespace, dict[str, Any]] | None:
        if self.seen is None or not self.path:
            return None
        return SimpleNamespace(status_code=200), copy.deepcopy(self.seen)

    def _answered(self, parsed: dict[str, Any], **_: Any) -> None:
        self.seen = self.seen or copy.deepcopy(parsed)
        if self.path:
            remove(parsed, self.path)


class AlwaysStrip(Strip):
    """Has every reply lack it, each as it comes: for what is asked again until it changes."""

    def _answer(self, **_: Any) -> None:
        return None


def remove(value: Any, path: Path) -> None:
    """Take out the field that the path leads to, if there is one."""
    for step in path[:-1]:
        inside = value[step : step + 1] if isinstance(step, int) else [value[step]] if step in value else []
        if not inside:
            return
        value = inside[0]
    if isinstance(value, dict):
        value.pop(path[-1], None)


def paths(value: Any, before: Path = ()) -> Iterator[Path]:
    """Where each field is; of a list's items the first stands for all."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*before, key)
            yield from paths(inner, (*before, key))
    elif isinstance(value, list) and value:
        yield from paths(value[0], (*before, 0))


INSTANCE = factories.instance(instance_id="i-0123456789abcdef0")
IMAGE = factories.image(image_id="ami-12c6146b")


def start_instances(client):
    """The key pair is one that the account has: moto looks it up."""
    with contextlib.suppress(ClientError):
        client.create_key_pair(KeyName="key")
    group_id = default_group(client)
    request = factories.request(image=IMAGE, group_id=group_id, client_token=str(uuid4()))
    return ec2.start_instances(client, request)


def default_group(client):
    return client.describe_security_groups()["SecurityGroups"][0]["GroupId"]


def rules(client):
    group = default_group(client)
    with contextlib.suppress(ClientError):  # it is there already
        client.authorize_security_group_ingress(
            GroupId=group, IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="203.0.113.7/32"
        )
    return ec2.find_rules(client, [group])


def console(client):
    started = start_box(client)["InstanceId"]
    return ec2.console_output(client, started)


VERBS = {
    "DescribeInstances": lambda c: ec2.find_instances(c),
    "RunInstances": start_instances,
    "DescribeVolumes": lambda c: ec2.find_volumes(c),
    "CreateVolume": lambda c: ec2.create_ebs_volume(c, INSTANCE, 8),
    "DescribeImages": lambda c: ec2.find_images(c, ["*"]),
    "DescribeSnapshots": lambda c: ec2.find_snapshots(c),
    "DescribeInstanceTypes": lambda c: ec2.find_instance_types(c, ["g4dn.xlarge"]),
    "DescribeSpotPriceHistory": lambda c: ec2.spot_prices(c, ["g4dn.xlarge"]),
    "DescribeVpcs": lambda c: ec2.find_network(c, ()),
    "DescribeSecurityGroups": lambda c: ec2.find_security_groups(c, "default"),
    "DescribeSecurityGroupRules": rules,
    "DescribeKeyPairs": lambda c: ec2.find_key_pairs(c, "key"),
    "GetConsoleOutput": console,
}


@pytest.mark.parametrize("operation", VERBS)
def test_a_reply_that_lacks_a_field_is_read_or_reported(cloud, operation):
    client, ask = cloud.ec2(REGION), VERBS[operation]
    strip = Strip(client, operation)
    make_volume(client, start_box(client)["InstanceId"])
    make_snapshot(client)
    client.create_key_pair(KeyName="key")
    whole = ask(client)
    assert whole
    tried = read = 0
    for path in strip.each():
        tried += 1
        try:
            found = ask(client)
        except AwsError as exc:
            assert exc.code == "unexpected-reply", path
            assert not exc.outcome_known, path
        else:
            read += 1
            if isinstance(whole, list) and isinstance(path[-1], str):
                assert len(found) == len(whole) or operation == "DescribeSecurityGroupRules", path
    assert tried > 1
    assert read > 0


def test_the_reads_above_find_something_to_leave_out(cloud):
    client = cloud.ec2(REGION)
    strip = Strip(client, "DescribeInstances")
    start_box(client)
    ec2.find_instances(client)
    known = {path[-1] for path in strip.each()}
    assert {"InstanceId", "LaunchTime", "State", "Placement", "SecurityGroups", "Tags"} <= known


# --- what a person sees ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "path"),
    [
        ("DescribeInstances", ("Reservations", 0, "Instances", 0, "LaunchTime")),
        ("DescribeInstances", ("Reservations", 0, "Instances", 0, "State")),
        ("DescribeInstances", ("Reservations", 0, "Instances", 0, "InstanceType")),
        ("DescribeInstances", ("Reservations", 0, "Instances", 0, "Placement")),
        ("DescribeSpotPriceHistory", ("SpotPriceHistory", 0, "SpotPrice")),
        ("DescribeSpotPriceHistory", ("SpotPriceHistory",)),
        ("DescribeVolumes", ("Volumes", 0, "Size")),
        ("DescribeVolumes", ("Volumes", 0, "State")),
        ("DescribeVolumes", ("Volumes", 0, "AvailabilityZone")),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else value,
)
def test_a_box_of_which_little_is_said_is_shown(cloud, run, operation, path):
    client = cloud.ec2(REGION)
    box = start_box(client, InstanceMarketOptions={"MarketType": "spot"})["InstanceId"]
    make_volume(client, box)
    Strip(client, operation, path)
    outcome = run("status", "-r", REGION, "-o", "json")
    assert outcome.exit_code == 0
    assert json.loads(outcome.stdout)["instances"][0]["instance_id"] == box


def test_a_state_that_is_new_to_ec2_is_shown_as_it_comes(cloud, run):
    client = cloud.ec2(REGION)
    box = start_box(client)["InstanceId"]
    make_volume(client, box)

    def rename_state_of_box(parsed: dict[str, Any], **_: Any) -> None:
        parsed["Reservations"][0]["Instances"][0]["State"]["Name"] = "hibernating"

    def rename_state_of_volumes(parsed: dict[str, Any], **_: Any) -> None:
        for volume in parsed["Volumes"]:
            volume["State"] = "optimizing"

    client.meta.events.register("after-call.*.DescribeInstances", rename_state_of_box)
    client.meta.events.register("after-call.*.DescribeVolumes", rename_state_of_volumes)
    outcome = run("status", "-r", REGION, "-o", "json")
    assert outcome.exit_code == 0
    (shown,) = json.loads(outcome.stdout)["instances"]
    assert shown["state"] == "hibernating"
    assert {volume["state"] for volume in shown["ebs_volumes"]} == {"optimizing"}
    for output_format in ("text", "table", "yaml"):
        outcome = run("status", "-r", REGION, "-o", output_format)
        assert outcome.exit_code == 0
        assert "hibernating" in outcome.stdout


@pytest.mark.parametrize("shown", [["-o", "table"], ["-o", "text"], ["--no-instructions"]], ids=" ".join)
def test_every_view_shows_a_box_without_its_launch_time(cloud, run, shown):
    client = cloud.ec2(REGION)
    boxes = [start_box(client)["InstanceId"] for _ in range(2)]
    Strip(client, "DescribeInstances", ("Reservations", 0, "Instances", 0, "LaunchTime"))
    outcome = run("status", "-r", REGION, *shown)
    assert outcome.exit_code == 0
    assert all(box in outcome.stdout for box in boxes)


def test_a_box_without_its_launch_time_is_ended(cloud, run):
    client = cloud.ec2(REGION)
    box = start_box(client)["InstanceId"]
    Strip(client, "DescribeInstances", ("Reservations", 0, "Instances", 0, "LaunchTime"))
    outcome = run("terminate", box, "--yes", "-o", "json")
    assert outcome.exit_code == 0
    assert [t["instance_id"] for t in json.loads(outcome.stdout)["terminated"]] == [box]


def test_a_region_whose_reply_cannot_be_read_hides_no_other(cloud, run):
    there, here = (start_box(cloud.ec2(region))["InstanceId"] for region in ("eu-west-1", REGION))
    Strip(cloud.ec2("eu-west-1"), "DescribeInstances", ("Reservations", 0, "Instances", 0, "InstanceId"))
    outcome = run("status", "-o", "json")
    seen = json.loads(outcome.stdout)
    assert outcome.exit_code == 3
    assert [i["instance_id"] for i in seen["instances"]] == [here]
    assert [f["region"] for f in seen["regions_failed"]] == ["eu-west-1"]
    assert "it lacks 'InstanceId'" in seen["regions_failed"][0]["error"]
    outcome = run("terminate", there, "--yes", "-o", "json")
    assert outcome.exit_code == 1
    assert json.loads(outcome.stdout)["error"]["code"] == "region-failed"


def test_a_volume_of_which_little_is_said_is_never_an_orphan_to_delete(cloud, run):
    client = cloud.ec2(REGION)
    volume = make_volume(client, "i-0123456789abcdef0")
    strip = Strip(client, "DescribeVolumes")
    for field, code in (("State", 0), ("Tags", 3)):
        strip.path, strip.seen = ("Volumes", 0, field), None
        outcome = run("cleanup", "--include-ebs", "--include-kept", "--yes", "-o", "json")
        assert outcome.exit_code == code
        assert json.loads(outcome.stdout)["deleted_volumes"] == []
    strip.path = ()
    assert client.describe_volumes(VolumeIds=[volume])["Volumes"]


@pytest.mark.parametrize("command", [["setup", "ID"], ["cleanup", "--sync", "--yes"]])
def test_no_alias_is_written_with_a_guessed_port(cloud, run, app, command):
    """The port follows from the rules of the security groups, which every instance has."""
    LocalKeys().ensure(LocalKeys().inspect(LaunchConfig()))
    client = cloud.ec2(REGION)
    box = start_box(client)["InstanceId"]
    Strip(client, "DescribeInstances", ("Reservations", 0, "Instances", 0, "SecurityGroups"))
    outcome = run(*[box if word == "ID" else word for word in command], "-o", "json")
    assert outcome.exit_code == 1
    assert json.loads(outcome.stdout)["error"]["code"] == "unexpected-reply"
    assert sshconfig.hosts(sshconfig.read(app.paths.ssh_config)) == []


TAGS: list[Path] = [("Tags",), ("Tags", 0, "Key"), ("Tags", 0, "Value")]


@pytest.mark.parametrize("field", TAGS)
def test_a_box_is_not_ended_while_it_is_not_known_whose_its_volume_is(cloud, run, field):
    """Its volume would bill on, unnamed: the tags alone say that it goes with the box."""
    client = cloud.ec2(REGION)
    box = start_box(client)["InstanceId"]
    volume = make_volume(client, box)
    strip = Strip(client, "DescribeVolumes", ("Volumes", 0, *field))
    outcome = run("terminate", box, "--yes", "-o", "json")
    assert outcome.exit_code == 1
    strip.path = ()
    assert client.describe_volumes(VolumeIds=[volume])["Volumes"][0]["State"] == "available"
    assert client.describe_instances()["Reservations"][0]["Instances"][0]["State"]["Name"] == "running"


@pytest.mark.parametrize("field", [("State",), ("Attachments", 0, "InstanceId")])
def test_a_volume_goes_with_its_box_though_the_reply_lacks_what_its_tags_say(cloud, run, field):
    client = cloud.ec2(REGION)
    box = start_box(client)["InstanceId"]
    volume = make_volume(client, box)
    client.attach_volume(VolumeId=volume, InstanceId=box, Device="/dev/sdf")
    strip = AlwaysStrip(client, "DescribeVolumes", ("Volumes", 0, *field))
    outcome = run("terminate", box, "--yes", "-o", "json")
    strip.path = ()
    assert outcome.exit_code == 0
    assert json.loads(outcome.stdout)["terminated"][0]["ebs_volumes_deleted"] == [volume]
    assert volume not in [left["VolumeId"] for left in client.describe_volumes()["Volumes"]]


@pytest.mark.parametrize("field", ["Id", "Status", "QuotaCode", "DesiredValue", "QuotaName"])
def test_a_quota_request_that_was_taken_is_reported_whatever_the_reply_lacks(cloud, field):
    client = cloud.service_quotas(REGION)
    Strip(client, "RequestServiceQuotaIncrease", ("RequestedQuota", field))
    made = quota.request_increase(client, "L-3819A6DF", 8)
    assert made.code == "L-3819A6DF"
    assert made.desired_value == 8


def test_a_quota_without_a_value_is_not_read(cloud):
    client = cloud.service_quotas(REGION)
    cloud.quotas.values[REGION, "L-3819A6DF"] = 8.0
    Strip(client, "GetServiceQuota", ("Quota", "Value"))
    with pytest.raises(AwsError) as caught:
        quota.find_quota(client, "L-3819A6DF")
    assert caught.value.code == "unexpected-reply"
