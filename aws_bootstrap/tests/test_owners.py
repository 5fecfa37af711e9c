"""Whose a box, a volume and a rule is: in an account with several people, each command acts on the caller's own."""

from __future__ import annotations

import json

import pytest

from aws_bootstrap import ec2
from aws_bootstrap.tests.cloud import CALLER, make_volume, start_box
from aws_bootstrap.tests.test_access import HOME, ME, make_group
from aws_bootstrap.workflows.owners import owner_of

EAST, WEST = "us-east-1", "us-west-2"
OTHER = "AROAEXAMPLE:bob@example.com"
SPOT = {"InstanceMarketOptions": {"MarketType": "spot"}}


def alive(cloud, region: str = WEST) -> set[str]:
    return {box.instance_id for box in ec2.find_instances(cloud.ec2(region))}


def document(done):
    return json.loads(done.stdout)


def owners(found) -> set[str | None]:
    return {tag["Value"] for tag in found.get("Tags", []) if tag["Key"] == "aws-bootstrap-owner"}


def rules(cloud, group) -> set[tuple[str, str | None]]:
    return {(rule.source, rule.owner) for rule in ec2.find_rules(cloud.ec2(WEST), [group])}


@pytest.mark.parametrize(
    ("user_id", "owner"),
    [
        ("AIDAEXAMPLE", "AIDAEXAMPLE"),
        ("123456789012", "123456789012"),
        ("AROAEXAMPLE:alice@example.com", "AROAEXAMPLE:alice@example.com"),
        ("AROAEXAMPLE:botocore-session-1769422000", "AROAEXAMPLE"),
        ("AROAEXAMPLE:AWS-CLI-session-1769422000", "AROAEXAMPLE"),
        ("AROAEXAMPLE:aws-sdk-java-1769422000", "AROAEXAMPLE"),
        ("AROAEXAMPLE:i-0123456789abcdef0", "AROAEXAMPLE"),
        ("AROAEXAMPLE:1769422000", "AROAEXAMPLE"),
        ("AROAEXAMPLE:2nd-user", "AROAEXAMPLE:2nd-user"),
    ],
)
def test_a_person_is_the_same_owner_in_every_shell(user_id, owner):
    assert owner_of(user_id) == owner


# --- launch ----------------------------------------------------------------------------------------------


def test_everything_that_is_created_has_its_owner_from_the_start(launch, cloud):
    code, launched = launch("--ebs-storage", "5", "--tag", "team=vision", "-r", WEST)
    assert code in (0, 3), "the boxes of this test cannot mount"
    client = cloud.ec2(WEST)
    created = client.describe_instances(InstanceIds=[launched["instance_id"]])["Reservations"][0]["Instances"]
    created += client.describe_volumes()["Volumes"]
    created += client.describe_key_pairs()["KeyPairs"]
    created += client.describe_security_groups(GroupNames=["aws-bootstrap-ssh"])["SecurityGroups"]
    group = [{"Name": "group-id", "Values": [created[-1]["GroupId"]]}]
    rules = client.describe_security_group_rules(Filters=group)["SecurityGroupRules"]
    created += [rule for rule in rules if not rule["IsEgress"]]
    assert len(created) >= 6
    assert [owners(one) for one in created] == [{CALLER}] * len(created)
    assert all({"Key": "team", "Value": "vision"} in one["Tags"] for one in created)
    assert "CreateTags" not in {operation for _, operation in cloud.calls}, "tagged in the calls that create"


def test_a_launch_goes_on_without_an_owner_and_warns(launch, cloud):
    cloud.deny(WEST, "GetCallerIdentity")
    code, launched = launch("-r", WEST)
    assert code == 0
    assert "owner-unknown" in {warning["code"] for warning in launched["warnings"]}
    assert ec2.get_instances(cloud.ec2(WEST), [launched["instance_id"]])[0].owner is None


# --- terminate -------------------------------------------------------------------------------------------


