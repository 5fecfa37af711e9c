#!/usr/bin/env bash
# title: More Python packages
# needs: venv
# after: requirements pytorch cuda-test
# limit: 1200
# optional: yes
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$SETUP_DIR/setup.d/lib.sh"

# Optional: no other step waits for these large packages. A failure is only a warning.
list="$SETUP_DIR/requirements-more.txt"
stamp="$VENV_NOTES/more-packages"
required="$(checksum "$list") $(venv_python)"
if [[ $(cat "$stamp" 2>/dev/null) == "$required" ]]; then exit 0; fi
if uv_install more-packages -r "$list"; then
  echo "$required" >"$stamp"
  changed
else
  warn "uv could not install all of them; try later: uv pip install -r $list"
fi
