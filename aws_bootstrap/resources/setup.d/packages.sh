# shellcheck shell=bash
# Installing packages of the distribution, by apt or dnf.

apt() {
  as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -y -q \
    -o DPkg::Lock::Timeout=$((PATIENCE < 60 ? PATIENCE : 60)) -o Acquire::Retries=1 \
    -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 \
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@"
}

LOCKED='Could not get lock|Unable to (acquire|lock)|locked by another process'
NO_ANSWER='(Failed to fetch|Could not connect to|Could not resolve|Err:[0-9]+)'

# apt_trouble OUTPUT PACKAGES...: what apt said when it gave up, as one sentence.
apt_trouble() {
  local said=$1 mirror
  mirror=$(grep -oE "$NO_ANSWER '?[^ ']+" "$said" | head -n 1 || true)
  mirror=${mirror##*[ \']}
  if grep -qE "$LOCKED" "$said"; then
    echo "apt was locked by another process for $PATIENCE s (unattended-upgrades?)"
  elif [[ -z $mirror ]]; then
    echo "apt-get could not install: ${*:2}"
  else
    echo "the package mirror does not answer: $mirror"
  fi
}

# Finish what dpkg had begun when it was cut short. What it was unpacking at that moment it wants again from the start.
mend_dpkg() {
  local half
  # shellcheck disable=SC2016 # dpkg's own format
  readarray -t half < <(dpkg-query -W -f '${db:Status-Eflag} ${Package}\n' | sed -n 's/^reinstreq //p')
  [[ ${#half[@]} -eq 0 ]] || apt install --reinstall "${half[@]}" || true
  as_root dpkg --configure -a
}

# Another repository of the image may be broken: the install alone decides.
updated=""
update_lists() {
  if [[ -z $updated ]]; then apt update || true; fi
  updated=yes
}

apt_once() {
  update_lists
  mend_dpkg && apt install --no-install-recommends "$@" && return 0
  updated=""
  return 1
}

# apt_install PACKAGES...: a fresh box runs its own apt jobs after boot, and a mirror may be out for a while, so it goes on
# trying, with a bound. Sets TROUBLE to a sentence and returns 1 if it gives up.
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
      # shellcheck disable=SC2034 # for the step
      TROUBLE=$(apt_trouble "$said" "$@")
      return 1
    fi
    sleep "$pause"
    pause=$((pause < 30 ? pause * 2 : 30))
  done
}

# dnf_install PACKAGES...: those that the distribution has. The others are for rpm_missing to find.
dnf_install() { retry 3 as_root dnf -y -q --setopt=strict=0 install "$@"; }

# deb_missing and rpm_missing PACKAGES...: those that are not installed, a line each.
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
