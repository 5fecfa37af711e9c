# shellcheck shell=bash
# Making ~/venv by $uv, and replacing one. Nothing that lies in ~/venv is ever removed: it is moved, and said where to.
# Whatever line the setup dies at, the next one puts the venv back that was there.

# While the venv is replaced: where the one before was moved to (an empty line: there was none).
MAKING="$STATE_DIR/venv.making"
TRIAL="$STATE_DIR/venv.trial"

# Whether the venv has the Python that was asked for (any, if none was).
venv_fits() {
  local version
  version=$(venv_python 2>/dev/null) || return 1
  [[ -z $PYTHON_VERSION || $version == "$PYTHON_VERSION" || $version == "$PYTHON_VERSION".* ]]
}

exists() { [[ -e $1 || -L $1 ]]; }

# A name beside ~/venv that nothing has yet.
free_name() {
  local name suffix=1
  name="$VENV.old-$(date +%Y%m%d-%H%M%S)"
  while exists "$name"; do
    name="$VENV.old-$(date +%Y%m%d-%H%M%S)-$suffix"
    suffix=$((suffix + 1))
  done
  echo "$name"
}

# After a setup that died while it replaced the venv: the one before comes back. What that setup had begun may have
# become the user's since, so it is moved and not removed.
recover() {
  local before
  exists "$MAKING" || return 0
  before=$(cat "$MAKING")
  # Moved nowhere yet, or back already.
  if [[ -z $before ]] || exists "$before"; then
    if exists "$VENV"; then
      note "a setup was cut short while it made $VENV"
      mv -T "$VENV" "$(free_name)"
    fi
    [[ -z $before ]] || mv -T "$before" "$VENV"
  fi
  rm -f "$MAKING"
}

# --seed: people expect pip in a venv.
make_venv_at() {
  # shellcheck disable=SC2154 # the step sets it
  "$uv" venv --seed ${PYTHON_VERSION:+--python "$PYTHON_VERSION"} "$1" && return 0
  # A try that failed leaves a folder that uv would not touch again.
  rm -rf "$1"
  return 1
}

# An environment cannot be moved, as its programs carry its path. So one is made elsewhere first, which shows that it
# can be had; then the one before is moved away, and comes back should the new one fail after all.
replace_venv() {
  local before=$1
  retry 3 make_venv_at "$TRIAL" || die "uv could not make a virtual environment: $VENV is as it was"
  rm -rf "$TRIAL"
  begin_making "$before"
  mv -T "$VENV" "$before" || { rm -f "$MAKING" && die "$VENV could not be moved to $before"; }
  if ! retry 3 make_venv_at "$VENV"; then
    mv -T "$before" "$VENV"
    rm -f "$MAKING"
    die "uv could not make $VENV: the one before is back"
  fi
  note "$VENV was replaced"
}

# Said by every setup, also by the next one after one that died before it could.
tell_kept() {
  local old
  for old in "$VENV".old-*; do
    if exists "$old"; then note "the one before is kept; when you do not need it: rm -r $old"; fi
  done
}

# begin_making BEFORE
begin_making() {
  # Jupyter must not run on from files that were moved away.
  : >"$STATE_DIR/jupyter.restart"
  echo "$1" >"$MAKING.draft"
  sync "$MAKING.draft"
  mv -T "$MAKING.draft" "$MAKING"
}

make_venv() {
  rm -rf "$TRIAL"
  if [[ -n $PYTHON_VERSION ]] && ! "$uv" python find --no-project "$PYTHON_VERSION" >/dev/null 2>&1; then
    retry 3 "$uv" python install "$PYTHON_VERSION" || die "uv could not install Python $PYTHON_VERSION"
  fi
  if exists "$VENV" && ! rmdir "$VENV" 2>/dev/null; then
    exists "$VENV/pyvenv.cfg" ||
      die "$VENV is no virtual environment (it has no pyvenv.cfg) and is left alone: move it away (mv $VENV $VENV-mine), then run the setup again"
    replace_venv "$(free_name)"
  else
    begin_making ""
    retry 3 make_venv_at "$VENV" || { rm -f "$MAKING" && die "uv could not make $VENV"; }
  fi
  rm -f "$MAKING"
  changed
}
