"""JupyterLab's page in a real browser, through the tunnels of `open jupyter`; the smoke test is run on the page.

Run by .ci/box, as root. The box is set up as in linux_setup.py. The PyTorch of that setup is a stand-in; here the real
one for the CPU takes its place, because a box of these tests has no GPU. `.ci/box --picture` (BOX_PICTURE=FILE) writes
what the page shows in the end to docs/jupyter.png.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aws_bootstrap.tests.box.browser import Page, browser
from aws_bootstrap.tests.box.client import Client, client_of
from aws_bootstrap.tests.box.machines import Container, Network, until

NOTEBOOK = "gpu_smoke_test.ipynb"
CODE_CELLS = 7
#: All of the notebook is seen at once: JupyterLab keeps only cells near the visible ones on its page.
WHOLE = (1280, 6000)
PICTURE = (1200, 1000)

FILES = f"document.querySelector('.jp-DirListing')?.innerText.includes('{NOTEBOOK}')"
#: Whether the kernel of the one notebook runs and the page is connected to it.
CONNECTED = """fetch('/api/sessions').then((answer) => answer.json()).then((sessions) => sessions.some(
    ({kernel}) => kernel.execution_state === 'idle' && kernel.connections > 0))"""
IDLE = "document.querySelector('.jp-Notebook-ExecutionIndicator').dataset.status === 'idle'"
#: The numbers beside the code cells: `[ ]:` before a run, `[*]:` while it waits, `[3]:` after it.
NUMBERS = "[...document.querySelectorAll('.jp-Notebook .jp-CodeCell .jp-InputPrompt')].map((at) => at.innerText)"
#: Of each code cell: what it has printed, how many pictures, and whether with errors or warnings.
OUTPUTS = """[...document.querySelectorAll('.jp-Notebook .jp-CodeCell .jp-Cell-outputWrapper')].map((cell) => [
    cell.innerText, cell.querySelectorAll('img').length,
    cell.querySelectorAll('[data-mime-type="application/vnd.jupyter.stderr"], [data-mime-type$=".error"]').length])"""
#: How far the notebook's last output is below its place at the bottom of the window; half a window if it is not near.
DISTANCE = """(() => {
    const outputs = [...document.querySelectorAll('.jp-Notebook .jp-OutputArea-output')];
    const last = outputs.find((output) => output.innerText.startsWith('Everything ran'));
    return last ? last.getBoundingClientRect().bottom - (innerHeight - 70) : innerHeight / 2;
})()"""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    network = Network(Path(os.environ["AWS_BOOTSTRAP_BOX_CACHE"]), tmp_path_factory.mktemp("browser"))
    yield network
    network.close()


@pytest.fixture(scope="module")
def box(network: Network) -> Iterator[Container]:
    box = Container(network, 31).start()
    yield box
    box.cut_power()


@pytest.fixture(scope="module")
def client(box: Container) -> Client:
    """A user's machine whose box has been set up and has a PyTorch that computes."""
    client = client_of(box)
    assert client.set_up().setup == "completed"
    shutil.copytree(box.network.cache / "torch", box.path("srv/wheels"))
    install = "~/.local/bin/uv pip install -q --python ~/venv --no-index --find-links /srv/wheels"
    box.says(f"{install} --reinstall-package torch torch")
    return client


@pytest.fixture
def page(box: Container, tmp_path: Path) -> Iterator[Page]:
    """A browser on the user's machine, which has no way to the box but the tunnel."""
    with browser(tmp_path, *box.network.inside) as page:
        page.resize(*WHOLE)
        yield page


def program(client: Client, *words: str) -> subprocess.Popen[str]:
    """Start aws-bootstrap on the user's machine."""
    settings = {
        "AWS_BOOTSTRAP_CONFIG": "",
        "AWS_BOOTSTRAP_HOME": str(client.paths.home),
        "AWS_BOOTSTRAP_SSH_CONFIG": str(client.paths.ssh_config),
    }
    command = [*client.box.network.inside, sys.executable, "-m", "aws_bootstrap", *words]
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env={**os.environ, **settings}
    )


def printed_commands(client: Client) -> dict[str, list[str]]:
    """Return the commands that `open jupyter --print` shows, by their titles."""
    with program(client, "open", "jupyter", client.alias, "--print") as printing:
        shown = printing.communicate(timeout=60)[0]
    assert printing.returncode == 0
    lines = [line.split(maxsplit=1) for line in shown.splitlines()]
    return {words[0]: shlex.split(words[1]) for words in lines if len(words) == 2}


