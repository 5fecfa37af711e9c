#!/usr/bin/env bash
# title: More Python packages
# needs: venv
# after: requirements pytorch cuda-test
# limit: 1200
# optional: yes
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$SETUP_DIR/setup.d/lib.sh"

# The heavier ones. No other step waits for them, and a box without them is set up: a failure warns.
list="$SETUP_DIR/requirements-more.txt"
stamp="$VENV_NOTES/more-packages"
wanted="$(checksum "$list") $(venv_python)"
if [[ $(cat "$stamp" 2>/dev/null) == "$wanted" ]]; then exit 0; fi
if uv_install more-packages -r "$list"; then
  echo "$wanted" >"$stamp"
  changed
else
  warn "uv could not install all of them; later: uv pip install -r $list"
fi
