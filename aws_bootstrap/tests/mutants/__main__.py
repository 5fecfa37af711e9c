"""Try slips, and tell which of them no test notices. `.ci/mutants --help` lists the options."""

from __future__ import annotations

import argparse
import hashlib
import json
import queue
import random
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aws_bootstrap.tests.mutants import python, records, report, shell
from aws_bootstrap.tests.mutants.records import PACKAGE, ROOT, STATE, Record

SURVIVORS = Path(__file__).with_name("survivors.toml")
RESULTS = STATE / "results.jsonl"
WORKFLOWS = ("cleanup", "data_volume", "access", "status", "inventory", "hosts", "setup")
LAUNCH = ("capacity", "search", "failure", "plan", "state", "volume")
PATTERNS = (
    *(f"workflows/{name}.py" for name in WORKFLOWS),
    *(f"workflows/launch/{name}.py" for name in LAUNCH),
    "workflows/terminate/*.py",
    "ec2/*.py",
    "keys.py",
    "sshconfig.py",
    "ssh.py",
    "ssh_frame.py",
    "ssh_mount.py",
    "aws.py",
    "resources/mount_data_volume.sh",
    "resources/setup.d/*.sh",
)
FASTER_THAN = 60.0
"""Seconds of tests, as recorded, that one slip may cost. A slip that only later tests notice counts as survivor."""


@dataclass(frozen=True)
class Mutant:
    """One slip in one file. The id stays the same while the function and the slip in it do."""

    id: str
    file: str
    slip: python.Slip
    before: str
    after: str
    changed: bytes
    """The whole file with the slip: the tree may change while a long run lasts."""


def mutants(file: Path) -> list[Mutant]:
    """Every slip of the file."""
    source, name = file.read_bytes(), str(file.relative_to(PACKAGE))
    found: list[Mutant] = []
    seen: Counter[str] = Counter()
    for slip in (shell if file.suffix == ".sh" else python).slips(source):
        changed = slip.applied(source)
        first = source.rfind(b"\n", 0, slip.start) + 1
        before = _lines(source, first, slip.end)
        after = _lines(changed, first, slip.start + len(slip.text.encode()))
        key = f"{slip.kind} {before} {after}"
        stem = f"{name}::{slip.where}::{slip.kind}::{hashlib.sha256(key.encode()).hexdigest()[:8]}"
        seen[stem] += 1
        number = f"#{seen[stem]}" if seen[stem] > 1 else ""
        found.append(Mutant(stem + number, name, slip, before, after, changed))
    return found


def _lines(source: bytes, first: int, end: int) -> str:
    """The whole lines around the change, without their indentation."""
    last = source.find(b"\n", end)
    return "\n".join(line.strip() for line in source[first : last if last >= 0 else None].decode().splitlines())


def targets(names: list[str]) -> list[Path]:
    """The files to change: those that match a pattern, of the given names only if there are any."""
    found = sorted({p for pattern in PATTERNS for p in PACKAGE.glob(pattern) if p.name != "__init__.py"})
    chosen = [p for p in found if not names or any(name in str(p.relative_to(PACKAGE)) for name in names)]
    if not chosen:
        raise SystemExit(f"No module matches {' '.join(names)}.")
    return chosen


class Results:
    """What became of each slip, kept on disk after each, so that a run that is broken off goes on where it was.

    A slip that was noticed, or is explained, counts for as long as its module is the same; any other is tried again
    whenever a test has changed.
    """

    def __init__(self, explained: Collection[str], file: Path = RESULTS) -> None:
        self.explained = explained
        self.file = file
        self.tests = records.digest(*records.test_files())
        self.sources = {str(p.relative_to(PACKAGE)): records.digest(p) for p in targets([])}
        self.known: dict[str, dict[str, Any]] = {}
        self.tried: set[str] = set()
        """Every slip that was ever tried, also those whose result does not count any more."""
        lines = file.read_text().splitlines() if file.exists() else []
        for raw in map(json.loads, lines):
            self.tried.add(raw["id"])
            if self._counts(raw):
                self.known[raw["id"]] = raw

    def take_over(self, found: list[Mutant], module: report.Figures) -> None:
        """Count what another machine has found out about the module, if that is the same and was tried whole."""
        same_source = self.sources.get(found[0].file if found else "") == module.source
        if not same_source or module.tried < module.slips:
            return
        for mutant in found:
            survived = mutant.id in module.survivors
            self.tried.add(mutant.id)
            if mutant.id not in self.known and (not survived or mutant.id in self.explained):
                status = "survived" if survived else "killed"
                self.known[mutant.id] = {"id": mutant.id, "status": status, "by": "", "seconds": 0}

    def _counts(self, raw: dict[str, Any]) -> bool:
        same_source = self.sources.get(raw["id"].partition("::")[0]) == raw["source"]
        settled = raw["status"] in report.NOTICED or raw["id"] in self.explained
        return same_source and (settled or raw["tests"] == self.tests)

    def add(self, raw: dict[str, Any]) -> None:
        """Keep one more."""
        whole = raw | {"source": self.sources[raw["id"].partition("::")[0]], "tests": self.tests}
        self.known[raw["id"]] = whole
        with self.file.open("a") as file:
            file.write(json.dumps(whole) + "\n")


