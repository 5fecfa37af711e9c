# shellcheck shell=bash
# The mounts that the boxes of the tests need, and `tests`. Sourced inside the namespaces that build.sh makes.

# tests PYTHON FILES [PYTEST ARGUMENTS]: run the tests of one file of this folder, or of several with spaces between.
tests() {
  local name files=()
  for name in $2; do
    files+=("$(dirname "${BASH_SOURCE[0]}")/$name.py")
  done
  "$1" -m pytest -q -s --noconftest -p no:cacheprovider -o addopts= --import-mode=importlib "${files[@]}" "${@:3}"
}

mount -t tmpfs tmpfs /run/netns || exit 1
# A box of today has the control groups of version 2 alone. Its containers get them, whatever this machine has.
if [[ ! -e /sys/fs/cgroup/cgroup.procs ]]; then
  umount --recursive /sys/fs/cgroup
  mount -t cgroup2 cgroup2 /sys/fs/cgroup || exit 1
fi
