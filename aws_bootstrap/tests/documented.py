"""Every command line that the documentation prints, and a world in which to run it as it is printed.

bash runs the lines, with `aws-bootstrap`, `ssh`, `scp` and `uv` on its PATH that lead into a sandbox.
"""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import chdir, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import click
from click.testing import CliRunner

from aws_bootstrap.app import App
from aws_bootstrap.cli import main
from aws_bootstrap.errors import BootstrapError
from aws_bootstrap.paths import Paths
from aws_bootstrap.sandbox.testing import Sandbox
from reference import ROOT, commands

_SKILL = "aws-bootstrap-skill/skills/aws-bootstrap"
PAGES = ("README.md", f"{_SKILL}/SKILL.md", f"{_SKILL}/references/clusters.md", "docs/*.md")
_INTERESTING = re.compile(r"(?<![\w./-])(aws-bootstrap|ssh|scp|sftp) (?!\.\.\.)")
_PREFIX = re.compile(r"^(python3 -m venv \.uv && \.uv/bin/pip install -q uv && )?(\.uv/bin/)?uv run (?=aws-bootstrap)")
"""How a clone runs the program: what comes after is what is tested."""

#: The aliases of the nodes of clusters.
_NODE = re.compile(r"aws-[a-z][a-z0-9-]*-\d+")
# Lines that are not run, by a regular expression, each with its reason.
EXCEPTIONS = {
    r"\$\(which ncu\)|\b(nsys|ncu|nvcc -O3|compute-sanitizer)\b|nsys-rep|ncu-rep": "the sandbox has no profilers",
    r"/proc/driver/nvidia": "the sandbox has no driver",
    r"^(ssh -[GR]|scp -F)$|^ssh box true$": "no command to copy: options, and a measurement",
    r"^aws-bootstrap (forward|open) |^aws-bootstrap sync .*--watch": "they run until Ctrl-C",
    r"sudo reboot$": "ssh ends with 255 when the box hangs up, which is what was asked for",
}


@dataclass(frozen=True)
class Line:
    """A command line and where it stands."""

    page: str
    text: str

    @property
    def exception(self) -> str | None:
        """Why it is not run, if it is not."""
        return next((why for pattern, why in EXCEPTIONS.items() if re.search(pattern, self.text)), None)


def lines() -> list[Line]:
    """Every command line once, in the pages' order, those of the help pages last."""
    found = [Line(str(p.relative_to(ROOT)), text) for page in PAGES for p in _pages(page) for text in in_page(p)]
    found += [Line(f"{' '.join(path)} --help", text) for path, text in _in_help()]
    first: dict[str, Line] = {}
    for one in found:
        first.setdefault(one.text, one)
    return list(first.values())


def _pages(pattern: str) -> list[Path]:
    return sorted(ROOT.glob(pattern))


def in_page(path: Path) -> Iterator[str]:
    """The commands in a page's code blocks, fenced as shell or indented, and in code between backticks."""
    text = path.read_text()
    blocks = re.findall(r"^ *```bash\n(.*?)^ *```", text, re.M | re.S)
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S)
    blocks += re.findall(r"(?:^ {4}\S.*\n)(?:^ {4}.*\n)*", prose, re.M)
    for block in blocks:
        yield from filter(_is_command, map(_bare, _joined(block)))
    for inline in re.findall(r"`((?:aws-bootstrap|ssh|scp) [^`]+)`", prose):
        command = " ".join(inline.split())
        if not re.search(r"[…<>\[]|\b[A-Z]{4,}\b|--?\w+\|", command):
            yield command


def _in_help() -> Iterator[tuple[tuple[str, ...], str]]:
    for path, command in [((), main), *_groups(main), *commands(main)]:
        examples = (command.epilog or "").partition(":\n")[2]
        for text in filter(_is_command, map(_bare, _joined(examples))):
            yield path, text


def _groups(group: click.Group) -> Iterator[tuple[tuple[str, ...], click.Group]]:
    with click.Context(group) as ctx:
        for name in group.list_commands(ctx):
            command = group.get_command(ctx, name)
            if isinstance(command, click.Group):
                yield (name,), command


def _joined(block: str) -> list[str]:
    """A block's lines, those that a backslash continues as one."""
    return [" ".join(line.split()) for line in re.sub(r"\\\\?\n", " ", block).splitlines()]


def _bare(line: str) -> str:
    """The command without comment, without the gloss that a help page puts beside it, and without `uv run`."""
    bare = re.sub(r"\s+#\s.*$", "", line)
    bare = re.sub(r"^(aws-bootstrap .*?) (rehearse, with|a g4dn|end it$|any command|any AWS).*$", r"\1", bare)
    bare = re.sub(r'^(eval "[^"]*") .*$', r"\1", bare)
    return _PREFIX.sub("", bare).strip()


def _is_command(line: str) -> bool:
    return bool(_INTERESTING.search(line)) and not line.startswith(("#", "Host", "import", "subprocess"))


