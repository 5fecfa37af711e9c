"""Which boxes exist: found by name, joined with alias and volumes; what is orphaned, and what is stale."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aws_bootstrap import ec2, sshconfig
from aws_bootstrap.errors import BootstrapError, IncompleteError
from aws_bootstrap.invocation import PROGRAM
from aws_bootstrap.models import ErrorReport, RegionFailure
from aws_bootstrap.tests import factories
from aws_bootstrap.tests.cloud import REGIONS, make_volume, start_box
from aws_bootstrap.workflows.box import Box
from aws_bootstrap.workflows.inventory import Inventory, read, read_region, read_with, select

EAST, WEST = "us-east-1", "us-west-2"
INSTANCE = factories.instance()
VOLUME = factories.volume()


def inventory(instances=(INSTANCE,), volumes=(), hosts=(), regions=(EAST, WEST), failed=()) -> Inventory:
    boxes = tuple(Box(instance) for instance in instances)
    return Inventory(boxes, tuple(volumes), tuple(hosts), tuple(regions), tuple(failed))


# --- orphan volumes --------------------------------------------------------------------------------------


def test_a_volume_that_an_existing_box_has_yet_to_attach_is_no_orphan():
    """mutants.md, `orphans`: a person deletes what is shown as an orphan."""
    assert inventory(volumes=[VOLUME]).orphans() == ()


def test_a_detached_volume_whose_box_is_gone_is_an_orphan():
    other = factories.instance(instance_id="i-2")
    assert inventory([other], [VOLUME]).orphans() == (VOLUME,)


def test_a_volume_in_use_is_no_orphan():
    assert inventory([], [factories.volume(state="in-use")]).orphans() == ()


def test_a_volume_of_which_the_state_is_not_known_is_no_orphan():
    assert inventory([], [factories.volume(state="unknown")]).orphans() == ()


# --- stale hosts -----------------------------------------------------------------------------------------


def host(number: int, region: str | None = WEST):
    return factories.host(instance_id=f"i-{number}", alias=f"aws-gpu{number}", region=region)


def test_hosts_without_a_box_are_stale_in_the_order_of_their_numbers():
    seen = inventory(hosts=[host(10), host(1), host(2)])
    assert [h.alias for h in seen.stale_hosts()] == ["aws-gpu2", "aws-gpu10"]
    assert seen.unjudged_hosts() == ()


def test_a_host_of_a_region_that_the_account_cannot_see_is_not_judged():
    seen = inventory(hosts=[host(2, "ap-south-1")])
    assert seen.stale_hosts() == ()
    assert seen.unjudged_hosts() == (host(2, "ap-south-1"),)


@pytest.mark.parametrize("unread", ["failed", "denied"])
def test_a_region_unread_protects_only_what_may_be_there(unread):
    """An instance never moves to another region, so that its own region's answer is enough."""
    hosts = [host(1, WEST), host(2, EAST), host(3, None)]
    changes: dict[str, Any] = {unread: (RegionFailure(EAST, "denied"),)}
    seen = replace(inventory([], hosts=hosts), **changes)
    assert seen.stale_hosts() == (host(1, WEST),)
    assert seen.unjudged_hosts() == (host(2, EAST), host(3, None))


def test_regions_that_the_user_chose_are_all_that_is_judged():
    hosts = [host(1, WEST), host(2, EAST), host(3, None)]
    seen = replace(inventory([], hosts=hosts, regions=[WEST]), is_narrowed=True)
    assert seen.stale_hosts() == (host(1, WEST),)
    assert seen.unjudged_hosts() == ()


def test_an_older_block_without_a_region_is_judged_by_all_regions():
    assert inventory(hosts=[host(2, None)]).stale_hosts() == (host(2, None),)


# --- boxes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "address", "reachable"),
    [
        ("running", "192.0.2.1", True),
        ("running", None, False),
        ("pending", "192.0.2.1", False),
        ("stopped", None, False),
    ],
)
def test_a_box_is_reachable_once_it_runs_and_has_an_address(state, address, reachable):
    assert Box(factories.instance(state=state, public_ip=address)).is_reachable is reachable


