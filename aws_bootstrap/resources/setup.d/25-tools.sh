#!/usr/bin/env bash
# title: More tools
# after: utilities
# limit: 900
# optional: yes
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$SETUP_DIR/setup.d/lib.sh"
# shellcheck source-path=SCRIPTDIR source=packages.sh
source "$SETUP_DIR/setup.d/packages.sh"

# Optional: no other step waits for these. A tool that is not available is a warning, not a failure.
TOOLS=(ffmpeg git-lfs nvtop)

known_to_apt() { apt-cache show --no-all-versions "$1" >/dev/null 2>&1; }

if have apt-get; then
  readarray -t missing < <(deb_missing "${TOOLS[@]}")
  [[ ${#missing[@]} -gt 0 ]] || exit 0
  update_lists
  available=()
  unknown=()
  for package in "${missing[@]}"; do
    if known_to_apt "$package"; then available+=("$package"); else unknown+=("$package"); fi
  done
  [[ ${#unknown[@]} -eq 0 ]] || warn "this distribution has no ${unknown[*]}"
  [[ ${#available[@]} -gt 0 ]] || exit 0
  if apt_install "${available[@]}"; then changed; else warn "not installed: ${available[*]} ($TROUBLE)"; fi
elif have dnf; then
  readarray -t missing < <(rpm_missing "${TOOLS[@]}")
  [[ ${#missing[@]} -gt 0 ]] || exit 0
  dnf_install "${missing[@]}" || true
  readarray -t still_missing < <(rpm_missing "${missing[@]}")
  [[ ${#still_missing[@]} -eq ${#missing[@]} ]] || changed
  [[ ${#still_missing[@]} -eq 0 ]] ||
    warn "this distribution has no ${still_missing[*]}, or dnf could not install them"
fi
