# shellcheck shell=bash
# What the boxes of .ci/box and .ci/cluster are built from. They source this file in the project's folder.
#
# What is built is kept in $cache, and built again when what it comes from has changed. `python` gets the project's own
# Python. Works as root on Debian 12 alone.

cache=${AWS_BOOTSTRAP_BOX_CACHE:-/var/cache/aws-bootstrap-box}
tests=aws_bootstrap/tests/box
python=${BOX_PYTHON:-.venv/bin/python}

[[ $(id -u) == 0 ]] || { echo "this needs root" >&2; exit 1; }
[[ -x $python ]] || { echo "no $python: run 'uv sync' first, or set BOX_PYTHON" >&2; exit 1; }
python=$(realpath --no-symlinks "$python")

# install_packages PACKAGE...: those that this machine does not have.
install_packages() {
  local package missing=()
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [[ ${#missing[@]} -gt 0 ]] || return 0
  apt-get update -q >/dev/null || true
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null
}

# The box has Debian's Python 3.11; its wheels are fetched by the same version.
find_pip() {
  local candidate
  for candidate in "${BOX_PIP_PYTHON:-}" "$HOME"/.pyenv/versions/3.11*/bin/python python3.11; do
    if [[ -n $candidate ]] && "$candidate" -c 'import pip, sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "no Python 3.11 with pip found: set BOX_PIP_PYTHON" >&2
  return 1
}

# fresh STAMP FILES...: whether these files have changed since STAMP was written; `made STAMP FILES...` writes it.
made() { local stamp=$1; shift; cat "$@" | sha256sum >"$cache/$stamp"; }
fresh() { local stamp=$1; shift; [[ $(cat "$cache/$stamp" 2>/dev/null) != "$(cat "$@" | sha256sum)" ]]; }

# The root file system, and the kernel and disk of the virtual machines, which are made from it.
build_image() {
  local from=("$tests/rootfs.sh")
  fresh .image "${from[@]}" || return 0
  echo "building the boxes' root file system in $cache"
  # The stamps first: a build that is cut off must not pass for a whole one.
  rm -rf "$cache"/{.image,.mirrors,.nodes,rootfs,kit,mirrors,nodes,key,key.pub}
  mkdir -p "$cache"
  ssh-keygen -q -t ed25519 -N '' -f "$cache/key"
  "$python" "$tests/mirrors.py" certify "$cache/mirrors"
  bash "$tests/rootfs.sh" "$cache/rootfs" "$cache/key.pub" "$cache/mirrors/ca.pem" "$cache/kit"
  made .image "${from[@]}"
}

# in_namespaces COMMAND...: become this command. The mount namespace takes the boxes' mounts and the names of their
# networks with it, the process namespace whatever still runs.
in_namespaces() {
  mkdir -p /run/netns
  export AWS_BOOTSTRAP_BOX_CACHE=$cache PYTHONDONTWRITEBYTECODE=1
  exec unshare --mount --propagation private --pid --fork --mount-proc --kill-child "$@"
}
