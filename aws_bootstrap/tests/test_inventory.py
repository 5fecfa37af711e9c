"""Which boxes exist: found by name, joined with alias and volumes; what is orphaned, and what is stale."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from aws_bootstrap.models import Instance, RegionFailure, Volume
from aws_bootstrap.tests.test_ssh_config import BOX as HOST
from aws_bootstrap.workflows.inventory import Box, Inventory

EAST, WEST = "us-east-1", "us-west-2"
LAUNCHED = datetime(2026, 1, 1, tzinfo=UTC)
INSTANCE = Instance("i-1", WEST, "running", "g4dn.xlarge", "spot", f"{WEST}a", LAUNCHED)
VOLUME = Volume("vol-1", WEST, 10, "available", f"{WEST}a", created_by_us=True, kept=False, instance_id="i-1")


def inventory(instances=(INSTANCE,), volumes=(), hosts=(), regions=(EAST, WEST), failed=()) -> Inventory:
    boxes = tuple(Box(instance) for instance in instances)
    return Inventory(boxes, tuple(volumes), tuple(hosts), tuple(regions), tuple(failed))


# --- orphan volumes --------------------------------------------------------------------------------------


def test_a_volume_that_an_existing_box_has_yet_to_attach_is_no_orphan():
    """mutants.md, `orphans`: a person deletes what is shown as an orphan."""
    assert inventory(volumes=[VOLUME]).orphans() == ()


def test_a_detached_volume_whose_box_is_gone_is_an_orphan():
    other = replace(INSTANCE, instance_id="i-2")
    assert inventory([other], [VOLUME]).orphans() == (VOLUME,)


def test_a_volume_in_use_is_no_orphan():
    assert inventory([], [replace(VOLUME, state="in-use")]).orphans() == ()


def test_a_volume_of_which_the_state_is_not_known_is_no_orphan():
    assert inventory([], [replace(VOLUME, state="unknown")]).orphans() == ()


# --- stale hosts -----------------------------------------------------------------------------------------


def host(number: int, region: str | None = WEST):
    return replace(HOST, instance_id=f"i-{number}", alias=f"aws-gpu{number}", region=region)


def test_hosts_without_a_box_are_stale_in_the_order_of_their_numbers():
    seen = inventory(hosts=[host(10), host(1), host(2)])
    assert [h.alias for h in seen.stale_hosts()] == ["aws-gpu2", "aws-gpu10"]
    assert seen.unjudged_hosts() == ()


def test_a_host_of_a_region_that_the_account_cannot_see_is_not_judged():
    seen = inventory(hosts=[host(2, "ap-south-1")])
    assert seen.stale_hosts() == ()
    assert seen.unjudged_hosts() == (host(2, "ap-south-1"),)


def test_with_a_region_unread_no_host_is_judged():
    seen = inventory(hosts=[host(2)], failed=[RegionFailure(EAST, "denied")])
    assert seen.stale_hosts() == ()
    assert seen.unjudged_hosts() == (host(2),)


def test_an_older_block_without_a_region_is_judged_by_all_regions():
    assert inventory(hosts=[host(2, None)]).stale_hosts() == (host(2, None),)
