# shellcheck shell=bash
# Choosing a build of PyTorch and looking at the one that is installed. The step sets uv and STEP_TMP.

PACKAGES=(torch torchvision)

# "2.9.0+cu128 0.24.0+cu128 12.8": what is in the venv, by its files (an import would take seconds), and torch's CUDA.
# A torchvision that is missing is "none". Fails if torch is.
installed() {
  "$VENV/bin/python" - 2>/dev/null <<'PYTHON'
import importlib.metadata
import importlib.util
import pathlib
import re

torch = importlib.metadata.version("torch")
try:
    torchvision = importlib.metadata.version("torchvision")
except importlib.metadata.PackageNotFoundError:
    torchvision = "none"
found = importlib.util.find_spec("torch")
facts = pathlib.Path(found.origin).with_name("version.py")
text = facts.read_text() if facts.exists() else ""
cuda = re.search(r"^cuda\b[^=]*= *['\"]([0-9.]+)", text, re.MULTILINE)
print(torch, torchvision, cuda[1] if cuda else "none")
PYTHON
}

# fits TAG [alone]: whether the installed build is that of the tag; "default": one of no CUDA index. "alone": torch's,
# where there is no torchvision.
fits() {
  local torch vision cuda
  read -r torch vision cuda <<<"$(installed)"
  [[ -n $torch ]] || return 1
  if [[ $vision == none ]]; then
    [[ ${2:-} == alone ]] || return 1
    vision=$torch
  fi
  if [[ $1 == default ]]; then
    [[ $torch != *+cu* && $vision != *+cu* ]]
  elif [[ $torch == *+* || $vision == *+* ]]; then
    [[ $torch == *+"$1" && $vision == *+"$1" ]]
  else
    # The package registry's own build says its CUDA in its files alone.
    [[ cu${cuda/./} == "$1" ]]
  fi
}

# want TAG: set WANTED to what uv is asked for. torch and torchvision come from the index of the tag and from no other,
# what they need from the default index: PyTorch's own lacks some of it at times.
want() {
  local name
  WANTED=("${PACKAGES[@]}")
  [[ $1 != default ]] || return 0
  WANTED=(-r "$STEP_TMP/pyproject.toml")
  {
    printf '[project]\nname = "box"\nversion = "0"\ndependencies = ["torch", "torchvision"]\n'
    printf '[[tool.uv.index]]\nname = "pytorch"\nurl = "%s"\nexplicit = true\n[tool.uv.sources]\n' "$TORCH_WHEELS/$1"
    for name in "${PACKAGES[@]}"; do echo "$name = { index = \"pytorch\" }"; done
  } >"$STEP_TMP/pyproject.toml"
}

REINSTALL=(--reinstall-package torch --reinstall-package torchvision)

# resolve OPTIONS...: what would be installed, to $STEP_TMP/resolved; 1 if it cannot be, 2 if the index could not be asked
# (uv's own exit statuses).
resolve() {
  local attempt status
  for attempt in 1 2; do
    ((attempt == 1)) || sleep "$RETRY_PAUSE"
    status=0
    # shellcheck disable=SC2154 # the step sets uv
    "$uv" pip install --python "$VENV/bin/python" --dry-run "${REINSTALL[@]}" "$@" "${WANTED[@]}" \
      >"$STEP_TMP/resolved" 2>&1 || status=$?
    cat "$STEP_TMP/resolved"
    [[ $status == 0 || $status == 1 ]] && return "$status"
    echo "attempt $attempt: the index does not answer"
  done
  return 2
}

# The version of torch in what was resolved.
resolved_torch() { sed -n 's/^ + torch==//p' "$STEP_TMP/resolved"; }

# try_tag TAG: set NEWEST, the newest torch of the tag, and PLANNED, the newest whose needs can be had. Returns 1 if there
# is none for this Python, 2 if PyTorch's index and 3 if the default one could not be asked.
# shellcheck disable=SC2034 # for the step
try_tag() {
  local status=0
  want "$1"
  resolve --no-deps || return
  NEWEST=$(resolved_torch)
  resolve || status=$?
  PLANNED=$(resolved_torch)
  [[ $status != 2 ]] || status=3
  return "$status"
}

# hold_against_plan HAD NOW TAG: tell where the torch that is there now is not the newest of the tag, and why.
hold_against_plan() {
  local had=$1 now=$2 tag=$3
  if [[ $now == "$PLANNED" ]]; then
    [[ $NEWEST == "$PLANNED" ]] ||
      warn "torch $NEWEST is the newest for $tag, but what it needs cannot be had: installed $PLANNED"
  elif [[ $now == "$had" ]]; then
    note "kept torch $had, which fits; a new environment would get $PLANNED"
  else
    warn "torch $PLANNED was planned, but uv installed $now"
  fi
}

# index_refuses TAGS...: whether PyTorch's index answers for none of these tags; sets ANSWER, the last HTTP status. It
# says 403 of what it does not have, so that one answer alone tells nothing.
index_refuses() {
  local tag
  for tag in "$@"; do
    ANSWER=$(curl -sL -o /dev/null -m 20 -w '%{http_code}' "$TORCH_WHEELS/cu$tag/torch/" || true)
    [[ $ANSWER != 200 && $ANSWER != 404 ]] || return 1
  done
  [[ $# -gt 0 ]]
}
