# shellcheck shell=bash
# Find the CUDA of the box and the PyTorch wheels that fit it. Every query to a driver has a time limit, because a
# driver can hang. The step gpu saves its results in $STATE_DIR/gpu, so that later steps need no query.

# The first answer of eight cards without nvidia-persistenced takes about ten seconds.
SMI_LIMIT="${SETUP_SMI_LIMIT:-30}"
DEFAULT_ARCH=sm_75 # a g4dn's T4

smi() { timeout -k 2 "$SMI_LIMIT" nvidia-smi "$@"; }

# nvcc --version -> 12.8 ("Cuda compilation tools, release 12.8, V12.8.93")
parse_nvcc() { sed -nE 's/.*release ([0-9]+\.[0-9]+).*/\1/p' | head -n 1; }

# nvidia-smi -> 13.0, the newest CUDA that the driver supports ("CUDA Version: 13.0"; newer drivers: "CUDA UMD Version")
parse_nvidia_smi() { sed -nE 's/.*CUDA( UMD)? Version: *([0-9]+\.[0-9]+).*/\2/p' | head -n 1; }

# The path of a CUDA tool. A shell that ssh starts often lacks /usr/local/cuda/bin on its PATH.
find_cuda_tool() { command -v "$1" || ls "/usr/local/cuda/bin/$1" 2>/dev/null; }

# The version of the toolkit, or nothing.
toolkit_version() {
  local nvcc
  nvcc=$(find_cuda_tool nvcc || true)
  [[ -z $nvcc ]] || timeout -k 2 20 "$nvcc" --version 2>/dev/null | parse_nvcc || true
}

# The newest CUDA that the driver supports, or nothing.
driver_version() { smi 2>/dev/null | parse_nvidia_smi || true; }

# gpu_fact NAME: a value that the step gpu saved (toolkit, driver, arch, state), or nothing.
gpu_fact() { sed -n "s/^$1 //p" "$STATE_DIR/gpu" 2>/dev/null || true; }

# lower_version [A] [B]: the lower of two versions. If one is empty, the other. If both are, nothing.
lower_version() { printf '%s\n' "$@" | sed '/^$/d' | sort -V | head -n 1; }

# candidate_tags 12.8 118 121 ...: the tags not above that version, newest first. A tag's last digit is the minor.
candidate_tags() {
  local major=${1%%.*} minor=${1#*.} tag
  shift
  for tag in $(printf '%s\n' "$@" | sort -rn); do
    if ((tag / 10 < major || (tag / 10 == major && tag % 10 <= minor))); then echo "$tag"; fi
  done
}

# The architecture of the first card (7.5 -> sm_75), or the default if no card answers.
gpu_arch() {
  local capability
  capability=$(smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1 | tr -d ' ' || true)
  if [[ $capability =~ ^[0-9]+\.[0-9]+$ ]]; then echo "sm_${capability/./}"; else echo "$DEFAULT_ARCH"; fi
}

# Whether the box has an NVIDIA device (PCI vendor 10de), with or without a working driver.
has_nvidia_device() {
  if have lspci; then
    [[ -n $(timeout 20 lspci -n -d 10de: 2>/dev/null) ]]
  else
    grep -qsix 0x10de /sys/bus/pci/devices/*/vendor
  fi
}
