"""Accounts: what each profile answers, by plain boto3, and `sandbox account --account`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aws_bootstrap.errors import BootstrapError
from aws_bootstrap.sandbox.cloud import catalog
from aws_bootstrap.sandbox.cloud.accounts import FREE_TIER_TYPES, PROFILES, AccountError, change
from aws_bootstrap.sandbox.testing import Sandbox

from .conftest import describe, eventually, image, launch, refused, wait_state
from .test_guard import denied

SPOT = {"InstanceMarketOptions": {"MarketType": "spot"}}
ENCRYPTED = [{"DeviceName": "/dev/sda1", "Ebs": {"Encrypted": True, "VolumeSize": 100}}]
GROUP = {"GroupName": "box", "Description": "box"}
TAG = [{"Key": "cost-center", "Value": "42"}]
WORLD = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]


def request(ec2: Any, **changes: Any) -> dict[str, Any]:
    """Return the parameters of a launch."""
    return {"ImageId": image(ec2), "InstanceType": "g4dn.xlarge", "MinCount": 1, "MaxCount": 1} | changes


def tagged(*resource_types: str) -> list[dict[str, Any]]:
    return [{"ResourceType": name, "Tags": TAG} for name in resource_types]


def subnets(ec2: Any) -> dict[str, str]:
    """Return the region's subnets, by zone."""
    return {one["AvailabilityZone"]: one["SubnetId"] for one in ec2.describe_subnets()["Subnets"]}


# --- new accounts -----------------------------------------------------------------------------------------------


def test_the_free_plan_runs_no_gpu(cloud, ec2):
    """https://github.com/aws/karpenter-provider-aws/issues/9004"""
    cloud.account("new-free-plan")
    code, message, status = denied(ec2.run_instances, **request(ec2))
    assert (code, status) == ("InvalidParameterCombination", 400)
    assert message == (
        "The specified instance type is not eligible for Free Tier. For a list of Free Tier instance types, run "
        "'describe-instance-types' with the filter 'free-tier-eligible=true'."
    )
    assert "t3.micro" in FREE_TIER_TYPES
    launch(ec2, InstanceType="t3.micro")


def test_an_account_is_verified_for_some_seconds(cloud, ec2):
    """https://github.com/skyplane-project/skyplane/issues/799"""
    cloud.account("new-verifying", verifying=1.5)
    code, message, _ = denied(ec2.run_instances, **request(ec2))
    assert code == "PendingVerification"
    assert message.startswith("Your request for accessing resources in this region is being validated")
    assert ec2.describe_instances()["Reservations"] == []
    assert eventually(lambda: _launched(ec2))


def _launched(ec2: Any) -> bool:
    from botocore.exceptions import ClientError

    try:
        return bool(launch(ec2))
    except ClientError as error:
        assert error.response["Error"]["Code"] == "PendingVerification"
        return False


@pytest.mark.parametrize(
    ("code", "market", "refusal"),
    [("L-3819A6DF", SPOT, "MaxSpotInstanceCountExceeded"), ("L-DB2E81BA", {}, "VcpuLimitExceeded")],
)
def test_a_new_account_has_four_vcpus_that_an_ended_box_keeps_for_a_while(cloud, ec2, code, market, refusal):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-spot-limits.html"""
    cloud.account("new-paid", quota_release=2)
    values = [_quota(cloud, code, region) for region in catalog.REGIONS]
    assert sorted(values, reverse=True)[:2] == [4, 0]
    assert _quota(cloud, code, "us-west-2") == 4
    box = launch(ec2, **market)["InstanceId"]
    assert refused(ec2.run_instances, **request(ec2, **market)) == refusal
    ec2.terminate_instances(InstanceIds=[box])
    wait_state(ec2, box, "terminated")
    assert refused(ec2.run_instances, **request(ec2, **market)) == refusal
    elsewhere = cloud.client(region="eu-west-1")
    assert refused(elsewhere.run_instances, **request(elsewhere, **market)) == refusal
    cloud.timing(quota_release=0)
    launch(ec2, **market)


def _quota(cloud: Any, code: str, region: str) -> float:
    client = cloud.client("service-quotas", region)
    return client.get_service_quota(ServiceCode="ec2", QuotaCode=code)["Quota"]["Value"]


# --- companies --------------------------------------------------------------------------------------------------


def test_a_company_denies_regions_that_it_still_lists(cloud, ec2):
    """https://github.com/elastic/cloudbeat/issues/3014"""
    cloud.account("company")
    assert "eu-west-1" in {one["RegionName"] for one in ec2.describe_regions()["Regions"]}
    elsewhere = cloud.client(region="eu-west-1")
    for call in (elsewhere.describe_instances, elsewhere.describe_volumes, elsewhere.describe_security_groups):
        code, message, status = denied(call)
        assert (code, status) == ("UnauthorizedOperation", 403)
        assert message.endswith("with an explicit deny in a service control policy")
    assert elsewhere.describe_regions()["Regions"]
    assert cloud.client("sts", "eu-west-1").get_caller_identity()
    assert cloud.client("pricing", "us-east-1").get_products(ServiceCode="AmazonEC2")
    assert cloud.client(region="eu-central-1").describe_instances()["Reservations"] == []
    cloud.account(regions="")
    assert elsewhere.describe_instances()["Reservations"] == []


