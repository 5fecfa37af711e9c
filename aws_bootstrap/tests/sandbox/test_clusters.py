"""Launches of several instances at once, as a cluster needs them: how many, in which zone, in which groups."""

from __future__ import annotations

import pytest

from .conftest import describe, image, launch, refused, wait_state

#: RunInstances' documentation of the two counts:
#: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html
SPOT = {"InstanceMarketOptions": {"MarketType": "spot"}}
GPU_QUOTAS = {"on-demand": "L-DB2E81BA", "spot": "L-3819A6DF"}
IN_GROUP = {"Placement": {"GroupName": "near"}}


def run(ec2, least, most, **changes):
    """The instances of one call."""
    wanted = {"ImageId": image(ec2), "InstanceType": "g4dn.xlarge", "MinCount": least, "MaxCount": most}
    return ec2.run_instances(**(wanted | changes))["Instances"]


def zones(instances):
    return {one["Placement"]["AvailabilityZone"] for one in instances}


@pytest.mark.parametrize(
    ("market", "options", "code"),
    [("on-demand", {}, "VcpuLimitExceeded"), ("spot", SPOT, "MaxSpotInstanceCountExceeded")],
)
def test_as_many_are_launched_as_the_quota_allows(cloud, ec2, market, options, code):
    cloud.quota(GPU_QUOTAS[market], 14)
    assert len(run(ec2, 1, 8, **options)) == 3  # of 4 vCPUs each
    asked = {"ImageId": image(ec2), "InstanceType": "g4dn.xlarge", "MinCount": 1, "MaxCount": 8, **options}
    assert refused(ec2.run_instances, **asked) == code


def test_less_than_the_least_number_launches_nothing(cloud, ec2):
    cloud.quota(GPU_QUOTAS["on-demand"], 14)
    asked = {"ImageId": image(ec2), "InstanceType": "g4dn.xlarge", "MinCount": 4, "MaxCount": 8}
    assert refused(ec2.run_instances, **asked) == "VcpuLimitExceeded"
    assert ec2.describe_instances()["Reservations"] == []


def test_as_many_are_launched_as_the_zone_has_capacity_for(cloud, ec2):
    cloud.account(capacity="us-west-2a:1,us-west-2b:3,us-west-2c:0,us-west-2d:0")
    made = run(ec2, 2, 8)
    assert (len(made), zones(made)) == (3, {"us-west-2b"})
    assert len(run(ec2, 1, 8, Placement={"AvailabilityZone": "us-west-2a"})) == 1
    asked = {"ImageId": image(ec2), "InstanceType": "g4dn.xlarge", "MinCount": 1, "MaxCount": 1}
    assert refused(ec2.run_instances, **asked) == "InsufficientInstanceCapacity"


def test_a_named_subnet_gets_as_many_as_its_zone_has_capacity_for(cloud, ec2):
    cloud.account(capacity="us-west-2a:2")
    (subnet,) = ec2.describe_subnets(Filters=[{"Name": "availability-zone", "Values": ["us-west-2a"]}])["Subnets"]
    assert len(run(ec2, 1, 4, SubnetId=subnet["SubnetId"])) == 2


def test_eight_nodes_fit_into_the_plain_account(ec2):
    assert len(run(ec2, 8, 8)) == 8
    assert len(run(ec2, 8, 8, **SPOT)) == 8


def test_instances_of_one_call_are_numbered_and_in_one_zone(ec2):
    made = run(ec2, 4, 4)
    assert [one["AmiLaunchIndex"] for one in made] == [0, 1, 2, 3]
    assert len(zones(made)) == 1
    (reservation,) = ec2.describe_instances()["Reservations"]
    shown = {one["InstanceId"]: one["AmiLaunchIndex"] for one in reservation["Instances"]}
    assert shown == {one["InstanceId"]: one["AmiLaunchIndex"] for one in made}


def test_a_token_stands_for_the_counts_and_the_group_too(ec2):
    """https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html"""
    ec2.create_placement_group(GroupName="near", Strategy="cluster")
    made = run(ec2, 2, 4, ClientToken="once")
    assert [one["InstanceId"] for one in run(ec2, 2, 4, ClientToken="once")] == [one["InstanceId"] for one in made]
    asked = {"ImageId": image(ec2), "InstanceType": "g4dn.xlarge", "ClientToken": "once", "MaxCount": 4}
    assert refused(ec2.run_instances, MinCount=1, **asked) == "IdempotentParameterMismatch"
    assert refused(ec2.run_instances, MinCount=2, **asked, **IN_GROUP) == "IdempotentParameterMismatch"


