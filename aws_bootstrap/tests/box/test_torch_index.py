"""The choice of PyTorch with the real uv, against wheel indexes with holes: what its exit status and words really are.

The stand-in of the other tests says what uv is believed to say. Here uv resolves and installs tiny wheels from a server
on loopback, in a venv of this Python.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from aws_bootstrap.tests.box.mirrors import index, make_wheel
from aws_bootstrap.tests.box.standins import FakeBox

ROOT = Path(__file__).parents[3]
HERE = f"cp{sys.version_info.major}{sys.version_info.minor}-none-any"
OTHER = "cp39-none-any"
"""Wheels for this Python, and for one that the box does not have."""


class Files(SimpleHTTPRequestHandler):
    """The files of a folder. A folder with a file `status` answers every request with that."""

    def do_GET(self) -> None:
        folder = Path(self.translate_path(self.path))
        for place in (folder, *folder.parents):
            if (place / "status").is_file():
                self.send_error(int((place / "status").read_text()))
                return
        super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


def real_uv() -> str | None:
    """uv itself; a shim of a version manager needs the user's home."""
    for candidate in (os.environ.get("UV"), str(ROOT / ".uv/bin/uv"), shutil.which("uv")):
        if candidate and os.access(candidate, os.X_OK):
            elsewhere = {"HOME": "/nonexistent", "PATH": "/usr/bin:/bin"}
            done = subprocess.run([candidate, "--version"], env=elsewhere, cwd="/", capture_output=True, check=False)
            if done.returncode == 0:
                return candidate
    return None


