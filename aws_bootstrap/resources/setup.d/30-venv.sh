#!/usr/bin/env bash
# title: uv and Python environment
# limit: 900
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$SETUP_DIR/setup.d/lib.sh"
# shellcheck source-path=SCRIPTDIR source=venv.sh
source "$SETUP_DIR/setup.d/venv.sh"

install_uv() {
  local installer="$STEP_TMP/install-uv.sh"
  # To a file first: half an installer must not run if the download breaks off.
  retry 4 curl --proto '=https' --tlsv1.2 --connect-timeout 20 --max-time 120 -LsSf \
    https://astral.sh/uv/install.sh -o "$installer" || die "https://astral.sh/uv/install.sh does not answer"
  UV_NO_MODIFY_PATH=1 retry 3 sh "$installer" || die "uv's installer failed"
  changed
}

find_uv >/dev/null || install_uv
uv=$(find_uv) || die "uv is still missing after its installer ran"
"$uv" --version
recover
venv_fits || create_venv
note_kept
fact python "$(venv_python)"
