"""Run a script as Python would, and leave a marker when its body has returned: what each process of torchrun runs.

    marked.py SCRIPT ARGUMENTS

The marker is the job's own word that its work is done. The exit code is none: gloo sometimes aborts a process at its
exit. `marks/done.N` is the marker of the process with local rank N, and `marks/failed.N` says when and how it failed.
"""

import json
import os
import sys
import time
import types
from pathlib import Path

MARKS = Path(__file__).parent / "marks"
RANK = os.environ.get("LOCAL_RANK", "0")


def main():
    """Run the script."""
    mark("started", os.getpid())
    check_order()
    script = sys.argv[1]
    sys.argv = sys.argv[1:]
    sys.path[0] = os.path.dirname(os.path.realpath(script))
    try:
        with open(script, "rb") as file:
            code = compile(file.read(), script, "exec")
        exec(code, as_main(script))  # noqa: S102  it is the user's script
    except SystemExit as error:
        if error.code not in (None, 0):
            mark("failed", [time.monotonic(), f"exit code {error.code}"])
            raise
    except Exception as error:
        mark("failed", [time.monotonic(), in_one_line(error)])
        raise
    mark("done", time.monotonic())


def as_main(script):
    """Return the variables of a fresh module `__main__`, which the script's own classes belong to."""
    module = types.ModuleType("__main__")
    module.__file__ = script
    module.__dict__["__builtins__"] = __builtins__
    sys.modules["__main__"] = module
    return module.__dict__


def check_order():
    """Warn if torchrun has numbered the nodes in another order than the cluster."""
    given, own = os.environ.get("GROUP_RANK"), os.environ.get("AWSB_NODE_RANK")
    if given and own and given != own:
        print(f"aws-bootstrap: torchrun calls node {own} node {given}: RANK is another order.", file=sys.stderr)


def mark(name, value):
    """Write a mark, whole or not at all."""
    path = MARKS / f"{name}.{RANK}"
    draft = path.with_suffix(f".{RANK}.new")
    draft.write_text(json.dumps(value))
    draft.replace(path)


def in_one_line(error):
    """Return the type and text of an exception, as the last line of a traceback has it."""
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


if __name__ == "__main__":
    main()
