"""Aliases in line with what lives; orphan volumes deleted; nothing on the strength of a partial view."""

from __future__ import annotations

import json
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from aws_bootstrap import ec2, sshconfig
from aws_bootstrap.config import LaunchConfig
from aws_bootstrap.errors import BootstrapError, IncompleteError
from aws_bootstrap.invocation import PROGRAM
from aws_bootstrap.models import (
    AliasAddress,
    AliasEntry,
    CleanupPlan,
    CleanupReport,
    DeletedVolume,
    ErrorReport,
    RegionFailure,
    Resource,
    VolumeEntry,
)
from aws_bootstrap.tests import factories
from aws_bootstrap.tests.cloud import CALLER, REGIONS, make_volume, start_box
from aws_bootstrap.views import questions
from aws_bootstrap.workflows import cleanup as workflow

EAST, WEST = "us-east-1", "us-west-2"
MINE = "Host mine\n    User me\n"


@pytest.fixture
def write(app):
    """Add one of our blocks to the SSH config, and a host key."""
    app.paths.ssh_config.write_text(MINE)

    def add(instance_id: str, **changes) -> None:
        sshconfig.add(app.paths.ssh_config, factories.host(alias="", **{"instance_id": instance_id} | changes))
        app.paths.home.mkdir(exist_ok=True)
        with app.paths.known_hosts.open("a") as known:
            known.write(f"{instance_id} ssh-ed25519 AAAA\n")

    return add


@pytest.fixture
def public_key(app) -> Path:
    private = Path("~/.ssh/id_ed25519").expanduser()
    private.parent.mkdir(mode=0o700)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", private], check=True)
    return private.with_suffix(".pub")


def config(app) -> str:
    return app.paths.ssh_config.read_text()


def document(done) -> dict:
    return json.loads(done.stdout)


def cleanup(run, *args):
    return run("cleanup", "--yes", "-o", "json", *args)


# --- all at once ------------------------------------------------------------------------------------------


def test_what_is_planned_is_what_is_shown_asked_and_done(run, app, cloud, write, public_key):
    """Everything that a cleanup can do, and everything that it leaves alone, down to what only the text shows."""
    west = cloud.ec2(WEST)
    write("i-0gone", region=WEST)
    moved = start_box(cloud.ec2(EAST))
    write(moved["InstanceId"], hostname="192.0.2.1", region=EAST)
    write("i-0far", region="ap-south-1")
    app.paths.ssh_config.write_text(config(app) + "# >>> aws-bootstrap [i-0cut] >>>\nHost aws-gpu3\n")
    new = [start_box(west) for _ in range(2)]
    orphan, kept = make_volume(west, "i-0gone", size=9), make_volume(west, "i-0gone", kept=True)
    for is_kept in (True, False):
        make_volume(west, "i-0gone", ours=False, kept=is_kept)
    stale, far = (AliasEntry("i-0gone", "aws-gpu1"),), (AliasEntry("i-0far", "aws-gpu3"),)
    added = tuple(
        AliasAddress(box["InstanceId"], f"aws-gpu{number}", box["PublicIpAddress"]) for number, box in enumerate(new, 4)
    )
    updated = (AliasAddress(moved["InstanceId"], "aws-gpu2", moved["PublicIpAddress"]),)
    wishes = workflow.CleanupOptions(include_ebs=True, sync=True, config=LaunchConfig(key_path=public_key))
    planned = workflow.plan(app, wishes)
    assert planned.result == CleanupPlan(
        regions_queried=REGIONS,
        regions_failed=(),
        stale=stale,
        added=added,
        updated=updated,
        orphan_volumes=(VolumeEntry(orphan, 9, WEST, 0.72, CALLER, True),),
        skipped=far,
        skipped_volumes=(),
        broken=("i-0cut",),
        kept_volumes=(VolumeEntry(kept, 8, WEST, 0.64, CALLER, True),),
        delete_kept_command=f"{PROGRAM} cleanup --include-ebs --include-kept",
        command=f"{PROGRAM} cleanup --include-ebs --sync",
    )
    asked = questions.cleanup(planned.result)
    lines = asked.splitlines()
    named = [stale[0].alias, *(entry.alias for entry in (*added, *updated)), orphan]
    assert len(lines) == len(named) + 2
    assert all(name in line for name, line in zip(named, lines, strict=False))
    assert "lost permanently" in asked
    assert "lost permanently" not in questions.cleanup(replace(planned.result, orphan_volumes=()))

    before = len(cloud.calls)
    assert workflow.apply(app, planned, wishes) == CleanupReport(
        regions_queried=REGIONS,
        regions_failed=(),
        cleaned=stale,
        added=added,
        updated=updated,
        deleted_volumes=(DeletedVolume(orphan, 9, True, None, WEST),),
        skipped=far,
        skipped_volumes=(),
        broken=("i-0cut",),
        kept_volumes=(VolumeEntry(kept, 8, WEST, 0.64, CALLER, True),),
        delete_kept_command=f"{PROGRAM} cleanup --include-ebs --include-kept",
    )
    assert cloud.calls[before:] == [(WEST, op) for op in ("DescribeVolumes", "DescribeInstances", "DeleteVolume")]
    assert {h.alias for h in sshconfig.hosts(config(app))} == {f"aws-gpu{number}" for number in (2, 3, 4, 5)}


