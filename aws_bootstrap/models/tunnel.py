"""The results of `forward` and `open`."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Result, private
from .facts import RegionFailure

#: Of JupyterLab on a box, and the program there that prints its address with the token: a path, for every shell.
JUPYTER_PORT = 8888
JUPYTER_LINK = ".aws-bootstrap/jupyter-link"


@dataclass(frozen=True)
class ForwardedPort:
    """A port of this machine's loopback that leads to the box."""

    local_port: int
    remote_port: int


@dataclass(frozen=True)
class ForwardReport(Result):
    """The ports that lead to a box for as long as the command runs."""

    instance_id: str
    ssh_alias: str
    region: str | None
    ports: tuple[ForwardedPort, ...]
    #: The bare command that does the same, as words.
    command: tuple[str, ...]
    regions_failed: tuple[RegionFailure, ...] = ()
    #: Whether the command alone is requested.
    printed: bool = private(False)


@dataclass(frozen=True)
class OpenReport(Result):
    """What `open` shows of a box, and how."""

    #: `jupyter`, `code`, `cursor` or `zed`.
    program: str
    instance_id: str
    ssh_alias: str
    region: str | None
    #: The page, without its token; null for an editor.
    url: str | None
    #: The address of a file of this machine, for its owner alone, that leads a browser to the page with its token.
    #: Null with --print and for an editor.
    link: str | None
    #: The editor's command, or the bare command of the tunnel, as words.
    command: tuple[str, ...]
    regions_failed: tuple[RegionFailure, ...] = ()
    #: Whether the command alone is requested.
    printed: bool = private(False)
