"""The steps of a launch in order: the title of each, when it applies, and the function that runs it."""

from __future__ import annotations

from dataclasses import replace

from ... import ec2, known_hosts, output, sshconfig
from ...sshconfig import Host
from .. import provision
from ..cluster import peers
from ..cluster.peers import Peer
from ..hosts import new_host
from ..steps import Step
from . import cluster_steps, named, region, search, settings, volume
from .each_node import for_each_node
from .plan import LaunchPlan
from .state import Launch, Node


def create_key(launch: Launch) -> None:
    """Create the missing files of the SSH key on this machine."""
    launch.key = launch.app.keys.ensure(launch.key)


def wait_for_instances(launch: Launch) -> None:
    """Wait until each instance is running and has a public address."""
    ids = [node.instance_id for node in launch.nodes]
    for node, instance in zip(launch.nodes, ec2.wait_running(launch.client, ids), strict=True):
        node.instance = instance
        name = "Address" if node.rank is None else f"Rank {node.rank}"
        output.val(name, f"{instance.public_ip} in {instance.availability_zone}")


def add_aliases(launch: Launch) -> None:
    """Add a host for each box to the SSH config, in one edit. The file's lock is held while an alias is chosen."""
    paths = launch.app.paths
    hosts = [_host(launch, node) for node in launch.nodes]
    named.free_aliases(launch.app, hosts)
    aliases = sshconfig.add_all(paths.ssh_config, hosts)
    known_hosts.ensure(paths.known_hosts)
    for node, alias in zip(launch.nodes, aliases, strict=True):
        node.alias = alias
        output.val("Alias", alias)


def _host(launch: Launch, node: Node) -> Host:
    """Return how ssh reaches the box."""
    host = new_host(
        launch.app.paths,
        node.instance,
        user=launch.plan.user(launch.image),
        port=launch.config.ssh_port,
        identity_file=launch.key.identity_file,
    )
    return replace(host, alias=_alias(launch, node), settings=settings.line_of(launch.plan))


def _alias(launch: Launch, node: Node) -> str:
    """Return the alias of the box: that of its rank, or the name of the launch; empty for the next free one."""
    if node.rank is not None:
        return launch.cluster.alias(node.rank)
    return launch.config.name or ""


def log_in(launch: Launch, node: Node) -> None:
    """Wait until the box accepts a login: with --no-setup, since no later step logs in."""
    assert node.alias
    launch.app.ssh.run(node.alias, "true", timeouts=launch.plan.login_timeouts)
    node.outcome = provision.SetupOutcome("skipped")


def set_up_box(launch: Launch, node: Node) -> None:
    """Run the remote setup as soon as the box accepts a login: one connection for both.

    A failed setup leaves a usable box, so it does not end the launch.
    """
    assert node.alias
    node.outcome = provision.set_up(
        launch.app.ssh,
        node.alias,
        python_version=launch.config.python_version,
        script=launch.plan.script,
        timeouts=launch.plan.login_timeouts,
        shows_steps=node.rank is None,
    )
    if node.rank is not None:
        output.info(f"{node.alias}: setup {node.outcome.setup}")


def _key_title(plan: LaunchPlan) -> str:
    """Return the title of the step that creates the SSH key on this machine."""
    public_path = plan.key.public_path
    if plan.key.public_key:
        return f"Write the public SSH key {public_path}"
    return f"Generate the SSH key {public_path}"


def _key_pair_title(plan: LaunchPlan) -> str:
    """Return the title of the step that provides the EC2 key pair."""
    name, is_missing = plan.key_name(plan.first)
    if is_missing:
        return f"Import the SSH key as the key pair {name}"
    return f"Use the key pair {name}"