def test_a_plan_of_a_partial_view_judges_what_was_read_and_says_the_rest(app, cloud, write):
    write("i-0gone", region=WEST)
    write("i-0east", region=EAST)
    volume, kept = make_volume(cloud.ec2(WEST), "i-0gone"), make_volume(cloud.ec2(WEST), "i-0gone", kept=True)
    cloud.deny(EAST)
    wishes = workflow.CleanupOptions(include_ebs=True, include_kept=True)
    planned = workflow.plan(app, wishes)
    expected = CleanupReport(
        regions_queried=REGIONS,
        regions_failed=(RegionFailure(EAST, "You are not authorized to perform this operation."),),
        cleaned=(),
        added=(),
        updated=(),
        deleted_volumes=(),
        skipped=(AliasEntry("i-0east", "aws-gpu2"),),
    )
    assert {found.volume_id for found in planned.result.orphan_volumes} == {volume, kept}
    assert planned.result.stale == (AliasEntry("i-0gone", "aws-gpu1"),)
    assert workflow.nothing_done(planned.result) == expected
    assert planned.result.command.endswith(" cleanup --include-ebs --include-kept")


def test_without_a_wish_aliases_alone_are_changed(app, cloud, write):
    """The default wishes for nothing."""
    make_volume(cloud.ec2(WEST), "i-0gone")
    start_box(cloud.ec2(WEST))
    planned = workflow.plan(app, workflow.CleanupOptions())
    assert planned.result.is_empty
    assert planned.new_hosts == () == planned.updated_hosts
    assert planned.result.command.endswith(" cleanup")
    read = {operation for _, operation in cloud.calls[2:]} - {"RunInstances"}
    of_clusters = {"DescribePlacementGroups", "DescribeSecurityGroups"}
    assert read == {"DescribeInstances", "DescribeVolumes", "GetCallerIdentity"} | of_clusters


def test_kept_volumes_are_named_with_their_price_and_the_command_that_deletes_them(run, cloud):
    kept = make_volume(cloud.ec2(WEST), "i-0gone", kept=True, size=200)
    make_volume(cloud.ec2(EAST), "i-0gone", ours=False, kept=True)
    entry = {"volume_id": kept, "size_gb": 200, "region": WEST, "monthly_cost_usd": 16.0}
    entry |= {"owner": CALLER, "yours": True}
    command = "aws-bootstrap cleanup --include-ebs --include-kept"
    for words in (("--yes",), ("--dry-run",), ("--include-ebs", "--yes")):
        shown = document(run("cleanup", *words, "-o", "json"))
        assert shown["kept_volumes"] == [entry]
        assert shown["delete_kept_command"] == command
        assert shown["warnings"] == []
    text = run("cleanup", "--dry-run").stdout
    assert f"{kept}  200 GB  {WEST}  about $16.00/month" in text
    assert command in text
    assert "200 GB, about $16.00/month" in run("cleanup", "--dry-run", "-o", "table").stdout
    done = document(run(*command.split()[1:], "--yes", "-o", "json"))
    assert (done["kept_volumes"], done["delete_kept_command"]) == ([], None)
    assert [volume["deleted"] for volume in done["deleted_volumes"]] == [True]