def test_a_company_wants_a_tag_on_everything(cloud, ec2):
    cloud.account("company", network="default")
    everything = ("instance", "volume", "network-interface", "spot-instances-request")
    for missing in everything:
        some = [one for one in everything if one != missing]
        code, message, _ = denied(ec2.run_instances, **request(ec2, **SPOT, TagSpecifications=tagged(*some)))
        assert code == "UnauthorizedOperation"
        assert f":{missing}/*" in message
        assert "with an explicit deny in a service control policy" in message
    launch(ec2, **SPOT, TagSpecifications=tagged(*everything))
    launch(ec2, TagSpecifications=tagged(*everything[:3]))
    zone = {"AvailabilityZone": "us-west-2a", "Size": 10}
    assert denied(ec2.create_volume, **zone)[0] == "UnauthorizedOperation"
    ec2.create_volume(**zone, TagSpecifications=tagged("volume"))
    assert denied(ec2.create_key_pair, KeyName="k")[0] == "UnauthorizedOperation"
    ec2.create_key_pair(KeyName="k", TagSpecifications=tagged("key-pair"))
    launch(ec2, KeyName="k", TagSpecifications=tagged(*everything[:3]))
    assert denied(ec2.create_security_group, **GROUP)[0] == "UnauthorizedOperation"
    group = ec2.create_security_group(**GROUP, TagSpecifications=tagged("security-group"))["GroupId"]
    rule = {"GroupId": group, "IpPermissions": WORLD}
    assert ":security-group-rule/*" in denied(ec2.authorize_security_group_ingress, **rule)[1]
    ec2.authorize_security_group_ingress(**rule, TagSpecifications=tagged("security-group-rule"))
    near = {"GroupName": "near", "Strategy": "cluster"}
    assert denied(ec2.create_placement_group, **near)[0] == "UnauthorizedOperation"
    ec2.create_placement_group(**near, TagSpecifications=tagged("placement-group"))


def test_without_a_default_vpc_a_launch_names_a_subnet(cloud, ec2):
    cloud.account(network="no-default-vpc")
    found = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    assert found == []
    assert refused(ec2.run_instances, **request(ec2)) == "VPCIdNotSpecified"
    box = launch(ec2, SubnetId=subnets(ec2)["us-west-2b"])
    assert box["Placement"]["AvailabilityZone"] == "us-west-2b"
    elsewhere = cloud.client(region="eu-central-1")
    assert refused(elsewhere.run_instances, **request(elsewhere)) == "VPCIdNotSpecified"
    ec2.create_default_vpc()
    launch(ec2)


