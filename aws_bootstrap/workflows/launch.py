"""Launch one box: plan (read-only), then apply, step by step."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from .. import ec2, keys, output, sshconfig
from ..config import LaunchConfig
from ..errors import AwsError, QuotaError, TransientError
from ..models import Instance, LaunchReport
from . import capacity, remote
from .failure import incomplete
from .plan import LaunchPlan, make_plan
from .steps import Step, run_steps, titles

if TYPE_CHECKING:
    from ..app import App


@dataclass
class Launch:
    """A launch under way: the plan, and what each step has learnt."""

    plan: LaunchPlan
    app: App
    ask_on_demand: Callable[[], bool]
    key: keys.LocalKey
    key_name: str
    group_id: str = ""
    made: list[tuple[str, str]] = field(default_factory=list)
    """(type, id) of what does not bill but exists because of this launch."""
    client_token: str | None = None
    """Of the RunInstances last sent: what it started can be found by it."""
    attempt: capacity.Attempt | None = None
    instance: Instance | None = None
    alias: str | None = None
    outcome: remote.SetupOutcome | None = None
    began: float = field(default_factory=time.monotonic)

    @property
    def config(self) -> LaunchConfig:
        """What was asked for."""
        return self.plan.config

    @property
    def client(self) -> Any:
        """The EC2 client of the launch's region."""
        return self.app.aws.ec2(self.plan.region)

    def report(self) -> LaunchReport:
        """What is known by now."""
        instance, outcome = self.instance, self.outcome
        return LaunchReport(
            instance_id=instance.instance_id if instance else None,
            public_ip=instance.public_ip if instance else None,
            instance_type=instance.instance_type if instance else self.config.instance_type,
            availability_zone=instance.availability_zone if instance else None,
            ami_id=self.plan.image.image_id,
            pricing=self.attempt.market if self.attempt else self.config.market,
            region=self.plan.region,
            regions_tried=(self.plan.region,),
            ssh_alias=self.alias,
            setup=outcome.setup if outcome else None,
            setup_failed_step=outcome.failed_step if outcome else None,
            cuda_version=outcome.cuda_version if outcome else None,
            access=self.app.access,
            user=self.plan.user,
            seconds=time.monotonic() - self.began,
        )


def plan(config: LaunchConfig, app: App) -> LaunchPlan:
    """What `apply` would do. Reads only; changes nothing."""
    facts = make_plan(config, app)
    return replace(facts, steps=titles(STEPS, facts))


def apply(plan: LaunchPlan, app: App, ask_on_demand: Callable[[], bool]) -> LaunchReport:
    """Do what was planned. Whatever breaks it, the error says what exists and how to go on or undo it."""
    launch = Launch(plan, app, ask_on_demand, plan.key, plan.key_name)
    try:
        run_steps(STEPS, plan, launch)
    except (Exception, KeyboardInterrupt) as exc:
        raise incomplete(launch, exc) from exc
    return launch.report()


def make_key(launch: Launch) -> None:
    """Make what is missing of the key pair on this machine."""
    launch.key = keys.ensure(launch.key)


def import_key(launch: Launch) -> None:
    """Have the key under a name in EC2."""
    plan = launch.plan
    launch.key_name, imported = ec2.ensure_key_pair(launch.client, plan.config.key_name, launch.key, plan.key_pairs)
    if imported:
        launch.made.append(("key-pair", launch.key_name))


def open_ssh_port(launch: Launch) -> None:
    """Have a security group that lets the user in."""
    plan, config = launch.plan, launch.config
    launch.group_id, made = ec2.ensure_security_group(
        launch.client, plan.network.vpc_id, config.security_group, config.ssh_port, plan.cidrs
    )
    if made:
        launch.made.append(("security-group", launch.group_id))