def test_orphans_that_stay_are_warned_of(run, cloud):
    orphan = make_volume(cloud.ec2(WEST), "i-0gone", size=150)
    shown = document(run("cleanup", "--dry-run", "-o", "json"))
    assert shown["orphan_volumes"] == [] == shown["kept_volumes"]
    (warning,) = shown["warnings"]
    assert (warning["code"], warning["region"]) == ("orphan-volume", WEST)
    assert orphan in warning["message"]
    assert "about $12.00 a month" in warning["message"]
    assert warning["message"].endswith("aws-bootstrap cleanup --include-ebs")


# --- aliases ---------------------------------------------------------------------------------------------


def test_aliases_and_host_keys_of_boxes_that_are_gone_are_forgotten(run, app, cloud, write):
    box = start_box(cloud.ec2(EAST))["InstanceId"]
    write("i-0gone", region=WEST)
    write(box, region=EAST)
    shown = document(cleanup(run))
    assert shown["cleaned"] == [{"instance_id": "i-0gone", "alias": "aws-gpu1"}]
    assert [h.instance_id for h in sshconfig.hosts(config(app))] == [box]
    assert app.paths.known_hosts.read_text() == f"{box} ssh-ed25519 AAAA\n"
    assert set(shown) == {
        *("regions_queried", "regions_failed", "cleaned", "added", "updated", "deleted_volumes"),
        *("skipped", "skipped_volumes", "broken", "kept_volumes", "delete_kept_command", "left_out", "regions_denied"),
        *("placement_groups", "security_groups", "warnings", "next"),
    }
    assert cloud.ec2(EAST).describe_instances(InstanceIds=[box])["Reservations"], "a cleanup never terminates"


def test_a_dry_run_tells_and_changes_nothing(run, app, cloud, write):
    write("i-0gone")
    before = config(app)
    shown = document(run("cleanup", "--dry-run", "-o", "json"))
    assert shown["stale"] == [{"instance_id": "i-0gone", "alias": "aws-gpu1"}]
    assert "cleaned" not in shown
    assert config(app) == before
    assert "i-0gone" in app.paths.known_hosts.read_text()


def test_a_region_unread_protects_only_what_is_there(run, app, cloud, write):
    write("i-0gone", region=WEST)
    write("i-0east", region=EAST)
    write("i-0old", region=None)
    volume = make_volume(cloud.ec2(WEST), "i-0gone")
    cloud.deny(EAST)
    done = cleanup(run, "--include-ebs")
    shown = document(done)
    assert done.exit_code == 3
    assert shown["error"]["code"] == "region-failed"
    assert EAST in done.stderr
    assert [alias["instance_id"] for alias in shown["cleaned"]] == ["i-0gone"]
    assert [deleted["volume_id"] for deleted in shown["deleted_volumes"]] == [volume]
    assert [alias["instance_id"] for alias in shown["skipped"]] == ["i-0east", "i-0old"]
    assert "i-0gone" not in config(app)
    assert {host.instance_id for host in sshconfig.hosts(config(app))} == {"i-0east", "i-0old"}
    assert ec2.find_volumes(cloud.ec2(WEST)) == []


def test_a_region_that_is_named_is_all_that_is_read_and_judged(run, app, cloud, write):
    write("i-0gone", region=WEST)
    write("i-0east", region=EAST)
    write("i-0old", region=None)
    far = make_volume(cloud.ec2(EAST), "i-0east")
    cloud.deny("eu-west-1")
    done = cleanup(run, "--include-ebs", "--region", WEST)
    shown = document(done)
    assert done.exit_code == 0
    assert shown["regions_queried"] == [WEST]
    assert [alias["instance_id"] for alias in shown["cleaned"]] == ["i-0gone"]
    assert shown["skipped"] == []
    assert [volume.volume_id for volume in ec2.find_volumes(cloud.ec2(EAST))] == [far]


