"""A command may open a file for each of many connections, whatever the shell allows at first (open_files.py)."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

#: Prints the limits before and after.
_PROGRAM = """
import json, resource
from aws_bootstrap import ssh
limit = resource.RLIMIT_NOFILE
resource.setrlimit(limit, ({soft}, {hard}))
ssh.check_installed()
print(json.dumps(resource.getrlimit(limit)))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "allowed"), [(256, 8000, 4500), (256, 1024, 1024), (5000, 8000, 5000), (256, 256, 256)]
)
def test_the_limit_is_raised_as_far_as_the_system_lets_it(soft, hard, allowed):
    words = [sys.executable, "-c", _PROGRAM.format(soft=soft, hard=hard)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == [allowed, hard]
