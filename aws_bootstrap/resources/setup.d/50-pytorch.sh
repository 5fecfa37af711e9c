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

# choose_tag VERSION: set tag to the newest that is not above that CUDA and has wheels for this Python, or to "default".
choose_tag() {
  local candidate status candidates
  # shellcheck disable=SC2086 # a list of words
  mapfile -t candidates < <(candidate_tags "$1" $KNOWN_CUDA_TAGS_LIST)
  for candidate in "${candidates[@]+"${candidates[@]}"}"; do
    status=0
    try_tag "cu$candidate" || status=$?
    case $status in
      0) tag="cu$candidate" && return ;;
      1) echo "cu$candidate: no wheels for this Python, or not all that they need" ;;
      2) die "the PyTorch wheel index does not answer: $TORCH_WHEELS/cu$candidate" ;;
      *) die "the package index does not answer for what PyTorch needs" ;;
    esac
  done
  ! index_refuses "${candidates[@]+"${candidates[@]}"}" ||
    die "the PyTorch wheel index refuses to answer (HTTP $ANSWER): $TORCH_WHEELS"
}

# Tell what is installed. Called where it is what was planned.
tell() {
  local here
  here=$(installed)
  fact torch "${here%% *}"
  [[ $tag == default ]] || fact cuda_tag "$tag"
}

uv=$(find_uv)
stamp="$VENV_NOTES/pytorch"
# PyTorch follows the toolkit, for extensions to compile, but not above what the driver can run.
toolkit=$(gpu_fact toolkit)
driver=$(gpu_fact driver)
cuda=$(lower_version "$toolkit" "$driver")
python=$(venv_python)

known=$(cat "$stamp" 2>/dev/null || true)
tag=${known##* }
same="${cuda:-none} $python"
if [[ $known == "$same $tag" && ! -e $VENV_NOTES/pytorch.installing ]] && fits "$tag"; then
  tell
  exit 0
fi

tag=default
[[ -z $cuda ]] || choose_tag "$cuda"
want "$tag"
before=$(installed || true)
had=${before%% *}
again=()
cut_short=""
[[ ! -e $VENV_NOTES/pytorch.installing ]] || cut_short=yes
# A torch of the right build stays, whatever its version: who put an older or a newer one there had a reason.
[[ -z $had ]] || fits "$tag" alone || again=("${REINSTALL[@]}")
uv_install pytorch "${again[@]+"${again[@]}"}" "${WANTED[@]}" || die "uv could not install PyTorch ($tag)"
fits "$tag" || die "PyTorch is not what was planned ($tag): $(installed || echo missing)"
tell
echo "$same $tag" >"$stamp"
after=$(installed)
now=${after%% *}
[[ $before == "$after" && -z $cut_short ]] || changed

[[ -z $had || $had == "$now" ]] || note "replaced torch $had"
if [[ $tag != default ]]; then
  note "$tag"
  [[ $cuda == "$toolkit" || -z $toolkit ]] || note "CUDA $cuda is the newest that the driver supports; the toolkit is $toolkit"
  hold_against_plan "$had" "$now" "$tag"
elif [[ -z $cuda ]]; then
  warn "no CUDA on this box: installed PyTorch's default build"
else
  warn "no PyTorch wheels for CUDA $cuda and Python $python: installed the default build"
fi
"$uv" pip check --python "$VENV/bin/python" || warn "packages of ~/venv do not fit each other: uv pip check"
