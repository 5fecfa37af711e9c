"""The commands to type after `bake` and `image`. Loaded beside next_commands.py, to which it adds them."""

from __future__ import annotations

from .command_lines import own
from .defaults import ROOT_VOLUME_GB
from .models import BakeReport, Command, OwnImageList, OwnImageRow
from .next_commands import next_commands

__all__ = ["launch_from", "next_commands"]


def launch_from(image: str, region: str, size_gb: int | None) -> Command:
    """Return the launch of a box from this image; with a root volume of its size, if that is above the default."""
    words = ["launch", "--image", image, "--region", region]
    if size_gb and size_gb > ROOT_VOLUME_GB:
        words += ["--volume-size", str(size_gb)]
    return own("Launch from it", *words)


@next_commands.register
def _after_bake(report: BakeReport) -> tuple[Command, ...]:
    """Return how to launch from the image, to see when it is available, and to remove it."""
    if report.image_id is None or report.state == "failed":
        return ()
    commands: list[Command] = []
    if report.state != "available":
        commands.append(own("Its state", "image", "ls", "--region", report.region))
    commands.append(launch_from(report.image_id, report.region, report.size_gb))
    return (*commands, own("Remove it", "image", "rm", report.image_id))


@next_commands.register
def _after_own_images(result: OwnImageList) -> tuple[Command, ...]:
    """Return how to launch from the newest image of the caller, and how to remove it."""
    for row in result.images:
        if row.yours and row.state == "available":
            return (launch_from(row.image_id, row.region, row.size_gb), _remove(row))
    return ()


def _remove(row: OwnImageRow) -> Command:
    return own("Remove it", "image", "rm", row.image_id)
