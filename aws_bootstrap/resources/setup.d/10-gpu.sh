#!/usr/bin/env bash
# title: GPU and driver
# limit: 180
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$SETUP_DIR/setup.d/lib.sh"
# shellcheck source-path=SCRIPTDIR source=cuda.sh
source "$SETUP_DIR/setup.d/cuda.sh"

# How long the driver may take to come up after boot, in seconds.
DRIVER_PATIENCE=$((PATIENCE < 120 ? PATIENCE : 120))

# know STATE [DRIVER] [ARCH]: note for the other steps what was found. STATE: works, absent or broken.
know() {
  printf '%s\n' "state $1" "toolkit $toolkit" "driver ${2:-}" "arch ${3:-$DEFAULT_ARCH}" >"$STATE_DIR/gpu.new"
  mv "$STATE_DIR/gpu.new" "$STATE_DIR/gpu"
}

# A box for trying things out, such as a t3.medium.
no_card() {
  know absent
  warn "no NVIDIA GPU on this instance type: what needs one does not run here"
  exit 0
}

ask_cards() { smi --query-gpu=name,driver_version,memory.total --format=csv,noheader >"$STEP_TMP/cards"; }

# Statuses of timeout: the command was ended.
timed_out() { [[ $1 == 124 || $1 == 137 ]]; }

# Ask until the cards answer. Returns the status of nvidia-smi. One that hangs is asked twice.
wait_for_cards() {
  local ends=$((SECONDS + DRIVER_PATIENCE)) status hung=0
  while true; do
    status=0
    ask_cards || status=$?
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
# Until more is known, and if this step is stopped.
know broken
[[ -z $toolkit ]] || fact cuda_version "$toolkit"

if ! have nvidia-smi; then
  has_nvidia_device || no_card
  die "no NVIDIA driver on this box (nvidia-smi is missing): use a GPU AMI"
fi

status=0
wait_for_cards || status=$?
if [[ $status == 0 ]]; then
  driver=$(driver_version)
  know works "$driver" "$(gpu_arch)"
  [[ -n $toolkit || -z $driver ]] || fact cuda_version "$driver"
  note "$(paste -sd ';' "$STEP_TMP/cards")"
  passed
  [[ -n $toolkit ]] || warn "no CUDA toolkit (nvcc) on this box: extensions will not compile"
elif ! has_nvidia_device; then
  no_card
elif timed_out "$status"; then
  die "nvidia-smi does not answer within $SMI_LIMIT s: the driver or the card hangs; try: sudo reboot"
else
  die "nvidia-smi finds no working GPU"
fi