def test_no_region_readable_is_a_failure(run, app, cloud, write):
    write("i-0gone")
    for region in cloud.regions():
        cloud.deny(region)
    done = cleanup(run)
    assert done.exit_code == 1
    assert document(done)["error"]["code"] == "access-denied"
    assert "i-0gone" in config(app)


def test_an_alias_in_a_region_that_the_account_cannot_see_stays(run, app, cloud, write):
    write("i-0far", region="ap-south-1")
    shown = document(cleanup(run))
    assert shown["cleaned"] == []
    assert [s["instance_id"] for s in shown["skipped"]] == ["i-0far"]
    assert "i-0far" in config(app)


def test_a_broken_block_is_reported_and_left_alone(run, app, cloud, write):
    write("i-0gone")
    broken = "# >>> aws-bootstrap [i-0cut] >>>\nHost aws-gpu7\n"
    app.paths.ssh_config.write_text(config(app) + broken)
    assert document(cleanup(run))["broken"] == ["i-0cut"]
    assert config(app) == MINE + broken


@pytest.mark.parametrize("flags", [[], ["-o", "json"]])
def test_without_yes_and_without_a_terminal_nothing_is_done(run, app, cloud, write, flags):
    write("i-0gone")
    assert run("cleanup", *flags).exit_code == 2
    assert "i-0gone" in config(app)


def test_nothing_to_do_needs_no_yes(run, cloud):
    done = run("cleanup")
    assert done.exit_code == 0
    assert done.stdout == "Nothing to clean up in 3 regions.\n"


# --- sync ------------------------------------------------------------------------------------------------


def test_boxes_without_an_alias_get_one_and_addresses_are_followed(run, app, cloud, write, public_key):
    moved, new = start_box(cloud.ec2(EAST)), start_box(cloud.ec2(WEST))
    write(moved["InstanceId"], hostname="192.0.2.1", port=2222, region=None)
    shown = document(run("cleanup", "--sync", "--dry-run", "-o", "json"))
    done = document(cleanup(run, "--sync"))
    assert (
        shown["added"]
        == done["added"]
        == [{"instance_id": new["InstanceId"], "alias": "aws-gpu2", "public_ip": new["PublicIpAddress"]}]
    )
    assert (
        shown["updated"]
        == done["updated"]
        == [{"instance_id": moved["InstanceId"], "alias": "aws-gpu1", "public_ip": moved["PublicIpAddress"]}]
    )
    one, two = sorted(sshconfig.hosts(config(app)), key=lambda host: host.alias)
    assert (one.hostname, one.port, one.region, one.user) == (
        moved["PublicIpAddress"],
        2222,
        EAST,
        factories.host().user,
    )
    assert (two.hostname, two.region, two.port) == (new["PublicIpAddress"], WEST, 22)
    assert two.identity_file == str(public_key.with_suffix(""))
    assert two.known_hosts == str(app.paths.known_hosts)
    again = document(cleanup(run, "--sync"))
    assert (again["added"], again["updated"]) == ([], []), "every address is right now"


def test_an_added_alias_has_the_port_of_our_rule_and_the_user_asked_for(run, app, cloud, public_key):
    client = cloud.ec2(WEST)
    group, _ = ec2.ensure_security_group(client, ec2.find_network(client, ()).vpc_id, "ssh", None)
    ec2.ensure_ingress(client, group, 2222, ["192.0.2.0/24"])
    start_box(client, SecurityGroupIds=[group.group_id])
    cleanup(run, "--sync", "--ssh-user", "ec2-user")
    assert [(h.port, h.user) for h in sshconfig.hosts(config(app))] == [(2222, "ec2-user")]


def test_without_sync_no_alias_is_added_or_changed(run, app, cloud, write):
    write(start_box(cloud.ec2(EAST))["InstanceId"], hostname="192.0.2.1")
    start_box(cloud.ec2(WEST))
    before = config(app)
    assert run("cleanup").exit_code == 0
    assert config(app) == before


def test_a_missing_key_is_reported_before_anything_is_written(run, app, cloud):
    start_box(cloud.ec2(WEST))
    done = cleanup(run, "--sync")
    assert done.exit_code == 1
    assert document(done)["error"]["code"] == "ssh-key"
    assert not app.paths.ssh_config.exists()


