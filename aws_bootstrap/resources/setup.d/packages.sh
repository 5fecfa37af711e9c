# shellcheck shell=bash
# Install packages of the distribution, by apt or dnf.

apt() {
  as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -y -q \
    -o DPkg::Lock::Timeout=$((RETRY_SECONDS < 60 ? RETRY_SECONDS : 60)) -o Acquire::Retries=1 \
    -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 \
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@"
}

LOCKED='Could not get lock|Unable to (acquire|lock)|locked by another process'
NO_ANSWER='(Failed to fetch|Could not connect to|Could not resolve|Err:[0-9]+)'

# apt_trouble OUTPUT PACKAGES...: the reason why apt gave up, as one sentence.
apt_trouble() {
  local said=$1 mirror
  mirror=$(grep -oE "$NO_ANSWER '?[^ ']+" "$said" | head -n 1 || true)
  mirror=${mirror##*[ \']}
  if grep -qE "$LOCKED" "$said"; then
    echo "apt was locked by another process for $RETRY_SECONDS s (unattended-upgrades?)"
  elif [[ -z $mirror ]]; then
    echo "apt-get could not install: ${*:2}"
  else
    echo "the package mirror does not answer: $mirror"
  fi
}

# Finish the work of a dpkg that was interrupted. A package that was being unpacked then must be installed again.
repair_dpkg() {
  local half
  # shellcheck disable=SC2016 # dpkg's own format
  readarray -t half < <(dpkg-query -W -f '${db:Status-Eflag} ${Package}\n' | sed -n 's/^reinstreq //p')
  [[ ${#half[@]} -eq 0 ]] || apt install --reinstall "${half[@]}" || true
  as_root dpkg --configure -a
}

# Ignore failures: another repository of the image may be broken, and only the install matters.
updated=""
update_lists() {
  if [[ -z $updated ]]; then apt update || true; fi
  updated=yes
}

apt_once() {
  update_lists
  repair_dpkg && apt install --no-install-recommends "$@" && return 0
  updated=""
  return 1
}

# apt_install PACKAGES...: install them, and retry for RETRY_SECONDS: a new box runs its own apt jobs after boot, and a
# mirror can be down for a while. Sets TROUBLE to a sentence and returns 1 if it gives up.
apt_install() {
  local said="$STEP_TMP/apt.txt" ends=$((SECONDS + RETRY_SECONDS)) pause=2 attempt=0
  while true; do
    if apt_once "$@" >"$said" 2>&1; then
      cat "$said"
      return 0
    fi
    cat "$said"
    attempt=$((attempt + 1))
    # Only a lock or a mirror that does not answer is worth waiting for.
    if ((SECONDS + pause >= ends)) || { ((attempt > 1)) && ! grep -qE "$LOCKED|$NO_ANSWER" "$said"; }; then
      # shellcheck disable=SC2034 # for the step
      TROUBLE=$(apt_trouble "$said" "$@")
      return 1
    fi
    sleep "$pause"
    pause=$((pause < 30 ? pause * 2 : 30))
  done
}

# dnf_install PACKAGES...: install those that the distribution has. rpm_missing finds the others.
dnf_install() { retry 3 as_root dnf -y -q --setopt=strict=0 install "$@"; }

# deb_missing and rpm_missing PACKAGES...: print those that are not installed, one a line.
deb_missing() {
  local package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || echo "$package"
  done
}

rpm_missing() {
  local package
  for package in "$@"; do
    rpm -q "$package" >/dev/null 2>&1 || echo "$package"
  done
}
