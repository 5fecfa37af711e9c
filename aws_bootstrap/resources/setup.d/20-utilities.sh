#!/usr/bin/env bash
# title: System packages
# limit: 1200
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$SETUP_DIR/setup.d/lib.sh"
# shellcheck source-path=SCRIPTDIR source=packages.sh
source "$SETUP_DIR/setup.d/packages.sh"

# python3-dev: the headers for extensions that are compiled against the system's Python.
APT_PACKAGES=(build-essential curl git htop jq python3-dev tmux tree unzip)
DNF_PACKAGES=(gcc-c++ git htop jq make python3-devel tmux tree unzip)

if have apt-get; then
  readarray -t missing < <(deb_missing "${APT_PACKAGES[@]}")
  [[ ${#missing[@]} -gt 0 ]] || exit 0
  apt_install "${missing[@]}" || die "$TROUBLE"
  changed
elif have dnf; then
  readarray -t missing < <(rpm_missing "${DNF_PACKAGES[@]}")
  [[ ${#missing[@]} -gt 0 ]] || exit 0
  dnf_install "${missing[@]}" || die "dnf could not install: ${missing[*]}"
  readarray -t missing < <(rpm_missing "${DNF_PACKAGES[@]}")
  [[ ${#missing[@]} -eq 0 ]] || die "dnf did not install: ${missing[*]}"
  changed
else
  warn "neither apt-get nor dnf on this box: no utilities installed"
fi
