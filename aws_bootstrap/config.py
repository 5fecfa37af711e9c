"""The options of a launch, the defaults, the tags, and where this tool keeps its files."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

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
#: On a new data volume: permission to format it. Removed before the volume is formatted, so that happens once only.
FORMAT_ONCE = "once"

#: The counterpart of the default image for types with an arm64 processor.
ARM64_AMI_FILTER = "Deep Learning ARM64 Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04)*"
SSH_PORT = 22
#: The login user where the image does not determine another: that of the default image.
DEFAULT_USER = "ubuntu"
#: A booting box opens its port before cloud-init has put the key in place; a refused key counts only after this.
LOGIN_RETRY_SECONDS = 30.0


@dataclass(frozen=True)
class LaunchConfig:
    """The options of `launch`. Built once; never changed."""

    instance_type: tuple[str, ...] = ("g4dn.xlarge",)
    ami_filter: str = "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04)*"
    spot: bool = True
    region: tuple[str, ...] = ()
    wait: bool = False
    wait_timeout: float = 1800.0
    max_price: float | None = None
    key_path: Path = Path("~/.ssh/id_ed25519.pub")
    key_name: str = "aws-bootstrap-key"
    security_group: str = "aws-bootstrap-ssh"
    ssh_cidr: tuple[str, ...] = ("me",)
    subnet_id: tuple[str, ...] = ()
    name: str | None = None
    volume_size: int = 100
    ebs_storage: int | None = None
    ebs_volume_id: str | None = None
    python_version: str | None = None
    ssh_port: int = SSH_PORT
    ssh_user: str | None = None
    ssh_timeout: float = 300.0
    metadata_hop_limit: int = 1
    no_setup: bool = False
    setup_script: Path | None = None
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


@dataclass(frozen=True)
class Paths:
    """The files this tool reads and writes outside a project. `environ` is the process's environment."""

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @property
    def home(self) -> Path:
        """Return the folder of this tool, absolute."""
        return Path(self.environ.get("AWS_BOOTSTRAP_HOME", "~/.aws-bootstrap")).expanduser().absolute()

    @property
    def known_hosts(self) -> Path:
        """Return the file of the boxes' host keys, by instance id."""
        return self.home / "known_hosts"

    @property
    def ssh_config(self) -> Path:
        """Return the OpenSSH config that holds the aliases of the boxes."""
        return Path(self.environ.get("AWS_BOOTSTRAP_SSH_CONFIG", "~/.ssh/config")).expanduser()

    @property
    def ssh_flags(self) -> tuple[str, ...]:
        """Return the options by which `ssh` reads that config: it looks in the account's home, whatever HOME says."""
        account = _account()
        if account and self.ssh_config == Path(f"~{account}/.ssh/config").expanduser():
            return ()
        return ("-F", str(self.ssh_config))


def _account() -> str:
    """Return the name of the account that this process runs as; empty if it has none."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user without an account
        return ""


def program(environ: Mapping[str, str] = os.environ) -> str:
    """Return how a printed command begins, so that it works where the reader pastes it."""
    named = environ.get("AWS_BOOTSTRAP_PROGRAM")
    if named:
        return named.replace("aws-bootstrap", _executable(environ), 1)
    return _executable(environ)


def _executable(environ: Mapping[str, str]) -> str:
    """Return `aws-bootstrap` if the reader's shell finds it; else the running script, from here.

    `uv run` puts the project's environment on PATH for the command alone, so what is found there does not count.
    """
    script = Path(sys.argv[0]).absolute()
    folders = environ.get("PATH", "").split(os.pathsep)
    if "UV_RUN_RECURSION_DEPTH" in environ:
        folders = [folder for folder in folders if Path(folder).absolute() != script.parent]
    if script.name != "aws-bootstrap" or shutil.which("aws-bootstrap", path=os.pathsep.join(folders)):
        return "aws-bootstrap"
    if script.is_relative_to(Path.cwd()):
        return shlex.quote(str(script.relative_to(Path.cwd())))
    return shlex.quote(str(script))
