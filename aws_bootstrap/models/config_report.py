"""Results of `config`."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Result, optional, private
from .facts import RegionFailure

#: A value as TOML has it. Null: the program decides when it runs.
Value = bool | int | float | str | tuple[str, ...] | None


@dataclass(frozen=True)
class ConfigFile:
    """A place where a config file may be."""

    #: `user` or `project`.
    scope: str
    path: str
    #: `used`, `missing` or `ignored`.
    state: str
    #: Why it is ignored.
    reason: str | None = optional()


@dataclass(frozen=True)
class ConfigValue:
    """A value in force, or of a preset."""

    #: The table and the name of the option, such as `launch.ttl`.
    key: str
    value: Value
    #: `option`, `preset`, `environment`, `project-file`, `user-file` or `default`.
    origin: str
    #: The variable, the file with its line, or the preset.
    source: str | None = None


@dataclass(frozen=True)
class ConfigReport(Result):
    """The values in force, each with its origin."""

    files: tuple[ConfigFile, ...]
    values: tuple[ConfigValue, ...]
    #: The names of the presets.
    presets: tuple[str, ...]
    regions_failed: tuple[RegionFailure, ...] = ()
    #: Whether values that nobody set are among them.
    is_whole: bool = private(False)


@dataclass(frozen=True)
class ConfigChange(Result):
    """A config file that was written."""

    path: str
    #: `user` or `project`.
    scope: str
    created: bool
    #: Null where the file was only created.
    key: str | None = None
    value: Value = None
    #: The value before; null if there was none.
    previous: Value = None
    #: Of a project file: whether it is trusted now. Null for the user's file.
    trusted: bool | None = None
    regions_failed: tuple[RegionFailure, ...] = ()


@dataclass(frozen=True)
class ConfigTrust(Result):
    """A project file, and whether it is trusted."""

    path: str
    sha256: str
    trusted: bool
    #: Its keys with their values, as they were shown.
    values: tuple[ConfigValue, ...]
    regions_failed: tuple[RegionFailure, ...] = ()
