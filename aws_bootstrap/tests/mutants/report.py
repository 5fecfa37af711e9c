"""What a run shows: counts a module, and the survivors that nobody has explained."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aws_bootstrap.tests import reliability

if TYPE_CHECKING:
    from aws_bootstrap.tests.mutants.__main__ import Mutant

NOTICED = ("killed", "timeout")


def interval(hits: int, size: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share, by Wilson's score: right for small samples too."""
    if not size:
        return 0.0, 1.0
    z, share = 1.96, hits / size
    middle = (share + z * z / (2 * size)) / (1 + z * z / size)
    half = z / (1 + z * z / size) * math.sqrt(share * (1 - share) / size + z * z / (4 * size * size))
    return max(0.0, middle - half), min(1.0, middle + half)


def table(
    by_file: Mapping[str, Sequence[Mutant]],
    picked: Mapping[str, Sequence[Mutant]],
    known: Mapping[str, Mapping[str, Any]],
    reasons: Mapping[str, Any],
) -> list[str]:
    """A Markdown table: slips, tried, survivors with a reason and without, the surviving share."""
    lines = ["| module | slips | tried | survived | of these explained | surviving |", "|---|---|---|---|---|---|"]
    total = [0, 0, 0, 0]
    for name, found in by_file.items():
        if not found:
            continue
        tried = [m for m in picked[name] if m.id in known]
        left = [m for m in tried if known[m.id]["status"] not in NOTICED]
        counts = [len(found), len(tried), len(left), sum(m.id in reasons for m in left)]
        total = [a + b for a, b in zip(total, counts, strict=True)]
        lines.append(_row(name, counts))
    return [*lines, _row("all", total)]


def _row(name: str, counts: Sequence[int]) -> str:
    slips, tried, left, explained = counts
    share = f"{left / tried:.1%}" if tried else "–"
    if 0 < tried < slips:
        low, high = interval(left, tried)
        share += f" ({low:.1%} to {high:.1%})"
    return f"| {name} | {slips} | {tried} | {left} | {explained} | {share} |"


_HEAD = """## Slips that no test notices

`.ci/mutants` makes small slips in the code that guards money, data and access, one at a time: a comparison turned
round, a condition, argument, entry or statement left out, a value changed. A slip is noticed if one of the tests that
run its line fails or hangs. Left out are wording, progress messages, annotations and asserts. A slip that only the
slowest tests would notice counts as a survivor. `aws_bootstrap/tests/mutants/survivors.toml` gives the reason of each
one that is explained. Commit {commit}.{sample}{left_out}"""
_SAMPLE = """

**{tried} of {slips} slips were tried**, in a random order: in brackets the 95 % confidence interval (Wilson) of the
share among all slips of the module. Modules were not tried in equal parts; weighted by their slips, {weighted:.1%}
survive."""


def write(
    by_file: Mapping[str, Sequence[Mutant]],
    picked: Mapping[str, Sequence[Mutant]],
    known: Mapping[str, Mapping[str, Any]],
    reasons: Mapping[str, Any],
    left_out: Sequence[str],
) -> None:
    """Write the tier's part of docs/reliability.md. `left_out`: the tier's files that this run was not about."""
    slips = sum(map(len, by_file.values()))
    tried = sum(m.id in known for found in picked.values() for m in found)
    sample = ""
    if tried < slips:
        sample = _SAMPLE.format(tried=tried, slips=slips, weighted=weighted_share(by_file, picked, known))
    others = ""
    if left_out:
        names = ", ".join(left_out)
        others = "\n\n" + textwrap.fill(f"**Not in this run**: {names}.", 118)
    head = _HEAD.format(commit=reliability.commit(), sample=sample, left_out=others)
    lines = table(by_file, picked, known, reasons)
    reliability.put_part("mutants", "\n".join([head, "", *lines]))


def weighted_share(
    by_file: Mapping[str, Sequence[Mutant]],
    picked: Mapping[str, Sequence[Mutant]],
    known: Mapping[str, Mapping[str, Any]],
) -> float:
    """The surviving share among all slips, as each module's sample tells it; modules without one are left out."""
    surviving, slips = 0.0, 0
    for name, found in by_file.items():
        tried = [known[m.id]["status"] for m in picked[name] if m.id in known]
        if tried:
            surviving += len(found) * sum(status not in NOTICED for status in tried) / len(tried)
            slips += len(found)
    return surviving / slips if slips else 0.0


def show(
    by_file: Mapping[str, Sequence[Mutant]],
    picked: Mapping[str, Sequence[Mutant]],
    known: Mapping[str, Mapping[str, Any]],
    reasons: Mapping[str, Any],
) -> int:
    """Print survivors without a reason, then the table; 1 if there are such survivors."""
    unexplained = 0
    for found in picked.values():
        for mutant in found:
            result = known.get(mutant.id)
            if result and result["status"] not in NOTICED and mutant.id not in reasons:
                unexplained += 1
                print(f"\n{mutant.id}  ({result['status']}, line {mutant.slip.line})")
                print(f"- {mutant.before}".replace("\n", "\n  "))
                print(f"+ {mutant.after}".replace("\n", "\n  "))
    print("\n".join(["", *table(by_file, picked, known, reasons)]))
    return 1 if unexplained else 0
