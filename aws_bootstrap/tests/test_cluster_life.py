"""The life of a cluster through the program: launched, used by its id, shown, a node lost, ended with nothing left."""

from __future__ import annotations

ID = ("--cluster-id", "train")
LAUNCH = ("cluster", "launch", *ID, "--no-setup", "--ebs-storage", "1", "--yes")


def left(program) -> set[tuple[str, str]]:
    """What of this tool is in the account, but for instances that have ended, and what later launches use."""
    found = set()
    for thing in program.sandbox.inventory():
        is_ours = thing["tags"].get("created-by") == "aws-bootstrap-g4dn"
        if is_ours and thing.get("state") != "terminated" and thing["type"] not in ("key-pair", "rule"):
            found.add((thing["type"], thing.get("group_name", thing["id"])))
    return found


def test_a_cluster_is_used_by_its_id_and_ends_with_nothing_left(program):
    code, launched = program.json(*LAUNCH, "--nodes", "3")
    assert code == 0, launched
    ids = [node["instance_id"] for node in launched["nodes"]]

    answered = program("exec", "-o", "json", "train", "--", "echo", "here")
    assert answered.exit_code == 0
    assert [one["ssh_alias"] for one in answered.document["results"]] == ["aws-train-0", "aws-train-1", "aws-train-2"]

    program.sandbox.interrupt(ids[1])
    program.sandbox.client().get_waiter("instance_terminated").wait(InstanceIds=[ids[1]], WaiterConfig={"Delay": 1})
    code, shown = program.json("cluster", "status", *ID)
    assert code == 0
    assert ([node["rank"] for node in shown["nodes"]], shown["missing_ranks"]) == ([0, 2], [1])
    assert [(one["rank"], one["reason"]) for one in shown["ended"]] == [(1, "spot-interruption")]
    (complete,) = [one["argv"] for one in shown["next"] if "launch" in one["argv"]]
    assert complete[-6:] == ["cluster", "launch", *ID, "--nodes", "3"]

    code, listed = program.json("cluster", "status")
    assert [(row["cluster_id"], row["node_count"]) for row in listed["clusters"]] == [("train", 2)]

    code, ended = program.json("cluster", "terminate", "train", "--yes")
    assert code == 0, ended
    assert {one["instance_id"] for one in ended["terminated"]} == set(ids), "the lost node has left a volume"
    assert (ended["placement_group_deleted"], ended["security_group_deleted"]) == (True, True)
    assert ended["aliases_removed"] == ["aws-train-0", "aws-train-1", "aws-train-2"]
    assert left(program) == {("security-group", "aws-bootstrap-ssh")}


def test_the_ordinary_terminate_and_cleanup_leave_no_group(program):
    assert program.json(*LAUNCH, "--nodes", "2")[0] == 0
    assert program.json("terminate", "aws-train-0", "--yes")[0] == 0
    assert ("placement-group", "aws-bootstrap-cluster-train") in left(program)
    code, ended = program.json("terminate", "--yes")
    assert code == 0, ended
    assert [one["placement_group_deleted"] for one in ended["clusters"]] == [True]
    assert left(program) == {("security-group", "aws-bootstrap-ssh")}


def test_cleanup_deletes_what_nodes_that_ended_by_themselves_left(program):
    code, launched = program.json(*LAUNCH, "--nodes", "2")
    ids = [node["instance_id"] for node in launched["nodes"]]
    client = program.sandbox.client()
    client.terminate_instances(InstanceIds=ids)
    client.get_waiter("instance_terminated").wait(InstanceIds=ids, WaiterConfig={"Delay": 1})
    code, cleaned = program.json("cleanup", "--include-ebs", "--yes")
    assert code == 0, cleaned
    assert [one["deleted"] for one in (*cleaned["placement_groups"], *cleaned["security_groups"])] == [True, True]
    assert left(program) == {("security-group", "aws-bootstrap-ssh")}
