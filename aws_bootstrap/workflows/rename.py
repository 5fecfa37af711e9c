"""Give a box another name: the tag `Name` of its instance, then its alias in the SSH config of this machine."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from .. import aws, ec2, sshconfig
from ..errors import BootstrapError, IncompleteError, Interrupted, UsageError
from ..invocation import PROGRAM
from ..models import Instance, RenameReport
from ..outcomes import unread_regions
from ..sshconfig import Host
from .inventory import select_one
from .pick import no_alias
from .unknown import Calls

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

    from ..app import App


def apply(app: App, name: str, new: str) -> RenameReport:
    """Rename the box with that alias or id. UsageError if another host or box has the new name.

    BootstrapError if nothing was changed, IncompleteError if only the tag was. The same command then does the rest.
    """
    box = select_one(app, name, volumes="none")
    if box.host is None:
        raise no_alias(box.instance_id)
    _check_alias(sshconfig.read(app.paths.ssh_config), box.host, new)
    _check_tag(app, box.instance_id, new)
    calls = Calls(app.lookup_seconds)
    tagged: list[bool] = []
    try:
        _tag(app, calls, box.instance, new, tagged)
        _write_alias(app, box.host, new)
    except KeyboardInterrupt as exc:
        calls.settle()
        raise Interrupted.of(exc, hint=_halves(box.host, new, tagged)) from exc
    except BootstrapError as exc:
        if not tagged and not calls.unknown:
            raise
        hints = [exc.hint, _halves(box.host, new, tagged)]
        raise IncompleteError(str(exc), hint="\n".join(filter(None, hints)), code=exc.code) from exc
    return RenameReport(box.instance_id, box.region, box.host.alias, new)


def _check_alias(text: str, host: Host, new: str) -> None:
    """Raise UsageError if the SSH config has another host of that name."""
    if new in sshconfig.host_patterns(sshconfig.without_host(text, host.instance_id)):
        raise UsageError(f"The SSH config has another host {new}.", hint="Choose another name.")


def _check_tag(app: App, instance_id: str, new: str) -> None:
    """Raise UsageError if another box has that tag, in any region: `launch --name` would find two boxes."""

    def read(region: str) -> list[Instance]:
        return ec2.find_named(app.aws.ec2(region), new)

    answers, failed = aws.each_region(app.aws.regions(), read)
    for found in answers.values():
        for instance in found:
            if instance.instance_id != instance_id and instance.state not in ec2.ENDED:
                raise UsageError(
                    f"The box {instance.instance_id} in {instance.region} has the name {new}.",
                    hint="Choose another name.",
                )
    unread = unread_regions([failure for failure in failed if not failure.is_denied])
    if unread:
        raise BootstrapError(f"{unread} A box there may have the name.", hint=unread.hint, code=unread.code)


def _tag(app: App, calls: Calls, instance: Instance, new: str, tagged: list[bool]) -> None:
    """Write the tag, and note that it is written."""
    client = app.aws.ec2(instance.region)
    calls.make(
        "the tag Name",
        partial(_write_tag, client, instance.instance_id, new),
        look=partial(_find_tag, client, instance.instance_id, new),
        note=tagged.append,
    )


def _write_tag(client: EC2Client, instance_id: str, new: str) -> bool:
    ec2.name_instance(client, instance_id, new)
    return True


def _find_tag(client: EC2Client, instance_id: str, new: str) -> bool | None:
    """Return True once the instance has the name; None before."""
    for instance in ec2.find_named(client, new):
        if instance.instance_id == instance_id:
            return True
    return None


def _write_alias(app: App, host: Host, new: str) -> None:
    """Write the alias, unless another host has got it meanwhile."""

    def change(text: str) -> str:
        _check_alias(text, host, new)
        return sshconfig.with_host(text, replace(host, alias=new))

    sshconfig.edit(app.paths.ssh_config, change)


def _halves(host: Host, new: str, tagged: list[bool]) -> str:
    """Return which half may be done, and the command that does the rest."""
    state = f"The tag Name is perhaps {new} already"
    if tagged:
        state = f"The tag Name is {new} already"
    return f"{state}, and the alias may still be {host.alias}. Do the rest: {PROGRAM} rename {host.instance_id} {new}"