def test_a_default_vpc_may_have_no_default_subnets(cloud, ec2):
    """https://github.com/terraform-aws-modules/terraform-aws-ec2-instance/issues/50"""
    cloud.account(network="no-default-subnets")
    (vpc,) = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    for interfaces in ({}, {"NetworkInterfaces": [{"DeviceIndex": 0, "AssociatePublicIpAddress": True}]}):
        code, message, _ = denied(ec2.run_instances, **request(ec2, **interfaces))
        words = f"No subnets found for the default VPC '{vpc['VpcId']}'. Please specify a subnet."
        assert (code, message) == ("MissingInput", words)
    ec2.create_default_subnet(AvailabilityZone="us-west-2c")
    assert launch(ec2)["Placement"]["AvailabilityZone"] == "us-west-2c"
    cloud.account("plain")
    assert {launch(ec2)["Placement"]["AvailabilityZone"] for _ in range(3)} == {
        "us-west-2a",
        "us-west-2b",
        "us-west-2c",
    }


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("ungranted", "Client.InternalError: Client error on launch"),
        ("disabled", "Client.InvalidKMSKey.InvalidState: The KMS key provided is in an incorrect state"),
    ],
)
def test_a_key_without_a_grant_ends_an_encrypted_box(cloud, ec2, key, reason):
    """https://github.com/aws/karpenter-provider-aws/issues/1407, https://github.com/CiscoDevNet/cloud-cml/issues/8"""
    cloud.account(ebs_key=key)
    box = launch(ec2, BlockDeviceMappings=ENCRYPTED)
    assert box["State"]["Name"] == "pending"
    ended = wait_state(ec2, box["InstanceId"], "terminated")
    assert ended["StateReason"] == {"Code": reason.partition(": ")[0], "Message": reason}
    assert ec2.describe_volumes()["Volumes"] == []
    wait_state(ec2, launch(ec2)["InstanceId"], "running")
    cloud.account("plain")
    wait_state(ec2, launch(ec2, BlockDeviceMappings=ENCRYPTED)["InstanceId"], "running")


@pytest.mark.parametrize("mode", ["off", "block-ingress", "block-bidirectional"])
def test_the_mode_of_block_public_access(cloud, ec2, mode):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeVpcBlockPublicAccessOptions.html"""
    cloud.account(public_access=mode)
    shown = ec2.describe_vpc_block_public_access_options()["VpcBlockPublicAccessOptions"]
    assert (shown["InternetGatewayBlockMode"], shown["AwsRegion"]) == (mode, "us-west-2")


# --- the public tool's user -------------------------------------------------------------------------------------


def test_what_the_public_tool_leaves(cloud, ec2):
    """https://github.com/promptromp/aws-bootstrap-g4dn"""
    cloud.account("upstream-user")
    (group,) = ec2.describe_security_groups(GroupNames=["aws-bootstrap-ssh"])["SecurityGroups"]
    assert {"Key": "created-by", "Value": "aws-bootstrap-g4dn"} in group["Tags"]
    (permission,) = group["IpPermissions"]
    assert (permission["FromPort"], permission["IpRanges"][0]["CidrIp"]) == (22, "0.0.0.0/0")
    mine = [{"Name": "group-id", "Values": [group["GroupId"]]}]
    rules = ec2.describe_security_group_rules(Filters=mine)["SecurityGroupRules"]
    assert [one.get("Tags", []) for one in rules if not one["IsEgress"]] == [[]]
    (pair,) = ec2.describe_key_pairs(KeyNames=["aws-bootstrap-key"], IncludePublicKey=True)["KeyPairs"]
    assert pair["PublicKey"].startswith("ssh-ed25519 ")
    (volume,) = ec2.describe_volumes(Filters=[{"Name": "tag-key", "Values": ["aws-bootstrap-instance"]}])["Volumes"]
    assert (volume["Size"], volume["Attachments"]) == (100, [])
    (box,) = ec2.describe_instances()["Reservations"][0]["Instances"]
    assert box["SecurityGroups"] == [{"GroupId": group["GroupId"], "GroupName": "aws-bootstrap-ssh"}]
    assert {"Key": "created-by", "Value": "aws-bootstrap-g4dn"} in box["Tags"]
    wait_state(ec2, box["InstanceId"], "running")


# --- shared accounts --------------------------------------------------------------------------------------------


