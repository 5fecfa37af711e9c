"""A caller under IAM policies: what AWS answers, what each call needs, and `sandbox account`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import image, launch
from .test_policy import TAG, policy, statement


def denied(call: Any, **parameters: Any) -> tuple[str, str, int]:
    """Return code, message and HTTP status of a call that is refused."""
    with pytest.raises(ClientError) as raised:
        call(**parameters)
    answer = raised.value.response
    return answer["Error"]["Code"], answer["Error"]["Message"], answer["ResponseMetadata"]["HTTPStatusCode"]


def needed(cloud: Any, action: str) -> list[str]:
    """Return the resources on which this action was authorized, without region and account."""
    return [one["resource"].split(":", 5)[-1] for one in cloud.decisions() if one["action"] == action]


def test_without_a_policy_everything_is_allowed(cloud, ec2):
    launch(ec2)
    assert cloud.decisions() == []


def test_ec2_refuses_in_its_own_words(cloud, ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html (UnauthorizedOperation)"""
    box = launch(ec2)["InstanceId"]
    who = cloud.client("sts").get_caller_identity()["Arn"]
    cloud.policy(policy(statement(Action="ec2:Describe*")))
    code, message, status = denied(ec2.terminate_instances, InstanceIds=[box])
    assert (code, status) == ("UnauthorizedOperation", 403)
    arn = f"arn:aws:ec2:us-west-2:123456789012:instance/{box}"
    assert message.startswith(
        f"You are not authorized to perform this operation. User: {who} is not authorized to perform: "
        f"ec2:TerminateInstances on resource: {arn} because no identity-based policy allows the "
        "ec2:TerminateInstances action. Encoded authorization failure message: "
    )
    assert ec2.describe_instances()["Reservations"][0]["Instances"][0]["State"]["Name"] in ("pending", "running")


def test_an_organization_denies_in_other_words(cloud, ec2):
    elsewhere = statement(Effect="Deny", Condition={"StringNotEquals": {"aws:RequestedRegion": "eu-west-1"}})
    cloud.policy(scps=[policy(elsewhere)])
    code, message, _ = denied(ec2.describe_instances)
    assert (code, message) == (
        "UnauthorizedOperation",
        "You are not authorized to perform this operation. User: arn:aws:sts::123456789012:user/moto is not authorized "
        "to perform: ec2:DescribeInstances with an explicit deny in a service control policy",
    )
    assert cloud.client(region="eu-west-1").describe_instances()["Reservations"] == []


def test_other_services_refuse_in_theirs(cloud):
    cloud.policy(policy(statement(Action="ec2:*")))
    parameters = {"ServiceCode": "ec2", "QuotaCode": "L-3819A6DF"}
    code, message, status = denied(cloud.client("service-quotas").get_service_quota, **parameters)
    assert (code, status) == ("AccessDeniedException", 400)
    assert message.endswith("because no identity-based policy allows the servicequotas:GetServiceQuota action")
    assert denied(cloud.client("pricing", "us-east-1").get_products, ServiceCode="AmazonEC2")[0] == code
    assert denied(cloud.client("iam").list_users)[0] == "AccessDenied"
    assert cloud.client("sts").get_caller_identity()["Account"] == "123456789012"


def test_a_launch_needs_each_of_its_resources(cloud, ec2):
    """https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html (RunInstances)"""
    cloud.policy(policy(statement()))
    tags = [{"ResourceType": name, "Tags": [{"Key": "a", "Value": "b"}]} for name in ("instance", "volume")]
    market = {"MarketType": "spot"}
    launch(ec2, TagSpecifications=tags, InstanceMarketOptions=market)
    assert needed(cloud, "ec2:RunInstances") == [
        f"image/{image(ec2)}",
        "security-group/*",
        "subnet/*",
        "instance/*",
        "network-interface/*",
        "volume/*",
    ]
    assert needed(cloud, "ec2:CreateTags") == ["instance/*", "volume/*"]
    assert needed(cloud, "iam:CreateServiceLinkedRole") == [
        "role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot"
    ]
    contexts = {one["resource"].rpartition(":")[2]: one["context"] for one in cloud.decisions()}
    assert contexts["instance/*"]["aws:requesttag/a"] == ["b"]
    assert contexts["instance/*"]["ec2:createaction"] == ["RunInstances"]
    assert not any(key.startswith("aws:requesttag") for key in contexts["network-interface/*"])
    assert not any("resourcetag" in key for one in contexts.values() for key in one)


def test_a_tagged_spot_request_is_a_resource_of_the_launch(cloud, ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ExamplePolicies_EC2.html#iam-example-spot-instances"""
    cloud.policy(policy(statement()))
    tags = [{"ResourceType": "spot-instances-request", "Tags": [{"Key": "a", "Value": "b"}]}]
    launch(ec2, TagSpecifications=tags, InstanceMarketOptions={"MarketType": "spot"})
    assert needed(cloud, "ec2:RunInstances")[-1] == "spot-instances-request/*"
    assert needed(cloud, "ec2:CreateTags") == ["spot-instances-request/*"]


def test_tags_of_what_exists_count_for_what_ends_it(cloud, ec2):
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "team", "Value": "vision"}]}]
    mine, foreign = launch(ec2, TagSpecifications=tags)["InstanceId"], launch(ec2)["InstanceId"]
    one = statement(Action="ec2:TerminateInstances", Condition={"StringEquals": {"ec2:ResourceTag/team": "vision"}})
    cloud.policy(policy(one))
    assert denied(ec2.terminate_instances, InstanceIds=[mine, foreign])[0] == "UnauthorizedOperation"
    ec2.terminate_instances(InstanceIds=[mine])


