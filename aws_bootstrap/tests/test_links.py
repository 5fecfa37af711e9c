"""Every link inside the repository leads to a file that git has, and to a heading that is there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def tracked() -> set[str]:
    """The files that git knows or would take; all there are, where there is no git."""
    argv = ["git", "ls-files", "-co", "--exclude-standard"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 0:
        return {name for name in done.stdout.splitlines() if (ROOT / name).exists()}
    return {str(p.relative_to(ROOT)) for p in ROOT.rglob("*") if p.is_file() and ".venv" not in p.parts}


FILES = tracked()
PAGES = sorted(name for name in FILES if name.endswith(".md"))


def prose(page: str) -> str:
    """The page without its code."""
    text = re.sub(r"^ *```.*?^ *```", "", (ROOT / page).read_text(), flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", lambda code: "" if "](" in code[0] else code[0], text)


def anchors(page: str) -> set[str]:
    """The page's headings as GitHub names them in addresses."""
    headings = re.findall(r"^#+ +(.+?)\s*$", prose(page), re.M)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        meant = (ROOT / page).parent / path if path else ROOT / page
        name = str(meant.resolve().relative_to(ROOT))
        assert name in FILES or any(file.startswith(f"{name}/") for file in FILES), f"{page}: {target}"
        assert not anchor or anchor in anchors(name), f"{page}: {target}"


def test_every_page_of_the_docs_is_linked_from_the_readme():
    linked = set(re.findall(r"\]\((docs/[^)#\s]+)", prose("README.md")))
    assert {name for name in PAGES if name.startswith("docs/")} | {"docs/terminal.svg"} <= linked
