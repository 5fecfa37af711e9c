"""What a box fetches during its setup, served on its bridge under the real names: Debian packages, wheels, uv.

    python mirrors.py certify FOLDER                 make a certificate authority and the mirror's certificate
    python mirrors.py fill FOLDER ROOTFS PYTHON      fetch packages by the host's apt and by PYTHON's pip
    python mirrors.py serve FOLDER ADDRESS LOG       serve until ended: HTTP on 8000, HTTPS on 443

The torch wheels are stand-ins with real names, tags and metadata: cu130 is unknown, cu129 has none for this Python,
cu128 has them. Every request is a line in LOG.
"""

from __future__ import annotations

import functools
import html
import re
import shutil
import ssl
import subprocess
import sys
import threading
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from aws_bootstrap.tests.box.standins import RESOURCES, TORCH

NAMES = ("astral.sh", "download.pytorch.org", "packages.box.test")
INSTALLER = """#!/bin/sh
set -eu
mkdir -p "$HOME/.local/bin"
curl -LsSf https://packages.box.test/uv -o "$HOME/.local/bin/uv.new"
chmod 755 "$HOME/.local/bin/uv.new"
mv "$HOME/.local/bin/uv.new" "$HOME/.local/bin/uv"
"""


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command; its output."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def certify(folder: Path) -> None:
    """Make ca.pem, which the boxes trust, and the mirror's own key and certificate."""
    folder.mkdir(parents=True, exist_ok=True)
    days, key = ("-days", "3650"), ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run(
        "openssl",
        "req",
        "-x509",
        *key,
        *days,
        "-subj",
        "/CN=box test",
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        cwd=folder,
    )
    names = ",".join(f"DNS:{name}" for name in NAMES)
    extensions = ("-addext", f"subjectAltName={names}", "-addext", "basicConstraints=CA:FALSE")
    request = ("openssl", "req", "-x509", *key, *days, "-subj", "/CN=mirror", "-CA", "ca.pem", "-CAkey", "ca.key")
    run(*request, *extensions, "-keyout", "mirror.key", "-out", "mirror.pem", cwd=folder)


def fill_debs(folder: Path, rootfs: Path) -> None:
    """Fetch the packages that the utilities step installs, with all they need on that root file system."""
    step = (RESOURCES / "setup.d" / "20-utilities.sh").read_text()
    found = re.search(r"^APT_PACKAGES=\((.*)\)", step, re.MULTILINE)
    assert found
    (folder / "partial").mkdir(parents=True)
    state = (f"Dir::State::status={rootfs}/var/lib/dpkg/status", f"Dir::Cache::archives={folder}", "Debug::NoLocking=1")
    options = [part for option in state for part in ("-o", option)]
    for name in names_after(r"^TOOLS=\((.*)\)", "setup.d/25-tools.sh"):
        make_deb(folder, name)
    fetch = ("apt-get", "-y", "-q", *options, "--no-install-recommends", "--download-only", "install")
    run(*fetch, *found[1].split())
    (folder / "Packages").write_text(run("dpkg-scanpackages", "--multiversion", ".", cwd=folder))


def names_after(pattern: str, resource: str) -> list[str]:
    """Return the words that a pattern captures in the lines of a file of the resources."""
    found = re.findall(pattern, (RESOURCES / resource).read_text(), re.MULTILINE)
    return [word for line in found for word in line.split()]


def make_deb(folder: Path, name: str) -> None:
    """Make an empty package of a real name: ffmpeg needs a hundred others, and not every Debian has nvtop."""
    tree = folder / "partial" / name
    (tree / "DEBIAN").mkdir(parents=True)
    about = f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: test <test@box.test>\nDescription: stand-in\n"
    (tree / "DEBIAN" / "control").write_text(about)
    run("dpkg-deb", "--build", "--root-owner-group", tree, folder / f"{name}_1_all.deb")
    shutil.rmtree(tree)


