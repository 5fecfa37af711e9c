# shellcheck shell=bash
# Functions for the steps. run_steps.py sets SETUP_DIR, STATE_DIR, STEP_TMP and STEP_REPORT, and reads the report.

# shellcheck disable=SC2034 # used by the steps
VENV="$HOME/venv"
NSIGHT_SYSTEMS=/opt/nvidia/nsight-systems
# shellcheck disable=SC2034
TORCH_WHEELS="https://download.pytorch.org/whl"
# How long a step retries work that depends on others (a mirror, a lock), in seconds.
# shellcheck disable=SC2034
RETRY_SECONDS="${SETUP_RETRY_SECONDS:-300}"
RETRY_PAUSE="${SETUP_RETRY_PAUSE:-2}"

report() { printf '%s\n' "$*" | tr '\n' ' ' | sed 's/ *$//' >>"$STEP_REPORT"; echo >>"$STEP_REPORT"; }
changed() { report changed; }
passed() { report passed; }
note() { report "note $*"; echo "note: $*"; }
warn() { report "warning $*"; echo "warning: $*"; }
fact() { report "fact $1 $2"; }
# A full disk shows in the output of the step's commands. The report may not fit on the disk either.
disk_was_full() { grep -qsF 'No space left on device' "${STATE_DIR%/state}/log/${STEP_NAME:-}.log"; }
die() {
  local text="$*"
  if disk_was_full; then text+=" (the disk is full: No space left on device)"; fi
  echo "error: $text"
  report "error $text" || true
  exit 1
}

# Not the venv's python: a step may be replacing it.
system_python() { if [[ -x /usr/bin/python3 ]]; then /usr/bin/python3 "$@"; else python3 "$@"; fi; }

have() { command -v "$1" >/dev/null 2>&1; }

# Every change to the system goes through here. -n: sudo fails rather than prompt for a password.
as_root() { sudo -n "$@"; }

# retry ATTEMPTS COMMAND...: run it until it succeeds, at most that often. Returns the last status.
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

# put_root_file MARK PATH < CONTENT: write a system file that takes effect only after a further action (a reload, say).
# Succeeds if that action is due: the file had to be written, or an earlier setup ended before the action. The caller
# acts and then removes MARK. MARK is created before the file, so that it is left if the setup dies in between.
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

# Notes on the packages in the venv. They are kept in the venv itself, so that they are moved and deleted with it.
VENV_NOTES="$VENV/.aws-bootstrap"

# The version of the venv's Python. Fails if the venv does not work.
venv_python() { "$VENV/bin/python" -c 'import platform; print(platform.python_version())'; }

checksum() { cksum <"$1" | tr -d '\n'; }

# replace_own_file PATH < CONTENT: write a file that belongs to the setup alone. It is never half written.
replace_own_file() {
  local path=$1 draft="$1.draft"
  cat >"$STEP_TMP/own-file"
  if cmp -s "$STEP_TMP/own-file" "$path"; then return 0; fi
  cp "$STEP_TMP/own-file" "$draft"
  mv -T "$draft" "$path"
  changed
}

# is_unmodified TARGET STAMP: whether a setup wrote this content. The stamp has the checksum of each version.
is_unmodified() { [[ -f $2 && ! -L $1 ]] && checksum "$1" | grep -qxFf "$2"; }

# deploy SOURCE TARGET: copy a file for the user. A file that the user wrote or changed is kept.
deploy() {
  local source=$1 target=$2 stamp draft="$2.aws-bootstrap-draft"
  stamp="$STATE_DIR/deployed-$(basename "$target")"
  [[ ! -d $target ]] || die "$target is a folder: move it away and run the setup again"
  if [[ -e $target || -L $target ]] && ! cmp -s "$source" "$target" && ! is_unmodified "$target" "$stamp"; then
    note "kept your own $(basename "$target")"
    return 0
  fi
  # The stamp comes first: if this setup dies in between, the next one still recognises the file.
  is_unmodified "$source" "$stamp" || printf '\n%s' "$(checksum "$source")" >>"$stamp"
  if cmp -s "$source" "$target"; then return 0; fi
  mkdir -p "$(dirname "$target")"
  cp "$source" "$draft"
  mv -T "$draft" "$target"
  changed
}

# find_uv: the path of uv, installed by its installer or else by the image.
find_uv() {
  if [[ -x $HOME/.local/bin/uv ]]; then echo "$HOME/.local/bin/uv"; else command -v uv; fi
}

# uv_install NAME ARGUMENTS...: run uv pip install for the venv. An interrupted install leaves packages that look
# complete, so the next run reinstalls them (from uv's cache: nothing is downloaded twice).
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
