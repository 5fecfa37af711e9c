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

# Good to have, and no other step waits for them: what cannot be had is a warning, and the box is as good without.
TOOLS=(ffmpeg git-lfs nvtop)

known_to_apt() { apt-cache show --no-all-versions "$1" >/dev/null 2>&1; }

if have apt-get; then
  readarray -t missing < <(deb_missing "${TOOLS[@]}")
  [[ ${#missing[@]} -gt 0 ]] || exit 0
  update_lists
  had=()
  unknown=()
  for package in "${missing[@]}"; do
    if known_to_apt "$package"; then had+=("$package"); else unknown+=("$package"); fi
  done
  [[ ${#unknown[@]} -eq 0 ]] || warn "this distribution has no ${unknown[*]}"
  [[ ${#had[@]} -gt 0 ]] || exit 0
  if apt_install "${had[@]}"; then changed; else warn "not installed: ${had[*]} ($TROUBLE)"; fi
elif have dnf; then
  readarray -t missing < <(rpm_missing "${TOOLS[@]}")
  [[ ${#missing[@]} -gt 0 ]] || exit 0
  dnf_install "${missing[@]}" || true
  readarray -t left < <(rpm_missing "${missing[@]}")
  [[ ${#left[@]} -eq ${#missing[@]} ]] || changed
  [[ ${#left[@]} -eq 0 ]] || warn "this distribution has no ${left[*]}, or dnf could not install them"
fi
