"""The lines of bash that files for different tools share: PyTorch's installation, and the job with its variables."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping

from .facts import ClusterFacts, Job

#: torchrun's own default: https://docs.pytorch.org/docs/stable/elastic/run.html
PORT = 29500
#: What the setup of aws-bootstrap installs, as far as a job needs it. It is safe to repeat.
INSTALL = (
    'export PATH="$HOME/.local/bin:$PATH"',
    "command -v uv >/dev/null || curl -LsSf https://astral.sh/uv/install.sh | sh",
    "[ -x ~/venv/bin/python ] || uv venv ~/venv",
)
#: How each tool knows what `cluster run` gives a job as variables.
type Sources = Mapping[str, str]


def install(*packages: str) -> list[str]:
    """Return the lines that install these packages, and the requirements of the job's folder if it names some."""
    python = "--python ~/venv/bin/python"
    return [
        *INSTALL,
        f"uv pip install {python} {' '.join(packages)}",
        f"if [ -f requirements.txt ]; then uv pip install {python} -r requirements.txt; fi",
    ]


def variables(facts: ClusterFacts, job: Job, sources: Sources) -> list[str]:
    """Return the lines that set what `cluster run` sets."""
    known = {
        "AWSB_CLUSTER_ID": shlex.quote(facts.cluster_id),
        "AWSB_NUM_GPUS_PER_NODE": str(job.processes(facts.gpus)),
        **sources,
        "AWSB_CHECKPOINT_DIR": '"${AWSB_CHECKPOINT_DIR:-$PWD/checkpoints}"',
        "AWSB_SUCCESS_FILE": '"$(mktemp -d)/success"',
    }
    lines = ['export PATH="$HOME/venv/bin:$PATH"']
    lines += [f"export {name}={value}" for name, value in known.items()]
    return lines


def command(facts: ClusterFacts, job: Job) -> list[str]:
    """Return the lines that run the job on one node."""
    script = " ".join([_quoted(word) for word in (job.script, *job.arguments)])
    if job.is_shell:
        return [f"bash {script}"]
    return [
        "torchrun \\",
        f'  --nnodes="$AWSB_NUM_NODES" --nproc-per-node={job.processes(facts.gpus)} \\',
        f'  --node-rank="$AWSB_NODE_RANK" --master-addr="$AWSB_MASTER_ADDR" --master-port={PORT} \\',
        "  --max-restarts=0 \\",
        f"  {script}",
    ]


def _quoted(word: str) -> str:
    """Return the word as bash reads it, on one line: a line break would end the block of a YAML file."""
    if word.isprintable():
        return shlex.quote(word)
    escaped = "".join([_escaped(character) for character in word])
    return f"$'{escaped}'"


def _escaped(character: str) -> str:
    """Return a character inside $'…' of bash."""
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    return f"\\U{ord(character):08x}"


def usage(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Return comments with commands, each beside its purpose."""
    known = list(rows)
    width = max(len(command) for command, _ in known)
    return ["#", *(f"#   {command.ljust(width)}  {purpose}" for command, purpose in known), ""]


def indented(lines: Iterable[str], spaces: int) -> list[str]:
    """Return the lines with so many spaces before each that is not empty."""
    return [f"{' ' * spaces}{line}".rstrip() for line in lines]