def index(folder: Path, wheels: list[Path], url: str) -> None:
    """Write a simple index (PEP 503) of wheels, with their metadata beside them (PEP 658) as the real ones have."""
    projects: dict[str, list[Path]] = {}
    for wheel in wheels:
        projects.setdefault(re.sub(r"[-_.]+", "-", wheel.name.split("-")[0]).lower(), []).append(wheel)
        with zipfile.ZipFile(wheel) as content:
            name = next(n for n in content.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", n))
            wheel.with_name(wheel.name + ".metadata").write_bytes(content.read(name))
    for project, files in projects.items():
        (folder / project).mkdir(parents=True, exist_ok=True)
        links = "".join(
            f'<a href="{url}/{html.escape(f.name)}" data-core-metadata="true">{f.name}</a>\n' for f in files
        )
        (folder / project / "index.html").write_text(f"<!doctype html><html><body>\n{links}</body></html>\n")


def fill_wheels(site: Path, python: str) -> None:
    """Fetch the wheels of requirements.txt, uv, and what `uv venv --seed` puts into a venv."""
    files = site / "files"
    # The box's Python is Debian's 3.11.2: a package may ask for a later 3.11 than that.
    target = ["--python-version", "3.11.2", "--implementation", "cp", "--platform", "manylinux2014_x86_64"]
    for minor in (5, 12, 17, 24, 27, 28, 31, 34, 35, 36):
        target += ["--platform", f"manylinux_2_{minor}_x86_64"]
    wanted = ("-r", RESOURCES / "requirements.txt", "pip", "setuptools", "uv", "wheel")
    run(python, "-m", "pip", "download", "-q", "--only-binary", ":all:", *target, "-d", files, *wanted)
    # The heavier packages are stand-ins, too: they need some hundred megabytes.
    for name in names_after(r"^([a-z-]+)>=", "requirements-more.txt"):
        make_wheel(files, name, "99.0", "py3-none-any", "")
    index(site / "simple", sorted(files.glob("*.whl")), "/files")
    with zipfile.ZipFile(next(files.glob("uv-*.whl"))) as wheel:
        member = next(name for name in wheel.namelist() if name.endswith("/scripts/uv"))
        (site / "uv").write_bytes(wheel.read(member))


def make_wheel(folder: Path, name: str, version: str, tag: str, code: str, needs: str = "") -> None:
    """Write a wheel with one module in it."""
    folder.mkdir(parents=True, exist_ok=True)
    about = f"{name}-{version}.dist-info"
    requires = f"Requires-Dist: {needs}\n" if needs else ""
    with zipfile.ZipFile(folder / f"{name}-{version}-{tag}.whl", "w") as wheel:
        wheel.writestr(f"{name}/__init__.py", code)
        wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}")
        wheel.writestr(f"{about}/WHEEL", f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: false\nTag: {tag}\n")
        wheel.writestr(f"{about}/RECORD", "")


def fill_torch(site: Path) -> None:
    """Make the wheel indexes of PyTorch: one without wheels for the box's Python, one with."""
    for cuda, version, abi in (("cu129", "2.10.0", "cp39-cp39"), ("cu128", "2.9.0", "cp311-cp311")):
        folder, tag = site / "whl" / cuda, f"{abi}-manylinux_2_28_x86_64"
        make_wheel(folder, "torch", f"{version}+{cuda}", tag, TORCH)
        make_wheel(folder, "torchvision", f"0.24.0+{cuda}", tag, "", needs=f"torch=={version}")
        index(folder, sorted(folder.glob("*.whl")), f"/whl/{cuda}")


def fill(folder: Path, rootfs: Path, python: str) -> None:
    """Fetch and make everything that is served."""
    for name in NAMES:
        shutil.rmtree(folder / name, ignore_errors=True)
    fill_debs(folder / "packages.box.test" / "debs", rootfs)
    fill_wheels(folder / "packages.box.test", python)
    fill_torch(folder / "download.pytorch.org")
    (folder / "astral.sh" / "uv").mkdir(parents=True)
    (folder / "astral.sh" / "uv" / "install.sh").write_text(INSTALLER)


class Mirror(SimpleHTTPRequestHandler):
    """Files under FOLDER/HOST, each request noted."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *args, folder: Path, log: Path, **kwargs) -> None:
        """Serve one connection."""
        self.folder, self.log = folder, log
        super().__init__(*args, **kwargs)

    def translate_path(self, path: str) -> str:
        """Return the file of a path; plain HTTP by address is the packages' host."""
        host = (self.headers["Host"] or "").split(":")[0]
        self.directory = str(self.folder / (host if host in NAMES else "packages.box.test"))
        return super().translate_path(path)

    def log_message(self, format: str, *args: object) -> None:
        """Note the request: who, what, with which answer."""
        with self.log.open("a") as log:
            log.write(f"{self.client_address[0]} {format % args}\n")


class Server(ThreadingHTTPServer):
    """A server that says nothing of boxes that vanish in the middle of an answer."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing."""


def serve(folder: Path, address: str, log: Path) -> None:
    """Serve until ended."""
    handler = functools.partial(Mirror, folder=folder, log=log)
    plain, secure = Server((address, 8000), handler), Server((address, 443), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "mirror.pem", folder / "mirror.key")
    secure.socket = context.wrap_socket(secure.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=plain.serve_forever, daemon=True).start()
    log.touch()
    secure.serve_forever()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["certify", folder]:
            certify(Path(folder))
        case ["fill", folder, rootfs, python]:
            fill(Path(folder), Path(rootfs), python)
        case ["serve", folder, address, log]:
            serve(Path(folder), address, Path(log))