def start_instance(launch: Launch) -> None:
    """Start the instance where the policy finds room for it."""
    plan = launch.plan
    policy = capacity.Policy((plan.region,), (plan.config.instance_type,), plan.config.spot)
    launch.instance, launch.attempt = capacity.acquire(
        policy, lambda attempt: _start(launch, attempt), launch.ask_on_demand, _tell
    )
    output.val("Instance", f"{launch.instance.instance_id} ({launch.attempt.market})")


def _start(launch: Launch, attempt: capacity.Attempt) -> Instance:
    plan = launch.plan
    request = ec2.run_request(
        plan.config,
        plan.image,
        plan.network,
        key_name=launch.key_name,
        group_id=launch.group_id,
        user_data=plan.user_data,
    )
    request = ec2.for_market(request, plan.config, attempt.instance_type, attempt.market)
    launch.client_token = request["ClientToken"] = str(uuid4())
    try:
        return ec2.run_instance(launch.app.aws.ec2_once(attempt.region), request)
    except TransientError:
        raise  # whether it took effect is not known: the token is kept, to look for what it started
    except AwsError as exc:
        launch.client_token = None
        if isinstance(exc, QuotaError):
            program = launch.app.access.program
            exc.with_facts(hint=capacity.quota_commands(attempt, plan.instance_type.vcpus, program))
        raise


def _tell(miss: capacity.Miss) -> None:
    attempt = miss.attempt
    output.warn(f"{attempt.region} {attempt.instance_type} {attempt.market}: {miss.error}")
    if miss.is_quota and miss.error.hint:
        output.echo(miss.error.hint)


def wait_for_instance(launch: Launch) -> None:
    """Wait until EC2 says that it runs and has an address."""
    assert launch.instance
    launch.instance = ec2.wait_running(launch.client, launch.instance.instance_id)
    _tell_address(launch.instance)


def _tell_address(instance: Instance) -> None:
    output.val("Address", f"{instance.public_ip} in {instance.availability_zone}")


def add_alias(launch: Launch) -> None:
    """Give the box a name in the SSH config. The name is chosen under the file's lock."""
    assert launch.instance and launch.instance.public_ip
    host = sshconfig.Host(
        instance_id=launch.instance.instance_id,
        alias="",
        hostname=launch.instance.public_ip,
        user=launch.plan.user,
        identity_file=str(launch.key.identity_file),
        known_hosts=str(launch.app.paths.known_hosts),
        port=launch.config.ssh_port,
        region=launch.plan.region,
    )
    launch.alias = sshconfig.add(launch.app.paths.ssh_config, host)
    launch.app.paths.home.mkdir(mode=0o700, parents=True, exist_ok=True)
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


def _import_title(plan: LaunchPlan) -> str:
    name, missing = plan.key_name, plan.key_missing_in_ec2
    return f"Import the SSH key as {name}" if missing else f"Use the key pair {name}"


def _group_title(plan: LaunchPlan) -> str:
    name = plan.config.security_group
    if plan.group is None:
        return f"Make the security group {name}, port {plan.config.ssh_port} open to {', '.join(plan.cidrs)}"
    opening = f", opening port {plan.config.ssh_port} to {', '.join(plan.missing_cidrs)}"
    return f"Use the security group {name}{opening if plan.missing_cidrs else ''}"


STEPS: tuple[Step[LaunchPlan, Launch], ...] = (
    Step(
        lambda plan: f"{'Generate' if plan.key.public_key is None else 'Complete'} the SSH key {plan.key.public_path}",
        make_key,
        when=lambda plan: not plan.key.on_disk,
    ),
    Step(_import_title, import_key),
    Step(_group_title, open_ssh_port, beside=True),
    Step(lambda plan: f"Launch a {plan.config.market} {plan.config.instance_type} in {plan.region}", start_instance),
    Step(lambda plan: "Wait for the instance", wait_for_instance),
    Step(lambda plan: "Write the SSH alias", add_alias),
    Step(lambda plan: "Wait for SSH", wait_for_ssh),
    Step(lambda plan: "Set up the box", set_up_box, when=lambda plan: not plan.config.no_setup),
)
