"""Facts and results: frozen, plain, without behaviour that touches the world. One file a command's results."""

from .access import AccessReport, AccessRule, BoxAccess
from .base import Access, Notice, Result, Table, document, optional, private, unread_regions
from .cleanup import (
    AliasAddress,
    AliasEntry,
    CleanupPlan,
    CleanupReport,
    DeletedVolume,
    VolumeEntry,
)
from .completion import CompletionScript
from .facts import (
    Image,
    IngressRule,
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
from .listing import ImageList, ImageRow, InstanceTypeList, InstanceTypeRow
from .quota import (
    Quota,
    QuotaChange,
    QuotaHistory,
    QuotaHistoryRow,
    QuotaReport,
    QuotaRequestRow,
    QuotaRequests,
    QuotaRow,
)
from .status import InstanceStatus, OrphanVolume, StatusReport, VolumeStatus
from .terminate import TerminateReport, Termination

__all__ = [
    "Access",
    "AccessReport",
    "AccessRule",
    "AliasAddress",
    "AliasEntry",
    "BoxAccess",
    "CleanupPlan",
    "CleanupReport",
    "CompletionScript",
    "DeletedVolume",
    "DryRun",
    "EbsVolume",
    "Image",
    "ImageList",
    "ImageRow",
    "IngressRule",
    "Instance",
    "InstanceStatus",
    "InstanceType",
    "InstanceTypeList",
    "InstanceTypeRow",
    "KeyPair",
    "LaunchReport",
    "Network",
    "Notice",
    "OrphanVolume",
    "Quota",
    "QuotaChange",
    "QuotaHistory",
    "QuotaHistoryRow",
    "QuotaReport",
    "QuotaRequestRow",
    "QuotaRequests",
    "QuotaRow",
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
    "VolumeEntry",
    "VolumeStatus",
    "document",
    "optional",
    "private",
    "unread_regions",
]