def test_without_names_others_boxes_stay_and_are_listed_with_price_and_command(run, cloud):
    cloud.list_price = 0.75
    yours = start_box(cloud.ec2(WEST))["InstanceId"]
    his = start_box(cloud.ec2(WEST), owner=OTHER)["InstanceId"]
    old = start_box(cloud.ec2(WEST), owner=None)["InstanceId"]
    volume = make_volume(cloud.ec2(WEST), his, owner=OTHER)
    done = run("terminate", "--yes", "-o", "json")
    shown = document(done)
    assert done.exit_code == 0
    assert [one["instance_id"] for one in shown["terminated"]] == [yours]
    assert alive(cloud) == {his, old}
    assert volume in {one.volume_id for one in ec2.find_volumes(cloud.ec2(WEST))}
    assert {one["instance_id"]: (one["owner"], one["price_per_hour"]) for one in shown["left_out"]} == {
        his: (OTHER, 0.75),
        old: (None, 0.75),
    }
    told = {one["instance_id"]: one["message"] for one in shown["warnings"] if one["code"] == "not-yours"}
    assert told[his].endswith(f"its owner is {OTHER}. To include it: aws-bootstrap terminate {his} --region {WEST}")
    assert "about $0.75 an hour" in told[old]
    assert run(*told[his].partition(": aws-bootstrap ")[2].split(), "--yes").exit_code == 0
    assert alive(cloud) == {old}


def test_a_price_that_cannot_be_read_is_unknown(run, cloud):
    start_box(cloud.ec2(WEST), owner=OTHER)
    cloud.list_price = None
    shown = document(run("terminate", "--yes", "-o", "json"))
    assert shown["left_out"][0]["price_per_hour"] is None
    assert "price unknown" in {warning["code"]: warning["message"] for warning in shown["warnings"]}["not-yours"]


@pytest.mark.parametrize("fmt", ["text", "table"])
def test_nothing_of_yours_is_never_a_bare_nothing(run, cloud, fmt):
    his = start_box(cloud.ec2(WEST), owner=OTHER)["InstanceId"]
    done = run("terminate", "--yes", "-o", fmt)
    assert done.exit_code == 0
    assert his in done.output
    assert OTHER in done.output
    assert fmt == "table" or "terminate --everyone --region us-west-2" in done.stdout


def test_everyone_takes_everything_and_does_not_ask_who_you_are(run, cloud):
    start_box(cloud.ec2(WEST)), start_box(cloud.ec2(WEST), owner=OTHER), start_box(cloud.ec2(WEST), owner=None)
    cloud.calls.clear()
    shown = document(run("terminate", "--everyone", "--yes", "-o", "json"))
    assert len(shown["terminated"]) == 3
    assert shown["left_out"] == []
    assert (WEST, "GetCallerIdentity") not in cloud.calls


def test_a_name_is_enough_for_whatever_owner(run, cloud):
    his = start_box(cloud.ec2(WEST), owner=OTHER)["InstanceId"]
    assert run("terminate", his, "--yes").exit_code == 0
    assert alive(cloud) == set()


@pytest.mark.parametrize(
    "words", [("terminate", "--yes"), ("cleanup", "--include-ebs", "--yes"), ("access", "--ssh-cidr", HOME)]
)
def test_without_an_answer_of_sts_a_command_without_names_refuses(run, cloud, my_address, words):
    start_box(cloud.ec2(WEST))
    make_volume(cloud.ec2(WEST), "i-0gone")
    cloud.deny(WEST, "GetCallerIdentity")
    cloud.calls.clear()
    done = run(*words, "-o", "json")
    assert done.exit_code == 1
    assert document(done)["error"]["code"] == "owner-unknown"
    assert "--everyone" in document(done)["error"]["hint"]
    reads = ("Describe", "Get")
    assert all(operation.startswith(reads) for _, operation in cloud.calls)
    assert run(*words, "--everyone").exit_code == 0


# --- status ----------------------------------------------------------------------------------------------


def test_status_shows_everything_and_the_owner_where_it_is_not_you(run, cloud):
    yours = start_box(cloud.ec2(WEST))["InstanceId"]
    his, old = (start_box(cloud.ec2(WEST), owner=owner)["InstanceId"] for owner in (OTHER, None))
    make_volume(cloud.ec2(WEST), "i-0gone", owner=OTHER)
    shown = document(run("status", "-o", "json"))
    by_id = {one["instance_id"]: (one["owner"], one["yours"]) for one in shown["instances"]}
    assert by_id == {yours: (CALLER, True), his: (OTHER, False), old: (None, False)}
    assert (shown["orphan_volumes"][0]["owner"], shown["orphan_volumes"][0]["yours"]) == (OTHER, False)
    for words in (("status",), ("status", "-I"), ("status", "--no-instructions"), ("status", "-o", "table")):
        text = run(*words).stdout
        assert OTHER in text
        assert CALLER not in text


