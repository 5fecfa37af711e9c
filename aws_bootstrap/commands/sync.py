"""`sync`: make a folder of a box follow one of this machine, or the other way."""

from __future__ import annotations

import click

from .. import output
from ..app import App
from ..errors import UsageError
from . import options
from .command import Command


@click.command(cls=Command)
@click.argument("source", metavar="SRC", shell_complete=options.complete_box_path)
@click.argument("target", metavar="DST", shell_complete=options.complete_box_path)
@click.option("--watch", is_flag=True, help="Go on with each change, until Ctrl-C.")
@click.option("--dry-run", "-n", is_flag=True, help="Show what would change, and change nothing.")
@click.option("--delete", is_flag=True, help="Delete files that the source lacks; they are shown first.")
@click.option("--include-git", is_flag=True, help="Send .git as well.")
@options.yes
@click.pass_obj
def sync(app: App, /, source: str, target: str, **given: bool) -> None:
    """Make a folder follow another: send what changed, but not what git ignores.

    One of the two is a folder of a box, ALIAS:PATH. What is in SRC comes into DST, which is created if missing.
    The files are those that git would take: .gitignore files count, with or without a repository. Other files of
    DST stay, unless --delete is passed; what .gitignore excludes is never deleted. Needs rsync on both sides.

    \b
    Examples:
      aws-bootstrap sync . aws-gpu1:project --watch
      aws-bootstrap sync . aws-gpu1:project --delete --dry-run
      aws-bootstrap sync aws-gpu1:project results
    """
    from ..views.transfer import deletion_question, watch_line
    from ..workflows import sync as workflow

    watch, dry_run, delete, yes = given["watch"], given["dry_run"], given["delete"], given["yes"]
    if watch and dry_run:
        raise UsageError("--dry-run has no effect with --watch.", hint="Leave out one of them.")
    if watch and delete and not yes:
        raise UsageError("--watch with --delete deletes without a question each time.", hint="Add --yes, if so.")
    if delete and not dry_run:
        app.require_answer(yes=yes)
    how = workflow.SyncOptions(dry_run=dry_run, delete=delete, with_git=given["include_git"])
    with workflow.session(app, source, target, how) as session:
        if watch:
            output.info("Watching for changes. Ctrl-C ends it.")
            app.show(session.watch(lambda report: output.info(watch_line(report))))
            return
        app.show(session.run(lambda paths: dry_run or app.confirm(deletion_question(target, paths), yes=yes)))