def test_a_dry_run_says_what_would_be_denied(cloud, ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TerminateInstances.html (DryRun)"""
    box = launch(ec2)["InstanceId"]
    assert denied(ec2.terminate_instances, InstanceIds=[box], DryRun=True)[0] == "DryRunOperation"
    cloud.policy(policy(statement(Action="iam:*")))
    assert denied(ec2.terminate_instances, InstanceIds=[box], DryRun=True)[0] == "UnauthorizedOperation"


def test_the_first_spot_instance_and_quota_request_create_a_role(cloud, ec2):
    cloud.policy(policy(statement(Action=["ec2:*", "servicequotas:*"])))
    quotas = cloud.client("service-quotas")
    parameters = {"ServiceCode": "ec2", "QuotaCode": "L-3819A6DF", "DesiredValue": 900.0}
    spot = {"InstanceMarketOptions": {"MarketType": "spot"}}
    described = {"ImageId": image(ec2), "InstanceType": "g4dn.xlarge", "MinCount": 1, "MaxCount": 1}
    code, _, _ = denied(ec2.run_instances, **described, **spot)
    assert code == "AuthFailure.ServiceLinkedRoleCreationNotPermitted"
    assert denied(quotas.request_service_quota_increase, **parameters)[0] == "DependencyAccessDeniedException"
    cloud.policy(policy(statement()))
    quotas.request_service_quota_increase(**parameters)
    cloud.client("iam").create_service_linked_role(AWSServiceName="spot.amazonaws.com")
    cloud.policy(policy(statement(Action=["ec2:*", "servicequotas:*"])))
    launch(ec2, **spot)


def test_a_policy_that_is_not_understood_changes_nothing(cloud, ec2):
    cloud.policy(policy(statement(Action="ec2:Describe*")))
    with pytest.raises(Exception, match="unknown condition key 'aws:Colour'"):
        cloud.policy(policy(statement(Condition={"StringEquals": {"aws:Colour": "red"}})))
    assert denied(ec2.create_security_group, GroupName="x", Description="x")[0] == "UnauthorizedOperation"


def test_policies_stay_over_a_restart_and_go_with_a_wipe(cloud, ec2):
    cloud.policy(policy(statement(Action="ec2:Describe*")))
    cloud.stop()
    cloud.start()
    assert denied(cloud.client().create_security_group, GroupName="x", Description="x")[0] == "UnauthorizedOperation"
    cloud.wipe()
    cloud.client().create_security_group(GroupName="x", Description="x")


def account(cloud: Any, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `sandbox account`."""
    env = dict(os.environ, AWS_BOOTSTRAP_SANDBOX_HOME=str(cloud.home.root))
    argv = [sys.executable, "-m", "aws_bootstrap", "sandbox", "account", *words]
    return subprocess.run(argv, capture_output=True, text=True, env=env, timeout=60, check=False)


def test_the_command_loads_shows_and_removes_policies(cloud, ec2, tmp_path: Path):
    first, second, scp = tmp_path / "first.json", tmp_path / "second.json", tmp_path / "scp.json"
    first.write_text(policy(statement(Action="ec2:DescribeInstances")))
    second.write_text(policy(statement(Action="ec2:DescribeVolumes")))
    scp.write_text(policy(statement(Effect="Deny", Action="iam:*")))
    loaded = account(cloud, "--policy", str(first), "--policy", str(second), "--scp", str(scp), "-o", "json")
    shown = json.loads(loaded.stdout)
    assert (shown.pop("account"), shown.pop("settings"), len(shown.pop("principals"))) == ("plain", {}, 1)
    assert shown == {
        "policies": [str(first), str(second)],
        "scps": [str(scp)],
        "decisions": [],
        "warnings": [],
        "next": [],
    }
    ec2.describe_instances()
    ec2.describe_volumes()
    assert denied(ec2.describe_vpcs)[0] == "UnauthorizedOperation"
    shown = account(cloud).stdout
    assert "Allowed: 2 actions\n  ec2:DescribeInstances\n  ec2:DescribeVolumes\n" in shown
    assert "Denied: 1 request\n  ec2:DescribeVpcs on *: because no identity-based policy allows the" in shown
    assert "No policy is in force: every caller may do everything." in account(cloud, "--no-policy").stdout
    ec2.describe_vpcs()


def test_the_command_refuses_what_it_does_not_understand(cloud, tmp_path: Path):
    wrong = tmp_path / "wrong.json"
    wrong.write_text(policy(statement(Condition={"StringEqual": {TAG: "x"}})))
    failed = account(cloud, "--policy", str(wrong))
    assert failed.returncode == 1
    assert f"{wrong}: unknown condition operator 'StringEqual'" in failed.stderr
    assert account(cloud, "--policy", str(wrong), "--no-policy").returncode == 2
    assert account(cloud, "--policy", str(tmp_path / "none.json")).returncode == 2
