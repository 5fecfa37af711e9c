"""The commands as the help page lists them, and where each is found: one file a command.

A file has options, then the workflow, then the answer. It is loaded only when its command is called: the help page and
a shell's completion need no more than this table.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import click


class Listed(NamedTuple):
    """A command that is not loaded yet."""

    #: The module of the package that has it, and its name there.
    module: str
    function: str
    #: Its line on the help page: the first sentence of its own help, which a test compares.
    short_help: str


# To add a command, write it and list it here.
#: The groups of the help page; in each the commands in the order of use.
SECTIONS: dict[str, dict[str, Listed]] = {
    "Boxes": {
        "launch": Listed("commands.launch", "launch", "Launch a GPU dev box: spot, or on-demand when spot has none."),
        "status": Listed("commands.status", "status", "Show your boxes, their cost, and volumes that still bill."),
        "costs": Listed("commands.costs", "costs", "Show what everything of yours costs: an hour, a month, so far."),
        "setup": Listed("commands.setup", "setup", "Run the remote setup again; completed steps are skipped."),
        "extend": Listed("commands.extend", "extend", "Change when a box ends by itself."),
        "stop": Listed("commands.stop", "stop", "Stop on-demand boxes."),
        "start": Listed("commands.start", "start", "Start stopped boxes, and wait until they answer by SSH."),
        "rename": Listed("commands.rename", "rename", "Give a box another name: its alias, and the tag Name."),
        "access": Listed("commands.access", "access", "Show who may reach the SSH port of your boxes, or change it."),
        "terminate": Listed("commands.terminate", "terminate", "Terminate boxes and delete their data volumes."),
        "relaunch": Listed(
            "commands.relaunch",
            "relaunch",
            "Launch an ended box again: the same options, alias and data volume.",
        ),
        "cleanup": Listed(
            "commands.cleanup", "cleanup", "Remove aliases of terminated boxes, over all enabled regions."
        ),
    },
    "Work on a box": {
        "ssh": Listed("commands.ssh", "ssh", "Open a terminal on a box, or run a command there."),
        "exec": Listed("commands.exec", "exec_", "Run a command on several boxes at the same time."),
        "run": Listed("commands.run", "run", "Run a command on a box that goes on without you."),
        "logs": Listed("commands.logs", "logs", "Show the log of a run."),
        "attach": Listed("commands.attach", "attach", "Follow a run to its end, and exit with its exit code."),
        "ps": Listed("commands.ps", "ps", "List the runs of your boxes, running and ended."),
        "cp": Listed("commands.cp", "cp", "Copy files and folders between this machine and a box."),
        "sync": Listed(
            "commands.sync",
            "sync",
            "Make a folder follow another: send what changed, but not what git ignores.",
        ),
        "open": Listed(
            "commands.open", "open_", "Open JupyterLab of a box in the browser, or a folder of it in an editor."
        ),
        "forward": Listed("commands.forward", "forward", "Forward ports of this machine to a box, until Ctrl-C."),
    },
    "Clusters": {
        "cluster": Listed(
            "commands.cluster", "cluster", "Launch several boxes as one cluster, and run jobs on all of them."
        ),
    },
    "Disks and images": {
        "volume": Listed("commands.volume", "volume", "List, create, copy, grow and delete data volumes."),
        "bake": Listed("commands.bake", "bake", "Create an image of a box, for boxes that need no setup."),
        "image": Listed("commands.image", "image", "List and remove the images that were baked."),
    },
    "What AWS offers": {
        "prices": Listed("commands.prices", "prices", "Show prices by zone, cheapest first, with your quota."),
        "list": Listed("commands.list", "list_", "List instance types or images."),
        "quota": Listed("commands.quota", "quota", "Show and raise the account's vCPU quotas for GPU instances."),
    },
    "This program": {
        "config": Listed(
            "commands.config", "config", "Show and change the config files: defaults of options, and presets."
        ),
        "completion": Listed("commands.completion", "completion", "Print a shell completion script."),
        "sandbox": Listed("sandbox.cli", "sandbox", "Rehearse with a local EC2 and local boxes."),
    },
}

COMMANDS: dict[str, Listed] = {}
for _listed in SECTIONS.values():
    COMMANDS.update(_listed)


def load(name: str) -> click.Command | None:
    """Return the command of that name, imported now; None if there is none."""
    listed = COMMANDS.get(name)
    if listed is None:
        return None
    module = import_module(f"aws_bootstrap.{listed.module}")
    command: click.Command = getattr(module, listed.function)
    return command
