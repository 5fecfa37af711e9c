"""How ssh reaches a box: the one place where a Host is created, from a launch or from what EC2 reports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .. import ec2, sshconfig
from ..config import DEFAULT_USER, SSH_PORT, LaunchConfig
from ..errors import BootstrapError, unexpected_reply
from ..models import IngressRule, Instance
from ..parallel import map_parallel
from ..paths import Paths
from ..sshconfig import Host

if TYPE_CHECKING:
    from ..app import App

_NO_INSTANCE = "i-00000000000000000"
#: RFC 5737: for documentation.
_NO_ADDRESS = "192.0.2.1"


def new_host(paths: Paths, instance: Instance | None, *, user: str, port: int, identity_file: Path) -> Host:
    """Return the host of an instance, still without an alias. BootstrapError `no-public-ip` if it has no address.

    Without an instance, one that is yet to be launched: with an id and an address that no box has. BootstrapError
    `ssh-config` for a path that an SSH config cannot hold.
    """
    sshconfig.check_path(identity_file)
    sshconfig.check_path(paths.known_hosts)
    instance_id = _NO_INSTANCE
    address = _NO_ADDRESS
    region = None
    cluster = None
    rank = None
    if instance:
        instance_id = instance.instance_id
        address = ec2.get_address(instance)
        region = instance.region
        cluster = instance.cluster
        rank = instance.rank
    return Host(
        instance_id=instance_id,
        alias="",
        hostname=address,
        user=user,
        identity_file=str(identity_file),
        known_hosts=str(paths.known_hosts),
        port=port,
        region=region,
        cluster=cluster,
        rank=rank,
    )


def read_hosts(app: App, instances: Sequence[Instance], config: LaunchConfig) -> list[Host]:
    """Return hosts, still without aliases, for instances that this machine has no alias for.

    The config names key and user. BootstrapError `ssh-key` if there is no such key.
    """
    identity_file = _find_identity(app, config)
    by_region: dict[str, list[Instance]] = {}
    for instance in instances:
        by_region.setdefault(instance.region, []).append(instance)

    def read(group: Sequence[Instance]) -> list[Host]:
        return _read_in_region(app, group, config.ssh_user, identity_file)

    hosts: list[Host] = []
    for found in map_parallel(read, by_region.values()):
        hosts += found
    return hosts


def _read_in_region(app: App, instances: Sequence[Instance], user: str | None, identity_file: Path) -> list[Host]:
    """Return the hosts of one region's instances: the user follows from the image, the port from this tool's rules.

    AwsError `unexpected-reply` for an instance without a security group: an alias with a guessed port would stay.
    """
    for instance in instances:
        if not instance.group_ids:
            raise unexpected_reply(KeyError(f"the security groups of {instance.instance_id}"))
    client = app.aws.ec2(instances[0].region)
    login_users: dict[str, str] = {}
    if not user:
        image_ids = {instance.image_id for instance in instances}
        login_users = ec2.login_users(client, image_ids)
    group_ids: list[str] = []
    for instance in instances:
        group_ids += instance.group_ids
    rules = ec2.find_rules(client, group_ids)
    hosts: list[Host] = []
    for instance in instances:
        own_rules = [rule for rule in rules if rule.group_id in instance.group_ids]
        port = ssh_port(own_rules)
        login = user or login_users.get(instance.image_id) or DEFAULT_USER
        hosts.append(new_host(app.paths, instance, user=login, port=port, identity_file=identity_file))
    return hosts


def _find_identity(app: App, config: LaunchConfig) -> Path:
    """Return the private key of the settings. BootstrapError `ssh-key` if there is no such key."""
    key = app.keys.inspect(config)
    if key.public_key is None:
        raise BootstrapError(
            f"There is no SSH key {key.public_path} for the aliases to add.",
            hint="Name the key that opens your boxes: --key-path PATH.pub",
            code="ssh-key",
        )
    return key.identity_file


def ssh_port(rules: Iterable[IngressRule]) -> int:
    """Return the port that sshd listens on, as far as the rules of this tool show."""
    ports = [rule.first_port for rule in rules if rule.created_by_us and not rule.is_within_cluster]
    if not ports or SSH_PORT in ports:
        return SSH_PORT
    return ports[0]