def test_a_box_that_has_no_address_gets_no_alias(run, app, cloud, public_key):
    stopped = start_box(cloud.ec2(WEST))["InstanceId"]
    cloud.ec2(WEST).stop_instances(InstanceIds=[stopped])
    done = cleanup(run, "--sync")
    assert done.exit_code == 0
    assert document(done)["added"] == []
    assert not app.paths.known_hosts.exists()


def test_a_box_with_a_damaged_block_gets_no_second_one(run, app, cloud, public_key):
    box = start_box(cloud.ec2(WEST))["InstanceId"]
    app.paths.ssh_config.write_text(f"# >>> aws-bootstrap [{box}] >>>\nHost aws-gpu7\n")
    shown = document(cleanup(run, "--sync"))
    assert shown["added"] == []
    assert shown["broken"] == [box]


def test_a_box_that_has_no_address_any_more_keeps_its_alias_as_it_is(run, app, cloud, write):
    box = start_box(cloud.ec2(EAST))["InstanceId"]
    write(box, hostname="192.0.2.1", region=EAST)
    cloud.ec2(EAST).stop_instances(InstanceIds=[box])
    cloud.faults.change_answer("DescribeInstances", without_address)
    before = config(app)
    assert document(cleanup(run, "--sync"))["updated"] == []
    assert config(app) == before


def without_address(reply) -> None:
    for reservation in reply["Reservations"]:
        for instance in reservation["Instances"]:
            instance.pop("PublicIpAddress", None)


@pytest.mark.parametrize(("asked", "user"), [((), "ubuntu"), (("--ssh-user", "ec2-user"), "ec2-user")])
def test_what_an_old_block_lacks_is_filled_in(run, app, cloud, public_key, asked, user):
    box = start_box(cloud.ec2(EAST))
    name = f"aws-bootstrap [{box['InstanceId']}]"
    block = f"# >>> {name} >>>\nHost aws-gpu4\n    HostName 192.0.2.1\n# <<< {name} <<<\n"
    app.paths.ssh_config.write_text(block)
    done = cleanup(run, "--sync", "--key-path", str(public_key), *asked)
    assert done.exit_code == 0
    assert sshconfig.hosts(config(app)) == [
        sshconfig.Host(
            instance_id=box["InstanceId"],
            alias="aws-gpu4",
            hostname=box["PublicIpAddress"],
            user=user,
            identity_file=str(public_key.with_suffix("")),
            known_hosts=str(app.paths.known_hosts),
            port=22,
            region=EAST,
        )
    ]


def test_what_a_block_says_stays_when_its_address_changes(run, app, cloud, write, public_key):
    box = start_box(cloud.ec2(EAST))
    write(box["InstanceId"], hostname="192.0.2.1", user="me", identity_file="/k", known_hosts="/h", port=7, region=EAST)
    (before,) = sshconfig.hosts(config(app))
    assert cleanup(run, "--sync", "--ssh-user", "other").exit_code == 0
    assert sshconfig.hosts(config(app)) == [replace(before, hostname=box["PublicIpAddress"])]


# --- volumes ---------------------------------------------------------------------------------------------


def test_orphans_of_ours_are_deleted_and_nothing_else(run, cloud):
    client = cloud.ec2(WEST)
    box = start_box(client)["InstanceId"]
    orphan = make_volume(client, "i-0gone", size=9)
    kept = make_volume(client, "i-0gone", kept=True)
    foreign = make_volume(client, "i-0gone", ours=False, kept=True)
    living = make_volume(client, box)
    attached = make_volume(client, "i-0gone")
    client.attach_volume(VolumeId=attached, InstanceId=box, Device="/dev/sdf")
    assert document(cleanup(run))["deleted_volumes"] == []
    shown = document(run("cleanup", "--dry-run", "--include-ebs", "-o", "json"))
    entry = {"volume_id": orphan, "size_gb": 9, "region": WEST, "monthly_cost_usd": 0.72}
    entry |= {"owner": CALLER, "yours": True}
    assert shown["orphan_volumes"] == [entry]
    assert document(cleanup(run, "--include-ebs"))["deleted_volumes"] == [
        {"volume_id": orphan, "size_gb": 9, "deleted": True}
    ]
    assert {v.volume_id for v in ec2.find_volumes(client)} == {kept, foreign, living, attached}
    cleanup(run, "--include-ebs", "--include-kept")
    assert {v.volume_id for v in ec2.find_volumes(client)} == {foreign, living, attached}


