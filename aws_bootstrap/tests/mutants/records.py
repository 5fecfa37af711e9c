"""Which tests run which line: recorded once, and again for what has changed since."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "aws_bootstrap"
STATE = ROOT / ".mutants"
RECORDS = STATE / "records.jsonl"

# Tests that look at the source itself would notice every slip, whatever it does.
NEVER = (
    "test_gates.py",
    "test_shape.py",
    "test_documented.py",
    "test_links.py",
    "test_github.py",
    "test_mutants.py",
)

# What runs on the box runs there as shell or under another Python: its tests are named here by hand.
BOX_TESTS = {
    "resources/mount_data_volume.sh": ("test_mount", "test_data_volume", "test_resources"),
    "resources/setup.d/cuda.sh": ("test_cuda", "test_setup"),
    "resources/setup.d/10-gpu.sh": ("test_cuda", "test_setup"),
    "resources/setup.d/55-cuda-test.sh": ("test_cuda", "test_setup"),
    "resources/setup.d/torch.sh": ("test_torch_parts", "test_torch", "test_setup"),
    "resources/setup.d/50-pytorch.sh": ("test_torch_parts", "test_torch", "test_setup"),
    "resources/setup.d/venv.sh": ("test_venv", "test_setup"),
    "resources/setup.d/30-venv.sh": ("test_venv", "test_setup"),
    "resources/setup.d/60-shell.sh": ("test_bashrc", "test_setup"),
    "resources/setup.d/lib.sh": ("test_lib", "test_run_steps", "test_setup"),
    "resources/setup.d/packages.sh": ("test_packages", "test_setup"),
    "resources/setup.d/20-utilities.sh": ("test_packages", "test_setup"),
    "resources/setup.d/25-tools.sh": ("test_packages", "test_setup"),
    "resources/setup.d/40-requirements.sh": ("test_steps", "test_resources", "test_setup"),
    "resources/setup.d/57-more-packages.sh": ("test_steps", "test_resources", "test_setup"),
    "resources/setup.d/65-nsight.sh": ("test_steps", "test_resources", "test_setup"),
    "resources/setup.d/70-samples.sh": ("test_steps", "test_resources", "test_setup"),
    "resources/setup.d/75-vscode.sh": ("test_steps", "test_resources", "test_setup"),
    "resources/setup.d/80-keepalive.sh": ("test_steps", "test_resources", "test_setup"),
    "resources/setup.d/99-setup-script.sh": ("test_steps", "test_resources", "test_setup"),
    "resources/setup.d/85-jupyter.sh": ("test_jupyter", "test_run_steps", "test_setup"),
    "resources/setup.d/": ("test_packages", "test_run_steps", "test_bashrc", "test_resources", "test_setup"),
}
"""By the beginning of the script's path; the first that fits counts."""


@dataclass(frozen=True)
class Record:
    """What one test runs: lines by file, below the package. `seconds` is its time when it was recorded."""

    test: str
    seconds: float
    lines: dict[str, frozenset[int]]


def digest(*paths: Path) -> str:
    """Return a short hash of the files' contents."""
    whole = hashlib.sha256()
    for path in paths:
        whole.update(path.read_bytes())
    return whole.hexdigest()[:12]


def test_files() -> list[Path]:
    """The test files that may notice a slip."""
    return [p for p in sorted((PACKAGE / "tests").rglob("test_*.py")) if p.name not in NEVER]


def load() -> list[Record]:
    """The records as they are; those of a test that was recorded again replace the older ones."""
    found: dict[str, Record] = {}
    lines = RECORDS.read_text().splitlines() if RECORDS.exists() else []
    for raw in map(json.loads, lines):
        by_file = {file: frozenset(numbers) for file, numbers in raw["lines"].items()}
        found[raw["test"]] = Record(raw["test"], raw["seconds"], by_file)
    return list(found.values())


