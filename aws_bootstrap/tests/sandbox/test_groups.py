"""Placement groups, which moto lacks, and security groups that something still uses."""

from __future__ import annotations

from .conftest import image, launch, refused, wait_state


def test_a_placement_group_lives_and_dies(ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreatePlacementGroup.html and its neighbours"""
    tags = [{"ResourceType": "placement-group", "Tags": [{"Key": "team", "Value": "vision"}]}]
    made = ec2.create_placement_group(GroupName="near", Strategy="cluster", TagSpecifications=tags)["PlacementGroup"]
    assert (made["State"], made["Strategy"]) == ("available", "cluster")
    found = ec2.describe_placement_groups(Filters=[{"Name": "tag:team", "Values": ["vision"]}])["PlacementGroups"]
    assert [one["GroupName"] for one in found] == ["near"]
    assert (
        refused(ec2.create_placement_group, GroupName="near", Strategy="cluster") == "InvalidPlacementGroup.Duplicate"
    )
    ec2.delete_placement_group(GroupName="near")
    assert refused(ec2.describe_placement_groups, GroupNames=["near"]) == "InvalidPlacementGroup.Unknown"


def test_an_instance_is_in_its_placement_group_until_it_ends(ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/placement-groups.html"""
    unknown = {"ImageId": image(ec2), "InstanceType": "g4dn.xlarge", "MinCount": 1, "MaxCount": 1}
    unknown["Placement"] = {"GroupName": "near"}
    assert refused(ec2.run_instances, **unknown) == "InvalidPlacementGroup.Unknown"
    ec2.create_placement_group(GroupName="near", Strategy="cluster")
    made = launch(ec2, Placement={"GroupName": "near"})
    assert made["Placement"]["GroupName"] == "near"
    assert refused(ec2.delete_placement_group, GroupName="near") == "InvalidPlacementGroup.InUse"
    ec2.terminate_instances(InstanceIds=[made["InstanceId"]])
    wait_state(ec2, made["InstanceId"], "terminated")
    ec2.delete_placement_group(GroupName="near")


def test_a_security_group_in_use_is_not_deleted(ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSecurityGroup.html (DependencyViolation)"""
    group = ec2.create_security_group(GroupName="ssh", Description="ssh")["GroupId"]
    made = launch(ec2, SecurityGroupIds=[group])
    assert refused(ec2.delete_security_group, GroupId=group) == "DependencyViolation"
    ec2.terminate_instances(InstanceIds=[made["InstanceId"]])
    wait_state(ec2, made["InstanceId"], "terminated")
    ec2.delete_security_group(GroupId=group)


def test_the_same_rule_twice_is_refused(ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AuthorizeSecurityGroupIngress.html"""
    group = ec2.create_security_group(GroupName="ssh", Description="ssh")["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "203.0.113.7/32"}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    again = refused(ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=[rule])
    assert again == "InvalidPermission.Duplicate"
