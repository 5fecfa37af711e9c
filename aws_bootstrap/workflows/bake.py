"""Bake an image of a box: plan it by reading, prepare the box, create the image, wait for both."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import ec2, output
from ..config import TAG_OWNER, TAG_RESOURCES, TAG_SETUP, TAG_SOURCE, TAG_USER
from ..errors import AwsError, BootstrapError, Interrupted
from ..invocation import PROGRAM
from ..models import BakePlan, BakeReport, OwnImage
from ..models.cost import snapshot_cost
from ..parallel import gather
from ..retry import poll
from ..sshconfig import Host
from . import bake_box
from .box import Box
from .inventory import select_one
from .owners import find_owner
from .pick import running_host
from .unknown import Calls
from .unreachable import hint_on_timeout

if TYPE_CHECKING:
    from ..app import App

_IMAGE = "the image"
#: A snapshot of a full disk takes minutes, a large one an hour.
_IMAGE_SECONDS = 2 * 3600.0
_LOOK_EVERY = 5.0
#: The longest value of a tag, and the longest description that EC2 takes.
_LONGEST = 255
_NOT_IN_NAME = re.compile(r"[^A-Za-z0-9()\[\] ./'@_-]")


@dataclass(frozen=True)
class PlannedBake:
    """A bake that is planned: what a person confirms, and what is needed to do it."""

    shown: BakePlan
    host: Host
    on_box: bake_box.OnBox
    request: ec2.ImageRequest

    @property
    def report(self) -> BakeReport:
        """Return the result as long as no image exists."""
        plan = self.shown
        return BakeReport(
            image_id=None,
            name=plan.name,
            region=plan.region,
            state=None,
            snapshot_id=None,
            size_gb=plan.size_gb,
            monthly_cost_usd=plan.monthly_cost_usd,
            source=plan.instance_id,
            ssh_alias=self.host.alias,
            source_ready=None,
            remaining_secrets=plan.remaining_secrets,
            setup_version=self.on_box.resources,
        )


def plan(app: App, name: str, image_name: str | None) -> PlannedBake:
    """Return what `apply` would do to the box with that alias or id. Changes nothing.

    BootstrapError if the box does not run or cannot be reached, `image-exists` if there is an image of that name.
    """
    box = select_one(app, name, volumes="with-roots")
    host = running_host(box, "baked")
    if image_name is None:
        image_name = _default_name(host.alias)
    client = app.aws.ec2(box.region)
    devices, same_name, base, owner, on_box = gather(
        partial(ec2.find_devices, client, box.instance_id),
        partial(ec2.find_account_images, client, name=image_name),
        partial(ec2.find_image, client, box.instance.image_id),
        partial(find_owner, app),
        partial(_read_box, app, host),
    )
    _check(box, host, devices, image_name, taken=bool(same_name))
    _warn(on_box, host, owner)
    size_gb = box.root.size_gb if box.root else None
    shown = BakePlan(
        name=image_name,
        instance_id=box.instance_id,
        box=host.alias,
        region=box.region,
        size_gb=size_gb,
        monthly_cost_usd=snapshot_cost(size_gb or 0),
        without=devices.others,
        remaining_secrets=on_box.remaining_secrets,
    )
    description = _description(base.supported_families if base else (), box.instance_id)
    tags = _tags(box, host, on_box, owner)
    request = ec2.ImageRequest(box.instance_id, image_name, description, devices.others, tags)
    return PlannedBake(shown, host, on_box, request)


def _read_box(app: App, host: Host) -> bake_box.OnBox:
    with hint_on_timeout(app, host):
        return bake_box.read(app.ssh, host)


def _default_name(alias: str) -> str:
    """Return a name that no image has yet: EC2 takes each once in a region."""
    return _NOT_IN_NAME.sub("-", f"aws-bootstrap-{alias}-{datetime.now(UTC):%Y%m%d-%H%M%S}")


def _check(box: Box, host: Host, devices: ec2.Devices, image_name: str, *, taken: bool) -> None:
    """Raise BootstrapError if EC2 would refuse."""
    if taken:
        raise BootstrapError(
            f"There is an image {image_name} in {box.region} already.",
            hint=f"Choose another name: {PROGRAM} bake {host.alias} --name NAME\n"
            f"Remove the old one: {PROGRAM} image rm {image_name}",
            code="image-exists",
        )
    if devices.root is None:
        raise BootstrapError(
            f"The root disk of {host.alias} is no EBS volume: EC2 cannot create an image of it.",
            hint=f"Launch a box with the default image: {PROGRAM} launch",
            code="bake-failed",
        )


def _warn(on_box: bake_box.OnBox, host: Host, owner: str | None) -> None:
    if on_box.setup is None:
        message = f"No setup of {host.alias} has completed: a box from the image runs it again."
        output.warn(f"{message} Complete it first: {PROGRAM} setup {host.alias}", code="setup-incomplete")
    if owner is None:
        message = "The image will have no owner, since STS does not say who you are. Later, use it by its name."
        output.warn(message, code="owner-unknown")


def _description(families: tuple[str, ...], instance_id: str) -> str:
    """Return the image's description: the instance families of its base image, in the words that a launch reads."""
    text = f"Baked from {instance_id} by aws-bootstrap."
    if families:
        text += f" Supported EC2 instances: {', '.join(families)}."
    if len(text) > _LONGEST:
        return f"Baked from {instance_id} by aws-bootstrap."
    return text


