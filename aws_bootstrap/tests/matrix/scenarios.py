"""The commands of the matrix: every command with every option that changes its calls, and what each is to reach.

To have a command in the matrix, add a line to SCENARIOS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aws_bootstrap.tests.matrix.account import Account
from aws_bootstrap.tests.matrix.worlds import ABROAD, HOME, Facts

#: What is copied to a box.
_FILE = __file__
_FOLDER = str(Path(__file__).parents[1] / "first_schemas")

NO_ROOM = {"error": "InsufficientInstanceCapacity", "message": "There is no Spot capacity available."}


@dataclass(frozen=True)
class Reached:
    """What a goal is judged by: the ids of the world, the account, the document, the aliases of the SSH config."""

    facts: Facts
    account: Account
    document: Any
    aliases: frozenset[str]


Goal = Callable[[Reached], bool]


@dataclass(frozen=True)
class Scenario:
    """One command line, from one world."""

    name: str
    argv: tuple[str, ...]
    """Words in braces are ids of the world."""
    goal: Goal
    world: str = "empty"
    boot: bool = False
    """Whether the boxes of the world are to run."""
    undone: bool = False
    """Whether the way back is to undo it (what it made, or left); else the command again."""
    ends: tuple[str, ...] = ()
    """Names of what the command ends: what is left of it must be told."""
    allowed: tuple[str, ...] = ()
    """Names of things of the user's that the command was told to touch or show."""
    background: tuple[dict[str, Any], ...] = field(default=(), hash=False)
    """Faults that belong to the situation itself."""
    clean_code: int = 0

    def command(self, facts: Facts) -> list[str]:
        """The words of the command line."""
        words = [word.format(**facts) for word in self.argv]
        place = words.index("--") if "--" in words else len(words)  # what follows is for a box
        return [*words[:place], "-o", "json", *words[place:]]


# --- goals ---------------------------------------------------------------------------------------------------


def launched(reached: Reached) -> bool:
    """The box of the document runs and has its alias."""
    instance = reached.account.find(reached.document["instance_id"])
    return instance is not None and instance.is_alive and instance.id in reached.aliases


def cluster_launched(reached: Reached) -> bool:
    """Every node runs and has its alias, and no rank is missing."""
    nodes = reached.document["nodes"]
    ids = {node["instance_id"] for node in nodes}
    are_alive = all(reached.account.is_alive(one) for one in ids)
    ranks = [node["rank"] for node in nodes]
    return are_alive and ids <= reached.aliases and ranks == list(range(reached.document["node_count"]))


def launched_with_volume(reached: Reached) -> bool:
    """So does its volume, mounted and attached."""
    volume = reached.document.get("ebs_volume") or {}
    held = reached.account.find(volume.get("volume_id", ""))
    attached = held is not None and held.attached_to == reached.document["instance_id"]
    return launched(reached) and attached and volume["mounted"] is True


def set_up(reached: Reached) -> bool:
    """The setup is complete."""
    return reached.document["setup"] == "completed"


def extended(reached: Reached) -> bool:
    """The box has a deadline."""
    return reached.document["deadline"] is not None


def sent(reached: Reached) -> bool:
    """All was copied to the box, by this command or by one before it."""
    return reached.document["errors"] == [] and named_box(reached)


def named_box(reached: Reached) -> bool:
    """The only box was found without its name."""
    return bool(reached.document["instance_id"] == reached.facts["box"])


def baked(reached: Reached) -> bool:
    """The image exists, and the box runs as before."""
    image = reached.account.find(reached.document["image_id"] or "")
    return image is not None and reached.account.is_alive(reached.facts["box"]) and reached.document["source_ready"]


def images_shown(reached: Reached) -> bool:
    """The image is in the document."""
    return [one["image_id"] for one in reached.document["images"]] == [reached.facts["image"]]


def image_removed(reached: Reached) -> bool:
    """The image and its snapshot are gone, the box stays."""
    (removed,) = reached.document["removed"]
    is_gone = reached.account.find(reached.facts["image"]) is None
    return is_gone and len(removed["snapshots_deleted"]) == 1 and reached.account.is_alive(reached.facts["box"])


