"""Terminate: what goes, what stays, and what is told when a call's outcome is not known."""

from __future__ import annotations

import json
import signal
from dataclasses import replace

import pytest

from aws_bootstrap import ec2, sshconfig
from aws_bootstrap.models import KeptVolume, StateChange, TerminateReport, Termination, TerminationTarget
from aws_bootstrap.tests import factories
from aws_bootstrap.tests.cloud import make_volume, start_box
from aws_bootstrap.views import questions
from aws_bootstrap.workflows import selection, terminate
from aws_bootstrap.workflows.unknown import Calls

EAST, WEST = "us-east-1", "us-west-2"
SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


def end(run, *words):
    """Exit code and document of a terminate."""
    done = run("terminate", *words, "--yes", "-o", "json")
    return done.exit_code, json.loads(done.stdout)


def state(cloud, instance_id: str, region: str = WEST) -> str:
    return ec2.get_instances(cloud.ec2(region), [instance_id])[0].state


def volumes(cloud, region: str = WEST) -> set[str]:
    return {v.volume_id for v in ec2.find_volumes(cloud.ec2(region))}


def bills(failed) -> list[tuple[str, str, str]]:
    return [(r["type"], r["id"], r["region"]) for r in failed["error"]["resources"] if r["billing"]]


def aliases(app) -> set[str]:
    return {h.instance_id for h in sshconfig.hosts(sshconfig.read(app.paths.ssh_config))}


def undo(run, failed, instance_id: str) -> None:
    """Run the commands that the hint prints: they must reach an account without the box and its volume."""
    commands = [line.partition(": aws-bootstrap ")[2] for line in failed["error"]["hint"].splitlines()]
    runnable = [command.split() for command in commands if command]
    assert runnable
    for words in runnable:
        assert run(*words, "--yes", "-o", "json").exit_code == 0


# --- what goes -------------------------------------------------------------------------------------------


def test_volumes_that_this_tool_did_not_make_stay_even_without_their_keep_tag(run, cloud, box):
    instance_id = box()
    ours, theirs = (make_volume(cloud.ec2(WEST), instance_id, ours=made) for made in (True, False))
    code, ended = end(run, instance_id)
    assert code == 0
    assert ended["terminated"][0]["ebs_volumes_deleted"] == [ours]
    assert ended["terminated"][0]["ebs_volumes_kept"] == [theirs]
    assert volumes(cloud) == {theirs}


def test_the_question_names_the_volumes_unless_they_are_kept(app, cloud, box):
    instance_id = box()
    ours = make_volume(cloud.ec2(WEST), instance_id, size=9)
    kept = make_volume(cloud.ec2(WEST), instance_id, kept=True)
    targets = selection.find_targets(app, [instance_id], None)
    asked = questions.terminate(selection.to_confirm(app, targets, keep_ebs=False))
    assert f"{ours}  9 GB" in asked
    assert kept not in asked
    assert asked.endswith("Terminate 1 instance?")
    assert ours not in questions.terminate(selection.to_confirm(app, targets, keep_ebs=True))


def test_one_protected_instance_does_not_save_the_others(run, cloud, box):
    protected, other = box(), box()
    cloud.ec2(WEST).modify_instance_attribute(InstanceId=protected, DisableApiTermination={"Value": True})
    code, failed = end(run, protected, other)
    assert code == 3
    assert [t["instance_id"] for t in failed["terminated"]] == [other]
    assert state(cloud, other) == "terminated"
    assert state(cloud, protected) == "running"
    assert bills(failed) == [("instance", protected, WEST)]
    assert failed["error"]["code"] == "protected"
    assert f"terminate {protected} --region {WEST}" in failed["error"]["hint"]
    assert "cleanup" not in failed["error"]["hint"], "no volume is left of the one that ended"


