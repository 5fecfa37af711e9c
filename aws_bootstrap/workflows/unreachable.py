"""Why SSH gets no answer from a box: the rules, what else blocks the network, or a proxy that hides the address."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from .. import address, aws, ec2
from ..errors import BootstrapError, SshError
from ..invocation import PROFILE, PROGRAM
from ..models import Instance
from ..sshconfig import Host
from .access import blocked_address_hint

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

    from ..app import App


@contextlib.contextmanager
def hint_on_timeout(app: App, host: Host) -> Iterator[None]:
    """Add a hint to an ssh timeout raised inside the block, if its cause is found."""
    try:
        yield
    except SshError as exc:
        hints = [exc.hint]
        if exc.code == "ssh-timeout" or "timed out" in str(exc):
            hints.append(timeout_hint(app, host))
        exc.add_details(hint="\n".join(filter(None, hints)) or None)
        raise


def timeout_hint(app: App, host: Host) -> str | None:
    """Return what blocks SSH to the host's box, and what helps; None if nothing is found, or it cannot be read."""
    hints: list[str] = []
    blocked = blocked_address_hint(app, host)
    if blocked:
        hints.append(blocked)
    else:
        hints += _network_hints(app, host)
    proxy = address.address_proxy()
    if proxy:
        hints.append(proxy_sentence(proxy))
    return "\n".join(hints) or None


def proxy_sentence(proxy: str) -> str:
    """Return what is to be said where the caller's address was found through a proxy."""
    return (
        f"Your address was found through the proxy {proxy}, but ssh connects directly, perhaps from another address. "
        "If so, pass that one: --ssh-cidr ADDRESS"
    )


def _network_hints(app: App, host: Host) -> list[str]:
    """Return that the host's box does not run, or what blocks its network though its rules are right."""

    def read(region: str) -> list[str]:
        client = app.aws.ec2(region)
        for instance in ec2.get_instances(client, [host.instance_id]):
            if instance.state != "running":
                return [_state_hint(host, instance)]
            if instance.subnet_id:
                return _blocks(client, instance, host.port, app.my_address)
        return []

    try:
        return aws.without_waiting(host.region or app.aws.region, read)
    except BootstrapError:
        return []


def _state_hint(host: Host, instance: Instance) -> str:
    """Return what to do about a box that does not run."""
    if instance.state in ("stopping", "stopped"):
        return f"{host.alias} is {instance.state}. Start it: {PROGRAM} start {host.alias}"
    if instance.state == "pending":
        return f"{host.alias} still starts. See its state: {PROGRAM} status {host.alias}"
    return f"{host.alias} was terminated. Remove its alias: {PROGRAM} cleanup"


def _blocks(client: EC2Client, instance: Instance, port: int, my_address: Callable[[], str]) -> list[str]:
    """Return what blocks the way to the instance. What may not be read is left out: each look is a permission more."""
    region = instance.region
    subnet_id = instance.subnet_id
    found: list[str] = []
    with contextlib.suppress(BootstrapError):
        mode = ec2.public_access_block(client)
        if mode != "off":
            found.append(
                f"VPC Block Public Access ({mode}) is on in {region}. Nothing from the internet reaches "
                f"{subnet_id} unless an exclusion names it: "
                f"aws ec2 describe-vpc-block-public-access-exclusions{PROFILE} --region {region}"
            )
    with contextlib.suppress(BootstrapError):
        if not ec2.has_internet_gateway(client, instance):
            found.append(
                f"The subnet {subnet_id} has no route to an internet gateway. "
                "Launch in a public subnet: --subnet-id SUBNET"
            )
    with contextlib.suppress(BootstrapError):
        if not ec2.acl_allows(client, instance, my_address(), port):
            found.append(
                f"The network ACL of {subnet_id} blocks port {port} or its answers: "
                f"aws ec2 describe-network-acls{PROFILE} --region {region} "
                f"--filters Name=association.subnet-id,Values={subnet_id}"
            )
    return found
