"""The floor of start-up that keeps Click: names and helps in a table, and only the command that is called is made.

It has the options of the program, but none of its work: no signals, no formats, no errors.
"""

import gc
import os
import re
import sys

gc.disable()

import click  # noqa: E402

COMMANDS = {
    "launch": "Launch a GPU dev box: spot, or on-demand when spot has none.",
    "status": "Show your boxes, their cost, and volumes that still bill.",
    "setup": "Run the remote setup again; completed steps are skipped.",
    "access": "Show who may reach the SSH port of your boxes, or change it.",
    "terminate": "Terminate boxes and delete their data volumes.",
    "cleanup": "Remove aliases of terminated boxes, over all enabled regions.",
    "list": "List instance types or images.",
    "quota": "Show and raise the account's vCPU quotas for GPU instances.",
    "completion": "Print a shell completion script.",
    "sandbox": "Rehearse with a local EC2 and local boxes.",
}
#: As many as the program has.
OPTIONS = {"launch": 27}
HELP = "A help line of the usual length for an option like this one."


def aliases(ctx, param, begun):
    """Read the aliases from the blocks of the SSH config."""
    with open(os.environ["AWS_BOOTSTRAP_SSH_CONFIG"]) as file:
        found = re.findall(r"^# >>> aws-bootstrap .*\n\s*Host (\S+)", file.read(), re.MULTILINE)
    return [alias for alias in found if alias.startswith(begun)]


class Lazy(click.Group):
    def list_commands(self, ctx):
        return list(COMMANDS)

    def get_command(self, ctx, name):
        if name not in COMMANDS:
            return None
        params = [click.Option([f"--option-{number}"], help=HELP) for number in range(OPTIONS.get(name, 5))]
        names = click.Argument(["names"], nargs=-1, shell_complete=aliases)
        return click.Command(name, params=[*params, names], help=COMMANDS[name])

    def format_commands(self, ctx, formatter):
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx, incomplete):
        from click.shell_completion import CompletionItem

        return [CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)]


FORMATS = click.Choice(["text", "json", "yaml", "table"])
GLOBAL = [click.Option(["--output", "-o"], type=FORMATS, help=HELP), click.Option(["--profile"], help=HELP)]


@click.group(cls=Lazy, params=GLOBAL)
@click.version_option(package_name="aws-bootstrap-g4dn")
def main(**_):
    """One command to a configured GPU box on AWS EC2, one command to end it."""


main(sys.argv[1:], prog_name="aws-bootstrap")
