"""Every result in every format, and every error in every format."""

from __future__ import annotations

import dataclasses
import io
import json
import sys
from datetime import UTC, datetime

import click
import pytest
import yaml

from aws_bootstrap import models, output
from aws_bootstrap.console import Console, Heartbeat, OutputFormat
from aws_bootstrap.errors import BootstrapError, IncompleteError
from aws_bootstrap.invocation import PROGRAM
from aws_bootstrap.models import (
    AccessReport,
    AccessRule,
    AliasAddress,
    AliasEntry,
    AttachReport,
    BakeReport,
    BoxAccess,
    BoxFailure,
    Check,
    CleanupPlan,
    CleanupReport,
    ClusterCancelReport,
    ClusterDryRun,
    ClusterExport,
    ClusterJobReport,
    ClusterLaunchReport,
    ClusterList,
    ClusterLogReport,
    ClusterNode,
    ClusterPrepareReport,
    ClusterTermination,
    ClusterTestReport,
    CompletionScript,
    ConfigChange,
    ConfigFile,
    ConfigReport,
    ConfigTrust,
    ConfigValue,
    CopyReport,
    CostItem,
    CostReport,
    DeletedVolume,
    DryRun,
    EndedBox,
    ExecReport,
    ExecResult,
    ExtendReport,
    FileChange,
    ForwardedPort,
    ForwardReport,
    GrowReport,
    ImageList,
    ImageRemoval,
    ImageRemovals,
    ImageRow,
    InstanceStatus,
    InstanceTypeList,
    InstanceTypeRow,
    JobRestart,
    KeptVolume,
    LaunchReport,
    LogReport,
    MonthlyCost,
    NodeFacts,
    NodeLog,
    NodeResult,
    OpenReport,
    OrphanVolume,
    OwnImageList,
    OwnImageRow,
    PriceReport,
    QuotaHistory,
    QuotaHistoryRow,
    QuotaReport,
    QuotaRequestRow,
    QuotaRequests,
    QuotaRow,
    RegionFailure,
    RegionReason,
    RemovedDisk,
    RemoveReport,
    RenameReport,
    Resource,
    Result,
    Run,
    RunList,
    RunReport,
    SetupReport,
    SnapshotReport,
    SnapshotRow,
    SshReport,
    StartedBox,
    StartReport,
    StatusReport,
    StoppedBox,
    StopReport,
    SyncReport,
    TerminateReport,
    Termination,
    VolumeEntry,
    VolumeList,
    VolumeReport,
    VolumeRow,
    VolumeStatus,
    ZonePrice,
)
from aws_bootstrap.next_commands import next_commands
from aws_bootstrap.outcomes import error_for
from aws_bootstrap.tests.clusters import CLUSTER, CLUSTERS

