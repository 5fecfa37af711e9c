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

source "$here/namespaces.sh"
tests "$python" linux_volume "$@" >"$said" 2>&1 &
machines_process=$!
tests "$python" linux_setup "$@"
containers=$?
tests "$python" linux_browser "$@"
browser=$?
wait "$machines_process"
machines=$?
cat "$said"

tests "$python" linux_guardian "$@"
guardian=$?
tests "$python" linux_runs "$@"
runs=$?
tests "$python" linux_bake "$@"
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