def link_of(client: Client, command: list[str]) -> str:
    """Return the page's address with its token, as the printed command says it."""
    words = [*client.box.network.inside, *command]
    return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout.strip()


@contextlib.contextmanager
def running(client: Client, command: list[str]) -> Iterator[None]:
    """Have a command run on the user's machine while the block lasts."""
    with subprocess.Popen([*client.box.network.inside, *command], stdin=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def answers(client: Client) -> bool:
    """Whether somebody listens at the user's end of the tunnel."""
    ask = ("curl", "-s", "-m", "5", "-o", "/dev/null", "http://127.0.0.1:8888/api")
    return subprocess.run([*client.box.network.inside, *ask], check=False).returncode == 0


def open_notebook(page: Page) -> None:
    """Open the smoke test by the list of files, and wait for its kernel."""
    page.click(".Toastify__toast button", "No")  # news of the Jupyter project
    page.wait("!document.querySelector('.Toastify__toast')", "the question is gone")
    page.click(".jp-DirListing-itemText", NOTEBOOK, times=2)
    page.wait(CONNECTED, "kernel")
    page.wait(IDLE, "the page knows that the kernel is idle")


def run_all(page: Page) -> list[tuple[str, int, int]]:
    """Choose Run, Run All Cells; what each code cell shows after the last has ended."""
    page.click(".lm-MenuBar-itemLabel", "Run")
    page.click(".lm-Menu-itemLabel", "Run All Cells")
    numbers = [f"[{number}]:" for number in range(1, CODE_CELLS + 1)]
    page.wait(f"JSON.stringify({NUMBERS}) === JSON.stringify({numbers})", "all cells have run", 300)
    page.wait(IDLE, "idle again")
    outputs = page.value(OUTPUTS)
    assert isinstance(outputs, list)
    return [tuple(output) for output in outputs]


def shows(page: Page, secret: str) -> bool:
    """Whether a word is anywhere on the page, or in its address."""
    return secret in page.text() or secret in str(page.value("location.href + document.title"))


def picture_of_the_end(page: Page) -> bytes:
    """Scroll to the end of the notebook in a window of a usual size; what is seen there."""
    page.resize(*PICTURE)
    until(lambda: is_at_the_end(page), "the end of the notebook is in sight")
    return page.picture()


def is_at_the_end(page: Page) -> bool:
    """Whether the last output stays at the bottom of the window; else scroll there."""
    distance = page.value(f"new Promise((done) => setTimeout(() => done({DISTANCE}), 200))")
    assert isinstance(distance, int | float)
    if abs(distance) > 5:
        page.scroll(distance)
    return abs(distance) <= 5


def test_the_smoke_test_runs_on_jupyter_s_page_through_the_printed_tunnel(client, page):
    commands = printed_commands(client)
    with running(client, commands["Tunnel"]):
        until(lambda: answers(client), "tunnel")
        link = link_of(client, commands["Link"])
        token = link.partition("?token=")[2]
        assert len(token) == 48
        page.show(link)
        open_notebook(page)
        outputs = run_all(page)
        assert not shows(page, token)
        picture = picture_of_the_end(page)
    versions, smi, precisions, *_, last = [text for text, _, _ in outputs]
    assert re.search(r"PyTorch 2\.\S+ built for CUDA None", versions)
    assert "none: this build of PyTorch is for the CPU alone. Everything below runs on the CPU." in versions
    assert "NVIDIA-SMI" in smi
    assert precisions.count(": right") == 3
    assert [pictures for _, pictures, _ in outputs] == [0, 0, 0, 1, 1, 1, 0]
    assert [errors for _, _, errors in outputs] == [0] * CODE_CELLS
    assert "Everything ran on the CPU: this build of PyTorch is for the CPU alone." in last
    assert len(picture) < 300_000
    if os.environ.get("BOX_PICTURE"):
        Path(os.environ["BOX_PICTURE"]).write_bytes(picture)


def test_the_file_of_open_jupyter_leads_the_browser_to_the_page(client, page):
    token = link_of(client, printed_commands(client)["Link"]).partition("?token=")[2]
    with program(client, "open", "jupyter", client.alias) as opened:
        assert opened.stdout
        shown = ""
        while not (link := re.search(r"file://\S+", shown)):
            line = opened.stdout.readline()
            assert line, f"it ended: {shown}"
            shown += line
        page.show(link[0])
        page.wait(FILES, "list of files")
        assert str(page.value("location.href")).startswith("http://127.0.0.1:8888/lab")
        assert not shows(page, token)
        opened.send_signal(signal.SIGINT)
        shown += opened.stdout.read()
    assert token
    assert token not in shown
    assert not Path(link[0].removeprefix("file://")).exists()
