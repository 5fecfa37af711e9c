"""A box in a folder: its own HOME, and stand-ins for what would change a system or fetch from the network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

RESOURCES = Path(__file__).parents[2] / "resources"

# For `tool("sudo", …)`: root's power, but only where it is asked for so that no password is ever waited for.
STRICT_SUDO = '[[ $1 == -n ]] || exit 1; shift; exec "$@"'

# Each stand-in notes its call, then fails if a line of ~/faults (pattern, status, what it says) matches it.
PRELUDE = r"""#!/bin/bash
line="$(basename "$0") $*"
echo "$line" >>"$HOME/calls"
while IFS=$'\t' read -r pattern status says; do
  if [[ $line =~ $pattern ]]; then echo "$says" >&2; exit "$status"; fi
done <"$HOME/faults"
"""

TOOLS = {
    "sudo": "exit 0",
    "systemctl": "exit 0",
    # What download.pytorch.org answers for the page of a tag.
    "curl": """[[ "$*" == *http_code* ]] || exit 7
cat "$HOME/http-status" 2>/dev/null || printf 404""",
    "dpkg-query": "[[ -e $HOME/apt-done ]] && echo 'install ok installed'",
    "apt-get": "exit 0",
    "apt-cache": "exit 0",
    "nvcc": "echo 'Cuda compilation tools, release 12.8, V12.8.93'",
    "cuda-gdb": "exit 0",
    "lspci": "echo '00:1e.0 0302: 10de:1eb8 (rev a1)'",
    "nvidia-smi": """case "$*" in
  *compute_cap*) echo 7.5 ;;
  *--query-gpu*) echo 'Tesla T4, 570.86.15, 15360 MiB' ;;
  *) echo '| NVIDIA-SMI 570.86.15   Driver Version: 570.86.15   CUDA Version: 12.8 |' ;;
esac""",
    "uv": r"""case "$1 $2" in
  "venv "*)
    venv=${!#}
    if [[ -n $(ls -A "$venv" 2>/dev/null) ]]; then echo "error: A directory already exists at: $venv" >&2; exit 1; fi
    mkdir -p "$venv/bin" "$venv/site"
    echo "home = /usr/bin" >"$venv/pyvenv.cfg"
    printf '#!/bin/sh\nPYTHONPATH=%s exec /usr/bin/env -u VIRTUAL_ENV python3 "$@"\n' "$venv/site" >"$venv/bin/python"
    chmod +x "$venv/bin/python"
    echo "export VIRTUAL_ENV=$venv PATH=$venv/bin:\$PATH" >"$venv/bin/activate" ;;
  "pip install")
    index="" tag="" needed=${HOME}/needs version=2.0
    for word in "$@"; do
      [[ $word != */pyproject.toml ]] || index=$(sed -n 's/^url = "\(.*\)"/\1/p' "$word")
    done
    if [[ -n $index ]]; then tag=+${index##*/}; echo "index $index" >>"$HOME/calls"; fi
    case "$*" in
      *pyproject.toml* | *torchvision*)
        # ~/wheels: the tags that have wheels; ~/needs: those whose newest torch needs what nobody has.
        if [[ -n $tag && -e $HOME/wheels ]] && ! grep -qxF -- "${tag#+}" "$HOME/wheels"; then
          echo "error: No solution found" >&2; exit 1
        fi
        if [[ -e $needed && "$*" != *--no-deps* ]] && grep -qxF -- "${tag#+}" "$needed"; then version=1.0; fi
        if [[ "$*" == *--dry-run* ]]; then echo " + torch==$version$tag" >&2; exit 0; fi
        # What is installed satisfies uv, whatever its build.
        if [[ -n $(ls -d "$HOME/venv/site"/torch-*.dist-info 2>/dev/null) && "$*" != *--reinstall* ]]; then exit 0; fi
        rm -rf "$HOME/venv/site"/torch*
        cp "$HOME/torch.py" "$HOME/venv/site/"
        for name in torch torchvision; do
          about="$HOME/venv/site/$name-$version.dist-info"
          mkdir -p "$about"
          printf 'Metadata-Version: 2.1\nName: %s\nVersion: %s\n' "$name" "$version$tag" >"$about/METADATA"
        done ;;
      *) printf '#!/bin/sh\n' >"$HOME/venv/bin/jupyter" && chmod +x "$HOME/venv/bin/jupyter" ;;
    esac ;;
esac""",
}

TORCH = """
from types import SimpleNamespace

__version__ = "1.0"
version = SimpleNamespace(cuda="12.8")
cuda = SimpleNamespace(is_available=lambda: True, get_device_name=lambda index: "Tesla T4")


class Tensor:
    def __matmul__(self, other): return self
    def __sub__(self, other): return self
    def __getattr__(self, name): return lambda: self
    def item(self): return 0.0


