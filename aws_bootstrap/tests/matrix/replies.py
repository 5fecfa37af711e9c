"""What the program reads of AWS's replies, and replies that lack a field: by botocore's own events.

A path names a field of a reply as botocore's shapes do: `Reservations[].Instances[].LaunchTime`.
"""

from __future__ import annotations

import json
from typing import Any


class ReadLog:
    """The fields that were read of each action's replies."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self.read: dict[str, set[str]] = {}

    def note(self, action: str, path: str) -> None:
        """Keep that a field was read."""
        self.read.setdefault(action, set()).add(path)

    def write(self) -> None:
        """Put what was read into the file that was asked for."""
        if self._path:
            known = {action: sorted(paths) for action, paths in self.read.items()}
            with open(self._path, "w") as file:
                json.dump(known, file)


class Watched(dict):
    """A structure of a reply that keeps which of its members are read."""

    def __init__(self, members: dict[str, Any], log: ReadLog, action: str, path: str) -> None:
        super().__init__({name: _watched(value, log, action, f"{path}.{name}") for name, value in members.items()})
        self._log, self._action, self._at = log, action, path

    def _note(self, name: str) -> None:
        self._log.note(self._action, f"{self._at}.{name}")

    def __getitem__(self, name: str) -> Any:
        self._note(name)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self._note(str(name))
        return super().__contains__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """As a dictionary's."""
        self._note(name)
        return super().get(name, default)


def _watched(value: Any, log: ReadLog, action: str, path: str) -> Any:
    if isinstance(value, dict):
        return Watched(value, log, action, path)
    if isinstance(value, list):
        return [_watched(item, log, action, f"{path}[]") for item in value]
    return value


def watch(clients: list[Any], record: str | None, drop: dict[str, str] | None) -> ReadLog:
    """Have the clients' replies watched, or lack a field: `drop` has `action`, `region` and `path`."""
    log = ReadLog(record)
    for client in clients:
        if record:
            client.meta.events.register_last("after-call.*.*", _recorder(log))
        if drop and client.meta.region_name == drop["region"]:
            client.meta.events.register_last(f"after-call.*.{drop['action']}", _dropper(drop["path"]))
    return log


def _recorder(log: ReadLog) -> Any:
    def record(model: Any, parsed: dict[str, Any], **_: Any) -> None:
        for name, value in list(parsed.items()):
            if name != "ResponseMetadata":
                log.note(model.name, name)
                parsed[name] = _watched(value, log, model.name, name)

    return record


def _dropper(path: str) -> Any:
    steps = path.split(".")

    def drop(parsed: dict[str, Any], **_: Any) -> None:
        if "Error" not in parsed:
            _without(parsed, steps)

    return drop


def _without(value: Any, steps: list[str]) -> None:
    """Take the field that these steps lead to out of a reply, from every item of the lists on the way."""
    name, is_list = steps[0].removesuffix("[]"), steps[0].endswith("[]")
    if len(steps) == 1 and not is_list:
        value.pop(name, None)
        return
    inner = value.get(name)
    for item in inner if isinstance(inner, list) else [inner]:
        if isinstance(item, dict) and len(steps) > 1:
            _without(item, steps[1:])