def test_volumes_are_read_before_instances(run, cloud):
    """Else the volume of a box launched between the two calls would look like an orphan."""
    run("cleanup", "--dry-run", "--include-ebs")
    for region in cloud.regions():
        asked = [operation for where, operation in cloud.calls if where == region]
        of_boxes = ("DescribeVolumes", "DescribeInstances")
        assert [operation for operation in asked if operation in of_boxes] == list(of_boxes)


def test_kept_ones_are_named_with_the_command_that_deletes_them(run, cloud):
    kept = make_volume(cloud.ec2(WEST), "i-0gone", kept=True)
    shown = run("cleanup", "--include-ebs").stdout
    assert kept in shown
    assert "cleanup --include-ebs --include-kept" in shown


def test_a_volume_that_cannot_be_deleted_is_reported_and_the_rest_is_done(run, cloud, write):
    volume = make_volume(cloud.ec2(WEST), "i-0gone")
    cloud.deny(WEST, "DeleteVolume")
    done = cleanup(run, "--include-ebs")
    assert done.exit_code == 1
    assert document(done)["deleted_volumes"][0]["deleted"] is False
    write("i-0gone")
    done = cleanup(run, "--include-ebs")
    assert done.exit_code == 3
    assert document(done)["error"]["code"] == "volume-not-deleted"
    assert volume in done.stderr


@pytest.mark.parametrize("meanwhile", ["kept", "claimed"])
def test_a_volume_that_is_kept_or_claimed_meanwhile_stays(run, cloud, meanwhile):
    """A person may think long over the answer: the volumes are looked at again before they are deleted."""
    client = cloud.ec2(WEST)
    volume, box = make_volume(client, "i-0gone"), start_box(client)["InstanceId"]
    tag = {"kept": ("aws-bootstrap-keep", "true"), "claimed": ("aws-bootstrap-instance", box)}[meanwhile]

    def change() -> None:
        client.create_tags(Resources=[volume], Tags=[{"Key": tag[0], "Value": tag[1]}])

    cloud.faults.on("DescribeVolumes", change, region=WEST, skip=1)
    done = cleanup(run, "--include-ebs")
    assert document(done)["deleted_volumes"][0]["deleted"] is False
    assert [v.volume_id for v in ec2.find_volumes(client)] == [volume]


@pytest.mark.parametrize("lost", [1, None], ids=["once", "always"])
def test_a_deletion_whose_answer_is_lost_is_looked_up(run, cloud, lost):
    volume = make_volume(cloud.ec2(WEST), "i-0gone")
    cloud.faults.lose("DeleteVolume", times=lost)
    done = cleanup(run, "--include-ebs")
    assert done.exit_code == 0
    assert document(done)["deleted_volumes"] == [{"volume_id": volume, "size_gb": 8, "deleted": True}]


def test_an_interrupted_cleanup_says_what_is_gone_and_what_is_not(run, app, cloud, write):
    write("i-0gone", region=WEST)
    gone, held, left = (make_volume(cloud.ec2(r), "i-0gone") for r in (WEST, EAST, EAST))
    first = cloud.faults.hold("DeleteVolume", region=WEST)
    cloud.faults.interrupt("DeleteVolume", signal.SIGTERM, region=EAST, after=first)
    done = cleanup(run, "--include-ebs")
    failed = document(done)
    assert done.exit_code == 143
    assert failed["error"]["code"] == "interrupted"
    assert failed["cleaned"] == [{"instance_id": "i-0gone", "alias": "aws-gpu1"}]
    by_id = {v["volume_id"]: v["deleted"] for v in failed["deleted_volumes"]}
    there = {v.volume_id for v in ec2.find_volumes(cloud.ec2(EAST))}
    assert by_id == {gone: True, held: held not in there, left: left not in there}
    assert len(there) == 1
    assert {r["id"] for r in failed["error"]["resources"]} == there
    first.release()
    (line,) = [x for x in failed["error"]["hint"].splitlines() if x.startswith("Complete the cleanup: ")]
    assert run(*line.split("aws-bootstrap ")[1].split(), "--yes").exit_code == 0
    assert ec2.find_volumes(cloud.ec2(EAST)) == []


