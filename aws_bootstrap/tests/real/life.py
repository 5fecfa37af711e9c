"""The life of a box, step by step, as a user lives it at a terminal."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from aws_bootstrap.tests.real.policies import resource_name
from aws_bootstrap.tests.real.steps import Journal, Skipped, require
from aws_bootstrap.tests.real.sweep import find
from aws_bootstrap.tests.real.worlds import Options, World

SSH_PORT = 2222
VOLUME_GB = 8
#: On the data volume, as its user writes it.
FILE = "/data/aws-bootstrap-real.txt"


@dataclass
class Life:
    """One life in one world."""

    options: Options
    world: World
    journal: Journal
    alias: str = ""
    instance_id: str = ""
    volume_id: str = ""

    def live(self) -> None:
        """Go through every step. Raise at the first that fails."""
        steps = {
            "dry run": self.dry_run,
            "launch": self.launch,
            "status": self.status,
            "login": self.login,
            "nvidia-smi": self.nvidia_smi,
            "write to /data": self.write,
            "setup again": self.setup_again,
            "terminate --keep-ebs": self.terminate_and_keep,
            "volume is free": self.wait_for_volume,
            "relaunch with the volume": self.relaunch,
            "file is still there": self.read,
            "access": self.access,
            "terminate": self.terminate,
            "volume is free again": self.wait_for_volume,
            "cleanup": self.cleanup,
        }
        for title, do in steps.items():
            with self.journal.step(title):
                do()

    def dry_run(self) -> None:
        """Show the plan. Nothing may be created."""
        plan = self.journal.program(*self._launch_words(), *self._new_volume(), "--dry-run")
        require(plan["regions"] == [self.options.region], f"the plan is for {plan['regions']}")
        require(plan["instance_type"] == self.options.instance_type, f"the plan is for {plan['instance_type']}")
        require(plan["ebs_storage"] == VOLUME_GB, "the plan has no data volume")
        created = find(self.world.client, self.options.run)
        require(not created, f"the dry run created {created}")

    def launch(self) -> None:
        """Launch a box with a new data volume, and set it up."""
        words = [*self._launch_words(), *self._new_volume()]
        if not self.options.setup:
            words.append("--no-setup")
        self._take(self.journal.program(*words))

    def status(self) -> None:
        """Find the box with its data volume and its GPU."""
        shown = self.journal.program("status", "--region", self.options.region, "--gpu")
        boxes = [one for one in shown["instances"] if one["instance_id"] == self.instance_id]
        require(boxes, f"status does not show {self.instance_id}")
        box = boxes[0]
        require(box["state"] == "running", f"{self.instance_id} is {box['state']}")
        require(box["ssh_alias"] == self.alias, f"{self.instance_id} has the alias {box['ssh_alias']}")
        volumes = [one["volume_id"] for one in box["ebs_volumes"]]
        require(self.volume_id in volumes, f"status shows the volumes {volumes}")
        require(box.get("gpu"), "status does not know the GPU")

    def login(self) -> None:
        """Log in as the printed command does."""
        self._ssh("uname -a")

    def nvidia_smi(self) -> None:
        """Run the driver's own program."""
        require("NVIDIA-SMI" in self._ssh("nvidia-smi"), "nvidia-smi shows no driver")

    def write(self) -> None:
        """Write a file to the data volume, as its user."""
        self._ssh(f"echo {self.options.run} > {FILE} && sync")

    def setup_again(self) -> None:
        """Repeat the setup: what is done stays, and so does the file."""
        done = self.journal.program("setup", self.alias)
        require(done["setup"] == "completed", f"the setup ended as {done['setup']}")
        require(done["ebs_volume"]["mounted"], "the data volume is not mounted")
        self.read()

    def terminate_and_keep(self) -> None:
        """Terminate the box, and keep its data volume."""
        ended = self._terminate("--keep-ebs")
        require(ended.get("ebs_volumes_kept") == [self.volume_id], f"kept: {ended.get('ebs_volumes_kept')}")

    def wait_for_volume(self) -> None:
        """Wait until the instance no longer exists and its data volume can be attached or deleted."""
        delay = self._delay
        client = self.world.client
        client.get_waiter("instance_terminated").wait(InstanceIds=[self.instance_id], WaiterConfig=delay)
        client.get_waiter("volume_available").wait(VolumeIds=[self.volume_id], WaiterConfig=delay)

    def relaunch(self) -> None:
        """Launch another box with the volume, in its zone. EC2 may release the quota only after some minutes."""
        kept = self.volume_id
        existing = ("--ebs-volume-id", kept, "--no-setup", "--wait", "--wait-timeout", "15m")
        self._take(self.journal.program(*self._launch_words(), *existing))
        require(self.volume_id == kept, f"the box has {self.volume_id} in place of {kept}")

    def read(self) -> None:
        """Read the file of the first box."""
        text = self._ssh(f"cat {FILE}").strip()
        require(text == self.options.run, f"{FILE} contains '{text}'")

    def access(self) -> None:
        """See that the box is open to this machine."""
        shown = self.journal.program("access", self.alias)
        require(shown["boxes"][0]["reachable"], "access says that this machine may not reach the box")

    def terminate(self) -> None:
        """Terminate the box. The volume that was attached by its id stays."""
        ended = self._terminate()
        require(not ended.get("ebs_volumes_deleted"), f"deleted: {ended.get('ebs_volumes_deleted')}")

    def cleanup(self) -> None:
        """Delete the kept volume. The prompt names what would be deleted, and only this volume alone is agreed to."""
        named: set[str] = set()

        def agree(printed: str) -> bool:
            named.update(re.findall(r"^ +delete (vol-\w+)", printed, re.MULTILINE))
            return named == {self.volume_id}

        self.journal.at_terminal("cleanup", "--include-ebs", "--include-kept", prompt="Proceed?", agree=agree)
        require(self.volume_id in named, f"cleanup would delete {sorted(named)}")
        if len(named) > 1:
            raise Skipped("it would delete volumes of others too; the sweep deletes this one")
        self.world.client.get_waiter("volume_deleted").wait(VolumeIds=[self.volume_id], WaiterConfig=self._delay)

    @property
    def _delay(self) -> dict[str, Any]:
        seconds = self.world.poll_seconds
        return {"Delay": seconds, "MaxAttempts": int(self.journal.limit / seconds)}

    def _launch_words(self) -> list[str]:
        options = self.options
        name = resource_name(options.run)
        return [
            *("launch", "--region", options.region, "--instance-type", options.instance_type),
            *("--max-price", f"{options.max_price:g}", "--ssh-port", str(SSH_PORT), "--tag", f"run={options.run}"),
            *("--key-name", name, "--security-group", name, "--key-path", str(self.world.public_key)),
        ]

    def _new_volume(self) -> tuple[str, str]:
        return "--ebs-storage", str(VOLUME_GB)

    def _take(self, box: dict[str, Any]) -> None:
        """Note the ids of a launched box, which must be complete."""
        self.alias = box["ssh_alias"]
        self.instance_id = box["instance_id"]
        self.volume_id = box["ebs_volume"]["volume_id"]
        require(box["ebs_volume"]["mounted"], "the data volume is not mounted")
        require(box["setup"] in ("completed", "skipped"), f"the setup ended as {box['setup']}")

    def _terminate(self, *words: str) -> dict[str, Any]:
        answer = self.journal.program("terminate", self.alias, *words, "--yes")
        ended: dict[str, Any] = answer["terminated"][0]
        require(ended["instance_id"] == self.instance_id, f"{ended['instance_id']} was terminated")
        return ended

    def _ssh(self, command: str) -> str:
        return self.journal.command("ssh", "-F", str(self.world.ssh_config), self.alias, command)