def test_a_cluster_placement_group_stays_in_the_zone_of_its_instances(cloud, ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/limitations-placement-groups.html"""
    ec2.create_placement_group(GroupName="near", Strategy="cluster")
    (first,) = run(ec2, 1, 1, Placement={"GroupName": "near", "AvailabilityZone": "us-west-2c"})
    for _ in range(3):
        assert zones(run(ec2, 1, 1, **IN_GROUP)) == {"us-west-2c"}
    elsewhere = {"GroupName": "near", "AvailabilityZone": "us-west-2a"}
    asked = {"ImageId": image(ec2), "InstanceType": "g4dn.xlarge", "MinCount": 1, "MaxCount": 1}
    assert refused(ec2.run_instances, **asked, Placement=elsewhere) == "InvalidPlacementGroup.InUse"
    cloud.account(capacity="us-west-2c:4")
    assert refused(ec2.run_instances, **asked, **IN_GROUP) == "InsufficientInstanceCapacity"
    for reservation in ec2.describe_instances()["Reservations"]:
        ec2.terminate_instances(InstanceIds=[one["InstanceId"] for one in reservation["Instances"]])
    wait_state(ec2, first["InstanceId"], "terminated")
    assert zones(run(ec2, 1, 1, Placement=elsewhere)) == {"us-west-2a"}


def test_a_spread_group_has_instances_of_several_zones(ec2):
    ec2.create_placement_group(GroupName="near", Strategy="spread")
    for zone in ("us-west-2a", "us-west-2b"):
        assert zones(run(ec2, 1, 1, Placement={"GroupName": "near", "AvailabilityZone": zone})) == {zone}


def test_a_type_without_the_strategy_is_refused(ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_PlacementGroupInfo.html"""
    (shown,) = ec2.describe_instance_types(InstanceTypes=["t3.micro"])["InstanceTypes"]
    assert sorted(shown["PlacementGroupInfo"]["SupportedStrategies"]) == ["partition", "spread"]
    (shown,) = ec2.describe_instance_types(InstanceTypes=["g4dn.xlarge"])["InstanceTypes"]
    assert "cluster" in shown["PlacementGroupInfo"]["SupportedStrategies"]
    ec2.create_placement_group(GroupName="near", Strategy="cluster")
    asked = {"ImageId": image(ec2), "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1, **IN_GROUP}
    assert refused(ec2.run_instances, **asked) == "InvalidParameterCombination"


def test_placement_groups_are_found_by_tag_name_and_id(cloud, ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribePlacementGroups.html"""
    tags = [{"ResourceType": "placement-group", "Tags": [{"Key": "team", "Value": "vision"}]}]
    made = ec2.create_placement_group(GroupName="near", Strategy="cluster", TagSpecifications=tags)["PlacementGroup"]
    ec2.create_placement_group(GroupName="far", Strategy="spread")
    ec2.create_tags(Resources=[made["GroupId"]], Tags=[{"Key": "run", "Value": "7"}])

    def found(**wanted):
        return [one["GroupName"] for one in ec2.describe_placement_groups(**wanted)["PlacementGroups"]]

    for name, value in {"tag:team": "vision", "tag-key": "run", "strategy": "cluster", "group-name": "ne*"}.items():
        assert found(Filters=[{"Name": name, "Values": [value]}]) == ["near"]
    assert found(Filters=[{"Name": "tag:team", "Values": ["sound"]}]) == []
    assert found(GroupIds=[made["GroupId"]]) == ["near"]
    assert made["GroupArn"].endswith(":placement-group/near")
    listed = {one["id"]: one["tags"] for one in cloud.inventory() if one["type"] == "placement-group"}
    assert listed == {"near": {"team": "vision", "run": "7"}, "far": {}}


def test_an_instance_is_in_each_of_its_security_groups(ec2):
    groups = [ec2.create_security_group(GroupName=name, Description=name)["GroupId"] for name in ("ssh", "nodes")]
    interface = {"DeviceIndex": 0, "Groups": groups, "AssociatePublicIpAddress": True}
    for options in ({"SecurityGroupIds": groups}, {"NetworkInterfaces": [interface]}):
        made = describe(ec2, launch(ec2, **options)["InstanceId"])
        assert {one["GroupId"] for one in made["SecurityGroups"]} == set(groups)
        assert {one["GroupId"] for one in made["NetworkInterfaces"][0]["Groups"]} == set(groups)


def test_a_rule_may_name_its_own_group(ec2):
    """https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html"""
    group = ec2.create_security_group(GroupName="nodes", Description="nodes")["GroupId"]
    tags = [{"ResourceType": "security-group-rule", "Tags": [{"Key": "team", "Value": "vision"}]}]
    among = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group, "Description": "nodes"}]}
    (made,) = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[among], TagSpecifications=tags)[
        "SecurityGroupRules"
    ]
    for wanted in ({"Name": "group-id", "Values": [group]}, {"Name": "tag:team", "Values": ["vision"]}):
        rules = ec2.describe_security_group_rules(Filters=[wanted])["SecurityGroupRules"]
        (shown,) = [rule for rule in rules if not rule["IsEgress"]]
        assert shown["SecurityGroupRuleId"] == made["SecurityGroupRuleId"]
        assert (shown["ReferencedGroupInfo"]["GroupId"], shown["Description"]) == (group, "nodes")
        assert shown["Tags"] == [{"Key": "team", "Value": "vision"}]
    ((pair,),) = [
        permission["UserIdGroupPairs"]
        for permission in ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]
    ]
    assert pair["GroupId"] == group
    again = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}
    assert refused(ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=[again]) == (
        "InvalidPermission.Duplicate"
    )
    ec2.delete_security_group(GroupId=group)
    assert refused(ec2.describe_security_groups, GroupIds=[group]) == "InvalidGroup.NotFound"


def test_a_security_group_that_another_ones_rule_names_is_not_deleted(ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSecurityGroup.html"""
    named = ec2.create_security_group(GroupName="named", Description="named")["GroupId"]
    other = ec2.create_security_group(GroupName="other", Description="other")["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "UserIdGroupPairs": [{"GroupId": named}]}
    ec2.authorize_security_group_ingress(GroupId=other, IpPermissions=[rule])
    assert refused(ec2.delete_security_group, GroupId=named) == "DependencyViolation"
    ec2.revoke_security_group_ingress(GroupId=other, IpPermissions=[rule])
    ec2.delete_security_group(GroupId=named)