def test_two_people_share_an_account(cloud, ec2):
    """https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html"""
    cloud.account("shared")
    alice, bob = cloud.client("sts").get_caller_identity(), cloud.principal("bob")
    assert alice["Arn"] == "arn:aws:iam::123456789012:user/alice"
    shown = bob.client("sts").get_caller_identity()
    assert (shown["Arn"], shown["UserId"]) == (bob.arn, bob.user_id)
    assert bob.arn == "arn:aws:iam::123456789012:user/bob"
    assert len({alice["UserId"], bob.user_id}) == 2
    assert bob.user_id.startswith("AIDA")
    box = launch(ec2)["InstanceId"]
    assert describe(bob.client(), box)
    assert bob.env["AWS_ACCESS_KEY_ID"] != cloud.env["AWS_ACCESS_KEY_ID"]
    assert bob.env["AWS_BOOTSTRAP_SSH_CONFIG"] != cloud.env["AWS_BOOTSTRAP_SSH_CONFIG"]
    assert cloud.principal("alice").variables == cloud.variables
    assert cloud.principal("bob").variables == bob.variables


def test_policies_know_the_caller(cloud, ec2):
    cloud.account("shared")
    bob, session = cloud.principal("bob"), cloud.principal("alice", role="Developers")
    only = {"StringEquals": {"aws:PrincipalArn": "arn:aws:iam::123456789012:role/Developers"}}
    statement = {"Effect": "Allow", "Action": "ec2:*", "Resource": "*", "Condition": only}
    cloud.policy(json.dumps({"Version": "2012-10-17", "Statement": statement}))
    assert "User: arn:aws:iam::123456789012:user/alice is not" in denied(ec2.describe_instances)[1]
    assert "User: arn:aws:iam::123456789012:user/bob is not" in denied(bob.client().describe_instances)[1]
    assert session.client().describe_instances()["Reservations"] == []


@pytest.mark.parametrize("name", ["botocore-session-1700000000", "alice"])
def test_sessions_of_a_role_call(cloud, name):
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html"""
    session = cloud.principal(name, role="Developers")
    shown = session.client("sts").get_caller_identity()
    assert shown["Arn"] == f"arn:aws:sts::123456789012:assumed-role/Developers/{name}"
    assert shown["UserId"] == session.user_id
    role, _, suffix = session.user_id.partition(":")
    assert (role[:4], len(role), suffix) == ("AROA", 21, name)
    assert session.env["AWS_SESSION_TOKEN"]


def test_a_role_is_assumed_by_a_profile(cloud, tmp_path: Path):
    """https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-role.html: botocore names the session."""
    config = tmp_path / "config"
    identifier, secret = cloud.home.access_key()
    config.write_text(
        f"[profile me]\naws_access_key_id={identifier}\naws_secret_access_key={secret}\n"
        "[profile work]\nrole_arn=arn:aws:iam::123456789012:role/path/Work\nsource_profile=me\n"
    )
    variables = cloud.env | {"AWS_CONFIG_FILE": str(config), "AWS_PROFILE": "work"}
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del variables[name]
    code = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])"
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("arn:aws:sts::123456789012:assumed-role/Work/botocore-session-")


@pytest.mark.parametrize(("name", "role"), [("", ""), ("../x", ""), ("..", "r"), ("a", "x/y"), ("a b", "")])
def test_only_names_that_iam_accepts(cloud, name, role):
    with pytest.raises(BootstrapError, match="is not a name of a user, role or session"):
        cloud.principal(name, role)
    assert cloud.principal("alice@example.com", "Developers").user_id.endswith(":alice@example.com")


# --- zones ------------------------------------------------------------------------------------------------------


def test_a_zone_lacks_a_type(cloud, ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceTypeOfferings.html"""
    cloud.account(lacking=["us-west-2a:g4dn.*", "us-west-2b:g5.xlarge"])
    assert "us-west-2a" not in _offered(ec2, "g4dn.xlarge")
    assert "us-west-2b" in _offered(ec2, "g4dn.xlarge")
    assert "us-west-2b" not in _offered(ec2, "g5.xlarge")
    here = subnets(ec2)["us-west-2a"]
    for pinned in (
        {"Placement": {"AvailabilityZone": "us-west-2a"}},
        {"SubnetId": here},
        {"NetworkInterfaces": [{"DeviceIndex": 0, "SubnetId": here}]},
    ):
        code, message, _ = denied(ec2.run_instances, **request(ec2, **pinned))
        assert code == "Unsupported"
        assert "is not supported in your requested Availability Zone (us-west-2a)" in message
    assert "us-west-2a" not in {launch(ec2)["Placement"]["AvailabilityZone"] for _ in range(4)}
    prices = ec2.describe_spot_price_history(InstanceTypes=["g4dn.xlarge"], MaxResults=100)["SpotPriceHistory"]
    assert "us-west-2a" not in {one["AvailabilityZone"] for one in prices}


