"""Where a data volume is that the launch's region does not have: looked up in all enabled regions, only then."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ... import aws, ec2
from ...config import LaunchConfig
from ...errors import BootstrapError, is_denied_by_organization
from ...invocation import PROGRAM
from ...models import RegionReason, Volume
from .words import option_words

if TYPE_CHECKING:
    from ...app import App

#: The fields of LaunchConfig that apply to one region alone.
_OF_THE_REGION = ("region", "subnet_id")


def not_found(app: App, config: LaunchConfig, region: str) -> BootstrapError:
    """Return the error for a volume that this region does not have: it names the region that has it."""
    volume_id = str(config.ebs_volume_id)
    missing = f"There is no volume {volume_id} in {region}"
    try:
        enabled = app.aws.regions()
    except BootstrapError as exc:
        return _not_found(f"{missing}. The other regions could not be listed: {exc}")

    def read(other: str) -> Volume | None:
        return ec2.find_volume(app.aws.ec2(other), volume_id)

    others = [other for other in enabled if other != region]
    failed: dict[str, BootstrapError] = {}
    for other, answer in aws.call_each_region(others, read).items():
        if isinstance(answer, Volume):
            return _elsewhere(missing, answer, config)
        if isinstance(answer, BootstrapError):
            failed[other] = answer
    return _nowhere(missing, len(others) - len(failed), failed)


def _nowhere(missing: str, answered: int, failed: Mapping[str, BootstrapError]) -> BootstrapError:
    """Return the error for a volume that no region has which answered. One that failed may have it."""
    noun = "region" if answered == 1 else "regions"
    sentences = [f"{missing}, and none in {answered} other enabled {noun}."]
    unread: list[RegionReason] = []
    for region, error in failed.items():
        if not is_denied_by_organization(error):
            unread.append(RegionReason(region, str(error)))
    denied = len(failed) - len(unread)
    if unread:
        names = ", ".join(reason.region for reason in unread)
        sentences.append(f"It may be where nothing could be read: {names}.")
    if denied:
        sentences.append(f"Your organization denies access to {denied} more.")
    return _not_found(" ".join(sentences)).add_details(regions=tuple(unread))


def _not_found(message: str) -> BootstrapError:
    hint = f"Show your data volumes: {PROGRAM} status"
    return BootstrapError(message, hint=hint, code="not-found")


def _elsewhere(missing: str, volume: Volume, config: LaunchConfig) -> BootstrapError:
    """Return the error for a volume of another region, with the launch that can use it."""
    message = f"{missing}: it is in {volume.region}."
    if volume.state != "available":
        in_use = ec2.volume_in_use(volume)
        return BootstrapError(f"{message} {in_use}", hint=in_use.hint, code=in_use.code)
    words = ["launch", "--region", volume.region, *option_words(config, without=_OF_THE_REGION)]
    hint = (
        f"Launch there: {PROGRAM} {shlex.join(words)}\n"
        f"Or copy its data: {PROGRAM} volume snapshot {volume.volume_id}\n"
        f"Then: {PROGRAM} volume restore SNAPSHOT --zone ZONE"
    )
    return BootstrapError(message, hint=hint, code="not-found")