def _tags(box: Box, host: Host, on_box: bake_box.OnBox, owner: str | None) -> dict[str, str]:
    tags = {TAG_SOURCE: box.instance_id, TAG_USER: host.user or ""}
    if owner:
        tags[TAG_OWNER] = owner
    if on_box.resources:
        tags[TAG_RESOURCES] = on_box.resources
    if on_box.setup:
        tags[TAG_SETUP] = on_box.setup[:_LONGEST]
    return tags


class _Bake:
    """A bake in progress: its report is complete at any time."""

    def __init__(self, app: App, planned: PlannedBake) -> None:
        self.app = app
        self.planned = planned
        self.client: Any = app.aws.ec2(planned.shown.region)
        self.calls = Calls(app.lookup_seconds)
        self.report = planned.report

    def create(self) -> None:
        """Create the image, and note it."""
        request = self.planned.request
        self.calls.make(_IMAGE, partial(self._create_or_find, request), look=self._look, note=self._note)

    def _create_or_find(self, request: ec2.ImageRequest) -> str:
        """Return the id of the new image. The name is that of no image before: an image of it is a lost answer's."""
        try:
            return ec2.create_image(self.client, request)
        except AwsError as exc:
            found = None
            if exc.code == "image-exists":
                found = self._look()
            if found is None:
                raise
            return found

    def _look(self) -> str | None:
        """Return the id of the image that this bake has created; None while it does not show."""
        found = ec2.find_own_image(self.client, self.planned.request.name)
        if found is None or found.source != self.planned.request.instance_id:
            return None
        return found.image_id

    def _note(self, image_id: str) -> None:
        self.report = replace(self.report, image_id=image_id, state="pending")

    def wait_for_box(self) -> None:
        """Wait until the box is as it was. What it is not is part of the result."""
        planned = self.planned
        error = bake_box.wait_until_back(self.app.ssh, planned.host, had_data=planned.on_box.has_data)
        self.report = replace(self.report, source_ready=error is None, source_error=error)

    def wait_for_image(self, seconds: float = _IMAGE_SECONDS) -> None:
        """Wait until the image is available, or has failed. A look that fails is repeated."""
        began = time.monotonic()

        def is_settled() -> bool | None:
            image = self.read_image()
            if image is None:
                return None
            passed = time.monotonic() - began
            output.live(f"The image is {image.state}, {self._progress(image)}{passed:.0f} s")
            return True if image.state not in ("pending", ec2.UNKNOWN) else None

        poll(is_settled, timeout=seconds, every=min(_LOOK_EVERY, seconds))
        output.live("")

    def read_image(self) -> OwnImage | None:
        """Return the image as EC2 reports it, and note that; None where EC2 does not answer or does not show it."""
        try:
            image = ec2.find_own_image(self.client, self.planned.request.name)
        except BootstrapError:
            return None
        if image is None:
            return None
        for snapshot in image.snapshots:
            self.report = replace(self.report, snapshot_id=snapshot.snapshot_id)
        self.report = replace(self.report, state=image.state, state_reason=image.state_reason)
        return image

    def _progress(self, image: OwnImage) -> str:
        """Return how much of the snapshot is stored, before a comma."""
        try:
            progress = ec2.snapshot_progress(self.client, image)
        except BootstrapError:
            return ""
        return f"its snapshot {progress}, " if progress else ""


def apply(app: App, planned: PlannedBake, *, wait: bool) -> BakeReport:
    """Prepare the box, create the image, and wait for the box; for the image, too, if `wait`. Return the report.

    An error or an interrupt carries the report of what was done until then.
    """
    bake = _Bake(app, planned)
    alias = planned.host.alias
    try:
        with output.within(output.step(1, 3, f"Prepare {alias} to be copied")):
            bake_box.prepare(app.ssh, planned.host)
        with output.within(output.step(2, 3, f"Create the image {planned.request.name}; {alias} reboots")):
            bake.create()
            output.val("Image", str(bake.report.image_id))
            bake.wait_for_box()
        with output.within(output.step(3, 3, "Wait until the image is available")):
            bake.wait_for_image(_IMAGE_SECONDS if wait else 0.0)
    except KeyboardInterrupt as exc:
        bake.calls.settle()
        hint = _after_interrupt(bake)
        raise (
            Interrupted.of(exc, hint=hint).add_details(resources=bake.report.resources()).attach_result(bake.report)
        ) from exc
    except BootstrapError as exc:
        raise exc.add_details(resources=bake.report.resources()).attach_result(bake.report) from exc
    return bake.report


def _after_interrupt(bake: _Bake) -> str:
    """Return what becomes of the image."""
    if bake.report.image_id:
        return f"EC2 goes on to create the image. Show it: {PROGRAM} image ls --region {bake.report.region}"
    if bake.calls.unknown:
        return f"It is unknown whether the image was created. Show yours: {PROGRAM} image ls"
    return "No image was created."


def declined(planned: PlannedBake) -> BakeReport:
    """Return the report of a bake that the user declined."""
    return replace(planned.report, declined=True)
