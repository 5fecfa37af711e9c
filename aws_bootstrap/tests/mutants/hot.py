"""Runs a slip's tests in a fork of a process that has every test collected and our package imported.

The slip is put into the functions that are in memory already, and lies in the file too, so that the programs which a
test starts have it. What runs while a module is imported cannot be changed so: `Cold` says that.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FunctionType

import pytest

from aws_bootstrap.tests.mutants.chosen import Chosen


class Cold(Exception):
    """The slip cannot be put into functions that exist: the package has to be imported with it."""


def _pairs(old: CodeType, new: CodeType) -> dict[tuple[str, int], CodeType]:
    """The new code of each function in the old code, by qualified name and first line."""
    inner_old = [const for const in old.co_consts if isinstance(const, CodeType)]
    inner_new = [const for const in new.co_consts if isinstance(const, CodeType)]
    if [code.co_name for code in inner_old] != [code.co_name for code in inner_new]:
        raise Cold
    found: dict[tuple[str, int], CodeType] = {}
    for before, after in zip(inner_old, inner_new, strict=True):
        found[before.co_qualname, before.co_firstlineno] = after
        found |= _pairs(before, after)
    return found


def put_in(path: Path, before: bytes, changed: bytes) -> None:
    """Change the functions of that file that are in memory. Cold where that cannot be done."""
    pairs = _pairs(compile(before, str(path), "exec"), compile(changed, str(path), "exec"))
    functions = [f for f in gc.get_objects() if isinstance(f, FunctionType) and f.__code__.co_filename == str(path)]
    for function in functions:
        code = pairs.get((function.__code__.co_qualname, function.__code__.co_firstlineno))
        if code is None or code.co_freevars != function.__code__.co_freevars:
            raise Cold
        function.__code__ = code


class Hot:
    """A pytest plugin whose run loop answers tasks, a line each, in place of running every test."""

    def __init__(self, tasks: int, answers: int, wait: Callable[[int, float, Path], tuple[str, str]]) -> None:
        self.tasks = os.fdopen(tasks)
        self.answers = os.fdopen(answers, "w")
        self.wait = wait

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Answer until there are no more tasks."""
        by_id = {item.nodeid: item for item in session.items}
        gc.collect()
        for line in self.tasks:
            task = json.loads(line)
            items = [by_id[test] for test in task["tests"] if test in by_id]
            child = os.fork()
            if child == 0:
                self._run(task, items, session)
            status, by = self.wait(child, task["timeout"], Path(task["folder"]))
            self.answers.write(json.dumps([status, by]) + "\n")
            self.answers.flush()
        return True

    def _run(self, task: dict, items: list[pytest.Item], session: pytest.Session) -> None:
        """In the fork: 0 where every test passes, 1 where one fails, 5 without tests, 7 where the slip is `Cold`."""
        code = 3
        try:
            os.setsid()
            folder = Path(task["folder"])
            output = os.open(folder / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(output, 1)
            os.dup2(output, 2)
            session.config._tmp_path_factory._given_basetemp = folder / "base"  # type: ignore[attr-defined]
            path = Path(task["path"])
            if task["changed"] is not None:
                put_in(path, bytes.fromhex(task["before"]), bytes.fromhex(task["changed"]))
            code = _first_failure(items, folder)
        except Cold:
            code = 7
        finally:
            sys.stdout.flush()
            os._exit(code)


def _first_failure(items: list[pytest.Item], folder: Path) -> int:
    if not items:
        return 5
    watch = Chosen([])
    items[0].config.pluginmanager.register(watch)
    following: list[pytest.Item | None] = [*items[1:], None]
    for item, after in zip(items, following, strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
        if watch.failed:
            (folder / "failed").write_text(watch.failed)
            return 1
    return 0
