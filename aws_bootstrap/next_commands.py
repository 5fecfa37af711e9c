"""Which commands to type next after a result or an error: the one place from which texts and documents take them.

A view shows a command with its title, a document as words (`next`). Commands begin with the marks of invocation.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import singledispatch

from . import next_offers
from .command_lines import commands_in, own, words_of
from .invocation import PROFILE, SSH
from .models import (
    AccessReport,
    AliasEntry,
    BoxAccess,
    CleanupPlan,
    CleanupReport,
    Command,
    CostReport,
    EndedBox,
    ExtendReport,
    ForwardReport,
    ImageList,
    InstanceStatus,
    LaunchReport,
    OpenReport,
    OrphanVolume,
    PriceReport,
    QuotaReport,
    QuotaRequests,
    Result,
    SetupReport,
    StatusReport,
    TerminateReport,
    Termination,
)
from .models.tunnel import JUPYTER_LINK, JUPYTER_PORT
from .next_offers import is_of_another, region_options

# --- boxes and volumes -----------------------------------------------------------------------------------


def use(alias: str, user: str = "ubuntu") -> list[Command]:
    """Return how to use a box that is set up."""
    return [
        log_in(alias),
        Command("jupyter", (SSH, "-NL", f"{JUPYTER_PORT}:localhost:{JUPYTER_PORT}", alias), "Jupyter"),
        Command("jupyter-link", (SSH, alias, JUPYTER_LINK), "Jupyter's link"),
        Command("vscode", ("code", "--remote", f"ssh-remote+{alias}", f"/home/{user}/workspace"), "VSCode"),
        Command("benchmark", (SSH, alias, "python", "gpu_benchmark.py"), "Benchmark"),
    ]


def log_in(alias: str, title: str = "SSH") -> Command:
    """Return the command that logs in to a box."""
    return Command("ssh", (SSH, alias), title)


def terminate(name: str) -> Command:
    """Return the command that terminates a box."""
    return own("Terminate", "terminate", name)


def attach_again(region: str, volume_id: str, title: str = "Use it again") -> Command:
    """Return the launch of a box with this existing data volume."""
    return own(title, "launch", "--region", region, "--ebs-volume-id", volume_id)


def of_kept_volumes(result: CleanupPlan | CleanupReport) -> list[Command]:
    """Return the command that deletes the kept volumes of a cleanup; none where all are of others."""
    commands: list[Command] = []
    for deletion in commands_in(result.delete_kept_command):
        commands.append(replace(deletion, title="Delete these too"))
    return commands


def of_stale(entries: Iterable[AliasEntry]) -> list[Command]:
    """Return how to launch again each box whose alias is removed: the options are kept in its block alone."""
    commands: list[Command] = []
    for entry in entries:
        if entry.settings is not None:
            words = words_of(entry.settings)
            if entry.settings and not words:  # somebody edited them
                continue
            commands.append(own(f"{entry.alias} again", "launch", *words, "--name", entry.alias))
    return commands


def of_box(box: InstanceStatus, *, instructions: bool) -> list[Command]:
    """Return what to do with a box that `status` shows.

    Nothing for a box of somebody else: who follows these commands must not end it. Whether a setup is complete is known
    on the box alone. `setup` skips what is done, and gives a box without an alias one.
    """
    name = box.ssh_alias or box.instance_id
    if is_of_another(box):
        return []
    if box.state in ("stopping", "stopped"):
        return [own("Start", "start", name), terminate(name)]
    if box.state not in ("running", "pending"):
        return []
    commands: list[Command] = []
    if instructions and box.state == "running":
        if box.ssh_alias:
            commands += use(box.ssh_alias, box.user)
        commands.append(own("Finish setup", "setup", name))
        if box.deadline or box.idle_timeout_seconds:
            deletable = any(volume.goes_with_cleanup for volume in box.ebs_volumes)
            volume_ids = [volume.volume_id for volume in box.ebs_volumes]
            commands += _of_what_stays(box.region, volume_ids, cleanup=deletable)
    return [*commands, terminate(name)]


def _of_what_stays(region: str, volume_ids: Iterable[str], *, cleanup: bool) -> list[Command]:
    """Return how to use the data volumes that a box leaves when it ends; how to delete them, where `cleanup` does."""
    commands: list[Command] = []
    for volume_id in volume_ids:
        commands.append(attach_again(region, volume_id, "Its volume, later"))
    if cleanup:
        commands.append(own("Delete it then", "cleanup", "--include-ebs"))
    return commands


def of_ended(boxes: Sequence[EndedBox]) -> list[Command]:
    """Return how to launch ended boxes again; nothing for one that a user terminated, or of somebody else.

    A box without an alias here has perhaps been launched again already: its alias is that of the new box then. A node
    is launched again with its cluster, whose status says how.
    """
    commands: list[Command] = []
    for box in boxes:
        if box.cluster or is_of_another(box):
            continue
        if box.ssh_alias and box.has_settings and box.reason != "user":
            commands.append(own("Launch it again", "relaunch", box.ssh_alias))
    return commands


def of_orphans(volumes: Sequence[OrphanVolume]) -> list[Command]:
    """Return how to use or delete each volume; nothing for one of somebody else.

    `cleanup` deletes only what this tool created for the caller. A volume without a recorded owner is deleted by its
    id: `cleanup --everyone` would take those of others, too.
    """
    uses: list[Command] = []
    by_id: list[Command] = []
    has_orphans = False
    has_kept = False
    for volume in volumes:
        if is_of_another(volume):
            continue
        uses.append(attach_again(volume.region, volume.volume_id))
        if not volume.created_by_us:
            by_id.append(_delete_by_id(volume, "Delete yours"))
        elif volume.owner is None:
            by_id.append(_delete_by_id(volume, "Delete it"))
        elif volume.kept:
            has_kept = True
        else:
            has_orphans = True
    deletions: list[Command] = []
    if has_orphans:
        deletions.append(own("Delete", "cleanup", "--include-ebs"))
    # A command of its own: who deletes what was left behind must not delete what somebody chose to keep.
    if has_kept:
        deletions.append(own("Delete kept ones too", "cleanup", "--include-ebs", "--include-kept"))
    return uses + deletions + by_id


def _delete_by_id(volume: OrphanVolume, title: str) -> Command:
    words = ("aws", "ec2", "delete-volume", PROFILE, "--region", volume.region, "--volume-id", volume.volume_id)
    return Command("delete-volume", words, title)


# --- results ---------------------------------------------------------------------------------------------


@singledispatch
def next_commands(result: Result) -> tuple[Command, ...]:
    """Return the commands to type after this result, in the order of its text."""
    return ()


@next_commands.register
def _after_launch(report: LaunchReport) -> tuple[Command, ...]:
    """Return how to reach the box; nothing where the launch failed before it had an alias and a setup."""
    alias = report.ssh_alias
    if report.existing:
        return _of_existing(report)
    if not alias or not report.setup:
        return ()
    commands = use(alias, report.user)
    if report.setup == "skipped":  # there is no Jupyter, no workspace and no benchmark
        commands = [log_in(alias), own("Set up", "setup", alias)]
    commands += _of_end(report)
    return (*commands, own("Status", "status", "--region", report.region), terminate(alias))


def _of_end(report: LaunchReport) -> list[Command]:
    """Return how to end a box by itself; what to do with its data volume where that is set."""
    if report.deadline is None and report.idle_timeout_seconds is None:
        always = own("For every launch", "config", "set", "launch.ttl", "8h")
        return [set_limit(report.ssh_alias or str(report.instance_id)), always]
    volume = report.ebs_volume
    if volume is None:
        return []
    return _of_what_stays(report.region, [volume.volume_id], cleanup=report.volume_created)


def set_limit(name: str) -> Command:
    """Return the command that makes a box end by itself."""
    return own("Set an end", "extend", name, "8h")


def _of_existing(report: LaunchReport) -> tuple[Command, ...]:
    """Return how to reach, complete and end a box that had the launch's name already. Its setup may have failed."""
    name = report.ssh_alias or str(report.instance_id)
    commands: list[Command] = []
    if report.ssh_alias:
        commands += use(report.ssh_alias, report.user)
    commands.append(own("Finish setup", "setup", name))
    return (*commands, own("Status", "status", "--region", report.region), terminate(name))