def refresh(sources: list[Path]) -> list[Record]:
    """Record what is missing or older than the sources and tests as they are now; all records."""
    known_file = STATE / "digests.json"
    known = json.loads(known_file.read_text()) if known_file.exists() else {}
    now = {str(p.relative_to(PACKAGE)): digest(p) for p in [*sources, *test_files()]}
    changed = {name for name, seen in now.items() if known.get(name) != seen}
    stale = {f"tests/{name.removeprefix('tests/')}" for name in changed if name.startswith("tests/")}
    for record in load():
        if changed & set(record.lines):
            stale.add(record.test.partition("::")[0].removeprefix("aws_bootstrap/"))
    stale &= {str(p.relative_to(PACKAGE)) for p in test_files()}
    if stale:
        _record(sorted(stale))
        known_file.write_text(json.dumps(known | now))
    return load()


def _record(names: list[str]) -> None:
    """Run these test files and note what they run."""
    print(f"recording what {len(names)} test files run …", file=sys.stderr)
    folder = STATE / "recording"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    site = str(Path(__file__).parent / "site")
    extra = {
        "MUTANTS_PACKAGE": f"{PACKAGE}/",
        "MUTANTS_RECORDS": str(folder),
        "PYTHONPATH": os.pathsep.join([site, str(ROOT)]),
    }
    words = [sys.executable, "-m", "pytest", "-p", "aws_bootstrap.tests.mutants.recorder", "--no-header", "--tb=line"]
    files = [f"aws_bootstrap/{name}" for name in names]
    done = subprocess.run([*words, *files], cwd=ROOT, env=os.environ | extra, capture_output=True, text=True)
    if done.returncode:
        print(done.stdout[-3000:], file=sys.stderr)
        raise SystemExit("The tests fail without any slip: mend that first.")
    fresh = "".join(p.read_text() for p in sorted(folder.glob("records.*")))
    again = {f"aws_bootstrap/{name}" for name in names}
    kept = [r for r in _raw() if json.loads(r)["test"].partition("::")[0] not in again]
    RECORDS.write_text("".join(f"{line}\n" for line in kept) + fresh)


def _raw() -> list[str]:
    return RECORDS.read_text().splitlines() if RECORDS.exists() else []


def choose(
    records: list[Record],
    file: str,
    line: int,
    budget: float,
    *,
    at_import: bool = False,
    first: Collection[str] = (),
) -> list[Record]:
    """The tests that could notice a slip there, for so many seconds at most: quick and narrow ones first.

    `first` are tests that noticed other slips of the same function. Tests of a file that is named after the module
    count as quicker. What runs when its module is imported is looked at by the tests of all who name its value.
    """
    by_hand = next((names for prefix, names in BOX_TESTS.items() if file.startswith(prefix)), None)
    if by_hand:
        wanted = {f"aws_bootstrap/tests/box/{name}.py" for name in by_hand}
        found = [r for r in records if r.test.partition("::")[0] in wanted]
    else:
        found = [r for r in records if line in r.lines.get(file, ())]
        if at_import or not found:
            found = _of_users(records, file, line)

    def order(record: Record) -> tuple[bool, float]:
        return record.test not in first, _cost(record, Path(file).stem)

    chosen: list[Record] = []
    for record in sorted(found, key=order):
        if chosen and sum(r.seconds for r in chosen) + record.seconds > budget:
            break
        chosen.append(record)
    return chosen


def _cost(record: Record, module: str) -> float:
    """What to sort by: seconds, and a little for each line, since a narrow test looks closer."""
    cost = record.seconds + 0.003 * sum(map(len, record.lines.values()))
    file, _, test = record.test.partition("::")
    step = re.sub(r"^\d+-", "", module).replace("-", "_")
    of_its_own = Path(file).stem.startswith(f"test_{module}") or ("/box/" in file and step in test)
    return cost / 4 if of_its_own else cost


def _of_users(records: list[Record], file: str, line: int) -> list[Record]:
    """The tests that run a file in which the value is named that the module's line belongs to."""
    above = (PACKAGE / file).read_text().splitlines()[:line]
    names = [re.match(r"(?:class |def )?([A-Za-z_]\w*)", text) for text in reversed(above)]
    name = next((match[1] for match in names if match), "")
    users = {file}
    for path in PACKAGE.rglob("*.py"):
        if "tests" not in path.parts and re.search(rf"\b{name}\b", path.read_text()):
            users.add(str(path.relative_to(PACKAGE)))
    return [r for r in records if users & set(r.lines)]