def has_output(reached: Reached) -> bool:
    """The command on the box has printed."""
    return reached.document["output"] == "reached\n" and reached.document["exit_code"] == 0


def all_have_output(reached: Reached) -> bool:
    """So has that on each box."""
    return [one["output"] for one in reached.document["results"]] == ["reached\n"]


def run_started(reached: Reached) -> bool:
    """A run is in the document."""
    return reached.document["run"]["state"] == "running"


def job_succeeded(reached: Reached) -> bool:
    """The job has succeeded on all nodes: one at least has said so, and a node that cannot be read is an error."""
    document = reached.document
    heard = [one["returncode"] for one in document["results"] if not one.get("error")]
    return document["succeeded"] is True and set(heard) == {0}


def no_job_left(reached: Reached) -> bool:
    """No job runs, as all nodes have answered."""
    return reached.document["results"] == []


def runs_listed(reached: Reached) -> bool:
    """The box has answered."""
    return reached.document["boxes"] == ["aws-gpu1"]


def stopped(reached: Reached) -> bool:
    """The box is stopped, and keeps its volume and its alias."""
    volume = reached.account.find(reached.facts["volume"])
    kept = volume is not None and volume.attached_to == reached.facts["box"]
    states = [one["current_state"] for one in reached.document["stopped"]]
    return kept and states == ["stopped"] and reached.facts["box"] in reached.aliases


def started(reached: Reached) -> bool:
    """The box runs."""
    states = [one["current_state"] for one in reached.document["started"]]
    return reached.account.is_alive(reached.facts["box"]) and states == ["running"]


def renamed(reached: Reached) -> bool:
    """The box has its new alias."""
    return reached.document["ssh_alias"] == "trainer" and reached.facts["box"] in reached.aliases


def listed_volumes(reached: Reached) -> bool:
    """The kept and the orphan volumes are listed as such."""
    uses = {one["volume_id"]: one["use"] for one in reached.document["volumes"]}
    return uses[reached.facts["orphan"]] == "orphan" and uses[reached.facts["kept"]] == "kept"


def volume_created(reached: Reached) -> bool:
    """The volume exists."""
    return reached.account.is_alive(reached.document["volume_id"])


def snapshot_created(reached: Reached) -> bool:
    """The snapshot is of the box's volume."""
    return reached.document["volume_id"] == reached.facts["volume"]


def grown(reached: Reached) -> bool:
    """Volume and filesystem have the new size."""
    return reached.document["size_gb"] == 6 and reached.document["filesystem"] == "grown"


def orphan_removed(reached: Reached) -> bool:
    """The volume is gone."""
    return not reached.account.is_alive(reached.facts["orphan"])


def set_up_by_id(reached: Reached) -> bool:
    """And the box that had no alias has one."""
    return set_up(reached) and reached.facts["nameless"] in reached.aliases


def ended(reached: Reached) -> bool:
    """No box of the world lives, none has an alias, and its volumes are gone."""
    boxes = [reached.facts[name] for name in ("box", "box-abroad") if name in reached.facts]
    volumes = [reached.facts[name] for name in ("volume", "volume-abroad") if name in reached.facts]
    left = [name for name in (*boxes, *volumes) if reached.account.is_alive(name)]
    return not left and not reached.aliases & set(boxes)


def ended_here(reached: Reached) -> bool:
    """The box and its volume are gone."""
    left = [reached.facts[name] for name in ("box", "volume") if reached.account.is_alive(reached.facts[name])]
    return not left and reached.facts["box"] not in reached.aliases


def ended_but_kept(reached: Reached) -> bool:
    """The box is gone, its volume stays and is marked."""
    volume = reached.account.find(reached.facts["volume"])
    return not reached.account.is_alive(reached.facts["box"]) and volume is not None and volume.is_kept


def ended_beside_brought(reached: Reached) -> bool:
    """The box is gone, the user's volume stays."""
    return not reached.account.is_alive(reached.facts["box"]) and reached.account.is_alive(reached.facts["brought"])


def cluster_shown(reached: Reached) -> bool:
    """Both nodes are in the document, by rank."""
    shown_nodes = {node["rank"]: node["instance_id"] for node in reached.document["nodes"]}
    return shown_nodes == {0: reached.facts["node-0"], 1: reached.facts["node-1"]}


