#!/usr/bin/env bash
# both.sh PYTHON [PYTEST ARGUMENTS]: the tests in containers and those in virtual machines, at the same time. For .ci/box.
#
# They share nothing but the processor: emulating a machine keeps one core busy, the containers mostly wait. What the
# second one says is shown when the first has ended.
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
tests linux_volume "$@" >"$said" 2>&1 &
machines_process=$!
tests linux_setup "$@"
containers=$?
wait "$machines_process"
machines=$?
cat "$said"

# 5: no test of that file was selected.
if [[ $containers == 5 ]]; then exit "$machines"; fi
if [[ $containers == 0 && $machines == 5 ]]; then exit 0; fi
exit $((containers ? containers : machines))