# --- the world --------------------------------------------------------------------------------------------


class Ending(NamedTuple):
    """How a line ended."""

    code: int
    out: str
    err: str


@dataclass
class World:
    """A sandbox, a folder to work in, and boxes to waste."""

    sandbox: Sandbox
    folder: Path
    volume: str = ""
    on_demand: str = ""
    """The alias of a box that can be stopped."""

    def prepare(self) -> None:
        """Programs on the PATH, quotas for many boxes, files that lines name, a volume that was used before."""
        programs = self.folder / "bin"
        programs.mkdir()
        config = shlex.quote(self.sandbox.env["AWS_BOOTSTRAP_SSH_CONFIG"])
        calls = {"aws-bootstrap": f"{shlex.quote(sys.executable)} -m aws_bootstrap"}
        for name in ("ssh", "scp"):
            found = subprocess.run(["which", name], capture_output=True, text=True, check=True).stdout.strip()
            calls[name] = f"{found} -F {config}"
        for name, call in calls.items():
            (programs / name).write_text(f'#!/bin/sh\nexec {call} "$@"\n')
            (programs / name).chmod(0o755)
        (self.folder / ".aws-bootstrap").mkdir()
        (self.folder / ".aws-bootstrap" / "sandbox").symlink_to(self.sandbox.home.root)
        (self.folder / "my-setup.sh").write_text("#!/bin/sh\n")
        self.project.mkdir()
        for name in ("train.py", "prepare_data.py", "data.sh"):
            (self.project / name).write_text("")
        (self.folder / "train.py").write_text('open("result.json", "w").write("{}")\n')
        for name in ("policy.json", "organization.json"):
            (self.folder / name).write_text('{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}\n')
        self.raise_quotas()
        self.volume = self._used_volume()

    @property
    def env(self) -> dict[str, str]:
        own = {"AWS_BOOTSTRAP_SANDBOX_HOME": str(self.sandbox.home.root), "HOME": str(self.folder)}
        return self.sandbox.env | own | {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}

    @property
    def project(self) -> Path:
        """The code that jobs of a cluster run. The home folder is none."""
        return self.folder / "project"

    def _place(self, text: str) -> Path:
        """The folder in which a line is run."""
        return self.project if " cluster run " in text else self.folder

    def run(self, text: str, *, answers: str = "", **env: str) -> Ending:
        """How the line ends: in this process where it is a plain call of ours, else in bash."""
        words = shlex.split(text)
        plain = words[0] == "aws-bootstrap" and not answers and not re.search(r"[|<>;&$`]", text)
        if plain:
            with chdir(self._place(text)):
                return self._call(words[1:], env)
        return self._bash(text, answers, env)

    def _call(self, args: list[str], env: dict[str, str]) -> Ending:
        before, wanted = dict(os.environ), self.env | env
        os.environ.clear()
        os.environ.update(wanted)
        try:
            # Clients are made once: 17 regions' take two seconds. A sandbox that was stopped has another port then.
            app = App(paths=Paths(wanted)) if "sandbox" in args or "--sandbox" in args else self.app
            done = CliRunner().invoke(main, args, obj=app)
        finally:
            os.environ.clear()
            os.environ.update(before)
        return Ending(done.exit_code, done.stdout, done.stderr)

    def _bash(self, text: str, answers: str, env: dict[str, str]) -> Ending:
        """Bash's; `answers` are typed at its terminal."""
        keyboard, terminal = pty.openpty()
        os.write(keyboard, answers.encode())
        try:
            argv = ["bash", "-o", "pipefail", "-c", text]
            stdin = terminal if answers else subprocess.DEVNULL
            done = subprocess.run(
                argv,
                stdin=stdin,
                capture_output=True,
                text=True,
                timeout=180,
                cwd=self._place(text),
                env=self.env | env,
            )
            return Ending(done.returncode, done.stdout, done.stderr)
        finally:
            os.close(keyboard)
            os.close(terminal)

    @cached_property
    def app(self) -> App:
        """The doors of the commands that run in this process."""
        return App(paths=Paths(self.env))

    def boxes(self) -> list[tuple[str, str]]:
        """(alias, instance id) of the boxes that have an alias, oldest first, without the nodes of clusters."""
        text = Path(self.env["AWS_BOOTSTRAP_SSH_CONFIG"]).read_text()
        found = re.findall(r">>> aws-bootstrap \[(\S+)\] >>>\nHost (\S+)", text)
        return sorted(((alias, instance) for instance, alias in found if not _NODE.fullmatch(alias)), key=_age)

    def cluster(self, cluster_id: str) -> None:
        """Launch the cluster, of two nodes, unless it exists."""
        tagged = [{"Name": "tag:aws-bootstrap-cluster", "Values": [cluster_id]}]
        living = [*tagged, {"Name": "instance-state-name", "Values": ["pending", "running"]}]
        if not self.sandbox.client().describe_instances(Filters=living)["Reservations"]:
            done = self.run(
                f"aws-bootstrap cluster launch --cluster-id {cluster_id} --nodes 2 --no-setup --yes -o json"
            )
            assert done.code == 0, done

    def end_jobs(self) -> None:
        """Have no job run on the cluster `train`."""
        done = self.run("aws-bootstrap cluster cancel train")
        assert done.code == 0, done

    def spare(self) -> tuple[str, str]:
        """A box that may be ended: the youngest; a new one if there is only aws-gpu1."""
        if len(self.boxes()) < 2:
            done = self.run("aws-bootstrap launch --no-setup -o json")
            assert done.code == 0, done
        return self.boxes()[-1]

    def spare_volume(self) -> str:
        """A new volume, which may be deleted."""
        done = self.run("aws-bootstrap volume create --size 1 --zone us-west-2a -o json")
        assert done.code == 0, done
        return str(json.loads(done.out)["volume_id"])

    def snapshot(self) -> str:
        """A new snapshot."""
        done = self.run(f"aws-bootstrap volume snapshot {self.free_volume()} -o json")
        assert done.code == 0, done
        return str(json.loads(done.out)["snapshot_id"])

    def stoppable(self) -> str:
        """An alias of an on-demand box: the only one that was launched so, or a new one."""
        if not self.on_demand or self.on_demand not in dict(self.boxes()):
            done = self.run("aws-bootstrap launch --on-demand --no-setup -o json")
            assert done.code == 0, done
            self.on_demand = json.loads(done.out)["ssh_alias"]
        return self.on_demand

    def thin_out(self, keep: int = 4) -> None:
        """End the youngest boxes: each costs the commands after it time."""
        for _, instance_id in self.boxes()[keep:]:
            self.run(f"aws-bootstrap terminate {instance_id} --yes --keep-ebs")

    def free_volume(self) -> str:
        """The volume that was used before, detached."""
        client = self.sandbox.client()
        attached = client.describe_volumes(VolumeIds=[self.volume])["Volumes"][0]["Attachments"]
        if attached:
            client.terminate_instances(InstanceIds=[attached[0]["InstanceId"]])
            client.get_waiter("volume_available").wait(VolumeIds=[self.volume], WaiterConfig={"Delay": 1})
        return self.volume

    def image(self) -> str:
        """The id of an image that was baked; a new one if there is none."""
        filters = [
            {"Name": "tag:created-by", "Values": ["aws-bootstrap-g4dn"]},
            {"Name": "state", "Values": ["available"]},
        ]
        found = self.sandbox.client().describe_images(Owners=["self"], Filters=filters)["Images"]
        if found:
            image_id: str = found[0]["ImageId"]
            return image_id
        done = self.run("aws-bootstrap bake aws-gpu1 --yes -o json")
        assert done.code == 0, done
        baked: str = json.loads(done.out)["image_id"]
        return baked

    def raise_quotas(self, value: float = 4000) -> None:
        """Let that many vCPUs of each family run, in the regions that the pages name."""
        for region in ("us-west-2", "us-east-1", "eu-west-1"):
            for code in ("L-3819A6DF", "L-DB2E81BA", "L-7212CCBC", "L-417A185B", "L-C4BD4855"):
                self.sandbox.quota(code, value, region)

    def clear_faults(self) -> None:
        """End what the last line put in force, if the sandbox still runs."""
        with suppress(BootstrapError):
            self.sandbox.clear_faults()
            self.sandbox.account("plain")

    def decide_requests(self) -> None:
        """End the quota requests that are open."""
        client = self.sandbox.client("service-quotas")
        for one in client.list_requested_service_quota_change_history(ServiceCode="ec2")["RequestedQuotas"]:
            if one["Status"] in ("PENDING", "CASE_OPENED"):
                self.sandbox.decide(one["Id"], "DENIED")

    def tunnel(self, text: str) -> Ending:
        """Run a line that forwards a port, until something answers there: on a port of our own, not 8888."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        argv = ["bash", "-c", "exec " + text.replace("-NL 8888:", f"-NL {port}:")]
        with subprocess.Popen(argv, env=self.env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as ssh:
            answered = _answers(port, ssh)
            ssh.terminate()
            return Ending(0 if answered else 1, "", ssh.communicate()[1])

    def _used_volume(self) -> str:
        made = self.run("aws-bootstrap launch --no-setup --ebs-storage 8 -o json")
        assert made.code == 0, made
        box = json.loads(made.out)
        done = self.run(f"aws-bootstrap terminate {box['instance_id']} --keep-ebs --yes")
        assert done.code == 0, done
        return box["ebs_volume"]["volume_id"]


def _age(box: tuple[str, str]) -> tuple[int, str]:
    return len(box[0]), box[0]


def _answers(port: int, ssh: subprocess.Popen[str]) -> bool:
    """Whether a web page answers at the port while ssh lives."""
    deadline = time.monotonic() + 60
    while ssh.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=10):
                return True
        except OSError:
            time.sleep(0.1)
    return False