BOX = InstanceStatus(
    instance_id="i-0123456789abcdef0",
    region="us-west-2",
    state="running",
    instance_type="g4dn.xlarge",
    public_ip="54.1.2.3",
    ssh_alias="aws-gpu1",
    lifecycle="spot",
    availability_zone="us-west-2a",
    launch_time=datetime(2026, 1, 15, 10, 30, tzinfo=UTC),
    uptime_seconds=3600,
    ebs_volumes=(VolumeStatus("vol-1", 96, "/data", "in-use"),),
    spot_price_per_hour=0.1578,
    estimated_cost=0.1578,
)
ORPHAN = OrphanVolume("vol-2", "us-west-2", 150, 12.0, "i-9", kept=True)
LAUNCHED = LaunchReport(
    instance_id="i-1",
    public_ip="54.1.2.3",
    instance_type="g4dn.xlarge",
    availability_zone="us-west-2a",
    ami_id="ami-1",
    pricing="spot",
    region="us-west-2",
    regions_tried=("us-west-2",),
    ssh_alias="aws-gpu1",
    setup="completed",
    cuda_version="12.8",
)
PLANNED = DryRun(
    instance_type="g4dn.xlarge",
    ami_id="ami-1",
    ami_name="Deep Learning …",
    pricing="spot",
    key_name="k",
    security_group=None,
    volume_size_gb=100,
    regions=("us-west-2",),
    wait=False,
    wait_timeout_seconds=1800,
    steps=("Generate an SSH key",),
)
STALE = AliasEntry("i-9", "aws-gpu9")
MOVED = AliasAddress("i-8", "aws-gpu8", "54.1.2.4")
OPEN = BoxAccess(
    instance_id="i-1",
    region="us-west-2",
    ssh_alias="aws-gpu1",
    ssh_port=22,
    reachable=False,
    rules=(AccessRule("0.0.0.0/0", "sg-1", "sgr-1", False, "open"), AccessRule("pl-1", "sg-1", "sgr-2", True, None)),
    added=("203.0.113.7/32",),
    removed=(),
)
ENDED = Termination(
    "i-1",
    "running",
    "shutting-down",
    "aws-gpu1",
    ("vol-1",),
    ("vol-2",),
    kept_volumes=(KeptVolume("vol-2", 96, "us-west-2", 7.68),),
)
BILLS = CostItem("instance", "i-1", "us-west-2", 0.2, 146.0, None, BOX.launch_time, "AIDA", True, state="running")
SNAPSHOT = CostItem("snapshot", "snap-1", "us-west-2", None, None, 0.001, None, None, False, size_gb=20)
GONE = EndedBox("i-2", "aws-gpu2", "us-west-2", "deadline", "console", BOX.launch_time)
CHANGES = (FileChange("a", "new"), FileChange("b\n", "changed"), FileChange("c", "deleted"))
HOST = ("i-1", "aws-gpu1", "us-west-2")
TUNNEL = ("{ssh}", "-N", "-L", "127.0.0.1:9000:localhost:8888", "aws-gpu1")
THEN = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
RUN = Run("i-1", "aws-gpu1", "train", "running", None, "python train.py", "/home/ubuntu", THEN, None, 90, "terminate")
ENDED_RUN = dataclasses.replace(RUN, run="1", state="exited", exit_code=3, ended=THEN, then=None)
PRICE = ZonePrice(
    region="us-west-2",
    availability_zone="us-west-2a",
    instance_type="g4dn.xlarge",
    offered=True,
    spot_price_per_hour=0.15,
    lowest_spot_price=0.14,
    highest_spot_price=0.16,
    on_demand_price_per_hour=0.526,
    vcpus=4,
    gpu="1x T4 (16384 MiB)",
    quota_family="gvt",
    spot_quota=8.0,
    on_demand_quota=0.0,
    fits_spot_quota=True,
    fits_on_demand_quota=False,
    placement_score=3,
)
NO_SPOT = dataclasses.replace(PRICE, spot_price_per_hour=None, spot_quota=None, fits_spot_quota=None)
WEEK = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 8, tzinfo=UTC))
NOW = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
DISKS = (MonthlyCost("root volume", 8.0, 100),)
DISK = VolumeRow(
    *("vol-1", "us-west-2", "us-west-2a", 100, "available", "kept", None, None, 8.0, "AIDAME", True),
    created_by_us=True,
)
COPY = SnapshotRow("snap-1", "us-west-2", 100, "completed", "vol-1", NOW, 5.0, "AIDAME", yours=True)
STARTED = StartedBox(
    *("i-1", "aws-gpu1", "us-west-2", "us-west-2a", "stopped", "running", "g4dn.xlarge", "192.0.2.1"),
    price_per_hour=0.526,
    monthly_cost_usd=8.0,
    monthly_costs=DISKS,
)
BAKED = BakeReport(
    *("ami-1", "trainer", "us-west-2", "available", "snap-1", 100, 5.0, "i-1", "aws-gpu1", True),
    remaining_secrets=("/home/ubuntu/.env",),
    setup_version="v",
)
OWN_IMAGE = OwnImageRow(
    *("ami-1", "trainer", "us-west-2", "available", None, 100, 5.0, ("snap-1",), "i-1", "current"),
    setup="cuda 13.2",
    owner=None,
    yours=None,
)

