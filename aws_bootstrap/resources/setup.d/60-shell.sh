#!/usr/bin/env bash
# title: Shell environment
# after: nsight
# limit: 60
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$SETUP_DIR/setup.d/lib.sh"

FIRST='# >>> aws-bootstrap >>>'
LAST='# <<< aws-bootstrap <<<'
rc="$HOME/.bashrc"

# It stands at the top of ~/.bashrc: Ubuntu's returns early from shells that are not interactive, and bash reads the
# file for `ssh box 'python ...'` too. It prints nothing, or scp and rsync would break.
# shellcheck disable=SC2016 # expanded when the shell starts, not now
block() {
  echo "$FIRST"
  local nsys
  nsys=$(newest_nsys)
  echo "for folder in \"\$HOME/.local/bin\" /usr/local/cuda/bin $nsys; do"
  echo '  case ":$PATH:" in *":$folder:"*) ;; *) [ ! -d "$folder" ] || export PATH="$folder:$PATH" ;; esac'
  echo 'done'
  echo 'unset folder'
  echo 'if [ -f ~/venv/bin/activate ]; then source ~/venv/bin/activate; fi'
  echo "$LAST"
}

draft="$STEP_TMP/bashrc"
block >"$draft"
[[ ! -e $rc ]] || sed "/^$FIRST\$/,/^$LAST\$/d" "$rc" >>"$draft"
if cmp -s "$draft" "$rc"; then exit 0; fi
if [[ -L $rc || ! -e $rc ]]; then
  cat "$draft" >"$rc"
else
  # Beside it and renamed, with its mode: the file is never half written.
  cp -p "$rc" "$rc.aws-bootstrap"
  cat "$draft" >"$rc.aws-bootstrap"
  mv "$rc.aws-bootstrap" "$rc"
fi
changed
