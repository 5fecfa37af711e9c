"""Launch one box: plan (read-only), then apply, step by step."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .. import ec2, keys, output, sshconfig
from ..config import LaunchConfig
from ..errors import BootstrapError, Resource
from ..models import Image, Instance, LaunchReport, Volume
from ..ssh import VolumeUnformatted
from . import data_volume, remote, search
from .capacity import Attempt
from .failure import incomplete, setup_options
from .hosts import new_host
from .plan import LaunchPlan, RegionPlan, make_plan
from .prepare import import_key, open_ssh_port
from .steps import Step, run_steps, titles
from .unknown import Calls

if TYPE_CHECKING:
    from ..app import App


@dataclass
class Launch:
    """A launch under way: the plan, and what each step has learnt."""

    plan: LaunchPlan
    app: App
    ask_on_demand: Callable[[Callable[[], str]], bool]
    """Whether to take on-demand, given what puts the question to a person together."""
    key: keys.LocalKey
    key_names: dict[str, str] = field(default_factory=dict)
    group_ids: dict[str, str] = field(default_factory=dict)
    made: list[tuple[str, str, str]] = field(default_factory=list)
    """(type, id, region) of what does not bill but exists because of this launch."""
    attempts: list[Attempt] = field(default_factory=list)
    """RunInstances sent, the last one perhaps unanswered."""
    instance: Instance | None = None
    alias: str | None = None
    outcome: remote.SetupOutcome | None = None
    volume: Volume | None = None
    volume_error: BootstrapError | None = None
    mounted: bool = False
    began: float = field(default_factory=time.monotonic)
    calls: Calls = field(init=False)

    def __post_init__(self) -> None:
        self.calls = Calls(self.app.lookup_seconds)

    @property
    def config(self) -> LaunchConfig:
        """What was asked for."""
        return self.plan.config

    @property
    def where(self) -> RegionPlan:
        """The region of the instance, or of the last attempt, or the one that comes first."""
        region = self.instance.region if self.instance else self.attempts[-1].region if self.attempts else None
        return self.plan.of(region) if region else self.plan.first

    @property
    def client(self) -> Any:
        """The EC2 client of that region."""
        return self.app.aws.ec2(self.where.region)

    @property
    def instance_type(self) -> str:
        """The type started, or tried last, or first in the order of preference."""
        if self.instance:
            return self.instance.instance_type
        return self.attempts[-1].instance_type if self.attempts else self.plan.pairs[0][1]

    @property
    def image(self) -> Image:
        """What it boots from."""
        where = self.where
        return where.images.get(self.instance_type) or next(iter(where.images.values()))

    @property
    def created_volume(self) -> Volume | None:
        """The data volume, if this launch created it: the user's own was there before."""
        return None if self.plan.volume else self.volume

    @property
    def made_beside(self) -> tuple[Resource, ...]:
        """What this launch created that does not bill: key pairs and security groups."""
        return tuple(Resource(kind, name, region, billing=False) for kind, name, region in self.made)

    def report(self) -> LaunchReport:
        """What is known by now."""
        instance, outcome = self.instance, self.outcome
        return LaunchReport(
            instance_id=instance.instance_id if instance else None,
            public_ip=instance.public_ip if instance else None,
            instance_type=self.instance_type,
            availability_zone=instance.availability_zone if instance else None,
            ami_id=self.image.image_id,
            pricing=self.attempts[-1].market if self.attempts else self.config.market,
            region=self.where.region,
            regions_tried=tuple(dict.fromkeys(a.region for a in self.attempts)),
            ssh_alias=self.alias,
            setup=outcome.setup if outcome else None,
            setup_failed_step=outcome.failed_step if outcome else None,
            setup_failed_reason=outcome.message if outcome else None,
            setup_failed_output=outcome.output if outcome else None,
            cuda_version=outcome.cuda_version if outcome else None,
            ebs_volume=data_volume.in_report(self.volume, self.mounted),
            volume_created=self.created_volume is not None,
            made_beside=self.made_beside,
            volume_error=str(self.volume_error) if self.volume_error else None,
            volume_hint=self.volume_error.hint if self.volume_error else None,
            volume_unformatted=isinstance(self.volume_error, VolumeUnformatted),
            regions_failed=self.plan.regions_failed,
            access=self.app.access,
            setup_options=setup_options(self.config),
            user=self.plan.user(self.image),
            seconds=time.monotonic() - self.began,
        )


def plan(config: LaunchConfig, app: App) -> LaunchPlan:
    """What `apply` would do. Reads only; changes nothing."""
    facts = make_plan(config, app)
    return replace(facts, steps=titles(STEPS, facts))


