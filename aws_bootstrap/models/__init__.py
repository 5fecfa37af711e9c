"""Facts and results: frozen, plain, without behaviour that touches the world. One file a command's results."""

from .base import Access, Result, Table, document, optional, private, unread_regions
from .facts import (
    Image,
    Instance,
    InstanceType,
    KeyPair,
    Network,
    RegionFailure,
    SecurityGroup,
    SpotPrice,
    StateChange,
    Volume,
)
from .launch import DryRun, EbsVolume, LaunchReport, SetupReport
from .status import InstanceStatus, OrphanVolume, StatusReport, VolumeStatus
from .terminate import TerminateReport, Termination

__all__ = [
    "Access",
    "DryRun",
    "EbsVolume",
    "Image",
    "Instance",
    "InstanceStatus",
    "InstanceType",
    "KeyPair",
    "LaunchReport",
    "Network",
    "OrphanVolume",
    "RegionFailure",
    "Result",
    "SecurityGroup",
    "SetupReport",
    "SpotPrice",
    "StateChange",
    "StatusReport",
    "Table",
    "TerminateReport",
    "Termination",
    "Volume",
    "VolumeStatus",
    "document",
    "optional",
    "private",
    "unread_regions",
]
