"""What an instance needs in its region (workflows/launch/region.py): how often EC2 is asked for it."""

from __future__ import annotations

WEST = "us-west-2"


def group_calls(cloud) -> list[str]:
    """The calls about security groups and their rules, in their order."""
    return [operation for _, operation in cloud.calls if "SecurityGroup" in operation]


def test_the_group_of_the_plan_is_not_looked_up_again(launch, cloud):
    assert launch()[0] == 0
    assert group_calls(cloud) == [
        "DescribeSecurityGroups",
        "CreateSecurityGroup",
        "AuthorizeSecurityGroupIngress",
    ]
    cloud.calls.clear()
    assert launch()[0] == 0
    assert group_calls(cloud) == ["DescribeSecurityGroups"]


def test_a_group_that_another_launch_creates_meanwhile_is_used(launch, cloud):
    client = cloud.ec2(WEST)
    vpc_id = client.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    made: list[str] = []

    def create() -> None:
        reply = client.create_security_group(GroupName="aws-bootstrap-ssh", Description="d", VpcId=vpc_id)
        made.append(reply["GroupId"])

    cloud.faults.on("CreateSecurityGroup", create)
    assert launch()[0] == 0
    (instance,) = client.describe_instances()["Reservations"][0]["Instances"]
    assert [group["GroupId"] for group in instance["SecurityGroups"]] == made
    assert group_calls(cloud)[-2:] == ["DescribeSecurityGroups", "AuthorizeSecurityGroupIngress"]
