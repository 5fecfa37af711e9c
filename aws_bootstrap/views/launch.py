"""A launch: as planned, as done, as broken off; and a setup run again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..models import DryRun, EbsVolume, ExtendReport, LaunchReport, SetupReport, TypePrice
from ..next_config import next_commands
from .costs import hourly, monthly, spot_and_on_demand
from .limits import NEVER, ends, planned_end, what_stays
from .text import aligned, heading, pairs, plural, span, text, titled


@text.register
def dry_run(plan: DryRun) -> str:
    """Return the plan and its steps."""
    facts = [
        ("Name", plan.name),
        ("Region", ", ".join(plan.regions)),
        ("Type", f"{plan.instance_type}, {plan.pricing}"),
        ("Price", spot_and_on_demand(_first_price(plan))),
        ("Monthly", monthly(plan.monthly_cost_usd, plan.monthly_costs)),
        ("Image", f"{plan.ami_name} ({plan.ami_id})"),
        ("Disk", f"{plan.volume_size_gb} GB gp3, encrypted"),
        ("Key pair", plan.key_name),
        ("Security group", plan.security_group or "to be created"),
        ("SSH from", ", ".join(plan.ssh_cidr or ())),
        ("Subnet", _planned_subnets(plan)),
        ("Data volume", _planned_volume(plan)),
        ("Python", plan.python_version),
        ("Setup script", plan.setup_script),
        ("Tags", _tags(plan.tags or {})),
        ("Ends", planned_end(plan.ttl_seconds, plan.idle_timeout_seconds, plan.max_cost)),
        *titled(next_commands(plan)),
    ]
    lines = [heading("Dry run: nothing was changed", "yellow")]
    lines += pairs(facts)
    if plan.prices:
        order = "Prices, in the order of the attempts"
        if plan.cheapest:
            order += ", cheapest first"
        lines += ["", f"{order}:", *_prices(plan.prices)]
    lines += ["", "Steps:"]
    for number, step in enumerate(plan.steps, start=1):
        lines.append(f"  {number}. {step}")
    return "\n".join(lines)


def _first_price(plan: DryRun) -> TypePrice:
    """Return the prices of the first attempt."""
    on_demand = plan.on_demand_price_per_hour
    return TypePrice(plan.regions[0], plan.instance_type, plan.spot_price_per_hour, on_demand)


def _prices(prices: Sequence[TypePrice]) -> list[str]:
    """Return a line for each instance type and region."""
    rows: list[list[str]] = []
    for price in prices:
        rows.append([price.instance_type, price.region, spot_and_on_demand(price)])
    return aligned(rows)


def _planned_subnets(plan: DryRun) -> str | None:
    if plan.subnet_ids:
        return ", ".join(plan.subnet_ids)
    return plan.subnet_id


def _planned_volume(plan: DryRun) -> str | None:
    if plan.ebs_volume_id:
        return plan.ebs_volume_id
    if plan.ebs_storage:
        return f"{plan.ebs_storage} GB, new"
    return None


def _tags(tags: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in tags.items())


@text.register
def launch_report(report: LaunchReport) -> str:
    """Return the box and how to reach it; as much as is known where the launch failed."""
    if report.instance_id is None:
        return ""
    facts = [
        ("Instance", f"{report.instance_id}  {report.instance_type} {report.pricing}"),
        ("Address", _address(report)),
        ("Price", hourly(report.price_per_hour)),
        ("Monthly", monthly(report.monthly_cost_usd, report.monthly_costs)),
        ("CUDA", report.cuda_version),
        ("Data", _data(report.ebs_volume)),
        *_end(report),
    ]
    if report.setup != "completed" and not report.existing:
        facts.append(("Setup", report.setup))
    lines = [_launch_title(report)]
    lines += pairs(facts)
    commands = titled(next_commands(report))
    if commands:
        lines.append("")
        lines += pairs(commands)
    return "\n".join(lines)


def _end(report: LaunchReport) -> list[tuple[str, str]]:
    """Return when the box ends by itself, and what stays of it then; how to set a limit where nothing ends it."""
    end = ends(report.deadline, report.seconds_left, report.idle_timeout_seconds)
    if end is None:
        return [("Ends", NEVER)]
    facts = [("Ends", end)]
    if report.ebs_volume:
        facts.append(("Then", what_stays([report.ebs_volume.volume_id], report.monthly_costs)))
    return facts


def _launch_title(report: LaunchReport) -> str:
    if report.existing:
        return heading(f"{report.ssh_alias or report.instance_id} exists already: nothing was created", "green")
    if report.setup in ("completed", "skipped") and report.volume_error is None:
        return heading(f"{report.ssh_alias} is ready after {span(report.seconds)}", "green")
    return heading("The launch is incomplete", "yellow")


def _address(report: LaunchReport) -> str | None:
    if not report.public_ip:
        return None
    return f"{report.public_ip} in {report.availability_zone}"


@text.register
def extend_report(report: ExtendReport) -> str:
    """Return when the box ends by itself from now on."""
    title = f"{report.ssh_alias or report.instance_id} has new limits"
    if report.nodes:
        changed = [node for node in report.nodes if node.error is None]
        title = f"{plural(len(changed), 'node')} of {report.cluster_id} with new limits"
    end = ends(report.deadline, report.seconds_left, report.idle_timeout_seconds)
    lines = [heading(title, "green")]
    lines += pairs([("Ends", end or NEVER), *titled(next_commands(report))])
    return "\n".join(lines)


@text.register
def setup_report(report: SetupReport) -> str:
    """Return how the setup went."""
    if report.declined:
        return "Nothing was formatted or set up."
    facts = [
        ("Instance", report.instance_id),
        ("Region", report.region),
        ("CUDA", report.cuda_version),
        ("Data", _data(report.ebs_volume)),
    ]
    lines = [_setup_title(report)]
    lines += pairs([*facts, *titled(next_commands(report))])
    return "\n".join(lines)


def _setup_title(report: SetupReport) -> str:
    name = report.ssh_alias or report.instance_id
    if report.setup == "completed" and report.volume_error is None:
        return heading(f"{name} is set up", "green")
    return heading(f"The setup of {name} is incomplete", "yellow")


def _data(volume: EbsVolume | None) -> str | None:
    if volume is None:
        return None
    state = "not mounted"
    if volume.mounted:
        state = f"at {volume.mount_point}"
    return f"{volume.volume_id}  {volume.size_gb} GB  {state}"