@next_commands.register
def _after_setup(report: SetupReport) -> tuple[Command, ...]:
    """Return how to log in and to terminate; nothing where the setup failed: the error says more."""
    if not report.ssh_alias or report.setup != "completed":
        return ()
    return (log_in(report.ssh_alias), terminate(report.ssh_alias))


@next_commands.register
def _after_extend(report: ExtendReport) -> tuple[Command, ...]:
    """Return how to log in, to set a limit where there is none, and to terminate."""
    name = report.ssh_alias or report.instance_id
    limits: list[Command] = []
    if report.deadline is None and report.idle_timeout_seconds is None:
        limits.append(set_limit(report.cluster_id or name))
    if report.cluster_id:
        return (log_in(name), *limits, own("Terminate", "cluster", "terminate", report.cluster_id))
    return (log_in(name), *limits, terminate(name))


@next_commands.register
def _after_open(report: OpenReport) -> tuple[Command, ...]:
    """Return the command that was requested; of Jupyter also how to see its token."""
    if not report.printed:
        return ()
    if report.program != "jupyter":
        return (Command(report.program, report.command),)
    link = Command("jupyter-link", (SSH, report.ssh_alias, JUPYTER_LINK), "Link")
    return (Command("jupyter", report.command, "Tunnel"), link)


