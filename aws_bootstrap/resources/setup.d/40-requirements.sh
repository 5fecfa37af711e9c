#!/usr/bin/env bash
# title: Python packages
# needs: venv
# limit: 1200
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$SETUP_DIR/setup.d/lib.sh"

stamp="$VENV_NOTES/requirements"
required="$(checksum "$SETUP_DIR/requirements.txt") $(venv_python)"
if [[ -x $VENV/bin/jupyter && $(cat "$stamp" 2>/dev/null) == "$required" ]]; then exit 0; fi
uv_install requirements -r "$SETUP_DIR/requirements.txt" || die "uv could not install requirements.txt"
echo "$required" >"$stamp"
changed
