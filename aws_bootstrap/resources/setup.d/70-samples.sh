#!/usr/bin/env bash
# title: Benchmark and notebook
# limit: 60
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$SETUP_DIR/setup.d/lib.sh"

deploy "$SETUP_DIR/gpu_benchmark.py" "$HOME/gpu_benchmark.py"
deploy "$SETUP_DIR/gpu_smoke_test.ipynb" "$HOME/gpu_smoke_test.ipynb"
