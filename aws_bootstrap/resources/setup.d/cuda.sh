# shellcheck shell=bash
# Which CUDA the box has, and which PyTorch wheels fit it. Every question to a driver has a bound: one that hangs answers
# never. What the step gpu found is in $STATE_DIR/gpu for the steps after it, so that they need not ask again.

# A first answer of eight cards without nvidia-persistenced takes some ten seconds.
SMI_LIMIT="${SETUP_SMI_LIMIT:-30}"
DEFAULT_ARCH=sm_75 # a g4dn's T4

smi() { timeout -k 2 "$SMI_LIMIT" nvidia-smi "$@"; }

# nvcc --version -> 12.8 ("Cuda compilation tools, release 12.8, V12.8.93")
parse_nvcc() { sed -nE 's/.*release ([0-9]+\.[0-9]+).*/\1/p' | head -n 1; }

# nvidia-smi -> 13.0, what the driver supports at most ("CUDA Version: 13.0"; newer drivers: "CUDA UMD Version")
parse_nvidia_smi() { sed -nE 's/.*CUDA( UMD)? Version: *([0-9]+\.[0-9]+).*/\2/p' | head -n 1; }

# The path of a CUDA tool; a shell that ssh starts often lacks /usr/local/cuda/bin on its PATH.
find_cuda_tool() { command -v "$1" || ls "/usr/local/cuda/bin/$1" 2>/dev/null; }

# The version of the toolkit, or nothing.
toolkit_version() {
  local nvcc
  nvcc=$(find_cuda_tool nvcc || true)
  [[ -z $nvcc ]] || timeout -k 2 20 "$nvcc" --version 2>/dev/null | parse_nvcc || true
}

# The newest CUDA that the driver supports, or nothing.
driver_version() { smi 2>/dev/null | parse_nvidia_smi || true; }

# gpu_fact NAME: what the step gpu noted (toolkit, driver, arch, state), or nothing.
gpu_fact() { sed -n "s/^$1 //p" "$STATE_DIR/gpu" 2>/dev/null || true; }

# lower_version [A] [B]: the lower of two versions, the one that is known, or nothing.
lower_version() { printf '%s\n' "$@" | sed '/^$/d' | sort -V | head -n 1; }

# candidate_tags 12.8 118 121 ...: the tags not above that version, newest first. A tag's last digit is the minor.
candidate_tags() {
  local major=${1%%.*} minor=${1#*.} tag
  shift
  for tag in $(printf '%s\n' "$@" | sort -rn); do
    if ((tag / 10 < major || (tag / 10 == major && tag % 10 <= minor))); then echo "$tag"; fi
  done
}

# 7.5 -> sm_75, by the first card; the default where no card answers.
gpu_arch() {
  local capability
  capability=$(smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1 | tr -d ' ' || true)
  if [[ $capability =~ ^[0-9]+\.[0-9]+$ ]]; then echo "sm_${capability/./}"; else echo "$DEFAULT_ARCH"; fi
}

# Whether an NVIDIA device (PCI vendor 10de) is in the box, whatever its driver does.
has_nvidia_device() {
  if have lspci; then
    [[ -n $(timeout 20 lspci -n -d 10de: 2>/dev/null) ]]
  else
    grep -qsix 0x10de /sys/bus/pci/devices/*/vendor
  fi
}