@next_commands.register
def _after_forward(report: ForwardReport) -> tuple[Command, ...]:
    """Return the command, where it alone was requested."""
    if not report.printed:
        return ()
    return (Command("forward", report.command),)


@next_commands.register
def _after_status(report: StatusReport) -> tuple[Command, ...]:
    """Return what to do with each box and volume; where each box has a line, how to read more of the first."""
    if report.has_no_answer:
        return ()
    commands: list[Command] = []
    for box in report.instances:
        commands += of_box(box, instructions=report.instructions)
    commands += next_offers.of_clusters(report)
    commands += of_ended(report.ended)
    commands += of_orphans(report.orphan_volumes)
    if not report.instances:
        commands.append(own("Launch one", "launch"))
    elif not report.in_full:
        first = report.instances[0]
        commands.append(own("More of a box", "status", first.ssh_alias or first.instance_id))
    return tuple(commands)


@next_commands.register
def _after_costs(report: CostReport) -> tuple[Command, ...]:
    """Return how to include what was left out, and where each box and volume has its commands."""
    commands: list[Command] = []
    if report.left_out:
        for everyone in commands_in(report.everyone_command):
            commands.append(replace(everyone, do="costs-everyone", title="Include everything"))
    if report.counted:
        commands.append(own("Use, terminate or delete them", "status"))
    return tuple(commands)


@next_commands.register
def _after_terminate(report: TerminateReport) -> tuple[Command, ...]:
    """Return how to use the volumes that were kept; where no box was found, how to find them all, others' too."""
    commands: list[Command] = []
    for ended in report.terminated:
        commands += of_kept(ended)
    if not report.terminated and not report.declined:
        commands.append(own("Boxes of every region", "status"))
        if report.left_out and report.region:
            words = ("terminate", "--everyone", "--region", report.region)
            commands.append(own("Terminate those of others, too", *words, do="terminate-everyone"))
    return tuple(commands)


def of_kept(ended: Termination) -> list[Command]:
    """Return how to use again each data volume that a termination kept."""
    commands: list[Command] = []
    for volume in ended.kept_volumes or ():
        commands.append(attach_again(volume.region, volume.volume_id))
    return commands


@next_commands.register
def _after_cleanup_plan(plan: CleanupPlan) -> tuple[Command, ...]:
    """Return how to do what is planned, how to delete what is kept, and how to launch ended boxes again."""
    commands = of_stale(plan.stale) + of_kept_volumes(plan)
    if not plan.is_empty:
        for planned in commands_in(plan.command):
            commands.append(replace(planned, title="Do it"))
    return tuple(commands)


@next_commands.register
def _after_cleanup(report: CleanupReport) -> tuple[Command, ...]:
    """Return how to launch ended boxes again, delete what is kept, and log in to a box that has an alias now."""
    commands = of_stale(report.cleaned) + of_kept_volumes(report)
    if report.added:
        commands.append(log_in(report.added[0].alias, "Log in"))
    return tuple(commands)


@next_commands.register
def _after_access(report: AccessReport) -> tuple[Command, ...]:
    """Return how to allow the caller alone, where he is not: it names the boxes, unless several boxes are all shut."""
    shut: list[BoxAccess] = []
    for box in report.boxes:
        if box.reachable is False:
            shut.append(box)
    if not shut:
        return ()
    names: list[str] = []
    all_are_shut = len(shut) == len(report.boxes)
    if len(shut) == 1 or not all_are_shut:
        names = [box.ssh_alias or box.instance_id for box in shut]
    return (own("Allow your address alone", "access", *names, "--ssh-cidr", "me"),)


@next_commands.register
def _after_quota(report: QuotaReport) -> tuple[Command, ...]:
    """Return a request for more."""
    return next_offers.after_quota(report)


@next_commands.register
def _after_quota_request(result: QuotaRequests) -> tuple[Command, ...]:
    """Return how to follow what was sent."""
    if not result.requests:
        return ()
    regions = region_options(row.region for row in result.requests)
    return (own("Follow it", "quota", "history", "--family", result.requests[0].family, *regions),)


@next_commands.register
def _after_prices(report: PriceReport) -> tuple[Command, ...]:
    """Return how to launch at the lowest price."""
    return next_offers.after_prices(report)


@next_commands.register
def _after_images(result: ImageList) -> tuple[Command, ...]:
    """Return how to launch with the newest image."""
    if not result.images:
        return ()
    return (own("Use the newest", "launch", "--dry-run", "--ami-filter", result.images[0].name),)
