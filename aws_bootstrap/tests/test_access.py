"""Who may reach the boxes, and the rules of ours replaced without locking anybody out."""

from __future__ import annotations

import json
import signal

import pytest

from aws_bootstrap import ec2, sshconfig
from aws_bootstrap.errors import SshError
from aws_bootstrap.models import IngressRule
from aws_bootstrap.tests import factories
from aws_bootstrap.tests.cloud import CALLER, start_box

EAST, WEST = "us-east-1", "us-west-2"
ME, HOME = "203.0.113.7", "198.51.100.1/32"


def make_group(client, name="ssh", port=22, cidrs=(HOME,), owner=CALLER) -> str:
    vpc = ec2.find_network(client, ()).vpc_id
    group, _ = ec2.ensure_security_group(client, vpc, name, None)
    tags = {"aws-bootstrap-owner": owner} if owner else {}
    ec2.ensure_ingress(client, group, port, cidrs, tags)
    return group.group_id


def make_box(cloud, region=WEST, **group) -> tuple[str, str]:
    client = cloud.ec2(region)
    group_id = make_group(client, **group)
    return start_box(client, SecurityGroupIds=[group_id])["InstanceId"], group_id


def by_others(client, group_id, cidr) -> None:
    permission = {
        "IpProtocol": "tcp",
        "FromPort": 22,
        "ToPort": 22,
        "IpRanges": [{"CidrIp": cidr, "Description": "VPN"}],
    }
    client.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[permission])


def sources(client, group_id) -> set[tuple[str, bool]]:
    return {(rule.source, rule.created_by_us) for rule in ec2.find_rules(client, [group_id])}


def shown(done) -> list[dict]:
    return json.loads(done.stdout)["boxes"]


def test_every_box_is_shown_with_its_rules_and_whether_one_is_allowed(run, cloud, my_address):
    box, group = make_box(cloud)
    other, _ = make_box(cloud, EAST, cidrs=[f"{ME}/32"])
    by_others(cloud.ec2(WEST), group, "192.0.2.0/24")
    done = run("access", "-o", "json")
    found = {b["instance_id"]: b for b in shown(done)}
    assert done.exit_code == 0
    assert json.loads(done.stdout)["my_address"] == ME
    assert found[other]["reachable"] is True
    assert found[box]["reachable"] is False
    assert [(r["source"], r["created_by_us"], r["description"]) for r in found[box]["rules"]] == [
        (HOME, True, "aws-bootstrap"),
        ("192.0.2.0/24", False, "VPN"),
    ]
    assert "added" not in found[box]
    assert found[box]["ssh_port"] == 22
    assert found[box]["ssh_alias"] is None


def rule_ids(client, group_id) -> dict[str, str]:
    return {rule.source: rule.rule_id for rule in ec2.find_rules(client, [group_id])}


def test_the_whole_document_of_two_boxes_in_one_region(run, app, cloud, my_address):
    """Each with its own rules alone; the first's group has also a rule for a port on which no box of ours listens."""
    west = cloud.ec2(WEST)
    first, group = make_box(cloud, name="first", cidrs=["198.51.100.9/32", HOME])
    by_others(west, group, f"{ME}/32")
    ec2.ensure_ingress(west, ec2.find_security_groups(west, "first")[0], 2222, ["192.0.2.0/24"])
    second, other = make_box(cloud, name="second", cidrs=["192.0.2.0/24"])
    sshconfig.add(app.paths.ssh_config, factories.host(instance_id=second))
    done = run("access", first, second, "--ssh-cidr", HOME, "-o", "json")
    assert "DescribeVolumes" not in {operation for _, operation in cloud.calls}, "nothing is told of them"
    by_first, by_second = rule_ids(west, group), rule_ids(west, other)

    def rule(source, group_id, ids, *, ours=True):
        described = "aws-bootstrap" if ours else "VPN"
        return {
            "source": source,
            "security_group": group_id,
            "rule_id": ids[source],
            "created_by_us": ours,
            "description": described,
            "owner": CALLER if ours else None,
        }

    found = json.loads(done.stdout)
    found["boxes"].sort(key=lambda box: box["instance_id"] == second)
    assert done.exit_code == 0
    assert found == {
        "boxes": [
            {
                "instance_id": first,
                "region": WEST,
                "ssh_alias": None,
                "ssh_port": 22,
                "reachable": True,
                "rules": [rule(HOME, group, by_first), rule(f"{ME}/32", group, by_first, ours=False)],
                "added": [],
                "removed": ["198.51.100.9/32"],
                "owner": CALLER,
                "yours": True,
            },
            {
                "instance_id": second,
                "region": WEST,
                "ssh_alias": "aws-gpu1",
                "ssh_port": 22,
                "reachable": False,
                "rules": [rule(HOME, other, by_second)],
                "added": [HOME],
                "removed": ["192.0.2.0/24"],
                "owner": CALLER,
                "yours": True,
            },
        ],
        "my_address": ME,
        "regions_queried": found["regions_queried"],
        "regions_failed": [],
        "left_out": [],
        "regions_denied": [],
        "warnings": [],
        "next": [
            {"do": "access", "argv": ["aws-bootstrap", "access", "aws-gpu1", "--ssh-cidr", "me"]},
        ],
    }
    assert WEST in found["regions_queried"]
    assert "192.0.2.0/24" in by_first


