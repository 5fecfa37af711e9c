"""What a run shows: counts a module, and the survivors that nobody has explained."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aws_bootstrap.tests import reliability

if TYPE_CHECKING:
    from aws_bootstrap.tests.mutants.__main__ import Mutant

NOTICED = ("killed", "timeout")
MEASURED = Path(__file__).with_name("measured.json")
"""The last figures of each module. A module that is the same since need not be tried again, on any machine."""


@dataclass(frozen=True)
class Figures:
    """What became of the slips of one module."""

    slips: int
    tried: int
    survivors: tuple[str, ...]
    """The ids of those that were tried and that no test noticed."""
    source: str = ""
    """The digest of the module when it was tried."""
    commit: str = ""
    explained: int = 0
    """How many of the survivors had a reason when the figures were taken: later their ids may be others."""

    @property
    def share(self) -> float:
        """The surviving share of those tried; 0 if none was."""
        return len(self.survivors) / self.tried if self.tried else 0.0


def figures(
    found: Sequence[Mutant],
    picked: Sequence[Mutant],
    known: Mapping[str, Mapping[str, Any]],
    source: str,
    reasons: Collection[str] = (),
) -> Figures:
    """The figures of one module in this run."""
    tried = [mutant.id for mutant in picked if mutant.id in known]
    survivors = tuple(sorted(name for name in tried if known[name]["status"] not in NOTICED))
    explained = sum(name in reasons for name in survivors)
    return Figures(len(found), len(tried), survivors, source, reliability.commit(), explained)


def measured(kept: Path = MEASURED) -> dict[str, Figures]:
    """The last figures by module."""
    if not kept.exists():
        return {}
    raw = json.loads(kept.read_text())
    return {name: Figures(**entry | {"survivors": tuple(entry["survivors"])}) for name, entry in raw.items()}


def interval(hits: int, size: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share, by Wilson's score: right for small samples too."""
    if not size:
        return 0.0, 1.0
    z, share = 1.96, hits / size
    middle = (share + z * z / (2 * size)) / (1 + z * z / size)
    half = z / (1 + z * z / size) * math.sqrt(share * (1 - share) / size + z * z / (4 * size * size))
    return max(0.0, middle - half), min(1.0, middle + half)


def table(modules: Mapping[str, Figures]) -> list[str]:
    """A Markdown table: slips, tried, survivors, those of them with a reason, the surviving share."""
    lines = ["| module | slips | tried | survived | of these explained | surviving |", "|---|---|---|---|---|---|"]
    with_slips = {name: module for name, module in modules.items() if module.slips}
    for name, module in with_slips.items():
        lines.append(_row(name, module))
    together = Figures(
        sum(module.slips for module in with_slips.values()),
        sum(module.tried for module in with_slips.values()),
        tuple(name for module in with_slips.values() for name in module.survivors),
        explained=sum(module.explained for module in with_slips.values()),
    )
    return [*lines, _row("all", together)]


def _row(name: str, module: Figures) -> str:
    left = len(module.survivors)
    share = f"{module.share:.1%}" if module.tried else "–"
    if 0 < module.tried < module.slips:
        low, high = interval(left, module.tried)
        share += f" ({low:.1%} to {high:.1%})"
    return f"| {name} | {module.slips} | {module.tried} | {left} | {module.explained} | {share} |"


_HEAD = """## Slips that no test notices

`.ci/mutants` makes small slips in the code that guards money, data and access, one at a time: a comparison turned
round, a condition, argument, entry or statement left out, a value changed. A slip is noticed if one of the tests that
run its line fails or hangs. Left out are wording, progress messages, annotations and asserts. A slip that only the
slowest tests would notice counts as a survivor. `aws_bootstrap/tests/mutants/survivors.toml` gives the reason of each
one that is explained."""
_SAMPLE = """**{tried} of {slips} slips were tried**, in a random order: in brackets the 95 % confidence interval
(Wilson) of the share among all slips of the module. Modules were not tried in equal parts; weighted by their slips,
{weighted:.1%} survive."""


def write(
    run: Mapping[str, Figures],
    sources: Mapping[str, str],
    kept: Path = MEASURED,
    page: Path = reliability.PAGE,
) -> None:
    """Keep the figures of this run, and write the tier's part of docs/reliability.md from the last of each module.

    `sources`: the digest of each of the tier's modules as it is now.
    """
    known = {name: module for name, module in measured(kept).items() if name in sources}
    known |= {name: module for name, module in run.items() if module.tried}
    known = {name: known[name] for name in sources if name in known}
    kept.write_text(json.dumps({name: asdict(module) for name, module in known.items()}, indent=1) + "\n")
    parts = [_HEAD, _commits(known)]
    slips, tried = (sum(getattr(module, field) for module in known.values()) for field in ("slips", "tried"))
    if tried < slips:
        parts.append(_SAMPLE.format(tried=tried, slips=slips, weighted=weighted_share(known)))
    parts += _listed("Never tried", [name for name in sources if name not in known])
    parts += _listed("Changed since they were tried", [n for n, m in known.items() if m.source != sources[n]])
    parts.append("\n".join(table(known)))
    reliability.put_part("mutants", "\n\n".join(parts), page)


def _commits(modules: Mapping[str, Figures]) -> str:
    """Which modules were tried at which commit."""
    by_commit: dict[str, list[str]] = {}
    for name, module in modules.items():
        by_commit.setdefault(module.commit, []).append(name)
    lines = [f"Tried at {commit}: {', '.join(names)}." for commit, names in by_commit.items()]
    return "\n\n".join(textwrap.fill(line, 118) for line in lines)


def _listed(what: str, names: Sequence[str]) -> list[str]:
    return [textwrap.fill(f"**{what}**: {', '.join(names)}.", 118)] if names else []


def weighted_share(modules: Mapping[str, Figures]) -> float:
    """The surviving share among all slips, as each module's sample tells it; modules without one are left out."""
    tried = [module for module in modules.values() if module.tried]
    slips = sum(module.slips for module in tried)
    return sum(module.slips * module.share for module in tried) / slips if slips else 0.0


def show(
    picked: Mapping[str, Sequence[Mutant]],
    run: Mapping[str, Figures],
    known: Mapping[str, Mapping[str, Any]],
    reasons: Mapping[str, Any],
) -> int:
    """Print survivors without a reason, then the table; 1 if there are such survivors."""
    unexplained = 0
    for name, found in picked.items():
        for mutant in found:
            if mutant.id in run[name].survivors and mutant.id not in reasons:
                unexplained += 1
                print(f"\n{mutant.id}  ({known[mutant.id]['status']}, line {mutant.slip.line})")
                print(f"- {mutant.before}".replace("\n", "\n  "))
                print(f"+ {mutant.after}".replace("\n", "\n  "))
    print("\n".join(["", *table(run)]))
    return 1 if unexplained else 0