def test_status_without_sts_does_not_say_whose_a_box_is(run, cloud):
    start_box(cloud.ec2(WEST), owner=OTHER)
    cloud.deny(WEST, "GetCallerIdentity")
    done = run("status", "-o", "json")
    assert done.exit_code == 0
    assert document(done)["instances"][0]["yours"] is None
    assert [one["code"] for one in document(done)["warnings"]] == ["owner-unknown"]


# --- cleanup ---------------------------------------------------------------------------------------------


def test_a_cleanup_deletes_no_volume_of_others(run, cloud):
    client = cloud.ec2(WEST)
    yours = make_volume(client, "i-0gone")
    his, old = (make_volume(client, "i-0gone", owner=owner, size=10) for owner in (OTHER, None))
    done = run("cleanup", "--include-ebs", "--yes", "-o", "json")
    shown = document(done)
    assert done.exit_code == 0
    assert [one["volume_id"] for one in shown["deleted_volumes"]] == [yours]
    assert {one["volume_id"]: (one["owner"], one["monthly_cost_usd"]) for one in shown["left_out"]} == {
        his: (OTHER, 0.8),
        old: (None, 0.8),
    }
    assert {one.volume_id for one in ec2.find_volumes(client)} == {his, old}
    assert "cleanup --include-ebs --everyone" in shown["warnings"][0]["message"]
    assert "Nothing of yours" in run("cleanup", "--include-ebs", "--yes").stdout
    assert run("cleanup", "--include-ebs", "--everyone", "--yes").exit_code == 0
    assert ec2.find_volumes(client) == []


def test_kept_volumes_of_others_are_marked_and_not_for_the_printed_command(run, cloud):
    client = cloud.ec2(WEST)
    yours = make_volume(client, "i-0gone", kept=True)
    his, old = (make_volume(client, "i-0gone", kept=True, owner=owner) for owner in (OTHER, None))
    for words in (("--dry-run",), ("--yes",), ("--include-ebs", "--yes")):
        shown = document(run("cleanup", *words, "-o", "json"))
        kept = {one["volume_id"]: (one["owner"], one["yours"]) for one in shown["kept_volumes"]}
        assert kept == {yours: (CALLER, True), his: (OTHER, False), old: (None, False)}
        assert shown["delete_kept_command"] == "aws-bootstrap cleanup --include-ebs --include-kept"
    text = run("cleanup", "--dry-run").stdout
    block, others = text.split("Kept, and not yours; only --everyone deletes them")
    assert yours in block
    assert his not in block
    assert OTHER in others
    assert "nobody" in others
    assert f"of {OTHER}" in run("cleanup", "--dry-run", "-o", "table").stdout
    assert run(*shown["delete_kept_command"].split()[1:], "--yes").exit_code == 0
    assert {one.volume_id for one in ec2.find_volumes(client)} == {his, old}
    assert document(run("cleanup", "--yes", "-o", "json"))["delete_kept_command"] is None


def test_the_command_that_deletes_kept_volumes_is_for_the_same_owners_and_regions(run, cloud):
    his = make_volume(cloud.ec2(WEST), "i-0gone", kept=True, owner=OTHER)
    yours = make_volume(cloud.ec2(EAST), "i-0gone", kept=True)
    shown = document(run("cleanup", "--include-ebs", "--everyone", "-r", WEST, "--yes", "-o", "json"))
    assert [one["volume_id"] for one in shown["kept_volumes"]] == [his]
    command = f"aws-bootstrap cleanup --include-ebs --include-kept --everyone --region {WEST}"
    assert shown["delete_kept_command"] == command
    assert shown["next"] == [{"do": "cleanup", "argv": command.split()}]
    assert run(*command.split()[1:], "--yes").exit_code == 0
    assert ec2.find_volumes(cloud.ec2(WEST)) == []
    assert [one.volume_id for one in ec2.find_volumes(cloud.ec2(EAST))] == [yours]


