"""A launch: as planned, as done, as broken off; and a setup run again."""

from __future__ import annotations

from ..models import DryRun, EbsVolume, LaunchReport, SetupReport
from .text import bare_connections, connections, heading, pairs, span, text


@text.register
def _(plan: DryRun) -> str:
    """The plan and its steps."""
    facts = [
        ("Region", ", ".join(plan.regions)),
        ("Type", f"{plan.instance_type}, {plan.pricing}"),
        ("Image", f"{plan.ami_name} ({plan.ami_id})"),
        ("Disk", f"{plan.volume_size_gb} GB gp3, encrypted"),
        ("Key pair", plan.key_name),
        ("Security group", plan.security_group or "to be made"),
        ("SSH from", ", ".join(plan.ssh_cidr or ())),
        ("Subnet", plan.subnet_id),
        ("Data volume", plan.ebs_volume_id or (f"{plan.ebs_storage} GB, new" if plan.ebs_storage else None)),
        ("Python", plan.python_version),
        ("Setup script", plan.setup_script),
        ("Tags", ", ".join(f"{k}={v}" for k, v in (plan.tags or {}).items())),
    ]
    steps = [f"  {number}. {step}" for number, step in enumerate(plan.steps, start=1)]
    return "\n".join(
        [heading("Dry run: nothing was changed", "yellow"), *pairs(facts), "", "What would be done:", *steps]
    )


@text.register
def _(report: LaunchReport) -> str:
    """The box and how to reach it; as much as there is where the launch broke."""
    if report.instance_id is None:
        return ""
    ready = report.setup in ("completed", "skipped") and report.volume_error is None
    title = f"{report.ssh_alias} is ready after {span(report.seconds)}" if ready else "The launch is incomplete"
    facts = [
        ("Instance", f"{report.instance_id}  {report.instance_type} {report.pricing}"),
        ("Address", f"{report.public_ip} in {report.availability_zone}" if report.public_ip else None),
        ("CUDA", report.cuda_version),
        ("Data", _data(report.ebs_volume)),
        ("Setup", report.setup if report.setup != "completed" else None),
    ]
    lines = [heading(title, "green" if ready else "yellow"), *pairs(facts)]
    if report.ssh_alias and report.setup == "skipped":
        lines += ["", *pairs(bare_connections(report.access, report.ssh_alias))]
    elif report.ssh_alias and report.setup:
        lines += ["", *pairs(connections(report.access, report.ssh_alias, report.user))]
    return "\n".join(lines)


@text.register
def _(report: SetupReport) -> str:
    """How the setup went."""
    if report.declined:
        return "Nothing was formatted or set up."
    done = report.setup == "completed" and report.volume_error is None
    name = report.ssh_alias or report.instance_id
    title = f"{name} is set up" if done else f"The setup of {name} is incomplete"
    return "\n".join(
        [
            heading(title, "green" if done else "yellow"),
            *pairs(
                [
                    ("Instance", report.instance_id),
                    ("Region", report.region),
                    ("CUDA", report.cuda_version),
                    ("Data", _data(report.ebs_volume)),
                ]
            ),
        ]
    )


def _data(volume: EbsVolume | None) -> str | None:
    if volume is None:
        return None
    state = f"at {volume.mount_point}" if volume.mounted else "not mounted"
    return f"{volume.volume_id}  {volume.size_gb} GB  {state}"