def test_an_ssh_config_that_cannot_be_read_keeps_no_box_running(run, app, cloud):
    instance_id = start_box(cloud.ec2(WEST))["InstanceId"]
    app.paths.ssh_config.mkdir()
    code, failed = end(run, "--region", WEST)
    assert code == 3
    assert failed["error"]["code"] == "ssh-config"
    assert state(cloud, instance_id) == "terminated"


def test_a_box_that_has_ended_may_be_named_and_its_volume_goes(run, cloud, box):
    instance_id = box()
    volume = make_volume(cloud.ec2(WEST), instance_id)
    cloud.ec2(WEST).terminate_instances(InstanceIds=[instance_id])
    code, ended = end(run, instance_id)
    assert code == 0
    assert ended["terminated"][0]["ebs_volumes_deleted"] == [volume]


def test_everything_that_is_reported_of_what_was_ended(app, cloud, box):
    named, nameless = box(), start_box(cloud.ec2(WEST))["InstanceId"]
    ours = make_volume(cloud.ec2(WEST), named)
    kept = make_volume(cloud.ec2(WEST), named, kept=True)
    app.paths.home.mkdir()
    app.paths.known_hosts.write_text(f"{named} ssh-ed25519 AAAA\ni-0other ssh-ed25519 AAAA\n")
    report = terminate.apply(app, selection.find_targets(app, [named, nameless], None), keep_ebs=False)
    went = Termination(named, "running", "shutting-down", "aws-gpu1", (ours,), (kept,), WEST, f"{WEST}a")
    went = replace(went, kept_volumes=(KeptVolume(kept, 8, WEST, 0.64),))
    bare = Termination(nameless, "running", "shutting-down", region=WEST, availability_zone=f"{WEST}a")
    assert {t.instance_id: t for t in report.terminated} == {named: went, nameless: bare}
    assert report == TerminateReport(report.terminated)
    assert app.paths.known_hosts.read_text() == "i-0other ssh-ed25519 AAAA\n"
    assert aliases(app) == set()


def test_volumes_that_are_kept_are_reported_with_what_they_cost(run, cloud, box):
    instance_id = box()
    ours = make_volume(cloud.ec2(WEST), instance_id, size=100)
    brought = make_volume(cloud.ec2(WEST), instance_id, ours=False, kept=True, size=125, VolumeType="st1")
    done = run("terminate", instance_id, "--keep-ebs", "--yes", "-o", "json")
    shown = json.loads(done.stdout)
    kept = {volume["volume_id"]: volume for volume in shown["terminated"][0]["kept_volumes"]}
    assert kept == {
        ours: {"volume_id": ours, "size_gb": 100, "region": WEST, "monthly_cost_usd": 8.0},
        brought: {"volume_id": brought, "size_gb": 125, "region": WEST, "monthly_cost_usd": None},
    }
    assert [warning["code"] for warning in shown["warnings"]] == ["price-unknown"]
    again = f"use it again: aws-bootstrap launch --region {WEST} --ebs-volume-id"
    text = run("terminate", instance_id, "--keep-ebs", "--yes").stdout
    assert f"    {ours} kept, 100 GB, about $8.00/month; {again} {ours}\n" in text
    assert f"    {brought} kept, 125 GB, price unknown; {again} {brought}\n" in text
    table = run("terminate", instance_id, "--keep-ebs", "--yes", "-o", "table").stdout
    assert "about $8.00/month" in table


def test_volumes_that_are_waited_for_are_reported_to_a_person(run, cloud, box):
    instance_id = box()
    ours, kept = (make_volume(cloud.ec2(WEST), instance_id, kept=is_kept) for is_kept in (False, True))
    told = run("terminate", instance_id, "--yes").stderr
    assert ours in told
    assert kept not in told


