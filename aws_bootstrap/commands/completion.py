"""`completion`: the script by which a shell completes the commands."""

from __future__ import annotations

import click

from ..app import App
from .command import PlainCommand

#: Where the script for zsh registers its function, and what it needs there: a bare zsh has no compdef.
_REGISTERED = "    compdef "
_LOAD_COMPLETION = "    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }\n"


@click.command(cls=PlainCommand)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a shell completion script.

    It completes commands, options and aliases.

    \b
    Examples:
      echo 'eval "$(aws-bootstrap completion bash)"' >> ~/.bashrc
      echo 'eval "$(aws-bootstrap completion zsh)"' >> ~/.zshrc
      aws-bootstrap completion fish | source
    """
    from click.shell_completion import get_completion_class

    from ..models import CompletionScript

    completion = get_completion_class(shell)
    assert completion  # noqa: S101 (the option's choices are the shells that Click has)
    script = completion(ctx.find_root().command, {}, "aws-bootstrap", "_AWS_BOOTSTRAP_COMPLETE").source()
    script = script.replace(_REGISTERED, f"{_LOAD_COMPLETION}{_REGISTERED}")
    ctx.ensure_object(App).show(CompletionScript(shell, script.strip()))
