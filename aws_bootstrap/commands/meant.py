"""What a command line that the parser refuses was meant to be: other programs' words, and options in another place."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

import click

from ..invocation import PROGRAM
from .command import RemoteCommand

#: Other programs' words for the commands of this one. `{}` is replaced by the rest of the line.
_COMMANDS: dict[str, str] = {"help": f"{PROGRAM}{{}} --help", "version": f"{PROGRAM} --version"}
for _command, _words in {
    f"{PROGRAM} terminate{{}}": "delete destroy down end kill remove rm",
    f"{PROGRAM} stop{{}}": "halt pause poweroff shutdown suspend",
    f"{PROGRAM} start{{}}": "boot resume unpause wake",
    f"{PROGRAM} launch{{}}": "create new provision up",
    f"{PROGRAM} status{{}}": "instances ls show",
    f"{PROGRAM} volume ls{{}}": "disks snapshots volumes",
    f"{PROGRAM} costs{{}}": "bill billing cost spend",
    f"{PROGRAM} prices{{}}": "price pricing spot-prices",
    f"{PROGRAM} cleanup{{}}": "clean gc prune",
    f"{PROGRAM} setup{{}}": "bootstrap install",
    f"{PROGRAM} access{{}}": "allow firewall",
    f"{PROGRAM} cp{{}}": "copy download scp upload",
    f"{PROGRAM} forward{{}}": "port-forward ports tunnel",
    f"{PROGRAM} open code{{}}": "code vscode",
    f"{PROGRAM} open jupyter{{}}": "jupyter lab notebook",
    f"{PROGRAM} sync{{}}": "rsync",
    f"{PROGRAM} bake{{}}": "create-image snapshot",
    f"{PROGRAM} list amis{{}}": "amis images",
    f"{PROGRAM} list instance-types{{}}": "instance-types types",
    f"{PROGRAM} quota show{{}}": "limits quotas",
    f"{PROGRAM} ssh{{}}": "connect shell",
    "aws login{}": "login",
    "aws configure{}": "configure",
}.items():
    _COMMANDS.update(dict.fromkeys(_words.split(), _command))

#: The same below the groups.
_SUBCOMMANDS = {
    "image delete": f"{PROGRAM} image rm{{}}",
    "image list": f"{PROGRAM} image ls{{}}",
    "image remove": f"{PROGRAM} image rm{{}}",
    "config edit": f"{PROGRAM} config set --help",
    "config get": f"{PROGRAM} config show{{}}",
    "config list": f"{PROGRAM} config show{{}}",
    "list boxes": f"{PROGRAM} status{{}}",
    "list images": f"{PROGRAM} list amis{{}}",
    "list instances": f"{PROGRAM} status{{}}",
    "list types": f"{PROGRAM} list instance-types{{}}",
    "volume delete": f"{PROGRAM} volume rm{{}}",
    "volume list": f"{PROGRAM} volume ls{{}}",
    "volume new": f"{PROGRAM} volume create{{}}",
    "volume remove": f"{PROGRAM} volume rm{{}}",
    "volume resize": f"{PROGRAM} volume grow{{}}",
    "quota get": f"{PROGRAM} quota show{{}}",
    "quota increase": f"{PROGRAM} quota request{{}}",
    "quota list": f"{PROGRAM} quota show{{}}",
    "quota raise": f"{PROGRAM} quota request{{}}",
}

_NOTES = {
    "down": f"This deletes its disk. To keep an on-demand box: {PROGRAM} stop{{}}\n",
    "kill": (
        "This ends a box. To end a run only: "
        f"{PROGRAM} ssh ALIAS -- sudo systemctl stop aws-bootstrap-run-RUN.service\n"
    ),
}

#: Options of cp, scp and rsync that `cp` and `sync` need not: folders are copied whole.
_NEEDLESS = ("-r", "-R", "-a", "--recursive", "--archive")

#: The options that a word without one is meant for, by its form.
_FORMS = {
    "--ebs-volume-id": re.compile(r"vol-[0-9a-f]+"),
    "--region": re.compile(r"[a-z]{2}(-[a-z]+)+-\d"),
    "--instance-type": re.compile(r"[a-z][a-z0-9-]*\.[a-z0-9-]+"),
    "--prefix": re.compile(r"[a-z]+\d[a-z0-9.-]*"),
}

_EXTRA = re.compile(r"unexpected extra arguments? \((.*)\)")


def meant_by(error: click.UsageError, line: Sequence[str], root: click.Group) -> str | None:
    """Return what to say of a refused line whose meaning is known, the corrected line in it; None of any other."""
    if isinstance(error, click.exceptions.NoSuchCommand):
        return _other_word(error, line)
    if isinstance(error, click.exceptions.NoSuchOption):
        return _other_place(error, line, root) or _option_for_box(error, line) or _needless(error, line)
    return _after_dashes(error, line) or _as_option(error, line)


def _other_word(error: click.exceptions.NoSuchCommand, line: Sequence[str]) -> str | None:
    """Return the command of this program for another program's word."""
    name = error.command_name
    template = _COMMANDS.get(name)
    if error.ctx is not None and error.ctx.parent is not None:
        template = _SUBCOMMANDS.get(f"{error.ctx.info_name} {name}")
    if template is None:
        return None
    rest = [word for word in line if word not in (name, "--sandbox")]
    if _group(error) in rest:
        rest.remove(_group(error))
    program = _program(error, line)
    note, words = [_filled(text, rest, program) for text in (_NOTES.get(name, ""), template)]
    return note + _instead(words)


