# shellcheck shell=bash
# Create or replace ~/venv with $uv. The contents of ~/venv are never removed: they are moved, and a note says where.
# Whatever line the setup dies at, the next setup restores the previous venv.

# While the venv is replaced, this file holds the path to which the previous one is moved (empty: there was none).
MAKING="$STATE_DIR/venv.making"
TRIAL="$STATE_DIR/venv.trial"

# Whether the venv has the requested Python. Without a request any version fits.
venv_fits() {
  local version
  version=$(venv_python 2>/dev/null) || return 1
  [[ -z $PYTHON_VERSION || $version == "$PYTHON_VERSION" || $version == "$PYTHON_VERSION".* ]]
}

exists() { [[ -e $1 || -L $1 ]]; }

# An unused name beside ~/venv.
free_name() {
  local name suffix=1
  name="$VENV.old-$(date +%Y%m%d-%H%M%S)"
  while exists "$name"; do
    name="$VENV.old-$(date +%Y%m%d-%H%M%S)-$suffix"
    suffix=$((suffix + 1))
  done
  echo "$name"
}

# Restore the previous venv after a setup that died while it replaced it. The user may have used the unfinished venv
# since then, so it is moved, not removed.
recover() {
  local before
  exists "$MAKING" || return 0
  before=$(cat "$MAKING")
  # There was none, or it was moved and is still there.
  if [[ -z $before ]] || exists "$before"; then
    if exists "$VENV"; then
      note "an earlier setup was interrupted while it created $VENV"
      mv -T "$VENV" "$(free_name)"
    fi
    [[ -z $before ]] || mv -T "$before" "$VENV"
  fi
  rm -f "$MAKING"
}

# --seed: people expect pip in a venv.
create_venv_at() {
  # shellcheck disable=SC2154 # the step sets it
  "$uv" venv --seed ${PYTHON_VERSION:+--python "$PYTHON_VERSION"} "$1" && return 0
  # A failed attempt leaves a folder that uv would refuse to use.
  rm -rf "$1"
  return 1
}

# An environment cannot be moved, because its programs contain its path. So a trial one is created elsewhere first, to
# show that it works. Then the previous one is moved away. It is restored if the new one fails after all.
replace_venv() {
  local before=$1
  retry 3 create_venv_at "$TRIAL" || die "uv could not create a virtual environment: $VENV is unchanged"
  rm -rf "$TRIAL"
  begin_making "$before"
  mv -T "$VENV" "$before" || { rm -f "$MAKING" && die "$VENV could not be moved to $before"; }
  if ! retry 3 create_venv_at "$VENV"; then
    mv -T "$before" "$VENV"
    rm -f "$MAKING"
    die "uv could not create $VENV: the previous one was restored"
  fi
  note "$VENV was replaced"
}

# Every setup reports these, because an earlier one may have died before it could.
note_kept() {
  local old
  for old in "$VENV".old-*; do
    if exists "$old"; then note "a previous environment is kept; delete it with: rm -r $old"; fi
  done
}

# begin_making BEFORE: record that the venv is being replaced, and where the previous one goes.
begin_making() {
  # Jupyter must not continue to run from files that were moved away.
  : >"$STATE_DIR/jupyter.restart"
  echo "$1" >"$MAKING.draft"
  sync "$MAKING.draft"
  mv -T "$MAKING.draft" "$MAKING"
}

create_venv() {
  rm -rf "$TRIAL"
  if [[ -n $PYTHON_VERSION ]] && ! "$uv" python find --no-project "$PYTHON_VERSION" >/dev/null 2>&1; then
    retry 3 "$uv" python install "$PYTHON_VERSION" || die "uv could not install Python $PYTHON_VERSION"
  fi
  if exists "$VENV" && ! rmdir "$VENV" 2>/dev/null; then
    exists "$VENV/pyvenv.cfg" ||
      die "$VENV is not a virtual environment (no pyvenv.cfg) and was not changed: move it away" \
        "(mv $VENV $VENV-mine), then run the setup again"
    replace_venv "$(free_name)"
  else
    begin_making ""
    retry 3 create_venv_at "$VENV" || { rm -f "$MAKING" && die "uv could not create $VENV"; }
  fi
  rm -f "$MAKING"
  changed
}
