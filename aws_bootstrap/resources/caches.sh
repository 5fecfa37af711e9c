# shellcheck shell=sh
# Sourced when a shell starts. It puts the caches of Hugging Face, uv and pip on the data volume, or else on the
# instance store, if one is mounted and writable. Caches on the data volume outlive the box. Both save the root disk.
# Variables that are set already stay. It prints nothing and never fails.
_aws_bootstrap_mounts=$(cat /proc/mounts 2>/dev/null || true)
for _aws_bootstrap_folder in /data /opt/dlami/nvme; do
  case $_aws_bootstrap_mounts in
    *" $_aws_bootstrap_folder "*) ;;
    *) continue ;;
  esac
  [ -w "$_aws_bootstrap_folder" ] || continue
  export HF_HOME="${HF_HOME:-$_aws_bootstrap_folder/.cache/huggingface}"
  export PIP_CACHE_DIR="${PIP_CACHE_DIR:-$_aws_bootstrap_folder/.cache/pip}"
  if [ -z "${UV_CACHE_DIR:-}" ]; then
    # ~/venv is on another disk, and uv cannot link from one disk to another.
    export UV_CACHE_DIR="$_aws_bootstrap_folder/.cache/uv" UV_LINK_MODE="${UV_LINK_MODE:-copy}"
  fi
  break
done
unset _aws_bootstrap_folder _aws_bootstrap_mounts
