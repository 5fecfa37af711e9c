"""The defaults of the options of `launch`. Help pages and completion show them, and load nothing else for them."""

from __future__ import annotations

INSTANCE_TYPES = ("g4dn.xlarge",)
AMI_FILTER = "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04)*"
WAIT_SECONDS = 1800.0
KEY_PATH = "~/.ssh/id_ed25519.pub"
KEY_NAME = "aws-bootstrap-key"
SECURITY_GROUP = "aws-bootstrap-ssh"
SSH_CIDRS = ("me",)
ROOT_VOLUME_GB = 100
SSH_PORT = 22
SSH_SECONDS = 300.0
METADATA_HOP_LIMIT = 1