def _filled(template: str, rest: Sequence[str], program: str) -> str:
    """Return the template with the rest of the line, and with how its commands begin."""
    return template.replace("{}", _after_space(rest)).replace(PROGRAM, program)


def _other_place(error: click.exceptions.NoSuchOption, line: Sequence[str], root: click.Group) -> str | None:
    """Return the line with an option moved to its place: `--sandbox` to the front, others behind the command."""
    if error.option_name == "--sandbox":
        rest = [word for word in line if word != "--sandbox"]
        front = " --sandbox" if line.count("--sandbox") == 1 else ""
        return _instead(f"{PROGRAM}{front}{_after_space(rest)}")
    command, path, others = _divided(root, line)
    names = [name for param in command.params for name in (*param.opts, *param.secondary_opts)]
    if not path or error.option_name not in names:
        return None
    return _instead(_program(error, line) + _after_space([*path, *others]))


def _after_dashes(error: click.UsageError, line: Sequence[str]) -> str | None:
    """Return the line of `ssh ALIAS COMMAND` with `--` before the command: the words for a box begin there."""
    extra = _EXTRA.search(error.message)
    if extra is None or error.ctx is None or not isinstance(error.ctx.command, RemoteCommand):
        return None
    words = [word for word in line if word != "--sandbox"]
    place = words.index(extra[1].split()[0])
    return _instead(PROGRAM + _after_space([*words[:place], "--", *words[place:]]))


def _option_for_box(error: click.exceptions.NoSuchOption, line: Sequence[str]) -> str | None:
    """Return the line of `ssh ALIAS COMMAND -OPTION` with `--` before the command, which takes the option."""
    if error.ctx is None or not isinstance(error.ctx.command, RemoteCommand):
        return None
    command = error.ctx.command
    if any(param.nargs == -1 for param in command.params):
        return None  # each word may be a box
    words = [word for word in line if word != "--sandbox"]
    place = words.index(command.name or "") + 2
    alone = all(not word.startswith("-") for word in words[:place])
    if not alone or len(words) <= place or words[place].startswith("-"):
        return None
    return _instead(PROGRAM + _after_space([*words[:place], "--", *words[place:]]))


def _needless(error: click.exceptions.NoSuchOption, line: Sequence[str]) -> str | None:
    """Return the line of `cp` or `sync` without an option of other programs that says what they do anyway."""
    if error.ctx is None or error.ctx.command.name not in ("cp", "sync") or error.option_name not in _NEEDLESS:
        return None
    words = [word for word in line if word not in ("--sandbox", error.option_name)]
    return "Folders are copied whole, without an option.\n" + _instead(PROGRAM + _after_space(words))


def _as_option(error: click.UsageError, line: Sequence[str]) -> str | None:
    """Return the line with an option before each word of a known form for which the command has no argument."""
    extra = _EXTRA.search(error.message)
    if extra is None or error.ctx is None:
        return None
    names = [name for param in error.ctx.command.params for name in param.opts]
    corrected = [word for word in line if word != "--sandbox"]
    for word in extra[1].split():
        for option, form in _FORMS.items():
            if option in names and form.fullmatch(word):
                corrected.insert(corrected.index(word), option)
                break
        else:
            return None
    return _instead(PROGRAM + _after_space(corrected))


def _divided(root: click.Group, line: Sequence[str]) -> tuple[click.Command, list[str], list[str]]:
    """Return the command that the line names, the words that name it, and the others, without `--sandbox`."""
    command: click.Command = root
    path: list[str] = []
    others: list[str] = []
    for word in line:
        named = None
        if isinstance(command, click.Group):
            named = command.get_command(click.Context(command), word)
        if named is not None:
            command = named
            path.append(word)
        elif word != "--sandbox":
            others.append(word)
    return command, path, others


def _group(error: click.UsageError) -> str:
    """Return the name of the group that refused the word, `list` or `quota`."""
    if error.ctx is None or error.ctx.parent is None:
        return ""
    return str(error.ctx.info_name)


def _program(error: click.UsageError, line: Sequence[str]) -> str:
    """Return how the corrected line begins. The mark has `--sandbox` itself once the root command has run."""
    if "--sandbox" in line and error.ctx is not None and error.ctx.parent is None:
        return f"{PROGRAM} --sandbox"
    return PROGRAM


def _after_space(words: Sequence[str]) -> str:
    """Return the words as a shell reads them, after a space; nothing for no words."""
    if not words:
        return ""
    return f" {shlex.join(words)}"


def _instead(words: str) -> str:
    return f"Run instead: {words}"
