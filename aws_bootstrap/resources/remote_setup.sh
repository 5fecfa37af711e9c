#!/usr/bin/env bash
# Set up a GPU box. Run it on the box, as its login user, from the folder that holds this file and setup.d/.
#
#   [PYTHON_VERSION=3.13] bash ./remote_setup.sh
#
# Progress goes to stdout, the full log to ~/.aws-bootstrap/setup.log, the outcome to ~/.aws-bootstrap/setup.json.
# Every step is safe to repeat. Exit status: 0 completed (warnings allowed), 1 a step failed.
set -euo pipefail

# The CUDA wheel tags that PyTorch publishes. When it adds one, add it here: https://download.pytorch.org/whl/
KNOWN_CUDA_TAGS=(118 121 124 126 128 129 130 132)

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

export KNOWN_CUDA_TAGS_LIST="${KNOWN_CUDA_TAGS[*]}"
export PYTHON_VERSION="${PYTHON_VERSION:-}"
# A second run starts in a shell where the box's venv is active. The steps name the venv themselves.
unset VIRTUAL_ENV PYTHONHOME PYTHONPATH
# Each step's bash would read the file that this variable names.
unset BASH_ENV

# Not `python3` first: after a setup that is the venv's python, and a step may replace the venv while others run.
python=/usr/bin/python3
[[ -x $python ]] || python=python3
exec "$python" "$here/run_steps.py" "$here"
