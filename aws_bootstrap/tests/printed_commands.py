"""Every command line in README.md, SKILL.md, docs/ and the help pages works as printed. Run by `.ci/documented`.

It is one long test, since the lines share their boxes: a tier of its own keeps it from holding up the others.
"""

from __future__ import annotations

import re

import pytest

from aws_bootstrap.sandbox.testing import Sandbox
from aws_bootstrap.tests.documented import Ending, Line, World, lines

# When a line is run: what it needs is there, and what it ends nobody needs afterwards. The first that fits counts.
STAGES = (
    r"config (init|set)",
    r"^aws-bootstrap launch$",
    r"(?<!sandbox )launch\b",
    r"^(?!.*(reboot|terminate|interrupt|sandbox (stop|start|reset)|cleanup(?! --dry)))",
    r"terminate aws-gpu1|interrupt|cleanup|reboot",
    r"terminate",
    r"sandbox stop",
    r"sandbox start$",
    r"sandbox start",
    r"sandbox reset",
)

# What a line without a terminal would refuse to do is agreed to at one.
ASKING = (
    r"(terminate|cleanup|(?<!sandbox )stop|bake aws|image rm|quota request|config trust|--format-volume"
    r"|volume (grow|rm))(?!.*(--yes|--dry-run|--help))"
)


def stage(line: Line) -> int:
    return next(number for number, pattern in enumerate(STAGES) if re.search(pattern, line.text))


@pytest.fixture
def world(tmp_path):
    with Sandbox(tmp_path / "sandbox") as sandbox:
        made = World(sandbox, tmp_path / "world")
        made.folder.mkdir()
        made.prepare()
        yield made


def test_every_printed_command_works(world):
    wrong = []
    for line in sorted((one for one in lines() if not one.exception), key=stage):
        done = play(world, line.text)
        if done.code:
            wrong.append(f"{line.page}: {line.text}\n  exit {done.code} {done.out[-400:]}{done.err[-400:]}")
        world.clear_faults()
    assert not wrong, "\n".join(wrong)


def play(world: World, text: str) -> Ending:
    """Run the line after what it takes for granted; its names are those of boxes that exist."""
    if "-NL" in text:
        return world.tunnel(text)
    if "quota request" in text:
        world.decide_requests()
        world.raise_quotas(4)
    if cluster := re.match(r"aws-bootstrap cluster (?!launch|terminate).*--cluster-id (\S+)", text):
        world.cluster(cluster[1])
    if " cluster run " in text:
        world.end_jobs()
    if text.startswith("aws-bootstrap sandbox start --"):
        world.sandbox.stop()
    done = world.run(named(world, text), answers="y\n" if re.search(ASKING, text) else "", **variables(text))
    if "quota request" in text:
        world.raise_quotas()
    if "launch" in text:
        world.thin_out()
    return done


def named(world: World, text: str) -> str:
    """The line with ids that exist; whatever ends a box ends one that may go."""
    ending = re.search(r"terminate aws-gpu1|interrupt|reboot", text)
    alias, instance = world.spare() if ending else ("aws-gpu1", "")
    if "i-0123456789abcdef0" in text:
        instance = instance or dict(world.boxes())["aws-gpu1"]
    if re.search(r"image (rm|ls)|--image", text):
        image_id = world.image()
        text = re.sub(r"(?<=image rm )trainer-2026|ami-0123456789abcdef0", image_id, text)
    volume = world.free_volume() if "vol-0" in text else ""
    if "volume rm" in text:
        volume = world.spare_volume()
    if "rename aws-gpu1" in text:
        alias = world.spare()[0]
    elif "rename i-0" in text:
        instance = world.spare()[1]
        text = text.replace("trainer", "trainer-2")
    snapshot = world.snapshot() if "snap-0" in text else ""
    if re.search(r"(?<!sandbox )(stop|start) aws-gpu1", text):
        alias = world.stoppable()
    changed = text.replace("aws-gpu1", alias).replace("i-0123456789abcdef0", instance)
    return (
        changed.replace("vol-0123456789abcdef0", volume)
        .replace("snap-0123456789abcdef0", snapshot)
        .replace("| source", "| cat")
    )


def variables(text: str) -> dict[str, str]:
    """The first launch sets its box up and gives it a data volume: it is used afterwards. The others need neither."""
    if text == "aws-bootstrap launch":
        return {"AWS_BOOTSTRAP_LAUNCH_EBS_STORAGE": "8"}
    needs_setup = "--setup-script" in text or "--python-version" in text
    if "launch" in text and not needs_setup:
        return {"AWS_BOOTSTRAP_LAUNCH_NO_SETUP": "1"}
    return {}