def test_without_a_name_all_boxes_of_the_region_that_live_are_ended_and_their_aliases_forgotten(run, app, cloud, box):
    here, there, ended, ending = box(), box(EAST), box(), box()
    cloud.ec2(WEST).terminate_instances(InstanceIds=[ended])

    def ends_already(reply) -> None:
        for reservation in reply["Reservations"]:
            for instance in reservation["Instances"]:
                if instance["InstanceId"] == ending:
                    instance["State"]["Name"] = "shutting-down"

    cloud.faults.change_answer("DescribeInstances", ends_already)
    code, shown = end(run)
    assert code == 0, "the region is the default one"
    assert [t["instance_id"] for t in shown["terminated"]] == [here], "the region is the default one"
    assert state(cloud, there, EAST) == "running"
    assert aliases(app) == {there, ended, ending}
    code, shown = end(run, "--region", EAST)
    assert code == 0
    assert [t["instance_id"] for t in shown["terminated"]] == [there]


def test_the_question_has_a_line_for_each_box(app, cloud, box):
    first, second = box(), box(EAST)
    asked = questions.terminate(
        selection.to_confirm(app, selection.find_targets(app, [first, second], None), keep_ebs=False)
    ).splitlines()
    assert len(asked) == 3
    assert asked[-1] == "Terminate 2 instances?"
    words = [line.split() for line in asked[:-1]]
    assert [(line[0], line[1], line[7]) for line in words] == [("aws-gpu1", first, WEST), ("aws-gpu2", second, EAST)]
    assert all("up " in line and line.endswith(" so far") for line in asked[:-1])


def test_the_question_says_what_each_box_has_cost(app):
    spot = factories.instance(instance_id="i-spot")
    dear = factories.instance(instance_id="i-dear", lifecycle="on-demand")
    targets = [
        TerminationTarget(spot, "aws-gpu1", (), 9000, 0.2, 0.5),
        TerminationTarget(dear, None, (), 60, None, None),
        TerminationTarget(dear, None, (), None, 0.0, None),
    ]
    asked = questions.terminate(targets).splitlines()
    assert asked[0].endswith("up 2 h 30 min           about $0.50 so far")
    assert asked[1].split()[:3] == ["no", "alias", "i-dear"]
    assert asked[1].endswith("up 1 min                cost so far unknown")
    assert asked[2].endswith("up for an unknown time  only its disks bill")


def test_without_names_the_question_has_the_aliases_too(app, cloud, box):
    box()
    targets = selection.find_targets(app, [], WEST)
    assert "aws-gpu1" in questions.terminate(selection.to_confirm(app, targets, keep_ebs=False))


def test_no_price_is_read_where_nobody_is_asked(run, cloud, box):
    instance_id = box()
    assert end(run, instance_id)[0] == 0
    assert {operation for _, operation in cloud.calls} & {"GetProducts", "DescribeSpotPriceHistory"} == set()


def test_the_error_of_a_box_that_cannot_be_ended_names_cause_and_ways_on(run, cloud, box):
    """Nothing at all was done: a plain failure."""
    protected = box()
    volume = make_volume(cloud.ec2(WEST), protected)
    cloud.fail("TerminateInstances", "OperationNotPermitted")
    code, failed = end(run, protected)
    lift = "Remove the protection: aws ec2 modify-instance-attribute --no-disable-api-termination --instance-id ID"
    reason = "EC2 said OperationNotPermitted."
    assert code == 1
    assert failed["terminated"] == []
    assert failed["error"] == {
        "code": "protected",
        "message": f"Could not complete the termination of {protected}: {reason}",
        "hint": f"{lift}\nTerminate the rest: aws-bootstrap terminate {protected} --region {WEST}",
        "resources": [
            {"type": "instance", "id": protected, "region": WEST, "billing": True},
            {"type": "volume", "id": volume, "region": WEST, "billing": True},
        ],
        "regions": [{"region": WEST, "reason": f"{protected}: {reason}"}],
        "next": [{"do": "terminate", "argv": ["aws-bootstrap", "terminate", protected, "--region", WEST]}],
    }


