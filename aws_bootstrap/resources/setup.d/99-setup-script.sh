#!/usr/bin/env bash
# title: Your setup script
# needs: all
# if: user-setup-script
# limit: 3600
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$SETUP_DIR/setup.d/lib.sh"

# Not every script is safe to repeat, so a script that succeeded runs again only when it has changed.
script="$SETUP_DIR/user-setup-script"
stamp="$STATE_DIR/setup-script"
if [[ $(cat "$stamp" 2>/dev/null) == "$(checksum "$script")" ]]; then exit 0; fi

runner=("$script")
[[ $(head -c 2 "$script") == '#!' ]] || runner=(bash "$script")
chmod u+x "$script"
cd "$HOME"
status=0
(
  # shellcheck disable=SC1091 # created on the box
  [[ ! -f $VENV/bin/activate ]] || source "$VENV/bin/activate"
  "${runner[@]}"
) || status=$?
[[ $status == 0 ]] || die "exit status $status"
checksum "$script" >"$stamp"
changed
