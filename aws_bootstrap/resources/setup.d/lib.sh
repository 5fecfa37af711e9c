# shellcheck shell=bash
# What the steps share. run_steps.py sets SETUP_DIR, STATE_DIR, STEP_TMP and STEP_REPORT, and reads the report.

# shellcheck disable=SC2034 # used by the steps
VENV="$HOME/venv"
NSIGHT_SYSTEMS=/opt/nvidia/nsight-systems
# shellcheck disable=SC2034
TORCH_WHEELS="https://download.pytorch.org/whl"
# How long a step goes on trying what depends on others (a mirror, a lock), in seconds.
# shellcheck disable=SC2034
PATIENCE="${SETUP_PATIENCE:-300}"
RETRY_PAUSE="${SETUP_RETRY_PAUSE:-2}"

report() { printf '%s\n' "$*" | tr '\n' ' ' | sed 's/ *$//' >>"$STEP_REPORT"; echo >>"$STEP_REPORT"; }
changed() { report changed; }
passed() { report passed; }
note() { report "note $*"; echo "note: $*"; }
warn() { report "warning $*"; echo "warning: $*"; }
fact() { report "fact $1 $2"; }
# A full disk shows in what the step's commands said; its report may not fit on it either.
disk_was_full() { grep -qsF 'No space left on device' "${STATE_DIR%/state}/log/${STEP_NAME:-}.log"; }
die() {
  local text="$*"
  if disk_was_full; then text+=" (the disk is full: No space left on device)"; fi
  echo "error: $text"
  report "error $text" || true
  exit 1
}

# Not the venv's python: a step may be replacing that.
system_python() { if [[ -x /usr/bin/python3 ]]; then /usr/bin/python3 "$@"; else python3 "$@"; fi; }

have() { command -v "$1" >/dev/null 2>&1; }

# Every change to the system goes through here; -n: a sudo that would ask for a password fails instead.
as_root() { sudo -n "$@"; }

# retry ATTEMPTS COMMAND...: until it succeeds; the last status is returned.
retry() {
  local attempts=$1 attempt status
  shift
  for ((attempt = 1; attempt <= attempts; attempt++)); do
    "$@" && return 0 || status=$?
    echo "attempt $attempt of $attempts failed (status $status): $*"
    ((attempt == attempts)) || sleep $((attempt * RETRY_PAUSE))
  done
  return "$status"
}

# put_root_file MARK PATH < CONTENT: write a file of the system's that takes effect only once something is done about it.
# True where that is due: the file had to be written, or a setup ended before it was done. Whoever has done it removes
# MARK. It is made before the file, so that a setup which dies right after the file leaves it.
put_root_file() {
  local mark=$1 path=$2 draft
  draft="$STEP_TMP/$(basename "$path")"
  cat >"$draft"
  if ! cmp -s "$draft" "$path"; then
    : >"$mark" || die "$mark could not be written"
    as_root install -D -m 0644 "$draft" "$path" || die "$path could not be written"
    changed
  fi
  [[ -e $mark ]]
}

# What was installed into the venv is noted in it: it is gone when the venv is, and comes back with it.
VENV_NOTES="$VENV/.aws-bootstrap"

# The version of the venv's Python, which fails if the venv is no good.
venv_python() { "$VENV/bin/python" -c 'import platform; print(platform.python_version())'; }

checksum() { cksum <"$1" | tr -d '\n'; }

# replace_own_file PATH < CONTENT: write a file that is the setup's alone; it is never half written.
replace_own_file() {
  local path=$1 draft="$1.draft"
  cat >"$STEP_TMP/own-file"
  if cmp -s "$STEP_TMP/own-file" "$path"; then return 0; fi
  cp "$STEP_TMP/own-file" "$draft"
  mv -T "$draft" "$path"
  changed
}

# is_ours TARGET STAMP: whether the file is as a setup left it. The stamp has a checksum a line, one for each version.
is_ours() { [[ -f $2 && ! -L $1 ]] && checksum "$1" | grep -qxFf "$2"; }

# deploy SOURCE TARGET: copy a file for the user. A file that he wrote or changed is kept.
deploy() {
  local source=$1 target=$2 stamp draft="$2.aws-bootstrap-draft"
  stamp="$STATE_DIR/deployed-$(basename "$target")"
  [[ ! -d $target ]] || die "$target is a folder: move it away and run the setup again"
  if [[ -e $target || -L $target ]] && ! cmp -s "$source" "$target" && ! is_ours "$target" "$stamp"; then
    note "kept your own $(basename "$target")"
    return 0
  fi
  # Before the file: a setup that dies in between still knows it as its own.
  is_ours "$source" "$stamp" || printf '\n%s' "$(checksum "$source")" >>"$stamp"
  if cmp -s "$source" "$target"; then return 0; fi
  mkdir -p "$(dirname "$target")"
  cp "$source" "$draft"
  mv -T "$draft" "$target"
  changed
}

# find_uv: the path of uv: where its installer puts it, else the image's.
find_uv() {
  if [[ -x $HOME/.local/bin/uv ]]; then echo "$HOME/.local/bin/uv"; else command -v uv; fi
}

# uv_install NAME ARGUMENTS...: uv pip install into the venv. An install that was cut short leaves packages that
# look complete, so the next run reinstalls them (from uv's cache: nothing is downloaded twice).
uv_install() {
  local marker="$VENV_NOTES/$1.installing" uv status=0
  local again=()
  shift
  uv=$(find_uv) || die "uv is not installed"
  [[ ! -e $marker ]] || again=(--reinstall)
  mkdir -p "$VENV_NOTES"
  : >"$marker"
  retry 3 "$uv" pip install --python "$VENV/bin/python" "${again[@]+"${again[@]}"}" "$@" || status=$?
  [[ $status != 0 ]] || rm -f "$marker"
  return "$status"
}

# The bin folder of the newest Nsight Systems (2024.6.2/, 2025.1.3/, ...), or nothing.
newest_nsys() {
  local found
  found=$(find "$NSIGHT_SYSTEMS" -maxdepth 3 -path '*/bin/nsys' 2>/dev/null | sort -V | tail -n 1)
  [[ -z $found ]] || dirname "$found"
}