def test_the_error_of_a_volume_that_cannot_be_deleted_names_it_and_the_way_on(run, app, cloud, box):
    instance_id = box()
    volume, other = (make_volume(cloud.ec2(WEST), instance_id) for _ in range(2))
    cloud.fail("DeleteVolume", "VolumeInUse", VolumeId=volume)
    code, failed = end(run, instance_id)
    assert code == 3
    assert failed["terminated"][0]["ebs_volumes_deleted"] == [other]
    assert "ebs_volumes_kept" not in failed["terminated"][0]
    assert aliases(app) == set()
    assert failed["error"] == {
        "code": "aws-error",
        "message": f"Could not complete the termination of {instance_id}: EC2 said VolumeInUse.",
        "hint": "Delete the remaining volumes once they are detached: "
        f"aws-bootstrap terminate {instance_id} --region {WEST}",
        "resources": [{"type": "volume", "id": volume, "region": WEST, "billing": True}],
        "regions": [{"region": WEST, "reason": f"{instance_id}: EC2 said VolumeInUse."}],
        "next": [{"do": "terminate", "argv": ["aws-bootstrap", "terminate", instance_id, "--region", WEST]}],
    }


# --- outcomes that are not known -------------------------------------------------------------------------


def test_an_end_whose_answer_is_lost_is_looked_up_and_finished(run, app, cloud, box):
    first, second = box(), box(EAST)
    volume = make_volume(cloud.ec2(WEST), first)
    cloud.faults.lose("TerminateInstances")
    code, ended = end(run, first, second)
    assert code == 0
    assert {t["instance_id"] for t in ended["terminated"]} == {first, second}
    assert [t.get("ebs_volumes_deleted") for t in ended["terminated"] if t["instance_id"] == first] == [[volume]]
    assert aliases(app) == set()
    assert volumes(cloud) == set()


@pytest.mark.parametrize("said", [[], [{"InstanceId": "?"}]], ids=["nothing", "no state"])
def test_an_answer_that_does_not_say_what_became_of_a_box_is_looked_up(run, cloud, box, said):
    instance_id = box()
    cloud.faults.change_answer("TerminateInstances", lambda reply: reply.update(TerminatingInstances=said))
    code, ended = end(run, instance_id)
    assert code == 0
    assert ended["terminated"][0]["previous_state"] == "running"
    assert ended["terminated"][0]["current_state"] == "terminated"


def test_an_end_that_never_reached_ec2_leaves_the_box_reported_and_its_alias(run, app, cloud, box):
    app.lookup_seconds = 0
    first, second = box(), box(EAST)
    volume = make_volume(cloud.ec2(EAST), second)
    cloud.faults.drop("TerminateInstances", region=EAST, times=5)
    code, failed = end(run, first, second)
    assert code == 3
    assert [t["instance_id"] for t in failed["terminated"]] == [first]
    assert bills(failed) == [("instance", second, EAST), ("volume", volume, EAST)]
    assert aliases(app) == {second}
    undo(run, failed, second)
    assert state(cloud, second, EAST) == "terminated"
    assert volumes(cloud, EAST) == set() == aliases(app)


def test_an_end_that_cannot_be_looked_up_is_reported_as_unknown(run, app, cloud, box):
    instance_id = box()
    volume = make_volume(cloud.ec2(WEST), instance_id)
    cloud.faults.lose("TerminateInstances", times=5)
    cloud.faults.drop("DescribeInstances", times=5, skip=1)
    app.lookup_seconds = 0
    code, failed = end(run, instance_id, "--region", WEST)
    assert code == 3
    assert failed["terminated"] == []
    assert aliases(app) == {instance_id}
    assert bills(failed) == [("instance", instance_id, WEST), ("volume", volume, WEST)]
    assert f"It is unknown whether {instance_id} terminates" in failed["error"]["hint"]
    undo(run, failed, instance_id)
    assert volumes(cloud) == set() == aliases(app)


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_an_interrupt_while_ec2_ends_a_box_tells_what_still_bills(run, app, cloud, box, number, code):
    first, second = box(), box(EAST)
    volume = make_volume(cloud.ec2(EAST), second)
    cloud.faults.interrupt("TerminateInstances", number, region=EAST)
    exit_code, failed = end(run, first, second)
    assert exit_code == code
    assert failed["error"]["code"] == "interrupted"
    assert {t["instance_id"] for t in failed["terminated"]} == {first, second}
    assert bills(failed) == [("volume", volume, EAST)]
    assert aliases(app) == set()
    undo(run, failed, second)
    assert volumes(cloud, EAST) == set()