def test_an_orphan_without_an_owner_is_deleted_by_its_id(run, cloud):
    """`cleanup --everyone` would delete those of others, too."""
    volume = make_volume(cloud.ec2(WEST), "i-0gone", owner=None)
    (warning,) = document(run("cleanup", "--yes", "-o", "json"))["warnings"]
    assert warning["message"].endswith(f"Delete it: aws ec2 delete-volume --region {WEST} --volume-id {volume}")


@pytest.mark.parametrize("owner", [CALLER, OTHER, None])
def test_the_printed_command_deletes_what_a_termination_left_whoever_owns_it(run, cloud, owner):
    client = cloud.ec2(WEST)
    box = start_box(client, owner=owner)["InstanceId"]
    volume = make_volume(client, box, owner=owner)
    cloud.fail("DeleteVolume", "VolumeInUse", VolumeId=volume)
    failed = document(run("terminate", box, "--yes", "-o", "json"))
    assert failed["error"]["resources"][0]["id"] == volume
    cloud.repair()
    (command,) = failed["error"]["next"]
    assert run(*command["argv"][1:], "--yes").exit_code == 0
    assert ec2.find_volumes(client) == []


def test_aliases_alone_need_no_owner(run, cloud):
    cloud.deny(WEST, "GetCallerIdentity")
    assert run("cleanup", "--yes").exit_code == 0


# --- access ----------------------------------------------------------------------------------------------


def test_a_change_without_names_is_for_your_boxes_and_rules_alone(run, cloud, my_address):
    """The group is the same for everybody in the account."""
    client = cloud.ec2(WEST)
    group = make_group(client, cidrs=["192.0.2.1/32"], owner=OTHER)
    make_group(client, cidrs=["192.0.2.2/32"])
    make_group(client, cidrs=["192.0.2.3/32"], owner=None)
    yours = start_box(client, SecurityGroupIds=[group])["InstanceId"]
    his = start_box(client, owner=OTHER, SecurityGroupIds=[group])["InstanceId"]
    shown = document(run("access", "--ssh-cidr", "me", "-o", "json"))
    assert rules(cloud, group) == {("192.0.2.1/32", OTHER), ("192.0.2.3/32", None), (f"{ME}/32", CALLER)}
    by_id = {one["instance_id"]: one for one in shown["boxes"]}
    assert by_id[yours]["removed"] == ["192.0.2.2/32"]
    assert "added" not in by_id[his]
    assert [one["instance_id"] for one in shown["left_out"]] == [his]


def test_naming_a_box_replaces_the_rules_of_its_owner_and_those_without_an_owner(run, cloud, my_address):
    client = cloud.ec2(WEST)
    group = make_group(client, cidrs=["192.0.2.1/32"], owner=OTHER)
    make_group(client, cidrs=["192.0.2.3/32"], owner=None)
    make_group(client, cidrs=["192.0.2.4/32"], owner="AIDATHIRD")
    his = start_box(client, owner=OTHER, SecurityGroupIds=[group])["InstanceId"]
    assert run("access", his, "--ssh-cidr", "me").exit_code == 0
    assert rules(cloud, group) == {("192.0.2.4/32", "AIDATHIRD"), (f"{ME}/32", CALLER)}


def test_everyone_changes_every_box_and_rule(run, cloud, my_address):
    client = cloud.ec2(WEST)
    group = make_group(client, cidrs=["192.0.2.1/32"], owner=OTHER)
    start_box(client, owner=OTHER, SecurityGroupIds=[group])
    assert run("access", "--ssh-cidr", "me", "--everyone").exit_code == 0
    assert rules(cloud, group) == {(f"{ME}/32", CALLER)}


def test_others_boxes_are_shown_with_their_owner(run, cloud, my_address):
    client = cloud.ec2(WEST)
    start_box(client, owner=OTHER, SecurityGroupIds=[make_group(client)])
    shown = document(run("access", "-o", "json"))
    assert (shown["boxes"][0]["owner"], shown["boxes"][0]["yours"]) == (OTHER, False)
    assert OTHER in run("access").stdout