def randn(*size, device=None): return Tensor()
"""


# What a shell script needs at the least: no package manager, nothing that a distribution may have or lack.
PLAIN = "basename bash cat chmod cksum cmp cp dirname env find grep head install ls mkdir mv rm sed sort tail tr"


class FakeBox:
    """A home folder with the uploaded files, and stand-ins first on PATH."""

    def __init__(self, home: Path) -> None:
        """Make the box under HOME, ready for `setup`."""
        self.home, self.bin, self.folder = home, home / "standins", home / ".aws-bootstrap" / "setup"
        self.bin.mkdir(parents=True)
        for name, body in TOOLS.items():
            self.tool(name, body)
        (home / "calls").touch()
        (home / "torch.py").write_text(TORCH)
        self.faults()
        shutil.copytree(RESOURCES, self.folder, ignore=shutil.ignore_patterns("__*"))

    def tool(self, name: str, body: str) -> None:
        """Put a stand-in on the box."""
        (self.bin / name).write_text(PRELUDE + body + "\n")
        (self.bin / name).chmod(0o755)

    def faults(self, *rules: tuple[str, int, str]) -> None:
        """Make the calls that match a pattern fail, with a status and a text."""
        (self.home / "faults").write_text("".join(f"{pattern}\t{code}\t{text}\n" for pattern, code, text in rules))

    def bare_path(self) -> str:
        """Return a PATH with the stand-ins and of this machine's programs only plain ones."""
        folder = self.home / "bare"
        folder.mkdir()
        for name in PLAIN.split():
            (folder / name).symlink_to(f"/usr/bin/{name}")
        return f"{self.bin}:{folder}"

    def keep(self, *steps: str) -> None:
        """Leave only these steps on the box, and no word of the others."""
        for script in (self.folder / "setup.d").glob("[0-9]*.sh"):
            if script.stem.split("-", 1)[1] not in steps:
                script.unlink()
                continue
            head = [line for line in script.read_text().splitlines() if not line.startswith(("# needs", "# after"))]
            needs = (
                [f"# needs: {' '.join(steps[: steps.index(script.stem[3:])])}"] if steps[0] != script.stem[3:] else []
            )
            script.write_text("\n".join([head[0], *needs, *head[1:]]) + "\n")

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment that a command over ssh has."""
        path = f"{self.bin}:/usr/bin:/bin"
        short = {"SETUP_RETRY_SECONDS": "0", "SETUP_RETRY_PAUSE": "0"}
        return {"HOME": str(self.home), "PATH": path, "SHELL": "/bin/bash", **short, **more}

    def start(self, **more: str) -> subprocess.Popen[str]:
        """Start the setup as the tool does."""
        return subprocess.Popen(
            ["bash", "./remote_setup.sh"],
            cwd=self.folder,
            env=self.environment(**more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def setup(self, **more: str) -> subprocess.CompletedProcess[str]:
        """Run the setup to its end."""
        with self.start(**more) as process:
            out, err = process.communicate(timeout=120)
            return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def step(self, name: str, **more: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
        """Run one step alone; what it printed, and the lines of its report."""
        script = next((self.folder / "setup.d").glob(f"[0-9][0-9]-{name}.sh"))
        scratch, state = self.home / "scratch", self.home / ".aws-bootstrap" / "state"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        state.mkdir(exist_ok=True)
        report = scratch / "report"
        folders = {"SETUP_DIR": self.folder, "STATE_DIR": state, "STEP_TMP": scratch, "STEP_REPORT": report}
        words = {key: str(value) for key, value in folders.items()}
        done = subprocess.run(
            ["bash", str(script)],
            env=self.environment(**{"PYTHON_VERSION": "", "LC_ALL": "C.UTF-8", "STEP_NAME": name, **words, **more}),
            capture_output=True,
            text=True,
            check=False,
        )
        return done, self.reported()

    def reported(self) -> list[str]:
        """Return the lines that the last step, or the shell code since, has written to its report."""
        report = self.home / "scratch" / "report"
        return report.read_text().splitlines() if report.exists() else []

    def step_without_lib(self, name: str) -> list[str]:
        """Run one step on a box that lacks what the steps share; the lines of its errors, which end with a status."""
        (self.folder / "setup.d" / "lib.sh").unlink()
        done, _ = self.step(name)
        return [*done.stderr.splitlines(), f"status {done.returncode}"]

    def shell(self, code: str, *libraries: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run shell code with files of setup.d sourced before it, as in a step."""
        scratch = self.home / "scratch"
        scratch.mkdir(exist_ok=True)
        folders = {
            "SETUP_DIR": self.folder,
            "STATE_DIR": scratch,
            "STEP_TMP": scratch,
            "STEP_REPORT": scratch / "report",
        }
        sourced = "".join(f'source "$SETUP_DIR/setup.d/{name}"; ' for name in libraries)
        return subprocess.run(
            ["bash", "-c", f"set -euo pipefail; {sourced}{code}"],
            env=self.environment(**{key: str(value) for key, value in folders.items()}, **more),
            capture_output=True,
            text=True,
            check=False,
        )

    def state(self) -> dict:
        """Return setup.json."""
        return json.loads((self.home / ".aws-bootstrap" / "setup.json").read_text())

    def outcomes(self) -> dict[str, str]:
        """Return each step's outcome."""
        return {step["name"]: step["outcome"] for step in self.state()["steps"]}

    def calls(self, start: str = "") -> list[str]:
        """Return the stand-ins' calls so far that start so."""
        return [line for line in (self.home / "calls").read_text().splitlines() if line.startswith(start)]

    def forget_calls(self) -> None:
        """Empty the list of calls."""
        (self.home / "calls").write_text("")


def nvcc() -> str | None:
    """Return the CUDA compiler of this machine, if it has one."""
    usual = "/usr/local/cuda/bin/nvcc"
    return shutil.which("nvcc") or (usual if os.access(usual, os.X_OK) else None)