def test_an_interrupt_before_the_end_reached_ec2_names_the_box_that_runs_on(run, app, cloud, box):
    app.lookup_seconds = 0
    instance_id = box()
    cloud.faults.interrupt("TerminateInstances", takes_effect=False)
    code, failed = end(run, instance_id)
    assert code == 130
    assert failed["terminated"] == []
    assert bills(failed) == [("instance", instance_id, WEST)]
    assert aliases(app) == {instance_id}
    assert "unknown" not in failed["error"]["hint"]
    undo(run, failed, instance_id)
    assert state(cloud, instance_id) == "terminated"


def test_an_interrupt_while_volumes_are_marked_ends_nothing_and_says_so(run, app, cloud, box):
    instance_id = box()
    volume = make_volume(cloud.ec2(WEST), instance_id)
    cloud.faults.interrupt("CreateTags")
    code, failed = end(run, instance_id, "--keep-ebs")
    assert code == 130
    assert failed["terminated"] == []
    assert bills(failed) == [("instance", instance_id, WEST)]
    assert state(cloud, instance_id) == "running"
    assert aliases(app) == {instance_id}
    assert f"terminate {instance_id} --region {WEST} --keep-ebs" in failed["error"]["hint"]
    undo(run, failed, instance_id)
    assert state(cloud, instance_id) == "terminated"
    assert volumes(cloud) == {volume}


def test_a_mark_whose_answer_is_lost_is_looked_up(run, cloud, box):
    instance_id = box()
    volume = make_volume(cloud.ec2(WEST), instance_id)
    cloud.faults.lose("CreateTags")
    code, ended = end(run, instance_id, "--keep-ebs")
    assert code == 0
    assert ended["terminated"][0]["ebs_volumes_kept"] == [volume]


def test_a_box_whose_volumes_cannot_be_marked_is_not_ended(run, app, cloud, box):
    app.lookup_seconds = 0
    instance_id = box()
    make_volume(cloud.ec2(WEST), instance_id)
    cloud.faults.drop("CreateTags")
    code, failed = end(run, instance_id, "--keep-ebs")
    assert code == 1
    assert state(cloud, instance_id) == "running"
    assert bills(failed) == [("instance", instance_id, WEST)]


def test_a_deletion_whose_answer_is_lost_is_looked_up(run, cloud, box):
    instance_id = box()
    volume = make_volume(cloud.ec2(WEST), instance_id)
    cloud.faults.lose("DeleteVolume")
    code, ended = end(run, instance_id)
    assert code == 0
    assert ended["terminated"][0]["ebs_volumes_deleted"] == [volume]
    assert volumes(cloud) == set()


@pytest.mark.parametrize("takes_effect", [True, False])
def test_an_interrupted_deletion_is_reported_as_it_is(run, app, cloud, box, takes_effect):
    app.lookup_seconds = 0
    instance_id = box()
    volume = make_volume(cloud.ec2(WEST), instance_id)
    cloud.faults.interrupt("DeleteVolume", takes_effect=takes_effect)
    code, failed = end(run, instance_id)
    assert code == 130
    assert failed["terminated"][0].get("ebs_volumes_deleted", []) == ([volume] if takes_effect else [])
    assert bills(failed) == ([] if takes_effect else [("volume", volume, WEST)])


