#!/usr/bin/env bash
# title: System packages
# limit: 1200
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$SETUP_DIR/setup.d/lib.sh"

# python3-dev: the headers that compiling an extension against the system's Python needs.
APT_PACKAGES=(build-essential curl git htop jq python3-dev tmux tree unzip)
DNF_PACKAGES=(gcc-c++ git htop jq make python3-devel tmux tree unzip)

apt() {
  as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -y -q \
    -o DPkg::Lock::Timeout=$((PATIENCE < 60 ? PATIENCE : 60)) -o Acquire::Retries=1 \
    -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 \
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@"
}

LOCKED='Could not get lock|Unable to (acquire|lock)|locked by another process'
NO_ANSWER='(Failed to fetch|Could not connect to|Could not resolve|Err:[0-9]+)'

# What apt said when it gave up, as one sentence.
apt_trouble() {
  local said=$1 mirror
  mirror=$(grep -oE "$NO_ANSWER '?[^ ']+" "$said" | head -n 1 || true)
  mirror=${mirror##*[ \']}
  if grep -qE "$LOCKED" "$said"; then
    echo "apt was locked by another process for $PATIENCE s (unattended-upgrades?)"
  elif [[ -n $mirror ]]; then
    echo "the package mirror does not answer: $mirror"
  else
    echo "apt-get could not install: ${missing[*]}"
  fi
}

# Finish what dpkg had begun when it was cut short. What it was unpacking at that moment it wants again from the start.
mend_dpkg() {
  local -a half
  # shellcheck disable=SC2016 # dpkg's own format
  read -r -a half <<<"$(dpkg-query -W -f '${db:Status-Eflag} ${Package}\n' | sed -n 's/^reinstreq //p' | tr '\n' ' ')"
  [[ ${#half[@]} -eq 0 ]] || apt install --reinstall "${half[@]}" || true
  as_root dpkg --configure -a
}

# Another repository of the image may be broken: the install alone decides.
apt_once() {
  apt update || true
  mend_dpkg && apt install --no-install-recommends "$@"
}

# A fresh box runs its own apt jobs after boot, and a mirror may be out for a while: go on trying, with a bound.
apt_install() {
  local said="$STEP_TMP/apt.txt" ends=$((SECONDS + PATIENCE)) pause=2 attempt=0
  while true; do
    if apt_once "$@" >"$said" 2>&1; then
      cat "$said"
      return 0
    fi
    cat "$said"
    attempt=$((attempt + 1))
    # Waiting mends nothing else than a lock and a silent mirror.
    if ((SECONDS + pause >= ends)) || { ((attempt > 1)) && ! grep -qE "$LOCKED|$NO_ANSWER" "$said"; }; then
      die "$(apt_trouble "$said")"
    fi
    sleep "$pause"
    pause=$((pause < 30 ? pause * 2 : 30))
  done
}

if have apt-get; then
  missing=()
  for package in "${APT_PACKAGES[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [[ ${#missing[@]} -gt 0 ]] || exit 0
  apt_install "${missing[@]}"
  changed
elif have dnf; then
  rpm -q "${DNF_PACKAGES[@]}" >/dev/null 2>&1 && exit 0
  retry 3 as_root dnf -y -q --setopt=strict=0 install "${DNF_PACKAGES[@]}" || warn "dnf could not install the utilities"
  changed
else
  warn "neither apt-get nor dnf on this box: no utilities installed"
fi