def _offered(ec2: Any, instance_type: str) -> set[str]:
    wanted = [{"Name": "instance-type", "Values": [instance_type]}]
    found = ec2.describe_instance_type_offerings(LocationType="availability-zone", Filters=wanted)
    return {one["Location"] for one in found["InstanceTypeOfferings"]}


def test_a_type_that_every_zone_lacks_is_not_offered(cloud, ec2):
    cloud.account(lacking=[f"us-west-2{letter}:g4dn.xlarge" for letter in "abcd"])
    wanted = [{"Name": "instance-type", "Values": ["g4dn.xlarge"]}]
    assert ec2.describe_instance_type_offerings(Filters=wanted)["InstanceTypeOfferings"] == []
    assert refused(ec2.run_instances, **request(ec2)) == "Unsupported"


def test_a_zone_has_no_capacity(cloud, ec2):
    """https://github.com/commonwarexyz/monorepo/issues/2859"""
    cloud.account(capacity=["us-west-2a:0", "us-west-2b:g4dn.*:1"])
    by_zone = subnets(ec2)
    code, message, status = denied(ec2.run_instances, **request(ec2, SubnetId=by_zone["us-west-2a"]))
    assert (code, status) == ("InsufficientInstanceCapacity", 500)
    assert "in the Availability Zone you requested (us-west-2a)" in message
    assert "choosing us-west-2b, us-west-2c" in message
    launch(ec2, SubnetId=by_zone["us-west-2b"])
    assert refused(ec2.run_instances, **request(ec2, SubnetId=by_zone["us-west-2b"])) == "InsufficientInstanceCapacity"
    launch(ec2, SubnetId=by_zone["us-west-2b"], InstanceType="g5.xlarge")
    spot = denied(ec2.run_instances, **request(ec2, SubnetId=by_zone["us-west-2a"], **SPOT))
    assert spot[1] == "There is no Spot capacity available that matches your request."
    cloud.account(capacity=[f"us-west-2{letter}:0" for letter in "abcd"])
    assert refused(ec2.run_instances, **request(ec2)) == "InsufficientInstanceCapacity"