def test_a_deletion_that_cannot_be_looked_up_is_reported_as_unknown(run, app, cloud):
    app.lookup_seconds = 0
    volume = make_volume(cloud.ec2(WEST), "i-0gone")
    cloud.faults.interrupt("DeleteVolume")
    cloud.faults.drop("DescribeVolumes", region=WEST, skip=2)  # the plan and the second look
    done = cleanup(run, "--include-ebs")
    (left,) = document(done)["deleted_volumes"]
    assert done.exit_code == 130
    assert (left["volume_id"], left["deleted"]) == (volume, False)
    assert left["error"] == "It is unknown whether it was deleted."


def test_a_cleanup_that_fails_half_way_says_what_it_has_done(run, app, cloud, write):
    """The alias is removed; the known hosts cannot be read."""
    write("i-0gone", region=WEST)
    volume = make_volume(cloud.ec2(WEST), "i-0gone")
    app.paths.known_hosts.unlink()
    app.paths.known_hosts.mkdir()
    done = cleanup(run, "--include-ebs")
    failed = document(done)
    assert done.exit_code == 3
    assert [c["instance_id"] for c in failed["cleaned"]] == ["i-0gone"]
    assert [(v["volume_id"], v["deleted"]) for v in failed["deleted_volumes"]] == [(volume, False)]
    assert "cleanup --include-ebs" in failed["error"]["hint"]


FIX = "Fix its permissions, or choose another file: export AWS_BOOTSTRAP_SSH_CONFIG=…"


def broken_off(app, planned, wishes) -> tuple[ErrorReport, CleanupReport]:
    """The error of a cleanup that had done something, and what it says is done."""
    with pytest.raises(IncompleteError) as caught:
        workflow.apply(app, planned, wishes)
    assert caught.value.exit_code == 3
    assert isinstance(caught.value.result, CleanupReport)
    return caught.value.report, caught.value.result


def test_the_error_of_a_cleanup_broken_off_names_the_cause_the_rest_and_its_command(app, cloud, write):
    write("i-0gone", region=WEST)
    volume = make_volume(cloud.ec2(WEST), "i-0gone", size=9)
    app.paths.known_hosts.unlink()
    app.paths.known_hosts.mkdir()
    wishes = workflow.CleanupOptions(include_ebs=True)
    error, done = broken_off(app, workflow.plan(app, wishes), wishes)
    assert error == ErrorReport(
        code="ssh-config",
        message=f"Cannot read the SSH config {app.paths.known_hosts}: it is not a regular file.",
        hint=f"{FIX}\nComplete the cleanup: {PROGRAM} cleanup --include-ebs",
        resources=(Resource("volume", volume, WEST, billing=True),),
    )
    left = DeletedVolume(volume, 9, False, "The command stopped before it was deleted.", WEST)
    assert done.cleaned == (AliasEntry("i-0gone", "aws-gpu1"),)
    assert done.deleted_volumes == (left,)


def test_a_cleanup_that_has_done_nothing_fails_plainly(run, app, cloud, write):
    write("i-0gone", region=WEST)
    planned = workflow.plan(app, workflow.CleanupOptions())
    app.paths.ssh_config.unlink()
    app.paths.ssh_config.mkdir()
    with pytest.raises(BootstrapError) as caught:
        workflow.apply(app, planned, workflow.CleanupOptions())
    assert (type(caught.value), caught.value.code) == (BootstrapError, "ssh-config")
    assert caught.value.result == workflow.nothing_done(planned.result)


@pytest.mark.parametrize("kind", ["updated_hosts", "new_hosts"])
def test_a_config_that_breaks_between_two_hosts_says_which_was_written(app, cloud, write, kind):
    write("i-0gone", region=WEST)
    app.paths.ssh_config.write_text("")
    planned = workflow.plan(app, workflow.CleanupOptions())

    def hosts():
        yield factories.host()
        app.paths.ssh_config.unlink()
        app.paths.ssh_config.mkdir()
        yield factories.host(instance_id="i-0other", alias="aws-gpu2")

    _, done = broken_off(app, replace(planned, **{kind: hosts()}), workflow.CleanupOptions())
    written = (AliasAddress(factories.host().instance_id, "aws-gpu1", factories.host().hostname),)
    assert (done.updated, done.added) == {
        "updated_hosts": (written, ()),
        "new_hosts": ((), written),
    }[kind]


