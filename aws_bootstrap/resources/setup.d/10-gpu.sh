#!/usr/bin/env bash
# title: GPU and driver
# limit: 180
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$SETUP_DIR/setup.d/lib.sh"
# shellcheck source-path=SCRIPTDIR source=cuda.sh
source "$SETUP_DIR/setup.d/cuda.sh"

# How long the driver may take to load after boot, in seconds.
DRIVER_SECONDS=$((RETRY_SECONDS < 120 ? RETRY_SECONDS : 120))

# record STATE [DRIVER] [ARCH]: save the GPU's state for the other steps. STATE: works, absent or broken.
record() {
  printf '%s\n' "state $1" "toolkit $toolkit" "driver ${2:-}" "arch ${3:-$DEFAULT_ARCH}" >"$STATE_DIR/gpu.new"
  mv "$STATE_DIR/gpu.new" "$STATE_DIR/gpu"
}

# A box without a GPU, such as a t3.medium for a cheap trial.
no_card() {
  record absent
  warn "no NVIDIA GPU on this instance type: programs that need a GPU do not run here"
  exit 0
}

query_cards() { smi --query-gpu=name,driver_version,memory.total --format=csv,noheader >"$STEP_TMP/cards"; }

# Whether STATUS is one of those with which timeout reports that it ended the command.
timed_out() { [[ $1 == 124 || $1 == 137 ]]; }

# Query the cards until they answer, and return the status of nvidia-smi. After two queries that hang, give up.
wait_for_cards() {
  local ends=$((SECONDS + DRIVER_SECONDS)) status hung=0
  while true; do
    status=0
    query_cards || status=$?
    [[ $status != 0 ]] || return 0
    echo "nvidia-smi: status $status"
    if timed_out "$status"; then hung=$((hung + 1)); fi
    # No card to wait for.
    has_nvidia_device || return "$status"
    if ((hung == 2 || SECONDS >= ends)); then return "$status"; fi
    sleep "$RETRY_PAUSE"
  done
}

toolkit=$(toolkit_version)
# The state until the cards answer, and if this step is stopped.
record broken
[[ -z $toolkit ]] || fact cuda_version "$toolkit"

if ! have nvidia-smi; then
  has_nvidia_device || no_card
  die "no NVIDIA driver on this box (nvidia-smi is missing): use a GPU AMI"
fi

status=0
wait_for_cards || status=$?
if [[ $status == 0 ]]; then
  driver=$(driver_version)
  record works "$driver" "$(gpu_arch)"
  [[ -n $toolkit || -z $driver ]] || fact cuda_version "$driver"
  note "$(paste -sd ';' "$STEP_TMP/cards")"
  passed
  [[ -n $toolkit ]] || warn "no CUDA toolkit (nvcc) on this box: extensions will not compile"
elif ! has_nvidia_device; then
  no_card
elif timed_out "$status"; then
  die "nvidia-smi did not answer within $SMI_LIMIT s: the driver or the card hangs; try: sudo reboot"
else
  die "nvidia-smi finds no working GPU"
fi