def test_a_box_shows_the_groups_of_its_interface(ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Instance.html (groupSet)"""
    group = ec2.create_security_group(**GROUP)["GroupId"]
    interface = {"DeviceIndex": 0, "Groups": [group], "AssociatePublicIpAddress": True}
    for subnet in ({}, {"SubnetId": subnets(ec2)["us-west-2b"]}):
        box = launch(ec2, NetworkInterfaces=[interface | subnet])["InstanceId"]
        shown = describe(ec2, box)
        assert shown["SecurityGroups"] == [{"GroupId": group, "GroupName": "box"}]
        assert wait_state(ec2, box, "running")["PublicIpAddress"]
    assert refused(ec2.delete_security_group, GroupId=group) == "DependencyViolation"


# --- images -----------------------------------------------------------------------------------------------------


def test_images_name_the_types_that_they_drive(ec2):
    """https://docs.aws.amazon.com/dlami/latest/devguide/appendix-ami-release-notes.html"""
    wanted = [{"Name": "name", "Values": ["Deep Learning*Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04)*"]}]
    found = ec2.describe_images(Owners=["amazon"], Filters=wanted)["Images"]
    described = {one["Architecture"]: one["Description"] for one in found}
    assert described["x86_64"].startswith("Supported EC2 instances: G4dn, G5, G6, Gr6, G6e, G7, P4d, ")
    assert described["arm64"].startswith("Supported EC2 instances: G5g, ")
    arm = {one["Name"][:-8] for one in found if one["Architecture"] == "arm64"}
    assert arm == {"Deep Learning ARM64 Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04) "}


# --- choosing one -----------------------------------------------------------------------------------------------


def test_an_account_stays_over_a_restart_and_comes_with_a_snapshot(tmp_path: Path):
    with Sandbox(tmp_path / "sandbox", boxes=False) as sandbox:
        sandbox.account("shared", network="no-default-vpc", verifying=600, first_boot=3)
        bob = sandbox.principal("bob")
        sandbox.stop()
        sandbox.start()
        assert bob.client("sts").get_caller_identity()["Arn"] == bob.arn
        assert sandbox.status()["timing"]["first_boot"] == 3
        ec2 = sandbox.client()
        assert refused(ec2.run_instances, **request(ec2)) == "PendingVerification"
        assert not ec2.describe_vpcs()["Vpcs"][0]["IsDefault"]
        sandbox.snapshot("company")
        sandbox.wipe()
        launch(ec2)
        assert refused(bob.client("sts").get_caller_identity) == "InvalidClientTokenId"
        assert sandbox.status()["timing"]["first_boot"] == 0
        sandbox.restore("company")
        assert bob.client("sts").get_caller_identity()["Arn"] == bob.arn
        assert not ec2.describe_vpcs()["Vpcs"][0]["IsDefault"]


def account(cloud: Any, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the sandbox."""
    env = dict(os.environ, AWS_BOOTSTRAP_SANDBOX_HOME=str(cloud.home.root))
    argv = [sys.executable, "-m", "aws_bootstrap", "sandbox", *words]
    return subprocess.run(argv, capture_output=True, text=True, env=env, timeout=60, check=False)


def test_the_command_chooses_and_shows_an_account(cloud, ec2):
    words = ("account", "--account", "company", "--set", "regions=us-west-2,eu-west-1", "--set", "ebs-key=disabled")
    shown = json.loads(account(cloud, *words, "-o", "json").stdout)
    assert shown["account"] == "company"
    assert shown["settings"] == {
        "regions": ["us-west-2", "eu-west-1"],
        "required_tag": "cost-center",
        "network": "no-default-vpc",
        "ebs_key": "disabled",
    }
    assert shown["scps"] == ["organization of company"]
    text = account(cloud, "account", "--set", "ebs_key=aws").stdout
    assert "Account: company\n" in text
    assert "  regions = us-west-2,eu-west-1\n" in text
    assert "ebs_key" not in text
    assert "Account: plain\n" in account(cloud, "account", "--plain").stdout
    launch(ec2)


def test_the_command_shows_and_lends_the_principals(cloud):
    shown = json.loads(account(cloud, "account", "--account", "shared", "-o", "json").stdout)
    assert [one["name"] for one in shown["principals"]] == ["alice", "bob"]
    lent = json.loads(account(cloud, "env", "--principal", "bob", "-o", "json").stdout)["environment"]
    assert lent["AWS_ACCESS_KEY_ID"] == cloud.principal("bob").env["AWS_ACCESS_KEY_ID"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--account", "poor"), "unknown account 'poor'; known: plain, new-free-plan"),
        (("--set", "colour=red"), "unknown setting 'colour'; known: plan, "),
        (("--set", "network=none"), "network=none: must be one of default, no-default-vpc, no-default-subnets"),
        (("--set", "capacity=us-west-2a"), "must be ZONE:N or ZONE:TYPE:N"),
        (("--set", "regions=mars"), "mars is not a region of the sandbox"),
        (("--set", "verifying"), "'verifying' is not SETTING=VALUE."),
        (("--plain", "--account", "shared"), "--plain cannot be combined with --account."),
    ],
)
def test_the_command_refuses_what_it_does_not_know(cloud, words, sentence):
    failed = account(cloud, "account", *words)
    assert failed.returncode != 0
    assert sentence in failed.stderr


def test_settings_are_read_from_text_and_values():
    for name, one in PROFILES.items():
        assert one.name == name
        assert change(PROFILES["plain"], one.settings()).settings() == one.settings()
    assert change(PROFILES["plain"], {"leftovers": "yes", "first-boot": "40"}).settings() == {
        "leftovers": True,
        "first_boot": 40.0,
    }
    with pytest.raises(AccountError):
        change(PROFILES["plain"], {"verifying": -1})