def clusters_shown(reached: Reached) -> bool:
    """The cluster is in the document, with its nodes."""
    counts = {row["cluster_id"]: row["node_count"] for row in reached.document["clusters"]}
    return counts == {"train": 2}


def cluster_ended(reached: Reached) -> bool:
    """Nothing of the cluster is left: no node, no volume, no group, no alias."""
    return _nothing_shared(reached) and not reached.account.is_alive(reached.facts["volume-0"])


def cluster_ended_but_kept(reached: Reached) -> bool:
    """Its volumes are, and are marked."""
    volumes = [reached.account.find(reached.facts[f"volume-{rank}"]) for rank in (0, 1)]
    return _nothing_shared(reached) and all(volume is not None and volume.is_kept for volume in volumes)


def groups_swept(reached: Reached) -> bool:
    """Only the volumes of the nodes are left, which need --include-ebs; the groups too, if they may not be read."""
    if any(one["code"] == "groups-unknown" for one in reached.document["warnings"]):
        return True
    return _nothing_shared(reached) and reached.account.is_alive(reached.facts["volume-0"])


def _nothing_shared(reached: Reached) -> bool:
    """No node lives or has an alias, and no group is left."""
    names = ("node-0", "node-1", "placement-group", "group")
    alive = [name for name in names if reached.account.is_alive(reached.facts[name])]
    return not alive and not reached.aliases & {reached.facts["node-0"], reached.facts["node-1"]}


def shown(reached: Reached) -> bool:
    """Every living box of ours is in the document."""
    listed = {one["instance_id"] for one in reached.document["instances"]}
    return reached.account.living_boxes() <= listed


def shown_with_ended(reached: Reached) -> bool:
    """And those that have ended, apart; one whose state EC2 left out may be among the living."""
    listed = {one["instance_id"] for one in reached.document["instances"] + reached.document["ended"]}
    ended_ones = {one["instance_id"] for one in reached.document["ended"]}
    gone = {reached.facts["off"], reached.facts["unclear"]}
    return shown(reached) and gone <= listed and ended_ones <= gone


def shown_with_gpu(reached: Reached) -> bool:
    """Each of them with its GPU."""
    running = [one for one in reached.document["instances"] if one["state"] == "running" and one["ssh_alias"]]
    return shown(reached) and all(one.get("gpu") for one in running)


def shown_abroad(reached: Reached) -> bool:
    """The document is about that region alone."""
    return reached.document["regions_queried"] == [ABROAD]


def costs_shown(reached: Reached) -> bool:
    """Everything of ours that bills is in the document once."""
    listed = [one["id"] for one in (*reached.document["items"], *reached.document["left_out"])]
    billing = {thing.id for thing in reached.account.billing() if thing.is_ours}
    return billing <= set(listed) and len(listed) == len(set(listed))


def tidied(reached: Reached) -> bool:
    """The alias of the box that is gone is gone, the other stays."""
    return reached.facts["gone"] not in reached.aliases and reached.facts["box"] in reached.aliases


def swept(reached: Reached) -> bool:
    """The orphan volumes are gone, too."""
    orphans = [reached.facts["orphan"], reached.facts["orphan-abroad"]]
    return tidied(reached) and not any(reached.account.is_alive(one) for one in orphans)


def swept_with_kept(reached: Reached) -> bool:
    """And the kept ones."""
    kept = [reached.facts["kept"], reached.facts["kept-abroad"]]
    return swept(reached) and not any(reached.account.is_alive(one) for one in kept)


def synced(reached: Reached) -> bool:
    """The box without an alias has one."""
    return tidied(reached) and reached.facts["nameless"] in reached.aliases


def access_shown(reached: Reached) -> bool:
    """The box and who may reach it is in the document."""
    return [one["instance_id"] for one in reached.document["boxes"]] == [reached.facts["box"]]


def access_replaced(reached: Reached) -> bool:
    """Our rule lets in the network that was asked for, and no other of ours is left."""
    ours = [one for one in reached.account.rules() if one.is_ours]
    return [one.raw["source"] for one in ours] == ["203.0.113.0/24"]