def test_the_command_that_lets_one_in_begins_as_the_program_was_called(run, cloud, my_address, monkeypatch):
    box, _ = make_box(cloud)
    monkeypatch.setenv("AWS_BOOTSTRAP_PROGRAM", "uv run aws-bootstrap")
    assert f"uv run aws-bootstrap access {box} --ssh-cidr me" in run("access").stdout


def test_our_rules_are_replaced_and_others_stay(run, cloud, my_address):
    box, group = make_box(cloud)
    by_others(cloud.ec2(WEST), group, "192.0.2.0/24")
    done = run("access", box, "--ssh-cidr", "me", "-o", "json")
    (after,) = shown(done)
    assert done.exit_code == 0
    assert after["reachable"] is True
    assert (after["added"], after["removed"]) == ([f"{ME}/32"], [HOME])
    assert sources(cloud.ec2(WEST), group) == {(f"{ME}/32", True), ("192.0.2.0/24", False)}
    operations = [operation for _, operation in cloud.calls if operation.endswith("Ingress")]
    assert operations[-2:] == ["AuthorizeSecurityGroupIngress", "RevokeSecurityGroupIngress"]


def test_doing_it_twice_changes_nothing_more(run, cloud, my_address):
    box, group = make_box(cloud)
    run("access", box, "--ssh-cidr", "me")
    cloud.calls.clear()
    (after,) = shown(run("access", box, "--ssh-cidr", "me", "-o", "json"))
    assert (after["added"], after["removed"]) == ([], [])
    assert not [operation for _, operation in cloud.calls if operation.endswith("Ingress")]