def test_known_hosts_that_cannot_be_made_break_off_a_cleanup_that_has_added_an_alias(app, cloud, public_key):
    box = start_box(cloud.ec2(WEST))
    app.paths.home.write_text("in the way of the folder")
    wishes = workflow.CleanupOptions(sync=True, config=LaunchConfig(key_path=public_key))
    _, done = broken_off(app, workflow.plan(app, wishes), wishes)
    assert done.added == (AliasAddress(box["InstanceId"], "aws-gpu1", box["PublicIpAddress"]),)


def test_the_host_keys_of_boxes_have_a_file_before_ssh_makes_one(run, app, cloud, public_key):
    start_box(cloud.ec2(WEST))
    assert cleanup(run, "--sync").exit_code == 0
    assert app.paths.known_hosts.stat().st_mode & 0o777 == 0o600


def test_each_volume_has_its_own_outcome(run, cloud):
    """One is deleted, one is refused, one is claimed while a person thinks, and a region no longer answers."""
    client, east = cloud.ec2(WEST), cloud.ec2(EAST)
    box = start_box(client)["InstanceId"]
    gone, refused, claimed = (make_volume(client, "i-0gone") for _ in range(3))
    unread = make_volume(east, "i-0gone")
    cloud.fail("DeleteVolume", "VolumeInUse", VolumeId=refused)

    def claim() -> None:
        client.create_tags(Resources=[claimed], Tags=[{"Key": "aws-bootstrap-instance", "Value": box}])

    cloud.faults.on("DescribeVolumes", claim, region=WEST, skip=1)
    cloud.faults.on("DescribeVolumes", lambda: cloud.deny(EAST), region=EAST, skip=1)
    done = cleanup(run, "--include-ebs")
    assert done.exit_code == 3
    assert document(done)["error"]["code"] == "volume-not-deleted"
    outcomes = {v["volume_id"]: (v["deleted"], v.get("error")) for v in document(done)["deleted_volumes"]}
    assert outcomes == {
        gone: (True, None),
        refused: (False, "EC2 said VolumeInUse."),
        claimed: (False, "It no longer exists, is in use or is marked to keep."),
        unread: (False, "You are not authorized to perform this operation."),
    }
    assert {v.volume_id for v in ec2.find_volumes(client)} == {refused, claimed}


def test_a_deletion_that_got_no_answer_and_cannot_be_looked_up_says_both(run, app, cloud):
    app.lookup_seconds = 0
    volume = make_volume(cloud.ec2(WEST), "i-0gone")
    cloud.faults.drop("DeleteVolume")
    cloud.faults.drop("DescribeVolumes", region=WEST, skip=2)  # the plan and the second look
    (left,) = document(cleanup(run, "--include-ebs"))["deleted_volumes"]
    assert left["volume_id"] == volume
    assert left["deleted"] is False
    assert left["error"].startswith("Connection was closed")
    assert left["error"].endswith(" It is unknown whether it was deleted.")


def test_the_table_is_one_with_an_action_column(run, cloud, write):
    write("i-0gone")
    make_volume(cloud.ec2(WEST), "i-0gone")
    shown = run("cleanup", "--dry-run", "--include-ebs", "-o", "table").stdout
    assert shown.split()[0] == "Action"
    assert shown.count("Action") == 1
    assert "remove alias" in shown
    assert "delete volume" in shown


def test_structured_output_without_yes_is_wrong_usage_though_nothing_is_stale(run, cloud):
    """A script that forgets --yes must not pass until the day it matters."""
    done = run("cleanup", "-o", "json")
    assert done.exit_code == 2
    assert document(done)["error"]["hint"] == "Add --yes."
    assert cloud.calls == []
    assert run("cleanup", "--dry-run", "-o", "json").exit_code == 0