def quotas_shown(reached: Reached) -> bool:
    """Quotas are in the document."""
    return bool(reached.document["quotas"])


def quota_requested(reached: Reached) -> bool:
    """A request is in the document."""
    return len(reached.document["requests"]) == 1


def history_shown(reached: Reached) -> bool:
    """Requests are in the document."""
    return isinstance(reached.document["requests"], list)


def prices_shown(reached: Reached) -> bool:
    """Zones with their types are in the document."""
    return bool(reached.document["prices"])


def exported(reached: Reached) -> bool:
    """The file is in the document."""
    return bool(reached.document["content"])


def listed(reached: Reached) -> bool:
    """Something is listed."""
    return bool(reached.document)


# --- scenarios -----------------------------------------------------------------------------------------------

_LAUNCH = ("launch", "--yes", "--ssh-timeout", "4s")
_BARE = (*_LAUNCH, "--no-setup")
_TRAIN = ("--cluster-id", "train")
_NODES = ("node-0", "node-1", "volume-0", "volume-1")
_CLUSTER = ("cluster", "launch", "--yes", "--ssh-timeout", "10s", "--no-setup", "--cluster-id", "train")
"""Several boxes boot at the same time, in every lane."""
_NO_SPOT_HERE = {"action": "RunInstances", "region": HOME, "do": NO_ROOM}
_NEVER_CHANGED = {"action": "GetServiceQuota", "do": {"error": "NoSuchResourceException"}}
"""A quota that was never changed answers only as a default."""
_NO_SPOT = {"action": "RunInstances", "match": {"InstanceMarketOptions.MarketType": "spot"}, "do": NO_ROOM}

