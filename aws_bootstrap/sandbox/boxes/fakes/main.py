"""The entry point of the fake programs: `main.py PROGRAM ARGUMENTS…` runs the function in programs.txt.

These run inside a box, on the standard library alone and without site-packages; any Python from 3.8 on will do.
A setup starts sixty of them. So the programs that it starts most import nothing that loads `re`, which triples the
time that Python takes to start: no pathlib, json or shutil.
"""

from __future__ import annotations

import importlib
import os
import sys

HERE = os.path.dirname(os.path.realpath(__file__))


def main() -> int:
    """Return the exit status of the program that the command line names."""
    sys.path.insert(0, HERE)
    program, arguments = sys.argv[1], sys.argv[2:]
    module, _, function = _function_of(program).partition(":")
    return getattr(importlib.import_module(module), function)(program, arguments) or 0


def _function_of(program: str) -> str:
    """Return the MODULE:FUNCTION of a program."""
    with open(os.path.join(HERE, "programs.txt")) as rows:
        for line in rows:
            row = line.split()
            if row and row[0] == program:
                return row[1]
    raise LookupError(program)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:
        sys.exit(141)
