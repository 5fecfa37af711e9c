#!/usr/bin/env bash
# title: PyTorch for the box's CUDA
# needs: venv
# after: requirements gpu
# limit: 1800
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$SETUP_DIR/setup.d/lib.sh"
# shellcheck source-path=SCRIPTDIR source=cuda.sh
source "$SETUP_DIR/setup.d/cuda.sh"
# shellcheck source-path=SCRIPTDIR source=torch.sh
source "$SETUP_DIR/setup.d/torch.sh"

# choose_tag VERSION: set tag to the newest one up to that CUDA with wheels for this Python. Without one it stays
# "default".
choose_tag() {
  local candidate status candidates
  # shellcheck disable=SC2086 # a list of words
  mapfile -t candidates < <(candidate_tags "$1" $KNOWN_CUDA_TAGS_LIST)
  for candidate in "${candidates[@]+"${candidates[@]}"}"; do
    status=0
    try_tag "cu$candidate" || status=$?
    case $status in
      0) tag="cu$candidate" && return ;;
      1) echo "cu$candidate: no wheels for this Python, or a dependency is not available" ;;
      2) die "the PyTorch wheel index does not answer: $TORCH_WHEELS/cu$candidate" ;;
      *) die "the package index does not answer for PyTorch's dependencies" ;;
    esac
  done
  ! index_refuses "${candidates[@]+"${candidates[@]}"}" ||
    die "the PyTorch wheel index refuses to answer (HTTP $ANSWER): $TORCH_WHEELS"
}

# Report the installed build. Call it only if that is the planned one.
report_installed() {
  local here
  here=$(installed)
  fact torch "${here%% *}"
  [[ $tag == default ]] || fact cuda_tag "$tag"
}

uv=$(find_uv)
stamp="$VENV_NOTES/pytorch"
# PyTorch follows the toolkit, so that extensions compile, but never exceeds the CUDA that the driver supports.
toolkit=$(gpu_fact toolkit)
driver=$(gpu_fact driver)
cuda=$(lower_version "$toolkit" "$driver")
python=$(venv_python)

known=$(cat "$stamp" 2>/dev/null || true)
tag=${known##* }
same="${cuda:-none} $python"
if [[ $known == "$same $tag" && ! -e $VENV_NOTES/pytorch.installing ]] && fits "$tag"; then
  report_installed
  exit 0
fi

tag=default
[[ -z $cuda ]] || choose_tag "$cuda"
require "$tag"
before=$(installed || true)
had=${before%% *}
again=()
interrupted=""
[[ ! -e $VENV_NOTES/pytorch.installing ]] || interrupted=yes
# A torch of the right build stays, whatever its version: the user may have chosen an older or a newer one.
[[ -z $had ]] || fits "$tag" alone || again=("${REINSTALL[@]}")
uv_install pytorch "${again[@]+"${again[@]}"}" "${REQUIRED[@]}" || die "uv could not install PyTorch ($tag)"
fits "$tag" || die "the installed PyTorch is not the planned one ($tag): $(installed || echo missing)"
report_installed
echo "$same $tag" >"$stamp"
after=$(installed)
now=${after%% *}
[[ $before == "$after" && -z $interrupted ]] || changed

[[ -z $had || $had == "$now" ]] || note "replaced torch $had"
if [[ $tag != default ]]; then
  note "$tag"
  [[ $cuda == "$toolkit" || -z $toolkit ]] || note "CUDA $cuda is the newest that the driver supports; the toolkit is $toolkit"
  compare_with_plan "$had" "$now" "$tag"
elif [[ -z $cuda ]]; then
  warn "no CUDA on this box: installed PyTorch's default build"
else
  warn "no PyTorch wheels for CUDA $cuda and Python $python: installed the default build"
fi
"$uv" pip check --python "$VENV/bin/python" || warn "packages in ~/venv conflict; show them with: uv pip check"