class Indexes:
    """PyTorch's wheel indexes and the default one, in a folder that is served."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.add("simple", "torch", "2.8.0")
        self.add("simple", "torchvision", "0.23.0", needs="torch==2.8.0")
        self.add("simple", "sympy", "1.13")

    def add(self, place: str, name: str, version: str, tag: str = HERE, needs: str = "") -> None:
        """Add a wheel: to `simple`, or to the index of a tag such as `cu128`, with that tag in its version."""
        folder, where = self.folder / "simple", "/simple"
        if place != "simple":
            folder, where = self.folder / "whl" / place, f"/whl/{place}"
            version += f"+{place}"
        make_wheel(folder, name, version, tag, "", needs)
        index(folder, sorted(folder.glob("*.whl")), where)

    def fill(self, cuda: str, version: str = "2.9.0", tag: str = HERE, needs: str = "sympy") -> None:
        """Add torch and torchvision to the index of a tag."""
        self.add(cuda, "torch", version, tag, needs)
        self.add(cuda, "torchvision", f"0.{version}", tag, needs=f"torch=={version}")

    def answer(self, place: str, status: int) -> None:
        """Answer every request below a place with this status."""
        (self.folder / place).mkdir(parents=True, exist_ok=True)
        (self.folder / place / "status").write_text(str(status))


@pytest.fixture
def indexes(tmp_path: Path) -> Iterator[Indexes]:
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Files, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield Indexes(folder, f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def box(tmp_path: Path, indexes: Indexes) -> FakeBox:
    """A box with the real uv and an empty venv. Its PyTorch index is the one that is served."""
    uv = real_uv()
    if uv is None:
        pytest.skip("there is no uv on this machine")
    box = FakeBox(tmp_path / "box")
    (box.home / ".local" / "bin").mkdir(parents=True)
    (box.home / ".local" / "bin" / "uv").symlink_to(uv)
    (box.bin / "curl").unlink()  # the real one
    lib = box.folder / "setup.d" / "lib.sh"
    address = "https://download.pytorch.org/whl"
    assert address in lib.read_text()
    lib.write_text(lib.read_text().replace(address, f"{indexes.url}/whl"))
    venv = [uv, "venv", "-q", "--no-project", "--python", sys.executable, str(box.home / "venv")]
    subprocess.run(venv, env=box.environment(), cwd=box.home, check=True)
    state = box.home / ".aws-bootstrap" / "state"
    state.mkdir(parents=True)
    (state / "gpu").write_text("state works\ntoolkit 13.0\ndriver 13.0\narch sm_75\n")
    return box


def pytorch(box: FakeBox, indexes: Indexes, tags: str = "126 128 129 130") -> tuple[int, list[str], str]:
    """Run the step; its status, its report, and what it printed."""
    done, report = box.step(
        "pytorch",
        KNOWN_CUDA_TAGS_LIST=tags,
        UV_DEFAULT_INDEX=f"{indexes.url}/simple",
        UV_CACHE_DIR=str(box.home / "cache"),
        UV_NO_CONFIG="1",
        UV_HTTP_RETRIES="0",
        UV_PYTHON_DOWNLOADS="never",
    )
    return done.returncode, report, done.stdout + done.stderr


def installed(box: FakeBox) -> dict[str, str]:
    """The versions in the venv."""
    found = (box.home / "venv").glob("lib/python*/site-packages/*.dist-info")
    return {about.name.split("-")[0]: about.name.removesuffix(".dist-info").split("-")[1] for about in found}


def test_newest_indexes_with_holes_give_way_to_a_full_one(box, indexes):
    """cu130 has wheels for another Python alone, cu129 no torchvision for this one, cu128 no page at all."""
    indexes.fill("cu130", "2.11.0", tag=OTHER)
    indexes.add("cu129", "torch", "2.10.0", needs="sympy")
    indexes.add("cu129", "torchvision", "0.25.0", OTHER, needs="torch==2.10.0")
    indexes.fill("cu126")
    status, report, shown = pytorch(box, indexes)
    assert (status, report) == (0, ["fact torch 2.9.0+cu126", "fact cuda_tag cu126", "changed", "note cu126"]), shown
    assert installed(box) == {"torch": "2.9.0+cu126", "torchvision": "0.2.9.0+cu126", "sympy": "1.13"}
    for tag in ("cu130", "cu129", "cu128"):
        assert f"{tag}: no wheels for this Python, or a dependency is not available" in shown
    again = pytorch(box, indexes)
    assert again[:2] == (0, ["fact torch 2.9.0+cu126", "fact cuda_tag cu126"])


def test_a_dependency_that_the_default_index_lacks_leaves_the_version_before(box, indexes):
    indexes.fill("cu130", "2.9.0")
    indexes.fill("cu130", "2.10.0", needs="nowhere")
    status, report, shown = pytorch(box, indexes)
    assert status == 0, shown
    assert installed(box)["torch"] == "2.9.0+cu130"
    warning = (
        "torch 2.10.0+cu130 is the newest for cu130, but its dependencies are not available: installed 2.9.0+cu130"
    )
    assert f"warning {warning}" in report


def test_where_every_index_has_a_hole_the_default_build_is_installed_with_a_warning(box, indexes):
    indexes.fill("cu130", tag=OTHER)
    status, report, shown = pytorch(box, indexes, tags="130")
    assert status == 0, shown
    assert installed(box) == {"torch": "2.8.0", "torchvision": "0.23.0"}
    python = ".".join(str(part) for part in sys.version_info[:3])
    assert f"warning no PyTorch wheels for CUDA 13.0 and Python {python}: installed the default build" in report


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("whl/cu130", "the PyTorch wheel index does not answer: {url}/whl/cu130"),
        ("simple", "the package index does not answer for PyTorch's dependencies"),
    ],
)
def test_an_index_that_fails_is_no_index_with_a_hole(box, indexes, place, says):
    """uv's status differs, and the step relies on that: an older PyTorch for a bad minute would stay for ever."""
    indexes.fill("cu130")
    indexes.fill("cu129")
    indexes.answer(place, 503)
    status, report, shown = pytorch(box, indexes)
    assert (status, report) == (1, [f"error {says.format(url=indexes.url)}"]), shown
    assert installed(box) == {}
