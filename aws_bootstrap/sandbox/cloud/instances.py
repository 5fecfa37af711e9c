"""Instances: moto changes their state at once, EC2 takes time and shows each state on the way.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html
"""

from __future__ import annotations

import base64
import copy
import json
import time
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from moto.core.utils import utcnow
from moto.ec2.models.instances import Instance, InstanceState, StateReason

from .world import Attachment, Machine

if TYPE_CHECKING:
    from .world import World

PENDING, RUNNING, SHUTTING_DOWN = ("pending", 0), ("running", 16), ("shutting-down", 32)
TERMINATED, STOPPING, STOPPED = ("terminated", 48), ("stopping", 64), ("stopped", 80)
USER_TERMINATED = ("Client.UserInitiatedShutdown", "User initiated shutdown")
SELF_SHUTDOWN = ("Client.InstanceInitiatedShutdown", "Instance initiated shutdown")
SPOT_TERMINATED = ("Server.SpotInstanceTermination", "Spot instance termination")
#: By the account's EBS key: how an instance with encrypted volumes ends.
KEY_REFUSALS = {
    "ungranted": ("Client.InternalError", "Client error on launch"),
    "disabled": ("Client.InvalidKMSKey.InvalidState", "The KMS key provided is in an incorrect state"),
}
NOT_LIVE = frozenset({TERMINATED[0], SHUTTING_DOWN[0]})
DEFAULT_ROOT_GB = 8


