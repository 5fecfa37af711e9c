"""`python -m torch.distributed.run` runs the fake torchrun beside this Python."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    program = os.path.join(os.path.dirname(sys.executable), "torchrun")
    os.execv(program, [program, *sys.argv[1:]])
