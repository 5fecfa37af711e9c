# shellcheck shell=sh
# Sourced when a shell starts: the caches of Hugging Face, uv and pip go to the data volume, else to the instance
# store, where one is mounted and may be written. They survive the box on the first and spare its disk on both. What is
# set already stays. It prints nothing and fails nothing.
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
    # ~/venv is on another disk, where uv cannot link its files to.
    export UV_CACHE_DIR="$_aws_bootstrap_folder/.cache/uv" UV_LINK_MODE="${UV_LINK_MODE:-copy}"
  fi
  break
done
unset _aws_bootstrap_folder _aws_bootstrap_mounts