@pytest.mark.parametrize(
    ("changes", "goes"),
    [
        ({}, True),
        ({"attached_to": "i-1"}, True),
        ({"attached_to": ec2.UNKNOWN}, True),
        ({"attached_to": "i-2"}, False),
        ({"kept": True}, False),
        ({"created_by_us": False}, False),
    ],
    ids=str,
)
def test_which_volumes_go_with_a_box(changes, goes):
    volume = factories.volume(**changes)
    assert Box(INSTANCE, volumes=(volume,)).deletable_volumes == ((volume,) if goes else ())


def test_a_box_is_called_as_its_instance_and_its_alias_say():
    box = Box(INSTANCE, factories.host(instance_id="i-1", alias="aws-gpu7"))
    assert (box.instance_id, box.region, box.alias, box.has_ended) == ("i-1", WEST, "aws-gpu7", False)
    assert Box(INSTANCE).alias is None
    assert all(Box(factories.instance(state=state)).has_ended for state in ("shutting-down", "terminated"))


# --- what is read ----------------------------------------------------------------------------------------


def alone(app) -> tuple:
    return tuple(sshconfig.hosts(sshconfig.read(app.paths.ssh_config)))


def asked(cloud) -> list[tuple[str, str]]:
    return sorted(call for call in cloud.calls if call[1].startswith("Describe"))


def counted(client, instance_ids):
    """What is read besides: the region, and the instances that were found there."""
    instances, volumes = read_region(client, instance_ids)
    return instances, volumes, (client.meta.region_name, [instance.instance_id for instance in instances])


def test_all_of_ours_in_every_region_are_joined_with_hosts_and_volumes(app, cloud, box):
    first, second = box(EAST, in_block=EAST), start_box(cloud.ec2(WEST))["InstanceId"]
    volume, orphan = make_volume(cloud.ec2(WEST), second), make_volume(cloud.ec2(WEST), "i-0gone")
    cloud.calls.clear()
    found, more = read_with(counted, app)
    assert {b.instance_id: (b.alias, [v.volume_id for v in b.volumes]) for b in found.boxes} == {
        first: ("aws-gpu1", []),
        second: (None, [volume]),
    }
    assert {v.volume_id for v in found.volumes} == {volume, orphan}
    assert (found.hosts, found.regions, found.failed) == (alone(app), REGIONS, ())
    assert more == {EAST: (EAST, [first]), WEST: (WEST, [second]), "eu-west-1": ("eu-west-1", [])}
    assert asked(cloud) == sorted((r, op) for r in REGIONS for op in ("DescribeInstances", "DescribeVolumes"))


def test_a_region_named_twice_is_read_once(app, cloud):
    assert read(app, [WEST, EAST, WEST], volumes="none").regions == (WEST, EAST)
    assert asked(cloud) == [(EAST, "DescribeInstances"), (WEST, "DescribeInstances")]


def test_a_region_that_is_not_read_is_reported_and_hides_no_other(app, cloud, box):
    box(EAST, in_block=EAST), box(WEST, in_block=WEST)
    cloud.deny(EAST)
    found = read(app)
    assert [b.region for b in found.boxes] == [WEST]
    assert found.regions == REGIONS
    assert found.failed == (RegionFailure(EAST, "You are not authorized to perform this operation."),)


def test_a_named_box_is_looked_for_where_its_block_says(app, cloud, box):
    instance_id, other = box(WEST, in_block=WEST), box(WEST, in_block=WEST)
    volume = make_volume(cloud.ec2(WEST), instance_id)
    make_volume(cloud.ec2(WEST), other)
    make_volume(cloud.ec2(WEST), "i-0gone")
    for names in (["aws-gpu1"], [instance_id], ["aws-gpu1", instance_id]):
        cloud.calls.clear()
        found = read(app, [EAST], names)
        assert [(b.instance_id, b.alias) for b in found.boxes] == [(instance_id, "aws-gpu1")]
        assert [v.volume_id for v in found.volumes] == [volume], "what belongs to others is left out"
        assert [h.instance_id for h in found.hosts] == [instance_id]
        assert found.regions == (WEST,)
        assert asked(cloud) == [(WEST, "DescribeInstances"), (WEST, "DescribeVolumes")]


