#!/usr/bin/env bash
# title: uv and Python environment
# limit: 900
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$SETUP_DIR/setup.d/lib.sh"

install_uv() {
  local installer="$STEP_TMP/install-uv.sh"
  # To a file first: a download cut short must not run half an installer.
  retry 4 curl --proto '=https' --tlsv1.2 --connect-timeout 20 --max-time 120 -LsSf \
    https://astral.sh/uv/install.sh -o "$installer" || die "https://astral.sh/uv/install.sh does not answer"
  UV_NO_MODIFY_PATH=1 retry 3 sh "$installer" || die "uv's installer failed"
  changed
}

# Whether the venv is whole and has the Python that was asked for (any, if none was).
venv_fits() {
  local version
  [[ ! -e $STATE_DIR/venv.making ]] || return 1
  version=$(venv_python 2>/dev/null) || return 1
  [[ -z $PYTHON_VERSION || $version == "$PYTHON_VERSION" || $version == "$PYTHON_VERSION".* ]]
}

# --seed: people expect pip in a venv. A try that failed leaves a folder that uv would not touch again.
fresh_venv() {
  rm -rf "$VENV"
  "$uv" venv --seed ${PYTHON_VERSION:+--python "$PYTHON_VERSION"} "$VENV"
}

make_venv() {
  if [[ -n $PYTHON_VERSION ]] && ! "$uv" python find --no-project "$PYTHON_VERSION" >/dev/null 2>&1; then
    retry 3 "$uv" python install "$PYTHON_VERSION" || die "uv could not install Python $PYTHON_VERSION"
  fi
  : >"$STATE_DIR/venv.making"
  [[ ! -e $VENV ]] || echo "replacing $VENV"
  # What was installed goes with it, and Jupyter must not run on from deleted files.
  rm -rf "$STATE_DIR/requirements" "$STATE_DIR/pytorch" "$STATE_DIR"/*.installing
  : >"$STATE_DIR/jupyter.restart"
  retry 3 fresh_venv || die "uv could not make $VENV"
  rm -f "$STATE_DIR/venv.making"
  changed
}

find_uv >/dev/null || install_uv
uv=$(find_uv) || die "uv is not there after its installer ran"
"$uv" --version
venv_fits || make_venv
fact python "$(venv_python)"