class SandboxInstance(Instance):
    """moto's instance, with EC2's timings and a machine behind it."""

    #: When EC2 interrupts it, as its notice says; 0 without a notice.
    interrupted_at: float = 0.0

    def __init__(self, ec2_backend: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(ec2_backend, *args, **kwargs)
        self.running_since = 0.0
        self.spot_request_id: str | None = None
        image = ec2_backend.amis.get(self.image_id)
        #: The name of the published image behind its own, which may be deregistered later.
        self.base_name = image.base_name if image else ""
        #: When it began to end; 0 before.
        self.ended_at = 0.0
        if not self.security_groups:
            self.security_groups = self._groups_of_interface()
        self._take_private_address()
        for nic in self.nics.values():
            nic.stop()  # the address exists from `running` on
        self._enter(PENDING)
        self._world.scheduler.after(self._world.timing.pending, self._enter_running)

    @property
    def _world(self) -> World:
        return self.ec2_backend.world

    def _groups_of_interface(self) -> list[Any]:
        """Return the groups of the primary network interface: the instance's, where the launch names an interface."""
        primary = self.nics.get(0)
        if primary is None:
            return []
        return sorted(primary.group_set, key=attrgetter("id"))

    def _take_private_address(self) -> None:
        """Take the private address under which the machine will be reachable, if it is not that of the subnet."""
        address = self._world.machines.private_address()
        primary = self.nics.get(0)
        if address is None or primary is None:
            return
        for held in primary.private_ip_addresses:
            if held["PrivateIpAddress"] == primary.private_ip_address:
                held["PrivateIpAddress"] = address
        primary.private_ip_address = address

    def _enter(self, state: tuple[str, int]) -> InstanceState:
        """Change to a state; return the previous one."""
        previous = copy.copy(self._state)
        self._state = InstanceState(*state)
        return previous

    def _enter_running(self) -> None:
        """Change from `pending` to `running`: the address exists now, and the machine boots."""
        if self.state != PENDING[0]:
            return
        refusal = self._key_refusal()
        if refusal:
            self.terminate(refusal)
            return
        for nic in self.nics.values():
            nic.start()
        self.running_since = time.time()
        self._enter(RUNNING)
        self._boot_machine()

    def _boot_machine(self) -> None:
        """Boot the machine, and show it the notice of its interruption if there is one."""
        self._world.machines.boot(self.machine())
        if self.interrupted_at:
            self._show_interruption()

    def _key_refusal(self) -> tuple[str, str] | None:
        """Return why the account's EBS key does not decrypt the instance's volumes; None if it does, or is not used.

        https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html
        """
        refusal = KEY_REFUSALS.get(self._world.account.ebs_key)
        for _, block in self.get_block_device_mapping:
            if refusal and self.ec2_backend.get_volume(block.volume_id).encrypted:
                return refusal
        return None

    def resume(self) -> None:
        """Resume the state change that a restart of the sandbox interrupted, or boot the machine again."""
        if self.state == RUNNING[0]:
            self._boot_machine()
            if self.interrupted_at:
                self._world.scheduler.after(self.interrupted_at - time.time(), self._interrupt_now)
        elif self.state == PENDING[0]:
            self._world.scheduler.after(self._world.timing.pending, self._enter_running)
        elif self.state == STOPPING[0]:
            self._world.scheduler.after(self._world.timing.stopping, self._enter_stopped)
        elif self.state == SHUTTING_DOWN[0]:
            self._world.scheduler.after(self._world.timing.shutting_down, self._enter_terminated)

    def machine(self) -> Machine:
        """Return the machine of this instance, for the box side."""
        image = self.ec2_backend.amis.get(self.image_id)
        pair = self.ec2_backend.key_pairs.get(self.key_name) if self.key_name else None
        return Machine(
            instance_id=self.id,
            region=self.region_name,
            zone=self.availability_zone or "",
            instance_type=self.instance_type,
            architecture=self.architecture or "x86_64",
            image_name=self.base_name,
            private_ip=self.private_ip or "",
            vpc_id=self.vpc_id or "",
            vpc_cidr=self.ec2_backend.get_vpc(self.vpc_id).cidr_block,
            public_ip=self.public_ip,
            public_key=pair.public_key if pair else "",
            user_data=base64.b64decode(self.user_data.as_bytes()) if self.user_data else b"",
            root_gb=self._root_gb(),
            volumes=self._data_volumes(),
            first_boot=self._world.timing.first_boot,
            copied_from=self.image_id if image and image.instance_id else "",
        )

    def setup_defaults(self) -> None:
        """Create the root volume of a launch that does not specify it, as the image does."""
        found = self.ec2_backend.amis.get(self.image_id)
        size = getattr(found, "root_gb", DEFAULT_ROOT_GB)
        volume = self.ec2_backend.create_volume(size=size, zone_name=self.availability_zone, volume_type="gp3")
        self.ec2_backend.attach_volume(volume.id, self.id, self.root_device_name, True)

    def _root_gb(self) -> int:
        """Return the size of the root volume."""
        for device, block in self.get_block_device_mapping:
            if device == self.root_device_name:
                return int(block.size or DEFAULT_ROOT_GB)
        return DEFAULT_ROOT_GB

    def _data_volumes(self) -> tuple[Attachment, ...]:
        """Return the attached volumes, without the root volume."""
        return tuple(
            Attachment(block.volume_id, device, int(block.size))
            for device, block in self.get_block_device_mapping
            if device != self.root_device_name
        )

    def start(self) -> InstanceState:
        """Start a stopped instance; return the previous state. Its launch time is that of its last start."""
        if self.state != STOPPED[0]:
            return copy.copy(self._state)
        self._reason, self.state_reason = "", StateReason()
        self.launch_time = utcnow()
        previous = self._enter(PENDING)
        self._world.scheduler.after(self._world.timing.pending, self._enter_running)
        return previous

    def stop(self, reason: tuple[str, str] = USER_TERMINATED) -> InstanceState:
        """Stop a running instance; return the previous state."""
        if self.state in (STOPPING[0], STOPPED[0], *NOT_LIVE):
            return copy.copy(self._state)
        previous = self._enter(STOPPING)
        self.end_reason = reason
        self._world.machines.halt(self.id)
        self._world.scheduler.after(self._world.timing.stopping, self._enter_stopped)
        return previous

    def _enter_stopped(self) -> None:
        """Change from `stopping` to `stopped`."""
        if self.state == STOPPING[0]:
            super().stop()
            self._enter(STOPPED)
            self._set_reason(self.end_reason)

    def terminate(self, reason: tuple[str, str] = USER_TERMINATED) -> InstanceState:
        """Terminate the instance; return the previous state."""
        if self.state in NOT_LIVE:
            return copy.copy(self._state)
        previous = self._enter(SHUTTING_DOWN)
        self.ended_at = time.time()
        self.end_reason = reason
        self._set_reason(reason)
        self._world.machines.halt(self.id)
        self._world.scheduler.after(self._world.timing.shutting_down, self._enter_terminated)
        return previous

    def interrupt(self, notice: float = 0.0) -> None:
        """Terminate a spot instance as an interruption, `notice` seconds after its notice; at once without one.

        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
        """
        if not notice:
            self._interrupt_now()
            return
        self.interrupted_at = time.time() + notice
        self._show_interruption()
        self._world.scheduler.after(notice, self._interrupt_now)

    def _show_interruption(self) -> None:
        """Show the notice in the instance metadata."""
        action = {"action": "terminate", "time": _utc(self.interrupted_at)}
        self._world.machines.notify(self.id, "meta-data/spot/instance-action", json.dumps(action))

    def _interrupt_now(self) -> None:
        self.terminate(SPOT_TERMINATED)

    def recommend_rebalance(self) -> None:
        """Show the recommendation of a rebalance, which EC2 gives when the risk of an interruption is raised.

        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html
        """
        notice = json.dumps({"noticeTime": _utc(time.time())})
        self._world.machines.notify(self.id, "meta-data/events/recommendations/rebalance", notice)

    def _enter_terminated(self) -> None:
        """Change from `shutting-down` to `terminated`: the volumes are detached only now, as on EC2."""
        if self.state != SHUTTING_DOWN[0]:
            return
        super().terminate()
        self._enter(TERMINATED)
        self._set_reason(self.end_reason)
        self._world.machines.destroy(self.id)
        self._world.scheduler.after(self._world.timing.forget_terminated, self._forget)

    def _forget(self) -> None:
        """Remove a terminated instance, which stays visible for about an hour.

        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/how-ec2-instance-termination-works.html
        """
        for reservation in self.ec2_backend.reservations.values():
            if self in reservation.instances:
                reservation.instances.remove(self)
        self._world.machines.forget(self.id)

    def _set_reason(self, reason: tuple[str, str]) -> None:
        """Set the state reason that DescribeInstances shows."""
        code, message = reason
        stamp = time.strftime("%Y-%m-%d %H:%M:%S GMT", time.gmtime())
        self._reason = f"{'User initiated' if reason == USER_TERMINATED else code} ({stamp})"
        self.state_reason = StateReason(f"{code}: {message}", code)

    def powered_off(self) -> None:
        """Stop or terminate, by the shutdown behaviour, after the machine has shut itself down.

        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_ChangingInstanceInitiatedShutdownBehavior.html
        """
        if self.state != RUNNING[0]:
            return
        if self.instance_initiated_shutdown_behavior == "terminate":
            self.terminate(SELF_SHUTDOWN)
        else:
            self.stop(SELF_SHUTDOWN)

    def reboot(self) -> None:
        """Reboot the machine; the state stays `running`, and the address stays."""
        if self.state == RUNNING[0]:
            self.running_since = time.time()
            self._world.machines.reboot(self.id)

    def _checks(self) -> dict[str, Any]:
        """Return a status check, which passes some time after the boot."""
        if self.state != RUNNING[0]:
            return {"Status": "not-applicable"}
        passed = time.time() - self.running_since >= self._world.timing.status_checks
        detail = {"Name": "reachability", "Status": "passed" if passed else "initializing"}
        return {"Status": "ok" if passed else "initializing", "Details": [detail]}

    @property
    def instance_status(self) -> dict[str, Any]:
        return self._checks()

    @property
    def system_status(self) -> dict[str, Any]:
        return self._checks()

    @property
    def spot_instance_request_id(self) -> str | None:
        return self.spot_request_id


def _utc(moment: float) -> str:
    """Return a time as the instance metadata has it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