def _group_title(plan: LaunchPlan) -> str:
    """Return the title of the step that provides the security group."""
    name = plan.config.security_group
    port = plan.config.ssh_port
    if plan.first.group is None:
        return f"Create the security group {name} and allow port {port} from {', '.join(plan.cidrs)}"
    missing = plan.missing_cidrs(plan.first)
    if missing:
        return f"Use the security group {name} and allow port {port} from {', '.join(missing)}"
    return f"Use the security group {name}"


def _launch_title(plan: LaunchPlan) -> str:
    """Return the title of the step that starts the instance."""
    types = dict.fromkeys(instance_type for _, instance_type in plan.pairs)
    regions = [region_plan.region for region_plan in plan.regions]
    number = f"{plan.count} × " if plan.cluster else ""
    return f"Launch {number}{' or '.join(types)} ({plan.config.market}) in {' or '.join(regions)}"


def _wait_title(plan: LaunchPlan) -> str:
    """Return the title of the step that waits for EC2."""
    return "Wait for the instances" if plan.cluster else "Wait for the instance"


def _alias_title(plan: LaunchPlan) -> str:
    """Return the title of the step that writes the SSH config."""
    return "Write the SSH aliases" if plan.cluster else "Write the SSH alias"


def _setup_title(plan: LaunchPlan) -> str:
    """Return the title of the step that sets up the boxes."""
    return "Wait for SSH and set up the nodes" if plan.cluster else "Wait for SSH and set up the box"


def _shared_title(plan: LaunchPlan) -> str:
    """Return the title of the step that provides what the nodes of a cluster share."""
    assert plan.cluster
    if plan.first.cluster_group is None:
        return f"Create the groups {plan.cluster.name}: traffic between the nodes, and their placement"
    return f"Use the groups {plan.cluster.name}"


def _is_cluster(plan: LaunchPlan) -> bool:
    """Return whether the boxes form a cluster."""
    return plan.cluster is not None


def _starts_any(plan: LaunchPlan) -> bool:
    """Return whether an instance is missing: not where the cluster has all its nodes."""
    return plan.count > 0


def write_peers(launch: Launch) -> None:
    """Write on each node who the others are: their names, and for the guardian, which ends them together."""
    found: list[Peer] = []
    for node in launch.nodes:
        if node.instance and node.alias and node.rank is not None:
            found.append(Peer(node.alias, node.rank, node.instance.private_ip or ""))
    peers.write_peers(launch.app, launch.cluster.cluster_id, found)


def _is_key_missing(plan: LaunchPlan) -> bool:
    """Return whether a file of the SSH key is missing on this machine."""
    return not plan.key.on_disk


def _has_setup(plan: LaunchPlan) -> bool:
    """Return whether the launch runs the remote setup."""
    return not plan.config.no_setup


def _has_no_setup(plan: LaunchPlan) -> bool:
    """Return whether the launch leaves the box as its image has it."""
    return plan.config.no_setup


STEPS: tuple[Step[LaunchPlan, Launch], ...] = (
    Step(_key_title, create_key, when=_is_key_missing),
    Step(_key_pair_title, region.ensure_key_pair),
    Step(_group_title, region.ensure_security_group, beside=True),
    Step(_shared_title, cluster_steps.ensure_shared, when=_is_cluster, beside=True),
    Step(_launch_title, search.acquire_instance, when=_starts_any),
    Step(_wait_title, wait_for_instances),
    Step("Tag the nodes with their ranks", cluster_steps.tag_nodes, when=_is_cluster, beside=True),
    Step(volume.step_title, volume.create_or_claim, when=volume.is_requested, beside=True),
    Step(_alias_title, add_aliases),
    Step("Attach the data volume", volume.attach, when=volume.is_requested, beside=True),
    Step("Wait for SSH", for_each_node(log_in), when=_has_no_setup),
    Step(_setup_title, for_each_node(set_up_box), when=_has_setup),
    Step("Mount the data volume at /data", volume.mount, when=volume.is_requested),
    Step("Write on each node who the others are", write_peers, when=_is_cluster),
)
