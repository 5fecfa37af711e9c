"""What a launch would do: facts read at once, in parallel, and nothing changed."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import aws, ec2, keys, sshconfig
from ..config import LOGIN_REFUSED_SECONDS, SSH_PORT, LaunchConfig
from ..errors import BootstrapError
from ..models import DryRun, Image, InstanceType, KeyPair, Network, SecurityGroup
from . import remote

if TYPE_CHECKING:
    from ..app import App

# Ubuntu 24.04 listens through ssh.socket, older ones and Amazon Linux through a service; SELinux guards ports.
_SSH_PORT_DATA = """\
#cloud-config
write_files:
- path: /etc/ssh/sshd_config.d/10-aws-bootstrap.conf
  content: |
    Port {port}
runcmd:
- [sh, -c, "! command -v semanage || semanage port -a -t ssh_port_t -p tcp {port} || true"]
- [systemctl, daemon-reload]
- [sh, -c, "systemctl restart ssh.socket || true; systemctl restart ssh || systemctl restart sshd"]
"""


@dataclass(frozen=True)
class LaunchPlan:
    """Everything a launch needs to know before it changes anything."""

    config: LaunchConfig
    region: str
    instance_type: InstanceType
    image: Image
    network: Network
    group: SecurityGroup | None
    cidrs: tuple[str, ...]
    key: keys.LocalKey
    key_pairs: tuple[KeyPair, ...]
    script: bytes | None = None
    steps: tuple[str, ...] = ()

    @property
    def key_name(self) -> str:
        """The EC2 key pair that will hold the key."""
        return ec2.key_pair_for(self.key_pairs, self.config.key_name, self.key)[0]

    @property
    def key_missing_in_ec2(self) -> bool:
        """Whether it has to be imported."""
        return ec2.key_pair_for(self.key_pairs, self.config.key_name, self.key)[1]

    @property
    def missing_cidrs(self) -> tuple[str, ...]:
        """Who has yet to be let in."""
        return ec2.missing_cidrs(self.group, self.config.ssh_port, self.cidrs)

    @property
    def user(self) -> str:
        """Who logs in to the box."""
        return self.config.ssh_user or ec2.login_user(self.image.name)

    @property
    def patience(self) -> float:
        """Seconds for which refused logins are taken for a box that still boots."""
        return min(LOGIN_REFUSED_SECONDS, self.config.ssh_timeout)

    @property
    def user_data(self) -> str | None:
        """cloud-config for what must hold even if nobody ever logs in: the port that sshd listens on."""
        port = self.config.ssh_port
        return None if port == SSH_PORT else _SSH_PORT_DATA.format(port=port)

    def dry_run(self) -> DryRun:
        """The plan as a result."""
        config = self.config
        return DryRun(
            instance_type=config.instance_type,
            ami_id=self.image.image_id,
            ami_name=self.image.name,
            pricing=config.market,
            key_name=self.key_name,
            security_group=self.group.group_id if self.group else None,
            volume_size_gb=config.volume_size,
            regions=(self.region,),
            wait=False,
            wait_timeout_seconds=1800,
            steps=self.steps,
            ssh_cidr=self.cidrs,
            **_given(config),
        )


def _given(config: LaunchConfig) -> dict[str, Any]:
    """The optional settings that differ from their defaults."""
    default = LaunchConfig()
    names = ("ssh_port", "subnet_id", "python_version", "metadata_hop_limit", "no_setup")
    given = {name: getattr(config, name) for name in names if getattr(config, name) != getattr(default, name)}
    script = {"setup_script": str(config.setup_script)} if config.setup_script else {}
    return given | script | ({"tags": dict(config.tag)} if config.tag else {})


def make_plan(config: LaunchConfig, app: App) -> LaunchPlan:
    """The plan for this launch. Checks here what can be checked, before anything costs money."""
    _check_files(app)
    key, script = keys.inspect(config), remote.read_script(config.setup_script)
    region = config.region or app.aws.region
    client = app.aws.ec2(region)
    kind, images, network, groups, pairs, cidrs = aws.together(
        lambda: ec2.get_instance_type(client, config.instance_type),
        lambda: ec2.find_images(client, config.ami_filter),
        lambda: ec2.find_network(client, config.subnet_id),
        lambda: ec2.find_security_groups(client, config.security_group),
        lambda: ec2.find_key_pairs(client, config.key_name),
        lambda: resolve_cidrs(config.ssh_cidr, aws.my_address),
    )
    return LaunchPlan(
        config=config,
        region=region,
        instance_type=kind,
        image=_image(images, kind, config, region),
        network=network,
        group=ec2.group_in(groups, network.vpc_id),
        cidrs=cidrs,
        key=key,
        key_pairs=pairs,
        script=script,
    )


def resolve_cidrs(wanted: tuple[str, ...], my_address: Callable[[], str]) -> tuple[str, ...]:
    """The CIDRs asked for, `me` replaced by the caller's address, each once."""
    found = []
    for cidr in wanted:
        network = ipaddress.ip_network(my_address() if cidr == "me" else cidr, strict=False)
        found.append(str(network))
    return tuple(dict.fromkeys(found))


def _image(images: list[Image], kind: InstanceType, config: LaunchConfig, region: str) -> Image:
    image = ec2.latest_ami(images, kind.architectures)
    if image is None:
        raise BootstrapError(
            f"No AMI named '{config.ami_filter}' for {' or '.join(kind.architectures)} in {region}.",
            hint="Give another pattern with --ami-filter; quote it, and end it with *.",
            code="not-found",
        )
    if config.volume_size < image.root_size_gb:
        raise BootstrapError(
            f"{image.name} needs a root volume of {image.root_size_gb} GB; --volume-size says {config.volume_size}.",
            hint=f"Add: --volume-size {image.root_size_gb}",
            code="bad-volume-size",
        )
    return image


def _check_files(app: App) -> None:
    """Raise BootstrapError where the alias or the host keys could not be written: a box without a name is lost."""
    sshconfig.check_writable(app.paths.ssh_config)
    sshconfig.check_writable(app.paths.known_hosts)