def test_a_named_box_whose_region_no_block_says_is_looked_for_in_these_regions_or_all(app, cloud, box):
    old, stranger = box(WEST, in_block=None), start_box(cloud.ec2(EAST))["InstanceId"]
    there = box("eu-west-1", in_block="eu-west-1")
    found = read(app, [], ["aws-gpu1", stranger, there], volumes="none")
    assert {b.instance_id: b.region for b in found.boxes} == {old: WEST, stranger: EAST, there: "eu-west-1"}
    assert {h.instance_id for h in found.hosts} == {old, there}
    cloud.calls.clear()
    assert [b.instance_id for b in read(app, [WEST], [old], volumes="none").boxes] == [old]
    assert asked(cloud) == [(WEST, "DescribeInstances")]


NOWHERE = f"List your boxes: {PROGRAM} status\nRemove aliases without a box: {PROGRAM} cleanup"


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["nobody"], "nobody"),
        (["i-0nobody"], "i-0nobody"),
        (["aws-gpu1"], "aws-gpu1 (i-0gone)"),
        (["i-0gone", "i-0nobody"], "i-0gone, i-0nobody"),
    ],
    ids=str,
)
def test_a_name_without_a_box_is_reported_as_it_was_typed(app, cloud, names, told):
    sshconfig.add(app.paths.ssh_config, factories.host(alias="", instance_id="i-0gone"))
    with pytest.raises(BootstrapError) as caught:
        read(app, [], names)
    assert type(caught.value) is BootstrapError
    assert caught.value.report == ErrorReport("not-found", f"No box named {told}.", NOWHERE)


def test_a_name_that_is_neither_an_alias_nor_an_id_is_looked_for_nowhere(app, cloud):
    with pytest.raises(BootstrapError):
        read(app, [], ["nobody"])
    assert cloud.calls == []


def test_a_name_that_may_be_where_nothing_could_be_read_is_not_absent(app, cloud, box):
    instance_id = box(WEST, in_block=None)
    cloud.deny(EAST)
    assert [b.instance_id for b in read(app, [], [instance_id]).boxes] == [instance_id], "found is found"
    with pytest.raises(BootstrapError) as caught:
        read(app, [], ["i-0nobody"])
    reason = "You are not authorized to perform this operation."
    what = "Boxes and volumes there may exist. Run the command again, or choose regions with --region."
    assert type(caught.value) is BootstrapError
    assert not isinstance(caught.value, IncompleteError)
    assert caught.value.report == ErrorReport("region-failed", f"Could not read {EAST}: {reason}", what)


def test_boxes_that_have_ended_are_chosen_only_where_they_are_wanted(app, cloud, box):
    ended, stranger = box(WEST, in_block=WEST), start_box(cloud.ec2(WEST))["InstanceId"]
    cloud.ec2(WEST).terminate_instances(InstanceIds=[ended, stranger])
    assert select(app, []) == () == select(app, [], ended=True)
    chosen = select(app, ["aws-gpu1", stranger], [WEST], volumes="none", ended=True)
    assert {b.instance_id for b in chosen} == {ended, stranger}
    with pytest.raises(BootstrapError) as caught:
        select(app, ["aws-gpu1", stranger], [WEST])
    assert caught.value.code == "not-found"
    assert "aws-gpu1" in str(caught.value)
    assert stranger in str(caught.value)


def test_volumes_are_read_beside_the_instances_unless_they_are_not_wanted(app, cloud, box):
    instance_id = box(WEST, in_block=WEST)
    volume = make_volume(cloud.ec2(WEST), instance_id)
    for chosen in (select(app, [instance_id]), select(app, [instance_id], volumes="first")):
        assert [v.volume_id for b in chosen for v in b.volumes] == [volume]
    cloud.calls.clear()
    assert select(app, [instance_id], volumes="none")[0].volumes == ()
    assert asked(cloud) == [(WEST, "DescribeInstances")]