RESULTS: list[Result] = [
    PLANNED,
    LAUNCHED,
    StatusReport((BOX,), ("us-west-2",), (), (ORPHAN,)),
    StatusReport((BOX, BOX), ("us-west-2",), (), (), instructions=False),
    StatusReport((), ("us-west-2",), (), ()),
    TerminateReport((ENDED,)),
    TerminateReport(()),
    SetupReport("i-1", "aws-gpu1", "completed", cuda_version="12.8"),
    InstanceTypeList((InstanceTypeRow("us-west-2", "g4dn.xlarge", 4, 16384, "gvt", "1x T4 (16384 MiB)"),)),
    InstanceTypeList((), prefix="zz", regions=("us-west-2",)),
    ImageList((ImageRow("us-west-2", "ami-1", "Deep Learning …", "2026-01-10", "x86_64"),)),
    PriceReport((PRICE,), ("g4dn.xlarge",), *WEEK, ("us-west-2",), plot="p.svg"),
    PriceReport((NO_SPOT,), ("g4dn.xlarge",), *WEEK, ("us-west-2",)),
    PriceReport((), (), *WEEK, ("us-west-2",), gpu_memory_gb=900),
    QuotaReport((QuotaRow("us-west-2", "p5", "spot", "L-7212CCBC", "All P …", 8.0, "Folded."),), ("us-west-2",)),
    QuotaReport((), ("us-west-2",)),
    QuotaRequests((QuotaRequestRow("r-1", "PENDING", "L-1", "All G …", 8.0, "us-west-2", "spot", "gvt", "42"),)),
    QuotaHistory(
        (QuotaHistoryRow("r-1", "DENIED", "L-1", "All G …", 8.0, "us-west-2", "spot", "gvt", BOX.launch_time),),
        ("us-west-2",),
    ),
    CostReport(("us-west-2",), (), (BILLS,), counted=(BILLS,)),
    CostReport(
        ("us-west-2",),
        (),
        None,
        left_out=(SNAPSHOT,),
        counted=(BILLS,),
        everyone_command=f"{PROGRAM} costs --sum --everyone",
    ),
    CostReport(("us-west-2",), (), ()),
    AccessReport((OPEN,), "203.0.113.7", ("us-west-2",), ()),
    AccessReport((), None, ("us-west-2",), ()),
    CleanupPlan(("us-west-2",), (), (STALE,), (MOVED,), (MOVED,), (VolumeEntry("vol-1", 8),), broken=("i-7",)),
    CleanupReport(
        ("us-west-2",),
        (),
        (STALE,),
        (MOVED,),
        (MOVED,),
        (DeletedVolume("vol-1", 8, True), DeletedVolume("vol-2", 8, False, "It is in use.")),
        skipped=(STALE,),
        skipped_volumes=(VolumeEntry("vol-3", 8),),
    ),
    CleanupReport(("us-west-2",), (), (), (), (), ()),
    CompletionScript("bash", "complete …"),
    ExtendReport("i-1", "aws-gpu1", "us-west-2", None, 5400),
    SshReport("i-1", "aws-gpu1", exit_code=3, output="out\n", truncated=False),
    ExecReport(
        (
            ExecResult("i-1", "aws-gpu1", exit_code=0, output="out\n", truncated=False),
            ExecResult("i-2", "aws-gpu2", error="aws-gpu2 does not answer", error_code="ssh-timeout"),
        )
    ),
    RunReport(RUN),
    LogReport("i-1", "aws-gpu1", RUN, "run", output="out\n", truncated=False),
    AttachReport("i-1", "aws-gpu1", ENDED_RUN, exit_code=3, output="out\n", truncated=False),
    RunList((ENDED_RUN, RUN), ("aws-gpu1",), (BoxFailure("i-2", None, "it has no alias on this machine"),)),
    ConfigReport(
        (ConfigFile("user", "/c.toml", "missing"), ConfigFile("project", "/p.toml", "ignored", "it is not trusted")),
        (
            ConfigValue("launch.ttl", "8h", "user-file", "/c.toml, line 2"),
            ConfigValue("launch.tag", ("a=b",), "default"),
            ConfigValue("region", None, "default"),
        ),
        ("train",),
    ),
    ConfigChange("/p.toml", "project", created=False, key="launch.ttl", value="8h", previous=5, trusted=False),
    ConfigChange("/c.toml", "user", created=True),
    ConfigTrust("/p.toml", "00", True, (ConfigValue("launch.ttl", "8h", "project-file", "/p.toml"),)),
    ConfigTrust("/p.toml", "00", False, ()),
    StatusReport((), ("us-west-2",), (), (), ended=(GONE, dataclasses.replace(GONE, ssh_alias=None, ended_at=None))),
    CopyReport(*HOST, ("a",), "aws-gpu1:", "rsync", 1, 2048, 0.5),
    CopyReport(*HOST, ("a",), "aws-gpu1:", "rsync", 0, 0, 0.5),
    CopyReport(*HOST, ("a", "b"), "aws-gpu1:", "scp", 1, 5, 70.0, ("b: Permission denied",)),
    SyncReport(*HOST, ".", "aws-gpu1:p", False, 2, 3, 2.0, CHANGES, 4),
    SyncReport(*HOST, ".", "aws-gpu1:p", True, 2, 3, 2.0, CHANGES * 20, 4),
    SyncReport(*HOST, ".", "aws-gpu1:p", False, 0, 0, 2.0, errors=("broken",), lost=True),
    ForwardReport(*HOST, (ForwardedPort(9000, 8888),), TUNNEL),
    ForwardReport(*HOST, (ForwardedPort(9000, 8888),), TUNNEL, printed=True),
    OpenReport("jupyter", *HOST, "http://127.0.0.1:8888/lab", "file:///x/jupyter.html", TUNNEL),
    OpenReport("jupyter", *HOST, "http://127.0.0.1:8888/lab", None, TUNNEL, printed=True),
    OpenReport("code", *HOST, None, None, ("code", "--remote", "ssh-remote+aws-gpu1", "/home/ubuntu/workspace")),
    OpenReport("zed", *HOST, None, None, ("zed", "ssh://aws-gpu1/home/ubuntu/workspace"), printed=True),
    StopReport((StoppedBox("i-1", "aws-gpu1", "us-west-2", "running", "stopped", 8.0, DISKS, NOW),)),
    StopReport((), declined=True),
    RenameReport("i-1", "us-west-2", "aws-gpu1", "trainer"),
    VolumeList((DISK, dataclasses.replace(DISK, use="attached", ssh_alias="aws-gpu1")), (COPY,), ("us-west-2",)),
    VolumeList((), (), ("us-west-2",)),
    VolumeReport("vol-1", "us-west-2", "us-west-2a", 100, 8.0, "snap-1", "snap-2"),
    SnapshotReport("snap-1", "vol-1", "us-west-2", 100, "pending", 5.0, availability_zone="us-west-2a"),
    GrowReport("vol-1", "us-west-2", 50, 100, 8.0, "grown", "aws-gpu1"),
    RemoveReport((RemovedDisk("volume", "vol-1", "us-west-2", 100, 8.0, deleted=True),)),
    StartReport((STARTED, dataclasses.replace(STARTED, current_state="pending", public_ip=None))),
    BAKED,
    OwnImageList((OWN_IMAGE,), ("us-west-2",), (), (), 5.0),
    ImageRemovals((ImageRemoval("ami-1", "trainer", "us-west-2", True, ("snap-1",)),)),
    CLUSTER,
    CLUSTERS,
    ClusterList((), ("us-west-2",)),
    ClusterTermination("train", "us-west-2", (ENDED,), True, True),
    ClusterTermination("train", "us-west-2", (), None, None),
    ClusterLaunchReport(
        "train",
        "us-west-2",
        "us-west-2a",
        "aws-bootstrap-cluster-train",
        1,
        2,
        (
            ClusterNode(0, "i-1", "54.1.2.3", "aws-train-0", "10.0.0.4", "completed", existing=True),
            ClusterNode(1, "i-2", "54.1.2.4", "aws-train-1", "10.0.0.5", "completed", cuda_version="12.8"),
        ),
        "g4dn.xlarge",
        "spot",
        "ami-1",
        price_per_hour=0.32,
        monthly_cost_usd=23.3,
    ),
    ClusterDryRun(
        "train",
        4,
        2,
        (2, 3),
        4,
        "aws-bootstrap-cluster-train",
        "g4dn.xlarge",
        "ami-1",
        "Deep Learning",
        "spot",
        "aws-bootstrap-key",
        "sg-1",
        100,
        ("us-west-2",),
        False,
        1800,
        ("Launch 2 × g4dn.xlarge (spot) in us-west-2",),
        availability_zone="us-west-2a",
    ),
    ClusterExport("train", "sbatch", "train.sbatch", "#!/bin/bash\necho\n", ("The file runs train.py.",)),
    ClusterPrepareReport(
        "train",
        "us-west-2",
        True,
        True,
        "10.0.0.10",
        2,
        (Check("gpu", True, "1 × Tesla T4"), Check("canary", True, "2 processes trained together (nccl)")),
        (NodeFacts(0, "i-1", "aws-train-0", "10.0.0.10", ("Tesla T4",), "595.91.07"),),
    ),
    ClusterPrepareReport(
        "train", "us-west-2", False, None, "10.0.0.10", 1, (Check("torch", False, "no PyTorch in ~/venv"),), ()
    ),
    ClusterTestReport(
        "train",
        "us-west-2",
        "job-20260101-000000",
        True,
        "The job succeeded on all 2 nodes.",
        (NodeResult(0, "i-1", "aws-train-0", 0), NodeResult(1, "i-2", "aws-train-1", 0)),
        9.87,
        "nccl",
        2,
    ),
    ClusterTestReport(
        "train", None, "job-20260101-000000", False, "It failed.", (NodeResult(0, "i-1", "aws-train-0", 1),)
    ),
    ClusterJobReport(
        "train",
        "us-west-2",
        "job-20260101-000000",
        False,
        "node-lost",
        "Node 1 was lost.",
        1,
        ".aws-bootstrap/clusters/train/job-20260101-000000",
        (NodeResult(0, "i-1", "aws-train-0", 75), NodeResult(1, "i-2", "aws-train-1", None, error="It is gone.")),
        (JobRestart("job-20251231-235959", "node-lost", "Node 0 was lost.", (0,)),),
        again=("cluster", "run", "--cluster-id", "train", "train.py"),
    ),
    ClusterLogReport(
        "train",
        "job-20260101-000000",
        (NodeLog(0, "i-1", "aws-train-0", "step 1\n", False), NodeLog(1, "i-2", "aws-train-1", error="It is gone.")),
    ),
    ClusterCancelReport("train", "job-20260101-000000", (NodeResult(0, "i-1", "aws-train-0", 75),)),
]
NAMES = [f"{type(r).__name__}-{n}" for n, r in enumerate(RESULTS)]