def test_a_refused_authorization_removes_nothing(run, cloud, my_address):
    box, group = make_box(cloud)
    cloud.deny(WEST, "AuthorizeSecurityGroupIngress")
    done = run("access", box, "--ssh-cidr", "me", "-o", "json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["error"]["code"] == "access-denied"
    assert sources(cloud.ec2(WEST), group) == {(HOME, True)}


def test_one_region_that_refuses_is_reported_and_the_others_are_changed(run, cloud, my_address):
    box, group = make_box(cloud)
    other, other_group = make_box(cloud, EAST)
    cloud.deny(EAST, "AuthorizeSecurityGroupIngress")
    done = run("access", "--ssh-cidr", "me", "-o", "json")
    found = {b["instance_id"]: b for b in shown(done)}
    assert done.exit_code == 3
    assert f"Could not read or change {EAST}" in done.stderr
    assert found[box]["added"] == [f"{ME}/32"]
    assert "added" not in found[other]
    assert sources(cloud.ec2(EAST), other_group) == {(HOME, True)}


def test_a_rule_of_others_for_the_same_network_is_neither_doubled_nor_taken_over(run, cloud, my_address):
    box, group = make_box(cloud)
    by_others(cloud.ec2(WEST), group, f"{ME}/32")
    (after,) = shown(run("access", box, "--ssh-cidr", "me", "-o", "json"))
    assert sources(cloud.ec2(WEST), group) == {(f"{ME}/32", False)}
    assert after["added"] == []


def test_our_rule_in_a_second_group_of_the_box_goes_too(run, cloud, my_address):
    """Else the old address stays let in."""
    client = cloud.ec2(WEST)
    first, second = make_group(client, name="ssh"), make_group(client, name="second")
    box = start_box(client, SecurityGroupIds=[first, second])["InstanceId"]
    (after,) = shown(run("access", box, "--ssh-cidr", "me", "-o", "json"))
    assert sources(client, first) | sources(client, second) == {(f"{ME}/32", True)}
    assert (after["added"], after["removed"]) == ([f"{ME}/32"], [HOME])


def test_rules_for_another_port_neither_count_nor_go():
    """Boxes may share a group and listen on different ports; a range is nobody's rule for one port."""
    mine = f"{ME}/32"
    old = IngressRule("sgr-1", "sg-1", 22, 22, HOME, True)
    others = [
        IngressRule("sgr-2", "sg-1", 2222, 2222, mine, True),
        IngressRule("sgr-3", "sg-1", 20, 30, mine, True),
        IngressRule("sgr-4", "sg-2", 22, 22, mine, True),
        IngressRule("sgr-5", "sg-1", 22, 22, "192.0.2.0/24", False),
        IngressRule("sgr-6", "sg-1", 2222, 2222, HOME, True),
    ]
    assert ec2.rule_changes("sg-1", 22, [mine], [old, *others]) == ((mine,), (old,))


def test_a_rule_that_comes_meanwhile_does_not_keep_the_others_out(run, cloud, my_address):
    """EC2 refuses all CIDRs of a request for one that has a rule."""
    box, group = make_box(cloud)
    client = cloud.ec2(WEST)
    cloud.faults.on("AuthorizeSecurityGroupIngress", lambda: by_others(client, group, f"{ME}/32"))
    (after,) = shown(run("access", box, "--ssh-cidr", "me", "--ssh-cidr", "192.0.2.0/24", "-o", "json"))
    assert sources(client, group) == {(f"{ME}/32", False), ("192.0.2.0/24", True)}
    assert after["reachable"] is True


@pytest.mark.parametrize("operation", ["AuthorizeSecurityGroupIngress", "RevokeSecurityGroupIngress"])
@pytest.mark.parametrize("lost", [1, None], ids=["once", "always"])
def test_a_change_whose_answer_is_lost_is_done(run, cloud, my_address, operation, lost):
    box, group = make_box(cloud, cidrs=[HOME, "192.0.2.0/24"])
    cloud.faults.lose(operation, times=lost)
    done = run("access", box, "--ssh-cidr", "me", "-o", "json")
    assert done.exit_code == 0
    assert sources(cloud.ec2(WEST), group) == {(f"{ME}/32", True)}


def test_a_rule_that_goes_meanwhile_does_not_keep_the_others(run, cloud, my_address):
    """EC2 refuses to remove all rules of a request for one that is gone."""
    box, group = make_box(cloud, cidrs=[HOME, "192.0.2.0/24"])
    client = cloud.ec2(WEST)
    gone = ec2.find_rules(client, [group])[:1]
    cloud.faults.on("RevokeSecurityGroupIngress", lambda: ec2.revoke(client, group, gone))
    done = run("access", box, "--ssh-cidr", "me", "-o", "json")
    assert done.exit_code == 0
    assert sources(client, group) == {(f"{ME}/32", True)}


def test_an_interrupted_change_says_how_to_look(run, cloud, my_address):
    box, group = make_box(cloud)
    cloud.faults.interrupt("AuthorizeSecurityGroupIngress", signal.SIGTERM)
    done = run("access", box, "--ssh-cidr", "me", "-o", "json")
    error = json.loads(done.stdout)["error"]
    assert (done.exit_code, error["code"]) == (143, "interrupted")
    assert "aws-bootstrap access" in error["hint"]
    assert (HOME, True) in sources(cloud.ec2(WEST), group), "nothing is removed afterwards"


def test_after_an_interrupt_no_other_region_goes_on(run, cloud, my_address):
    """Its new rules are under way; its old ones stay."""
    make_box(cloud)
    _, group = make_box(cloud, EAST)
    hold = cloud.faults.hold("AuthorizeSecurityGroupIngress", region=EAST)
    cloud.faults.interrupt("AuthorizeSecurityGroupIngress", region=WEST, after=hold)
    assert run("access", "--ssh-cidr", "me", "-o", "json").exit_code == 130
    hold.release()
    assert sources(cloud.ec2(EAST), group) == {(HOME, True), (f"{ME}/32", True)}


def test_boxes_that_share_a_group_are_changed_once(run, cloud, my_address):
    box, group = make_box(cloud)
    start_box(cloud.ec2(WEST), SecurityGroupIds=[group])
    cloud.calls.clear()
    after = shown(run("access", "--ssh-cidr", "me", "--ssh-cidr", "192.0.2.0/24", "-o", "json"))
    assert [b["added"] for b in after] == [["192.0.2.0/24", f"{ME}/32"]] * 2
    assert [operation for _, operation in cloud.calls if operation.endswith("Ingress")] == [
        "AuthorizeSecurityGroupIngress",
        "RevokeSecurityGroupIngress",
    ]


def test_only_the_boxes_named_are_changed(run, cloud, my_address):
    box, group = make_box(cloud)
    _, other_group = make_box(cloud, EAST)
    assert [b["instance_id"] for b in shown(run("access", box, "--ssh-cidr", "me", "-o", "json"))] == [box]
    assert sources(cloud.ec2(EAST), other_group) == {(HOME, True)}


def test_the_port_is_the_aliass_or_that_of_our_rule(run, cloud, my_address, app):
    box, group = make_box(cloud, port=2222, cidrs=[f"{ME}/32"])
    assert [(b["ssh_port"], b["reachable"]) for b in shown(run("access", "-o", "json"))] == [(2222, True)]
    sshconfig.add(app.paths.ssh_config, factories.host(instance_id=box, port=22))
    (after,) = shown(run("access", "aws-gpu1", "--ssh-cidr", "me", "-o", "json"))
    assert (after["ssh_port"], after["ssh_alias"], after["added"]) == (22, "aws-gpu1", [f"{ME}/32"])


def test_an_address_that_cannot_be_found_is_unknown_but_me_then_fails(run, cloud):
    box, group = make_box(cloud)
    done = run("access", "-o", "json")
    (before,) = shown(done)
    assert before["reachable"] is None
    assert json.loads(done.stdout)["my_address"] is None
    assert [warning["code"] for warning in json.loads(done.stdout)["warnings"]] == ["no-address"]
    done = run("access", box, "--ssh-cidr", "me", "-o", "json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["error"]["code"] == "no-address"
    assert run("access", box, "--ssh-cidr", "192.0.2.0/24").exit_code == 0
    assert sources(cloud.ec2(WEST), group) == {("192.0.2.0/24", True)}


def test_no_boxes_and_unknown_names(run, cloud, my_address):
    done = run("access", "-o", "json")
    assert done.exit_code == 0
    assert shown(done) == []
    assert run("access", "aws-gpu9").exit_code == 1
    assert json.loads(run("access", "i-0123456789abcdef0", "-o", "json").stdout)["error"]["code"] == "not-found"


def test_a_box_that_has_ended_is_not_found_by_name_and_left_out_otherwise(run, cloud, my_address):
    box, group = make_box(cloud)
    cloud.ec2(WEST).terminate_instances(InstanceIds=[box])
    done = run("access", box, "--ssh-cidr", "me", "-o", "json")
    error = json.loads(done.stdout)["error"]
    assert (done.exit_code, error["code"]) == (1, "not-found")
    assert box in error["message"]
    done = run("access", "--ssh-cidr", "me", "-o", "json")
    assert done.exit_code == 0
    assert shown(done) == []
    assert sources(cloud.ec2(WEST), group) == {(HOME, True)}


def test_an_unread_region_is_exit_code_3_and_all_of_them_1(run, cloud, my_address):
    box, _ = make_box(cloud)
    cloud.deny(EAST)
    done = run("access", "-o", "json")
    assert done.exit_code == 3
    assert [b["instance_id"] for b in shown(done)] == [box]
    assert [f["region"] for f in json.loads(done.stdout)["regions_failed"]] == [EAST]
    for region in (WEST, "eu-west-1"):
        cloud.deny(region)
    assert run("access").exit_code == 1


class SilentSsh:
    """Boxes that cannot be logged in to."""

    def __init__(self, message: str = "connect to port 22: Connection timed out", **facts: str) -> None:
        self.message, self.facts = message, facts

    def run(self, *_: object, **__: object) -> None:
        raise SshError(self.message, **self.facts)


SHUT_OUT = (
    f"The security group of aws-gpu1 does not allow SSH from your address {ME}. "
    "Allow only this address: aws-bootstrap access aws-gpu1 --ssh-cidr me"
)


def silent_box(app, cloud, cidr=HOME, region: str | None = WEST, ssh: SilentSsh | None = None) -> str:
    """A box with an alias; its region is not in the block where it is None."""
    box, _ = make_box(cloud, region or WEST, cidrs=[cidr])
    sshconfig.add(app.paths.ssh_config, factories.host(instance_id=box, region=region))
    app.ssh = ssh or SilentSsh()
    return box


def hint(run) -> str | None:
    done = run("setup", "aws-gpu1", "-o", "json")
    assert done.exit_code == 1
    return json.loads(done.stdout)["error"]["hint"]


@pytest.mark.parametrize("region", [EAST, None])
def test_an_ssh_that_times_out_tells_whose_address_is_left_out(run, cloud, my_address, app, region):
    silent_box(app, cloud, region=region)
    assert hint(run) == SHUT_OUT
    assert "DescribeVolumes" not in {operation for _, operation in cloud.calls}, "nothing is told of them"


def test_an_ssh_that_times_out_though_the_address_is_let_in_tells_nothing_more(run, cloud, my_address, app):
    silent_box(app, cloud, f"{ME}/32")
    assert hint(run) is None


@pytest.mark.parametrize(
    ("ssh", "told"),
    [
        (SilentSsh("No answer.", code="ssh-timeout", hint="Wait."), f"Wait.\n{SHUT_OUT}"),
        (SilentSsh("Nobody.", code="ssh-timeout"), SHUT_OUT),
        (SilentSsh("Denied.", code="ssh-refused", hint="Wait."), "Wait."),
        (SilentSsh("Denied.", code="ssh-refused"), None),
    ],
    ids=["hint", "no-hint", "refused-hint", "refused"],
)
def test_who_is_left_out_is_reported_where_that_may_be_the_cause(run, cloud, my_address, app, ssh, told):
    silent_box(app, cloud, ssh=ssh)
    assert hint(run) == told


def test_a_box_that_has_ended_leaves_nobody_out(run, cloud, my_address, app):
    box = silent_box(app, cloud)
    cloud.ec2(WEST).terminate_instances(InstanceIds=[box])
    assert hint(run) == "aws-gpu1 was terminated. Remove its alias: aws-bootstrap cleanup"


def test_rules_that_cannot_be_read_or_hold_no_address_leave_nobody_out(run, cloud, my_address, app):
    box = silent_box(app, cloud)
    client = cloud.ec2(WEST)
    (instance,) = client.describe_instances(InstanceIds=[box])["Reservations"][0]["Instances"]
    (group_id,) = [group["GroupId"] for group in instance["SecurityGroups"]]
    ec2.revoke(client, group_id, ec2.find_rules(client, [group_id]))
    client.authorize_security_group_ingress(
        GroupId=group_id,
        IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "UserIdGroupPairs": [{"GroupId": group_id}]}
        ],
    )
    assert hint(run) is None, "who is in a group is not known"
    cloud.deny(WEST, "DescribeInstances")
    assert hint(run) is None


@pytest.mark.parametrize(
    ("source", "let_in"),
    [("203.0.113.0/24", True), ("0.0.0.0/0", True), ("198.51.100.1/32", False), ("::/0", False), ("pl-1", None)],
)
def test_who_is_allowed(source, let_in):
    assert ec2.allows([IngressRule("sgr-1", "sg-1", 22, 22, source, False)], ME) is let_in