def apply(plan: LaunchPlan, app: App, ask_on_demand: Callable[[Callable[[], str]], bool]) -> LaunchReport:
    """Do what was planned. Whatever breaks it, the error says what exists and how to go on or undo it."""
    launch = Launch(plan, app, ask_on_demand, plan.key)
    _tell_failed_regions(plan)
    try:
        run_steps(STEPS, plan, launch)
    except (Exception, KeyboardInterrupt) as exc:
        raise incomplete(launch, exc) from exc
    return launch.report()


def _tell_failed_regions(plan: LaunchPlan) -> None:
    for failure in plan.regions_failed:
        what = f"{failure.region} is left out: {failure.error}"
        output.warn(what, code="region-failed", region=failure.region)
    for where in plan.regions:
        lacking = [kind for kind in plan.config.instance_type if kind not in where.types]
        if lacking:
            what = f"{where.region} has no {' or '.join(lacking)}"
            output.warn(what, code="bad-instance-type", region=where.region)


def make_key(launch: Launch) -> None:
    """Make what is missing of the key pair on this machine."""
    launch.key = keys.ensure(launch.key)


def start_instance(launch: Launch) -> None:
    """Start the instance where there is room for it."""
    search.find_room(launch)


def wait_for_instance(launch: Launch) -> None:
    """Wait until EC2 says that it runs and has an address."""
    assert launch.instance
    launch.instance = ec2.wait_running(launch.client, launch.instance.instance_id)
    _tell_address(launch.instance)


def _tell_address(instance: Instance) -> None:
    output.val("Address", f"{instance.public_ip} in {instance.availability_zone}")


def add_alias(launch: Launch) -> None:
    """Give the box a name in the SSH config. The name is chosen under the file's lock."""
    assert launch.instance
    paths = launch.app.paths
    host = new_host(
        paths,
        launch.instance,
        user=launch.plan.user(launch.image),
        port=launch.config.ssh_port,
        identity_file=launch.key.identity_file,
    )
    launch.alias = sshconfig.add(paths.ssh_config, host)
    sshconfig.ensure_known_hosts(paths.known_hosts)
    output.val("Alias", launch.alias)


def wait_for_ssh(launch: Launch) -> None:
    """Wait until the box opens its SSH port; without a setup to come, log in once as well."""
    assert launch.instance and launch.instance.public_ip and launch.alias
    launch.app.ssh.wait_open(launch.instance.public_ip, launch.config.ssh_port, launch.config.ssh_timeout)
    if launch.config.no_setup:
        launch.app.ssh.run(launch.alias, "true", patience=launch.plan.patience)
        launch.outcome = remote.SetupOutcome("skipped")


def set_up_box(launch: Launch) -> None:
    """Run the remote setup. One that fails leaves a usable box, so it does not end the launch."""
    assert launch.alias
    launch.outcome = remote.set_up(
        launch.app.ssh,
        launch.alias,
        python_version=launch.config.python_version,
        script=launch.plan.script,
        patience=launch.plan.patience,
    )


def _key_title(plan: LaunchPlan) -> str:
    verb = "Complete" if plan.key.public_key else "Generate"
    return f"{verb} the SSH key {plan.key.public_path}"


def _import_title(plan: LaunchPlan) -> str:
    name, missing = plan.key_name(plan.first)
    return f"Import the SSH key as {name}" if missing else f"Use the key pair {name}"


def _group_title(plan: LaunchPlan) -> str:
    name, port, missing = plan.config.security_group, plan.config.ssh_port, plan.missing_cidrs(plan.first)
    if plan.first.group is None:
        return f"Make the security group {name}, port {port} open to {', '.join(plan.cidrs)}"
    return f"Use the security group {name}" + (f", opening port {port} to {', '.join(missing)}" if missing else "")


def _start_title(plan: LaunchPlan) -> str:
    kinds = " or ".join(dict.fromkeys(kind for _, kind in plan.pairs))
    return f"Launch a {plan.config.market} {kinds} in {' or '.join(where.region for where in plan.regions)}"


STEPS: tuple[Step[LaunchPlan, Launch], ...] = (
    Step(_key_title, make_key, when=lambda plan: not plan.key.on_disk),
    Step(_import_title, import_key),
    Step(_group_title, open_ssh_port, beside=True),
    Step(_start_title, start_instance),
    Step(lambda plan: "Wait for the instance", wait_for_instance),
    Step(data_volume.title, data_volume.have, when=data_volume.wanted, beside=True),
    Step(lambda plan: "Write the SSH alias", add_alias),
    Step(lambda plan: "Attach the data volume", data_volume.attach, when=data_volume.wanted, beside=True),
    Step(lambda plan: "Wait for SSH", wait_for_ssh),
    Step(lambda plan: "Set up the box", set_up_box, when=lambda plan: not plan.config.no_setup),
    Step(lambda plan: "Mount the data volume at /data", data_volume.mount, when=data_volume.wanted),
)