def documented(result: Result):
    """The result's document; `next` is the last of its keys, and tested by itself in test_next.py."""
    with_next = dataclasses.replace(result, next=next_commands(result))
    return json.loads(json.dumps(Console().filled(with_next.to_dict())))


@pytest.fixture(params=list(OutputFormat))
def fmt(request):
    output.use(Console(request.param))
    yield request.param
    output.use(Console())


@pytest.mark.parametrize("result", RESULTS, ids=NAMES)
def test_every_result_in_every_format(fmt, result, capsys):
    output.emit(result)
    shown = capsys.readouterr()
    assert shown.err == ""
    assert shown.out.strip()
    expected = documented(result)
    if fmt is OutputFormat.JSON:
        assert json.loads(shown.out) == expected
    if fmt is OutputFormat.YAML:
        assert yaml.safe_load(shown.out) == expected


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
@pytest.mark.parametrize("result", [PLANNED, RESULTS[10]], ids=["DryRun", "ImageList"])
def test_what_stdout_cannot_encode_is_escaped(fmt, result, encoding, monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding))
    output.emit(result)
    shown = raw.getvalue().decode(encoding)
    expected = documented(result)
    if fmt is OutputFormat.JSON:
        assert json.loads(shown) == expected
    elif fmt is OutputFormat.YAML:
        assert yaml.safe_load(shown) == expected
    else:
        assert "Deep Learning \\u2026" in shown


