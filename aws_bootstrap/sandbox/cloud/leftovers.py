"""What the public tool of the same name leaves in an account, with its names and tags: `upstream-user`.

https://github.com/promptromp/aws-bootstrap-g4dn (ec2.py, ssh.py and constants.py there)
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from . import catalog
from .backend import Backends, SandboxBackend

REGION = "us-west-2"
ZONE = "us-west-2a"
GROUP = "aws-bootstrap-ssh"
KEY_NAME = "aws-bootstrap-key"
TAGS = {"created-by": "aws-bootstrap-g4dn"}
#: The public key of another machine: nobody has the private one.
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBTondcxSVnSJLaUpdVvDrnib9H0MHPfHK1OwKl60U9D other-machine"
#: An instance that was terminated long ago: its data volume is left.
FORMER_INSTANCE = "i-0d1e5f0a9b8c7d6e5"
_IMAGE = "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04)"


def leave(backends: Backends) -> None:
    """Create the resources: a group open to the world, a key pair, a volume without instance, a running box."""
    backend = backends.region(REGION)
    if KEY_NAME not in backend.key_pairs:
        backend.import_key_pair(KEY_NAME, OTHER_KEY.encode(), tags=dict(TAGS))
    group = backend.get_security_group_from_name(GROUP, backend.default_vpc.id) or _group(backend)
    volume = backend.create_volume(size=100, zone_name=ZONE, volume_type="gp3")
    volume.add_tags(TAGS | {"Name": f"aws-bootstrap-data-{FORMER_INSTANCE}", "aws-bootstrap-instance": FORMER_INSTANCE})
    _box(backend, group.id)


def _group(backend: SandboxBackend) -> Any:
    """Return the security group: it has tags, its rule for the whole world has none."""
    group = backend.create_security_group(
        GROUP,
        "SSH access for aws-bootstrap-g4dn instances",
        backend.default_vpc.id,
        tags=TAGS | {"Name": GROUP},
    )
    world = [{"CidrIp": "0.0.0.0/0", "Description": "SSH access"}]
    backend.authorize_security_group_ingress(group.id, "tcp", "22", "22", world)
    return group


def _box(backend: SandboxBackend, group_id: str) -> None:
    """Launch an on-demand box, as that tool does."""
    newest = max((one for one in catalog.images() if one.name.startswith(_IMAGE)), key=attrgetter("date"))
    backend.run_instances(
        newest.moto(REGION)["ami_id"],
        1,
        None,
        [],
        instance_type="g4dn.xlarge",
        is_instance_type_default=False,
        placement=None,
        region_name=REGION,
        subnet_id=None,
        key_name=KEY_NAME,
        security_group_ids=[group_id],
        nics=[],
        instance_market_options={},
        tags={"instance": TAGS | {"Name": "aws-bootstrap-g4dn.xlarge"}},
        client_token="",
    )
