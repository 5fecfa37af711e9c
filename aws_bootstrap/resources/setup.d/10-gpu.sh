#!/usr/bin/env bash
# title: GPU and driver
# limit: 120
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$SETUP_DIR/setup.d/lib.sh"
# shellcheck source-path=SCRIPTDIR source=cuda.sh
source "$SETUP_DIR/setup.d/cuda.sh"

version=$(cuda_version)
[[ -z $version ]] || fact cuda_version "$version"

have nvidia-smi || die "no NVIDIA driver on this box (nvidia-smi is missing): use a GPU instance type and a GPU AMI"
# Right after boot the driver may still be starting.
retry 5 nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader >"$STEP_TMP/cards" ||
  die "nvidia-smi finds no working GPU"
note "$(paste -sd ';' "$STEP_TMP/cards")"
passed
find_cuda_tool nvcc >/dev/null || warn "no CUDA toolkit (nvcc) on this box: extensions will not compile"