def test_after_an_interrupt_nothing_more_is_sent(run, app, cloud, box):
    """The region beside the one that is interrupted still marks its volumes: it must not end its box afterwards."""
    app.lookup_seconds = 0
    first, second = box(), box(EAST)
    make_volume(cloud.ec2(EAST), second)
    held = cloud.faults.hold("CreateTags", region=EAST)
    cloud.faults.interrupt("TerminateInstances", region=WEST, after=held)
    code, failed = end(run, first, second, "--keep-ebs")
    assert code == 130
    assert bills(failed) == [("instance", second, EAST)]
    held.release()
    assert state(cloud, second, EAST) == "running"


def test_after_an_interrupt_no_volume_is_deleted(run, app, cloud, box):
    app.lookup_seconds = 0
    first, second = box(), box(EAST)
    make_volume(cloud.ec2(WEST), first)
    volume = make_volume(cloud.ec2(EAST), second)
    held = cloud.faults.hold("DescribeVolumes", region=EAST, skip=1)  # the first one finds the targets
    cloud.faults.interrupt("DeleteVolume", region=WEST, after=held)
    code, failed = end(run, first, second)
    assert code == 130
    assert bills(failed) == [("volume", volume, EAST)]
    held.release()
    assert volumes(cloud, EAST) == {volume}


def test_of_two_ends_whose_answer_is_lost_the_one_that_shows_is_reported(run, app, cloud, box):
    """EC2 may be late with the other: it is said to run on, not left out."""
    app.lookup_seconds = 0
    first, late = box(), box()

    def still_runs(reply) -> None:
        for reservation in reply["Reservations"]:
            for instance in reservation["Instances"]:
                if instance["InstanceId"] == late:
                    instance["State"]["Name"] = "running"

    cloud.faults.lose("TerminateInstances")
    cloud.faults.change_answer("DescribeInstances", still_runs)
    code, failed = end(run, first, late)
    assert code == 3
    assert [t["instance_id"] for t in failed["terminated"]] == [first]
    assert bills(failed) == [("instance", late, WEST)]
    assert aliases(app) == {late}
    assert [r["reason"].split(":")[0] for r in failed["error"]["regions"]] == [late]


def test_two_ends_that_cannot_be_looked_up_are_not_sent_again_one_by_one(run, app, cloud, box):
    app.lookup_seconds = 0
    ids = [box(), box()]
    cloud.faults.lose("TerminateInstances", times=5)
    cloud.faults.drop("DescribeInstances", times=5, skip=1)
    code, failed = end(run, *ids, "--region", WEST)
    assert code == 3
    assert f"It is unknown whether {', '.join(ids)} terminates" in failed["error"]["hint"]
    assert cloud.calls.count((WEST, "TerminateInstances")) == 1


def test_of_ends_sent_together_those_that_show_are_not_called_unknown(app, cloud, box):
    named = [box(), box()]
    shown, late = [
        terminate.BoxTermination(one, keep_ebs=False, call="both")
        for one in selection.find_targets(app, named, None).boxes
    ]
    shown.change = StateChange(shown.instance_id, "running", "shutting-down")
    progress = terminate.TerminateProgress(app, [shown, late], Calls(0))
    progress.calls.unknown.append("both")
    assert progress.unknown == [late]


@pytest.mark.parametrize("fmt", ["text", "json", "yaml", "table"])
def test_terminate_shows_the_region(run, cloud, fmt):
    box = start_box(cloud.ec2("eu-west-1"))["InstanceId"]
    done = run("terminate", box, "--yes", "-o", fmt)
    assert done.exit_code == 0
    assert "eu-west-1" in done.stdout
    nothing = run("terminate", "--region", "us-east-1", "--yes", "-o", fmt)
    assert nothing.exit_code == 0
    assert "us-east-1" in nothing.stdout
