"""The options of a launch, and the tags of what is created."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from . import defaults

if TYPE_CHECKING:
    from .models.facts import Market

DEFAULT_REGION = "us-west-2"

TAG_CREATED_BY = "created-by"
CREATED_BY = "aws-bootstrap-g4dn"
#: On everything that is created: the principal that created it.
TAG_OWNER = "aws-bootstrap-owner"
#: On a data volume: the instance it is for.
TAG_INSTANCE = "aws-bootstrap-instance"
#: On a data volume: never deleted with its instance, nor by cleanup.
TAG_KEEP = "aws-bootstrap-keep"
TAG_FORMAT = "aws-bootstrap-format"
#: On an instance: when it ends by itself (ISO 8601, UTC), and after how many idle seconds.
TAG_DEADLINE = "aws-bootstrap-deadline"
TAG_IDLE_TIMEOUT = "aws-bootstrap-idle-timeout"
#: On an instance and its data volume: the options of the launch, so that it can be repeated. A long line goes on in
#: `aws-bootstrap-launch-2`.
TAG_SETTINGS = "aws-bootstrap-launch"
#: On the nodes of a cluster, its placement group and its security group: the id of the cluster.
TAG_CLUSTER = "aws-bootstrap-cluster"
#: On a node: its rank in the cluster; and the ranks of all nodes that one RunInstances started, in the order in which
#: EC2 numbers these. The first is written once the node exists, the second by the call that starts it.
TAG_RANK = "aws-bootstrap-cluster-rank"
TAG_RANKS = "aws-bootstrap-cluster-ranks"
#: On an image: the box that it was baked from, its login user, the version of the setup's files on it, and what the
#: setup has installed.
TAG_SOURCE = "aws-bootstrap-source"
TAG_USER = "aws-bootstrap-user"
TAG_RESOURCES = "aws-bootstrap-resources"
TAG_SETUP = "aws-bootstrap-setup"
#: On a new data volume: permission to format it. Removed before the volume is formatted, so that happens once only.
FORMAT_ONCE = "once"

#: The counterpart of the default image for types with an arm64 processor.
ARM64_AMI_FILTER = "Deep Learning ARM64 Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04)*"
SSH_PORT = defaults.SSH_PORT
#: The login user where the image does not determine another: that of the default image.
DEFAULT_USER = "ubuntu"
#: A booting box opens its port before cloud-init has put the key in place; a refused key counts only after this.
LOGIN_RETRY_SECONDS = 30.0


@dataclass(frozen=True)
class LaunchConfig:
    """The options of `launch`. Built once; never changed."""

    instance_type: tuple[str, ...] = defaults.INSTANCE_TYPES
    ami_filter: str = defaults.AMI_FILTER
    #: `baked`, an image id or the name of an image, in place of the pattern.
    image: str | None = None
    spot: bool = True
    region: tuple[str, ...] = ()
    #: Whether prices determine the order of regions and types, in place of the order given.
    cheapest: bool = False
    wait: bool = False
    wait_timeout: float = defaults.WAIT_SECONDS
    max_price: float | None = None
    key_path: Path = Path(defaults.KEY_PATH)
    key_name: str = defaults.KEY_NAME
    security_group: str = defaults.SECURITY_GROUP
    ssh_cidr: tuple[str, ...] = defaults.SSH_CIDRS
    subnet_id: tuple[str, ...] = ()
    name: str | None = None
    volume_size: int = defaults.ROOT_VOLUME_GB
    ebs_storage: int | None = None
    ebs_volume_id: str | None = None
    python_version: str | None = None
    ssh_port: int = defaults.SSH_PORT
    ssh_user: str | None = None
    ssh_timeout: float = defaults.SSH_SECONDS
    metadata_hop_limit: int = defaults.METADATA_HOP_LIMIT
    no_setup: bool = False
    setup_script: Path | None = None
    #: Seconds after which the box ends by itself, whatever it does; and after so many seconds without work.
    ttl: float | None = None
    idle_timeout: float | None = None
    #: USD that the box may cost until it ends by itself.
    max_cost: float | None = None
    tag: Mapping[str, str] = field(default_factory=dict)

    @property
    def market(self) -> Market:
        """Return the market requested."""
        if self.spot:
            return "spot"
        return "on-demand"

    @property
    def public_key(self) -> Path:
        """Return the public key's file. Absolute: the SSH config names it, and ssh is called from any folder."""
        return self.key_path.expanduser().absolute()

    @property
    def private_key(self) -> Path:
        """Return the private key's file, beside the public one."""
        return self.public_key.with_suffix("")
