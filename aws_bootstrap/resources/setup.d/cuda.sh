# shellcheck shell=bash
# Which CUDA the box has, and which PyTorch wheels fit it. Pure functions of text, but for cuda_version and gpu_arch.

# nvcc --version -> 12.8 ("Cuda compilation tools, release 12.8, V12.8.93")
parse_nvcc() { sed -nE 's/.*release ([0-9]+\.[0-9]+).*/\1/p' | head -n 1; }

# nvidia-smi -> 13.0, what the driver supports at most ("CUDA Version: 13.0"; newer drivers: "CUDA UMD Version")
parse_nvidia_smi() { sed -nE 's/.*CUDA( UMD)? Version: *([0-9]+\.[0-9]+).*/\2/p' | head -n 1; }

# The path of a CUDA tool; a shell that ssh starts often lacks /usr/local/cuda/bin on its PATH.
find_cuda_tool() { command -v "$1" || ls "/usr/local/cuda/bin/$1" 2>/dev/null; }

# The version of the toolkit, else what the driver supports, else nothing.
cuda_version() {
  local nvcc version=""
  nvcc=$(find_cuda_tool nvcc || true)
  [[ -z $nvcc ]] || version=$("$nvcc" --version 2>/dev/null | parse_nvcc || true)
  [[ -n $version ]] || version=$(nvidia-smi 2>/dev/null | parse_nvidia_smi || true)
  echo "$version"
}

# candidate_tags 12.8 118 121 ...: the tags not above that version, newest first. A tag's last digit is the minor.
candidate_tags() {
  local major=${1%%.*} minor=${1#*.} tag
  shift
  for tag in $(printf '%s\n' "$@" | sort -rn); do
    if ((tag / 10 < major || (tag / 10 == major && tag % 10 <= minor))); then echo "$tag"; fi
  done
}

# 7.5 -> sm_75, by the first card; sm_75 (a g4dn's T4) where no card answers.
gpu_arch() {
  local capability
  capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1 | tr -d ' ' || true)
  if [[ $capability =~ ^[0-9]+\.[0-9]+$ ]]; then echo "sm_${capability/./}"; else echo sm_75; fi
}
