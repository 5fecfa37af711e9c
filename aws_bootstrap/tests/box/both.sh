#!/usr/bin/env bash
# both.sh PYTHON [PYTEST ARGUMENTS]: the tests in containers (setup, browser) and those in virtual machines, at the same
# time, then those of the guardian, of runs and of a copied disk. For .ci/box.
#
# They share nothing but the processor: emulating a machine keeps one core busy, the containers mostly wait. What the
# machines say is shown when the containers have ended. The guardian's tests have times of seconds, so nothing runs beside.
set -uo pipefail

python=$1
shift
here=$(dirname "$0")
said=$(mktemp)
trap 'rm -f "$said"' EXIT

tests() {
  "$python" -m pytest -q -s --noconftest -p no:cacheprovider -o addopts= --import-mode=importlib \
    "$here/$1.py" "${@:2}"
}

mount -t tmpfs tmpfs /run/netns || exit 1
# A box of today has the control groups of version 2 alone. Its containers get them, whatever this machine has.
if [[ ! -e /sys/fs/cgroup/cgroup.procs ]]; then
  umount --recursive /sys/fs/cgroup
  mount -t cgroup2 cgroup2 /sys/fs/cgroup || exit 1
fi
tests linux_volume "$@" >"$said" 2>&1 &
machines_process=$!
tests linux_setup "$@"
containers=$?
tests linux_browser "$@"
browser=$?
wait "$machines_process"
machines=$?
cat "$said"

tests linux_guardian "$@"
guardian=$?
tests linux_runs "$@"
runs=$?
tests linux_bake "$@"
bake=$?

# 5: no test of that file was selected. The first other failure counts; 5 if nothing was selected at all.
failed=5
for status in "$containers" "$browser" "$machines" "$guardian" "$runs" "$bake"; do
  case $status in
    5) ;;
    0) [[ $failed != 5 ]] || failed=0 ;;
    *) [[ $failed != 5 && $failed != 0 ]] || failed=$status ;;
  esac
done
exit "$failed"