SCENARIOS: tuple[Scenario, ...] = (
    Scenario("launch", _BARE, launched, undone=True),
    Scenario("cluster-launch", (*_CLUSTER, "--nodes", "2"), cluster_launched, undone=True),
    Scenario(
        "cluster-grow",
        (*_CLUSTER, "--nodes", "3", "--ebs-storage", "5"),
        cluster_launched,
        world="cluster",
        boot=True,
    ),
    Scenario(
        "cluster-export", ("cluster", "export", "--cluster-id", "train", "--to", "ray"), exported, world="cluster"
    ),
    Scenario("launch-on-demand", (*_BARE, "--on-demand"), launched, undone=True),
    Scenario("launch-fallback", _BARE, launched, undone=True, background=(_NO_SPOT,)),
    Scenario("launch-ebs-storage", (*_BARE, "--ebs-storage", "5"), launched_with_volume, undone=True),
    Scenario(
        "launch-ebs-volume-id",
        (*_BARE, "--ebs-volume-id", "{brought}"),
        launched_with_volume,
        world="own-volume",
        undone=True,
        allowed=("brought",),
    ),
    Scenario(
        "launch-two-regions",
        (*_BARE, "-r", HOME, "-r", ABROAD, "--ebs-storage", "5"),
        launched_with_volume,
        undone=True,
        background=(_NO_SPOT_HERE,),
    ),
    Scenario("launch-max-price", (*_BARE, "--max-price", "0.9"), launched, undone=True),
    Scenario("launch-wait", (*_BARE, "--wait", "--wait-timeout", "2m", "--tag", "team=vision"), launched, undone=True),
    Scenario("launch-name", (*_BARE, "--name", "trainer"), launched, undone=True),
    Scenario("launch-subnet", (*_BARE, "--subnet-id", "{subnet}"), launched, undone=True),
    Scenario(
        "launch-max-price-on-demand",
        (*_BARE, "--max-price", "0.9", "--instance-type", "g4dn.xlarge", "--instance-type", "g5.xlarge"),
        launched,
        undone=True,
        background=(_NO_SPOT,),
    ),
    Scenario("launch-full", (*_LAUNCH, "--ebs-storage", "5"), launched_with_volume, undone=True),
    Scenario("launch-cheapest", (*_BARE, "-r", HOME, "-r", ABROAD, "--cheapest"), launched, undone=True),
    Scenario("launch-dry-run", (*_LAUNCH, "--dry-run"), listed),
    Scenario("launch-again", _BARE, launched, world="box", undone=True),
    Scenario("relaunch", ("relaunch", "{gone}", "--yes"), launched, world="ended-box", undone=True),
    Scenario("setup", ("setup", "aws-gpu1"), set_up, world="volume", boot=True),
    Scenario("setup-id", ("setup", "{nameless}"), set_up_by_id, world="leftovers", boot=True),
    Scenario("extend", ("extend", "aws-gpu1", "2h"), extended, world="volume", boot=True),
    Scenario("cp", ("cp", _FILE, "aws-gpu1:copied"), sent, world="volume", boot=True),
    Scenario("sync", ("sync", _FOLDER, ":synchronized"), sent, world="volume", boot=True),
    Scenario("forward", ("forward", "8888", "--print"), named_box, world="volume"),
    Scenario("open", ("open", "jupyter", "--print"), named_box, world="volume"),
    Scenario("bake", ("bake", "aws-gpu1", "--yes"), baked, world="volume", boot=True),
    Scenario("image-ls", ("image", "ls"), images_shown, world="image"),
    Scenario("image-rm", ("image", "rm", "trainer", "--yes"), image_removed, world="image", ends=("image",)),
    Scenario("launch-image", (*_BARE, "--image", "baked"), launched, world="image", undone=True),
    Scenario("ssh", ("ssh", "aws-gpu1", "--", "echo", "reached"), has_output, world="volume", boot=True),
    Scenario("ssh-only-box", ("ssh", "--", "echo", "reached"), has_output, world="volume", boot=True),
    Scenario("exec", ("exec", "aws-gpu1", "--", "echo", "reached"), all_have_output, world="volume", boot=True),
    Scenario("run", ("run", "aws-gpu1", "--", "sleep", "600"), run_started, world="volume", boot=True),
    Scenario(
        "run-follow", ("run", "aws-gpu1", "--follow", "--", "echo", "reached"), has_output, world="volume", boot=True
    ),
    Scenario("cluster-run", ("cluster", "run", *_TRAIN, "job.sh"), job_succeeded, world="cluster", boot=True),
    Scenario("cluster-cancel", ("cluster", "cancel"), no_job_left, world="cluster", boot=True),
    Scenario("cluster-status", ("cluster", "status", "--cluster-id", "train"), cluster_shown, world="cluster"),
    Scenario("cluster-status-all", ("cluster", "status"), clusters_shown, world="cluster"),
    Scenario(
        "cluster-terminate",
        ("cluster", "terminate", "train", "--yes"),
        cluster_ended,
        world="cluster-volumes",
        ends=_NODES,
    ),
    Scenario(
        "cluster-terminate-keep-ebs",
        ("cluster", "terminate", "train", "--keep-ebs", "--yes"),
        cluster_ended_but_kept,
        world="cluster-volumes",
        ends=("node-0", "node-1"),
    ),
    Scenario(
        "cluster-terminate-ended",
        ("cluster", "terminate", "train", "--yes"),
        cluster_ended,
        world="cluster-ended",
        ends=("volume-0", "volume-1"),
    ),
    Scenario(
        "terminate-cluster",
        ("terminate", "train", "--yes"),
        cluster_ended,
        world="cluster-volumes",
        undone=True,
        ends=_NODES,
    ),
    Scenario("cleanup-groups", ("cleanup", "--yes"), groups_swept, world="cluster-ended"),
    Scenario("logs-guardian", ("logs", "aws-gpu1", "--guardian"), listed, world="volume", boot=True),
    Scenario("ps", ("ps",), runs_listed, world="volume", boot=True),
    Scenario("stop", ("stop", "aws-gpu1", "--yes"), stopped, world="on-demand"),
    Scenario("start", ("start", "aws-gpu1"), started, world="stopped", boot=True),
    Scenario("rename", ("rename", "{box}", "trainer"), renamed, world="box"),
    Scenario("volume-ls", ("volume", "ls"), listed_volumes, world="leftovers"),
    Scenario("volume-create", ("volume", "create", "--size", "1"), volume_created),
    Scenario("volume-snapshot", ("volume", "snapshot", "aws-gpu1"), snapshot_created, world="volume", boot=True),
    Scenario(
        "volume-restore", ("volume", "restore", "{snapshot}", "--zone", "us-west-2b"), volume_created, world="copied"
    ),
    Scenario(
        "volume-restore-abroad",
        ("volume", "restore", "{snapshot}", "--zone", "eu-west-1a"),
        volume_created,
        world="copied",
    ),
    Scenario("volume-grow", ("volume", "grow", "aws-gpu1", "--size", "6", "--yes"), grown, world="volume", boot=True),
    Scenario("volume-rm", ("volume", "rm", "{orphan}", "--yes"), orphan_removed, world="leftovers", ends=("orphan",)),
    Scenario("status", ("status",), shown, world="two-regions"),
    Scenario("status-region", ("status", "-r", ABROAD), shown_abroad, world="two-regions"),
    Scenario("status-ended", ("status",), shown_with_ended, world="ended"),
    Scenario("status-gpu", ("status", "--gpu"), shown_with_gpu, world="two-regions", boot=True),
    Scenario("costs", ("costs",), costs_shown, world="leftovers"),
    Scenario(
        "terminate-alias",
        ("terminate", "aws-gpu1", "--yes"),
        ended,
        world="volume",
        undone=True,
        ends=("box", "volume"),
    ),
    Scenario(
        "terminate-all", ("terminate", "--yes"), ended_here, world="two-regions", undone=True, ends=("box", "volume")
    ),
    Scenario(
        "terminate-two-regions",
        ("terminate", "{box}", "{box-abroad}", "--yes"),
        ended,
        world="two-regions",
        undone=True,
        ends=("box", "volume", "box-abroad", "volume-abroad"),
    ),
    Scenario(
        "terminate-keep-ebs",
        ("terminate", "aws-gpu1", "--keep-ebs", "--yes"),
        ended_but_kept,
        world="volume",
        undone=True,
        ends=("box",),
    ),
    Scenario(
        "terminate-brought",
        ("terminate", "aws-gpu1", "--yes"),
        ended_beside_brought,
        world="brought",
        undone=True,
        ends=("box",),
        allowed=("brought",),
    ),
    Scenario(
        "terminate-everyone",
        ("terminate", "--everyone", "--yes"),
        ended_here,
        world="two-regions",
        undone=True,
        ends=("box", "volume"),
    ),
    Scenario("cleanup", ("cleanup", "--yes"), tidied, world="leftovers"),
    Scenario("cleanup-region", ("cleanup", "--yes", "--region", HOME), tidied, world="leftovers"),
    Scenario("cleanup-dry-run", ("cleanup", "--dry-run", "--include-ebs"), listed, world="leftovers"),
    Scenario("cleanup-include-ebs", ("cleanup", "--include-ebs", "--yes"), swept, world="leftovers"),
    Scenario(
        "cleanup-include-kept",
        ("cleanup", "--include-ebs", "--include-kept", "--yes"),
        swept_with_kept,
        world="leftovers",
        allowed=("kept", "kept-abroad"),
    ),
    Scenario("cleanup-sync", ("cleanup", "--sync", "--yes"), synced, world="leftovers"),
    Scenario("access", ("access",), access_shown, world="box", allowed=("foreign-rule",)),
    Scenario(
        "access-replace",
        ("access", "aws-gpu1", "--ssh-cidr", "203.0.113.0/24"),
        access_replaced,
        world="box",
        allowed=("foreign-rule",),
    ),
    Scenario("quota-show", ("quota", "show"), quotas_shown),
    Scenario("quota-show-defaults", ("quota", "show"), quotas_shown, background=(_NEVER_CHANGED,)),
    Scenario(
        "quota-request",
        ("quota", "request", "--type", "spot", "--family", "gvt", "--desired-value", "900", "--yes"),
        quota_requested,
    ),
    Scenario("quota-history", ("quota", "history"), history_shown),
    Scenario("list-instance-types", ("list", "instance-types", "--prefix", "g4dn"), listed),
    Scenario("prices", ("prices", "-r", HOME, "-r", ABROAD), prices_shown),
    Scenario("prices-gpu-memory", ("prices", "--gpu-memory", "24", "--instance-type", "g5.xlarge"), prices_shown),
    Scenario("list-amis", ("list", "amis"), listed),
    Scenario("completion", ("completion", "bash"), listed),
)

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
