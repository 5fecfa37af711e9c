"""The steps of a launch, in their order: what each is called, when it applies, and what it does."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ... import ec2, keys, output, sshconfig
from ...aws import together
from .. import provision
from ..hosts import new_host
from ..steps import Step
from . import region, search, volume
from .plan import LaunchPlan
from .state import Launch, Node


def make_key(launch: Launch) -> None:
    """Create what is missing of the key pair on this machine."""
    launch.key = keys.ensure(launch.key)


def each_node(act: Callable[[Launch, Node], None]) -> Callable[[Launch], None]:
    """Return a step that does this for every box of the launch, at the same time."""

    def run(launch: Launch) -> None:
        if len(launch.nodes) == 1:
            act(launch, launch.node)
        else:
            calls = [partial(act, launch, node) for node in launch.nodes]
            together(*calls)

    return run


def wait_for_instance(launch: Launch, node: Node) -> None:
    """Wait until EC2 says that the instance runs and has an address."""
    node.instance = ec2.wait_running(launch.client, node.instance_id)
    output.val("Address", f"{node.instance.public_ip} in {node.instance.availability_zone}")


def add_alias(launch: Launch, node: Node) -> None:
    """Give the box a name in the SSH config. The name is chosen under the file's lock."""
    paths = launch.app.paths
    host = new_host(
        paths,
        node.instance,
        user=launch.plan.user(launch.image),
        port=launch.config.ssh_port,
        identity_file=launch.key.identity_file,
    )
    node.alias = sshconfig.add(paths.ssh_config, host)
    sshconfig.ensure_known_hosts(paths.known_hosts)
    output.val("Alias", node.alias)


def wait_for_ssh(launch: Launch, node: Node) -> None:
    """Wait until the box opens its SSH port; without a setup to come, log in once as well."""
    assert node.instance and node.instance.public_ip and node.alias
    launch.app.ssh.wait_open(node.instance.public_ip, launch.config.ssh_port, launch.config.ssh_timeout)
    if launch.config.no_setup:
        launch.app.ssh.run(node.alias, "true", patience=launch.plan.patience)
        node.outcome = provision.SetupOutcome("skipped")


def set_up_box(launch: Launch, node: Node) -> None:
    """Run the remote setup. One that fails leaves a usable box, so it does not end the launch."""
    assert node.alias
    node.outcome = provision.set_up(
        launch.app.ssh,
        node.alias,
        python_version=launch.config.python_version,
        script=launch.plan.script,
        login_timeout=launch.plan.patience,
    )


def _key_title(plan: LaunchPlan) -> str:
    public_path = plan.key.public_path
    if plan.key.public_key:
        return f"Complete the SSH key {public_path}"
    return f"Generate the SSH key {public_path}"


def _import_title(plan: LaunchPlan) -> str:
    name, is_missing = plan.key_name(plan.first)
    if is_missing:
        return f"Import the SSH key as {name}"
    return f"Use the key pair {name}"


def _group_title(plan: LaunchPlan) -> str:
    name = plan.config.security_group
    port = plan.config.ssh_port
    if plan.first.group is None:
        return f"Make the security group {name}, port {port} open to {', '.join(plan.cidrs)}"
    missing = plan.missing_cidrs(plan.first)
    if missing:
        return f"Use the security group {name}, opening port {port} to {', '.join(missing)}"
    return f"Use the security group {name}"


def _start_title(plan: LaunchPlan) -> str:
    types = dict.fromkeys(instance_type for _, instance_type in plan.pairs)
    regions = [region_plan.region for region_plan in plan.regions]
    return f"Launch a {plan.config.market} {' or '.join(types)} in {' or '.join(regions)}"


def _is_key_missing(plan: LaunchPlan) -> bool:
    """Return whether a part of the key pair is not yet on this machine."""
    return not plan.key.on_disk


def _has_setup(plan: LaunchPlan) -> bool:
    """Return whether the box is to be set up."""
    return not plan.config.no_setup


STEPS: tuple[Step[LaunchPlan, Launch], ...] = (
    Step(_key_title, make_key, when=_is_key_missing),
    Step(_import_title, region.import_key),
    Step(_group_title, region.open_ssh_port, beside=True),
    Step(_start_title, search.find_room),
    Step("Wait for the instance", each_node(wait_for_instance)),
    Step(volume.title, each_node(volume.provide), when=volume.is_requested, beside=True),
    Step("Write the SSH alias", each_node(add_alias)),
    Step("Attach the data volume", each_node(volume.attach), when=volume.is_requested, beside=True),
    Step("Wait for SSH", each_node(wait_for_ssh)),
    Step("Set up the box", each_node(set_up_box), when=_has_setup),
    Step("Mount the data volume at /data", each_node(volume.mount), when=volume.is_requested),
)
