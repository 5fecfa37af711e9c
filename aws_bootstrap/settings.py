"""The config files that are in force: the user's, and that of the current folder if the user trusts it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import UsageError
from .invocation import PROGRAM
from .settings_file import SettingsFile, content_of, parsed

if TYPE_CHECKING:
    from .paths import Paths


class Caution(NamedTuple):
    """What to warn of."""

    #: A word of docs/errors.md.
    code: str
    message: str


@dataclass
class Settings:
    """The config files of one run."""

    user: SettingsFile | None = None
    project: SettingsFile | None = None
    #: Why the project file is ignored; empty where it is used, or where there is none.
    ignored: str = ""
    #: What to warn of. Whoever shows them empties the list.
    notices: list[Caution] = field(default_factory=list)
    #: Whether the names of tables and the project's banned keys were checked.
    is_checked: bool = False
    #: What was found for each table so far, so that a warning comes once.
    found: dict[tuple[str, ...], Any] = field(default_factory=dict)

    def files(self) -> tuple[SettingsFile, ...]:
        """Return the files, the one whose values prevail last."""
        return tuple(file for file in (self.user, self.project) if file is not None)


def load(paths: Paths) -> Settings:
    """Return the config files in force. UsageError if the user's file, or a trusted one, cannot be used."""
    settings = Settings(user=user_file(paths))
    path = paths.project_config
    if path is not None and not _is_users(path, settings):
        _add_project(settings, path, paths)
    return settings


def user_file(paths: Paths) -> SettingsFile | None:
    """Return the user's file; None if there is none. UsageError if it cannot be read."""
    path = paths.user_config
    if path is None:
        return None
    try:
        content = content_of(path, is_private=True)
    except OSError as exc:
        raise unusable(path, exc) from exc
    if content is None:
        return None
    return parsed(path, content, is_project=False)


def unusable(path: str, cause: OSError) -> UsageError:
    """Return the error for a config file that cannot be read."""
    hint = "Fix the file, or choose another one: export AWS_BOOTSTRAP_CONFIG=…"
    return UsageError(f"{path} cannot be used: {cause.strerror or cause}.", hint=hint, code="config")


def _is_users(path: str, settings: Settings) -> bool:
    """Return whether the user's own file is the one in the current folder."""
    if settings.user is None:
        return False
    try:
        return os.path.samefile(path, settings.user.path)
    except OSError:
        return False


def _add_project(settings: Settings, path: str, paths: Paths) -> None:
    """Add the project file, if it exists and is trusted; else the warning that it is ignored."""
    try:
        content = content_of(path, is_private=False)
    except OSError as exc:
        _ignore(settings, f"it cannot be read: {exc.strerror or exc}", path)
        return
    if content is None:
        return
    from .trust import is_trusted

    if not is_trusted(paths.home, path, content):
        help_line = f"To see its keys and trust it, run: {PROGRAM} config trust"
        _ignore(settings, "it is not trusted, or has changed since", path, help_line)
        return
    settings.project = parsed(path, content, is_project=True)


def _ignore(settings: Settings, reason: str, path: str, help_line: str = "") -> None:
    settings.ignored = reason
    sentence = f"{path} is ignored: {reason}. {help_line}".strip()
    settings.notices.append(Caution(code="untrusted-config", message=sentence))
