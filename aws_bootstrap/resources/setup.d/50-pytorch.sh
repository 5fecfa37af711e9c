#!/usr/bin/env bash
# title: PyTorch for the box's CUDA
# needs: venv
# after: requirements
# limit: 1800
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$SETUP_DIR/setup.d/lib.sh"
# shellcheck source-path=SCRIPTDIR source=cuda.sh
source "$SETUP_DIR/setup.d/cuda.sh"

PACKAGES=(torch torchvision)

# Whether both are in the venv, by their metadata: an import would take seconds.
installed() {
  local code='from importlib.metadata import version; print(version("torch"), version("torchvision"))'
  "$VENV/bin/python" -c "$code" 2>/dev/null
}

# --default-index, not --index-url: the older name loses against a UV_DEFAULT_INDEX in the environment.
# has_wheels INDEX: 0 if it has both for this Python, 1 if not, 2 if it could not be asked (uv's own exit statuses).
has_wheels() {
  local attempt status
  for attempt in 1 2; do
    status=0
    "$uv" pip install --python "$VENV/bin/python" --dry-run --reinstall --no-deps --default-index "$1" \
      "${PACKAGES[@]}" || status=$?
    [[ $status == 0 || $status == 1 ]] && return "$status"
    echo "attempt $attempt: $1 does not answer"
    sleep $((attempt * RETRY_PAUSE))
  done
  return 2
}

# choose_tag VERSION: set tag to the newest that is not above the toolkit and has wheels for this Python, or to nothing.
choose_tag() {
  local candidate status
  # shellcheck disable=SC2086 # a list of words
  for candidate in $(candidate_tags "$1" $KNOWN_CUDA_TAGS_LIST); do
    status=0
    has_wheels "$TORCH_WHEELS/cu$candidate" || status=$?
    case $status in
      0) tag="cu$candidate" && return ;;
      1) echo "cu$candidate: no wheels for this Python" ;;
      *) die "the PyTorch wheel index does not answer: $TORCH_WHEELS/cu$candidate" ;;
    esac
  done
}

uv=$(find_uv)
stamp="$VENV_NOTES/pytorch"
cuda=$(cuda_version)
python=$(venv_python)
tag=""

read -r had_cuda had_python had_tag <<<"$(cat "$stamp" 2>/dev/null)" || true
same="${cuda:-none} $python"
if [[ "${had_cuda:-} ${had_python:-}" == "$same" && ! -e $VENV_NOTES/pytorch.installing ]] && installed; then
  [[ $had_tag == default ]] || fact cuda_tag "$had_tag"
  exit 0
fi

[[ -z $cuda ]] || choose_tag "$cuda"
if [[ -n $tag ]]; then
  uv_install pytorch --default-index "$TORCH_WHEELS/$tag" "${PACKAGES[@]}" ||
    die "uv could not install PyTorch from $TORCH_WHEELS/$tag"
  fact cuda_tag "$tag"
  note "$tag"
else
  warn "no PyTorch wheels for CUDA ${cuda:-(not found)} and Python $python: installed the default build"
  uv_install pytorch "${PACKAGES[@]}" || die "uv could not install PyTorch"
fi
echo "${cuda:-none} $python ${tag:-default}" >"$stamp"
changed
