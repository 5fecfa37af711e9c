"""The faults and signals that every call and SSH command meets."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Any

THROTTLED = {"ec2": "RequestLimitExceeded", "servicequotas": "TooManyRequestsException"}
BROKEN = {"ec2": "InternalError", "servicequotas": "ServiceException"}
DENIED = {"ec2": "UnauthorizedOperation"}
EXPIRED = {"ec2": "RequestExpired"}


@dataclass(frozen=True)
class Fault:
    """What befalls a call: an effect of the sandbox's fault rules, once or from then on."""

    name: str
    do: dict[str, Any]
    times: int | None = None
    codes: dict[str, str] | None = None
    """Error codes by service; `do` is completed by the one that fits."""
    other_code: str = ""

    @property
    def heals(self) -> bool:
        """Whether trying again helps, so that the command must reach its goal."""
        return self.times is not None

    def effect(self, service: str) -> dict[str, Any]:
        """The effect on a call of this service."""
        if self.codes is None:
            return self.do
        return {**self.do, "error": self.codes.get(service, self.other_code)}


FAULTS: tuple[Fault, ...] = (
    Fault("throttled-once", {}, 1, THROTTLED, "ThrottlingException"),
    Fault("throttled", {}, None, THROTTLED, "ThrottlingException"),
    Fault("500-once", {"status": 500}, 1, BROKEN, "InternalFailure"),
    Fault("500", {"status": 500}, None, BROKEN, "InternalFailure"),
    Fault("denied", {"status": 403}, None, DENIED, "AccessDeniedException"),
    Fault("expired", {"status": 403}, None, EXPIRED, "ExpiredTokenException"),
    Fault("reset-once", {"reset": True}, 1),
    Fault("reset", {"reset": True}),
    Fault("lost-once", {"reset_after": True}, 1),
    Fault("lost", {"reset_after": True}),
    Fault("timeout-once", {"silent": True}, 1),
    Fault("timeout", {"silent": True}),
)

SIGNALS: dict[str, signal.Signals] = {
    "SIGINT": signal.SIGINT,
    "SIGTERM": signal.SIGTERM,
    "SIGHUP": signal.SIGHUP,
    "SIGKILL": signal.SIGKILL,
}
TO_THE_GROUP = (signal.SIGINT, signal.SIGHUP)
"""A terminal sends these to ssh as well."""

SSH_FAULTS: dict[str, tuple[str, int | None]] = {
    "refused": ("refused", None),
    "mute": ("mute", None),
    "wrong-key": ("wrong-key", None),
    "wrong-key-once": ("wrong-key", 1),
    "changed-key": ("changed-key", None),
    "dropped": ("dropped", None),
    "dropped-once": ("dropped", 1),
    "hanging": ("hanging", None),
    "flood": ("flood", None),
}
"""Kind of the sandbox's SSH faults, and how often it hits."""
SSH_HEALS = ("flood",)

TAKEN_BACK = "taken-back"
"""EC2 takes the new spot instance back while the call, or the SSH command, is under way."""

BY_NAME = {fault.name: fault for fault in FAULTS}