class Runner:
    """Workers, each with a copy of the tree, that take slips off one queue."""

    def __init__(self, results: Results, recorded: list[Record], budget: float) -> None:
        self.results, self.recorded, self.budget = results, recorded, budget
        self.todo: queue.SimpleQueue[Mutant] = queue.SimpleQueue()
        self.lock = threading.Lock()
        self.left = 0

    def run(self, todo: list[Mutant], workers: int) -> None:
        """Try them all."""
        self.left = len(todo)
        for mutant in todo:
            self.todo.put(mutant)
        threads = [threading.Thread(target=self._work, args=(number,), daemon=True) for number in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self, number: int) -> None:
        process = _worker(_copy(number))
        try:
            while True:
                mutant = self.todo.get_nowait()
                if not self._try(mutant, process):
                    process.wait()
                    process = _worker(_copy(number))
        except queue.Empty:
            return
        finally:
            process.communicate()

    def _try(self, mutant: Mutant, process: subprocess.Popen[str]) -> bool:
        """Whether the worker still runs. A slip with which it ended counts as one that nothing noticed."""
        tests = records.choose(
            self.recorded,
            mutant.file,
            mutant.slip.line,
            self.budget,
            at_import=mutant.slip.at_import,
            first=self._killers(mutant),
        )
        if tests:
            seconds = sum(record.seconds for record in tests)
            task = {
                "id": mutant.id,
                "path": f"aws_bootstrap/{mutant.file}",
                "source": mutant.changed.hex(),
                "tests": [record.test for record in tests],
                "timeout": 15 + 3 * seconds,
                "at_import": mutant.slip.at_import,
            }
            assert process.stdin
            assert process.stdout
            process.stdin.write(json.dumps(task) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
            lost = {"id": mutant.id, "status": "worker-ended", "by": "", "seconds": 0}
            answer = json.loads(line) if line else lost
        else:
            answer = {"id": mutant.id, "status": "no-tests", "by": "", "seconds": 0}
        with self.lock:
            self.results.add(answer)
            self.left -= 1
            print(f"{self.left:5} left  {answer['seconds']:5} s  {answer['status']:9} {mutant.id}", flush=True)
        return answer["status"] != "worker-ended"

    def _killers(self, mutant: Mutant) -> set[str]:
        """The tests that noticed other slips of the same function: they look at what it does."""
        function = mutant.id.rpartition("::")[0].rpartition("::")[0]
        with self.lock:
            known = list(self.results.known.items())
        return {raw["by"] for name, raw in known if raw["by"] and name.startswith(f"{function}::")}


def _worker(copy: Path) -> subprocess.Popen[str]:
    argv = [sys.executable, "-B", str(copy / Path(__file__).relative_to(ROOT).with_name("worker.py")), str(copy)]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _copy(number: int) -> Path:
    """A fresh copy of what git knows, to be changed by one worker."""
    copy = STATE / f"tree{number}"
    shutil.rmtree(copy, ignore_errors=True)
    names = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name in names:
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    return copy


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog=".ci/mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", help="parts of names, like ec2/ or keys; all where none is given")
    parser.add_argument("--sample", type=int, metavar="N", help="try N slips a module, chosen by --seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--budget", type=float, default=FASTER_THAN, metavar="SECONDS", help="of tests, for one slip")
    parser.add_argument("--survivors", action="store_true", help="show those that no test notices, and end")
    parser.add_argument("--as-recorded", action="store_true", help="do not look for tests that changed since")
    parser.add_argument("--anew", action="store_true", help="do not count what measured.json says")
    parser.add_argument("--write", action="store_true", help="write the part of docs/reliability.md")
    parser.add_argument("--again", metavar="ID", help="try one slip again and show its tests")
    return parser.parse_args()


def sampled(found: list[Mutant], size: int | None, seed: int) -> list[Mutant]:
    """All of them, or a sample that is the same for the same seed and slips."""
    if size is None or size >= len(found):
        return found
    return random.Random(seed).sample(found, size)


def main() -> int:
    """Run; 1 if there are survivors without a reason."""
    chosen = options()
    STATE.mkdir(exist_ok=True)
    files = targets(chosen.modules)
    by_file = {str(f.relative_to(PACKAGE)): mutants(f) for f in files}
    reasons = {entry["id"]: entry for entry in tomllib.loads(SURVIVORS.read_text()).get("survivor", [])}
    results = Results(reasons)
    measured = {} if chosen.anew else report.measured()
    for name in by_file.keys() & measured.keys():
        results.take_over(by_file[name], measured[name])
    picked = {name: sampled(found, chosen.sample, chosen.seed) for name, found in by_file.items()}
    if not chosen.survivors:
        recorded = records.load() if chosen.as_recorded else records.refresh(targets([]))
        wanted = [m for found in picked.values() for m in found]
        if chosen.again:
            wanted = [m for m in wanted if m.id == chosen.again]
        todo = [m for m in wanted if m.id not in results.known or chosen.again]
        random.Random(chosen.seed).shuffle(todo)  # a run that is broken off has tried some of every module
        todo.sort(key=lambda m: m.id not in results.tried)  # earlier survivors first: there may be a test by now
        began = time.monotonic()
        Runner(results, recorded, chosen.budget).run(todo, min(chosen.workers, len(todo)) or 1)
        print(f"{len(todo)} tried in {time.monotonic() - began:.0f} s")
    run = {
        name: report.figures(found, picked[name], results.known, results.sources[name], reasons)
        for name, found in by_file.items()
    }
    if chosen.write:
        report.write(run, results.sources)
    return report.show(picked, run, results.known, reasons)


if __name__ == "__main__":
    sys.exit(main())
