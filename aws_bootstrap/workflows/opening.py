"""Open a box's JupyterLab in the browser, or a folder of the box in an editor of this machine.

Jupyter's token reaches the browser by a file for its owner alone. No command line, document or log has it.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .. import output, ssh_tunnel
from ..errors import BootstrapError
from ..files import ensure_private_folder
from ..invocation import PROGRAM
from ..models import ForwardedPort, OpenReport
from ..models.tunnel import JUPYTER_LINK, JUPYTER_PORT
from ..sshconfig import Host
from .forward import Tunnel, bare_command, tunnel

if TYPE_CHECKING:
    from ..app import App

#: The editors, and where to get each.
EDITORS = {
    "code": "https://code.visualstudio.com; then run in it: Shell Command: Install 'code' command in PATH",
    "cursor": "https://cursor.com; then run in it: Shell Command: Install 'cursor' command",
    "zed": "https://zed.dev; then run in it: cli: install cli binary",
}
_TOKEN = re.compile(r"[?&]token=([A-Za-z0-9_-]+)")
#: Folders for the file; the number is that of the process that removes it.
_FOLDER = re.compile(r"open-([0-9]+)-.*")
_PAGE = """<!doctype html>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={url}">
<title>JupyterLab</title>
<p>The token is on its way. <a href="{url}">Go on by hand</a> if nothing happens.
"""


# --- Jupyter ---------------------------------------------------------------------------------------------


@contextmanager
def jupyter(app: App, host: Host) -> Iterator[tuple[Tunnel, OpenReport]]:
    """Yield an open tunnel to the box's JupyterLab, and the report with the file that leads a browser there.

    BootstrapError `no-jupyter` if the box has none.
    """
    with tunnel(app, host, [ForwardedPort(JUPYTER_PORT, JUPYTER_PORT)]) as opened, _folder(app) as folder:
        token = _token(opened)
        if token:
            app.hidden.append(token)
        url = f"http://127.0.0.1:{opened.ports[0].local_port}/lab"
        link = _link_file(folder, f"{url}?token={token}" if token else url)
        yield opened, _report(host, opened.ports[0], url=url, link=link.as_uri())


def jupyter_command(host: Host) -> OpenReport:
    """Return the report with the bare command of the tunnel; nothing is opened."""
    port = ForwardedPort(JUPYTER_PORT, JUPYTER_PORT)
    return _report(host, port, url=f"http://127.0.0.1:{JUPYTER_PORT}/lab", printed=True)


def show_page(app: App, link: str) -> None:
    """Open the file in the browser, if somebody is at a terminal. A machine without a display has none to open."""
    if not app.console.is_text or not app.console.is_interactive() or not _has_display():
        return
    import webbrowser

    if not webbrowser.open(link):
        output.info("No browser was found. Open the link by hand.")


def _has_display() -> bool:
    """Return whether a browser can show a window: one in the terminal would take it from this command."""
    named = ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")
    return sys.platform == "darwin" or any(os.environ.get(name) for name in named)


def _report(host: Host, port: ForwardedPort, *, url: str, link: str | None = None, printed: bool = False) -> OpenReport:
    return OpenReport(
        program="jupyter",
        instance_id=host.instance_id,
        ssh_alias=host.alias,
        region=host.region,
        url=url,
        link=link,
        command=bare_command(host, [port]),
        printed=printed,
    )


def _token(opened: Tunnel) -> str | None:
    """Return Jupyter's token, read from the box; None if it needs none."""
    code, answer, _ = opened.connection.run(f"./{JUPYTER_LINK}")
    if code:
        alias = opened.host.alias
        raise BootstrapError(
            f"{alias} has no JupyterLab: its setup is not complete.",
            hint=f"Complete it: {PROGRAM} setup {alias}",
            code="no-jupyter",
        )
    found = _TOKEN.search(answer.decode(errors="replace"))
    if found is None:
        return None
    return found[1]


@contextmanager
def _folder(app: App) -> Iterator[Path]:
    """Yield a folder for this user alone, and remove it; also those of processes that were killed."""
    home = app.paths.home
    ensure_private_folder(home)
    for left in home.iterdir():
        named = _FOLDER.fullmatch(left.name)
        if named and not _is_running(int(named[1])):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"open-{os.getpid()}-", dir=home, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _is_running(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    return True


def _link_file(folder: Path, url: str) -> Path:
    """Write the page that leads to the address; only its owner can read it, from the first byte on."""
    path = folder / "jupyter.html"
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as page:
        page.write(_PAGE.format(url=url))
    return path


# --- editors ---------------------------------------------------------------------------------------------


def editor(app: App, program: str, host: Host, path: str | None, *, printed: bool) -> OpenReport:
    """Open a folder of the box in the editor, or with `printed` only return its command.

    BootstrapError `no-editor` if it is not installed here.
    """
    folder = path or f"/home/{host.user}/workspace"
    if not folder.startswith("/"):
        folder = f"/home/{host.user}/{folder.removeprefix('~/')}"
    command: tuple[str, ...] = (program, "--remote", f"ssh-remote+{host.alias}", folder)
    if program == "zed":
        command = (program, f"ssh://{host.alias}{folder}")
    if app.paths.ssh_flags:
        output.warn(
            f"{program} reads ~/.ssh/config, and {host.alias} is in {app.paths.ssh_config_name}. "
            f"Name that file in the editor's settings, or include it in ~/.ssh/config.",
            code="editor-config",
        )
    if not printed:
        _start(program, command)
    return OpenReport(
        program=program,
        instance_id=host.instance_id,
        ssh_alias=host.alias,
        region=host.region,
        url=None,
        link=None,
        command=command,
        printed=printed,
    )


def _start(program: str, command: tuple[str, ...]) -> None:
    if not shutil.which(program):
        raise BootstrapError(
            f"{program} is not installed, or its command is not on the PATH.",
            hint=f"Get it: {EDITORS[program]}",
            code="no-editor",
        )
    ssh_tunnel.start(command)
