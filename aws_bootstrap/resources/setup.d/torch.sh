# shellcheck shell=bash
# Choose a build of PyTorch, and inspect the installed one. The step sets uv and STEP_TMP.

PACKAGES=(torch torchvision)

# Print the versions in the venv and torch's CUDA: "2.9.0+cu128 0.24.0+cu128 12.8". They are read from files, because an
# import would take seconds. A missing torchvision is "none". Fails if torch is missing.
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

# fits TAG [alone]: whether the installed build is that of the tag. "default" is a build from no CUDA index. With
# "alone" a missing torchvision is allowed.
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
    # The package registry's own build shows its CUDA only in its files.
    [[ cu${cuda/./} == "$1" ]]
  fi
}

# require TAG: set REQUIRED to the arguments for uv. torch and torchvision come only from the index of the tag. Their
# dependencies come from the default index, because PyTorch's own index sometimes lacks some of them.
require() {
  local name
  REQUIRED=("${PACKAGES[@]}")
  [[ $1 != default ]] || return 0
  REQUIRED=(-r "$STEP_TMP/pyproject.toml")
  {
    printf '[project]\nname = "box"\nversion = "0"\ndependencies = ["torch", "torchvision"]\n'
    printf '[[tool.uv.index]]\nname = "pytorch"\nurl = "%s"\nexplicit = true\n[tool.uv.sources]\n' "$TORCH_WHEELS/$1"
    for name in "${PACKAGES[@]}"; do echo "$name = { index = \"pytorch\" }"; done
  } >"$STEP_TMP/pyproject.toml"
}

REINSTALL=(--reinstall-package torch --reinstall-package torchvision)

# resolve OPTIONS...: write the packages that uv would install to $STEP_TMP/resolved. Returns uv's exit status: 1 if it
# finds no solution, 2 if the index does not answer.
resolve() {
  local attempt status
  for attempt in 1 2; do
    ((attempt == 1)) || sleep "$RETRY_PAUSE"
    status=0
    # shellcheck disable=SC2154 # the step sets uv
    "$uv" pip install --python "$VENV/bin/python" --dry-run "${REINSTALL[@]}" "$@" "${REQUIRED[@]}" \
      >"$STEP_TMP/resolved" 2>&1 || status=$?
    cat "$STEP_TMP/resolved"
    [[ $status == 0 || $status == 1 ]] && return "$status"
    echo "attempt $attempt: the index does not answer"
  done
  return 2
}

# The version of torch in $STEP_TMP/resolved.
resolved_torch() { sed -n 's/^ + torch==//p' "$STEP_TMP/resolved"; }

# try_tag TAG: set NEWEST, the newest torch of the tag, and PLANNED, the newest whose dependencies are available.
# Returns 1 if there is none for this Python, 2 if PyTorch's index does not answer, 3 if the default index does not.
# shellcheck disable=SC2034 # for the step
try_tag() {
  local status=0
  require "$1"
  resolve --no-deps || return
  NEWEST=$(resolved_torch)
  resolve || status=$?
  PLANNED=$(resolved_torch)
  [[ $status != 2 ]] || status=3
  return "$status"
}

# compare_with_plan HAD NOW TAG: if the installed torch is not the newest of the tag, report that with the reason.
compare_with_plan() {
  local had=$1 now=$2 tag=$3
  if [[ $now == "$PLANNED" ]]; then
    [[ $NEWEST == "$PLANNED" ]] ||
      warn "torch $NEWEST is the newest for $tag, but its dependencies are not available: installed $PLANNED"
  elif [[ $now == "$had" ]]; then
    note "kept torch $had, which fits; a new environment would get $PLANNED"
  else
    warn "torch $PLANNED was planned, but uv installed $now"
  fi
}

# index_refuses TAGS...: whether PyTorch's index refuses all of these tags. Sets ANSWER, the last HTTP status. The index
# also answers 403 for a tag that does not exist, so a single answer proves nothing.
index_refuses() {
  local tag
  for tag in "$@"; do
    ANSWER=$(curl -sL -o /dev/null -m 20 -w '%{http_code}' "$TORCH_WHEELS/cu$tag/torch/" || true)
    [[ $ANSWER != 200 && $ANSWER != 404 ]] || return 1
  done
  [[ $# -gt 0 ]]
}