def test_a_signal_after_the_document_adds_no_second_one(fmt, capsys):
    output.emit(LAUNCHED)
    first = capsys.readouterr().out
    output.emit_error(BootstrapError("Interrupted."))
    shown = capsys.readouterr()
    assert first
    assert shown.out == ""
    assert "Interrupted." in shown.err


def test_every_result_type_is_tried():
    kinds = {c for c in vars(models).values() if isinstance(c, type) and issubclass(c, Result)} - {Result}
    assert kinds == {type(r) for r in RESULTS}


OBJECTS = [result for result in RESULTS if isinstance(result.to_dict(), dict)]


@pytest.mark.parametrize("result", OBJECTS, ids=lambda result: type(result).__name__)
def test_keys_are_there_unless_declared_optional(result):
    shown = result.to_dict()
    for field in dataclasses.fields(result):
        if field.metadata.get("private"):
            assert field.name not in shown
        elif not field.metadata.get("optional"):
            assert field.name in shown
    assert "regions_failed" in shown


def test_status_has_the_keys_of_the_contract():
    shown = RESULTS[2].to_dict()["instances"][0]
    assert shown["launch_time"] == "2026-01-15T10:30:00+00:00"
    assert shown["ebs_volumes"] == [{"volume_id": "vol-1", "size_gb": 96, "mount_point": "/data", "state": "in-use"}]


def test_an_unset_optional_key_is_left_out_and_a_null_one_is_not():
    bare = dataclasses.replace(LAUNCHED, cuda_version=None, public_ip=None)
    assert "cuda_version" not in bare.to_dict()
    assert bare.to_dict()["public_ip"] is None


def failure() -> BootstrapError:
    error = IncompleteError("It broke.", hint=f"Do this: {PROGRAM} status", code="ssh-timeout").add_details(
        resources=(Resource("instance", "i-1", "us-west-2", billing=True),),
        regions=(RegionReason("us-west-2", "none", "g4dn.xlarge", "spot"),),
    )
    return error.attach_result(LAUNCHED)


def test_a_failure_is_reported_on_stderr_and_is_one_document(fmt, capsys):
    output.emit_error(failure())
    shown = capsys.readouterr()
    for word in ("It broke.", "Do this: aws-bootstrap status", "i-1", "(billing)", "us-west-2 g4dn.xlarge spot: none"):
        assert word in click.unstyle(shown.err)
    if fmt in (OutputFormat.JSON, OutputFormat.YAML):
        whole = json.loads(shown.out) if fmt is OutputFormat.JSON else yaml.safe_load(shown.out)
        assert whole["instance_id"] == "i-1"
        assert whole["error"] == {
            "code": "ssh-timeout",
            "message": "It broke.",
            "hint": "Do this: aws-bootstrap status",
            "resources": [{"type": "instance", "id": "i-1", "region": "us-west-2", "billing": True}],
            "regions": [{"region": "us-west-2", "reason": "none", "instance_type": "g4dn.xlarge", "market": "spot"}],
            "next": [{"do": "status", "argv": ["aws-bootstrap", "status"]}],
        }


def test_a_bare_list_has_no_room_for_an_error(fmt, capsys):
    rows = InstanceTypeList((InstanceTypeRow("a", "g4dn.xlarge", 4, 16384, "gvt", None),), (RegionFailure("b", "x"),))
    problem = error_for(rows)
    assert problem
    assert problem.exit_code == 3
    output.emit_error(problem.attach_result(rows))
    shown = capsys.readouterr()
    assert "Could not read b: x" in shown.err
    if fmt is OutputFormat.JSON:
        assert [row["region"] for row in json.loads(shown.out)] == ["a"]
    if fmt is OutputFormat.YAML:
        assert [row["region"] for row in yaml.safe_load(shown.out)] == ["a"]


def test_progress_is_for_people_only(fmt, capsys):
    for tell in (output.info, output.success, output.warn, output.echo):
        tell("x")
    output.step(1, 2, "x")
    output.val("x", "y")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert bool(shown.err) is (fmt is OutputFormat.TEXT)


def test_the_format_may_be_asked_for_a_context(fmt):
    """system.md names it `is_text(ctx)`."""
    assert output.is_text(click.Context(click.Command("status"))) is output.is_text() is (fmt is OutputFormat.TEXT)


def test_a_heart_beats_at_once_and_then_once_a_minute():
    now = [0.0]
    heart = Heartbeat(60.0, clock=lambda: now[0])
    beats = []
    for now[0] in range(0, 200, 10):
        beats.append(heart.is_due())
    assert [number * 10 for number, due in enumerate(beats) if due] == [0, 60, 120, 180]
