#!/usr/bin/env bash
# title: SSH keepalive
# after: utilities
# limit: 60
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$SETUP_DIR/setup.d/lib.sh"

# Routers forget an idle connection after minutes; sshd asks every minute and gives up after ten without an answer.
settings() {
  echo 'ClientAliveInterval 60'
  echo 'ClientAliveCountMax 10'
}

# The mark outlives a setup that failed in between: what the file says is not in force before sshd has read it.
due="$STATE_DIR/keepalive.reload"
if put_root_file /etc/ssh/sshd_config.d/60-aws-bootstrap.conf < <(settings); then : >"$due"; fi
if [[ -e $due ]]; then
  as_root sshd -t || die "sshd does not accept its configuration"
  if as_root systemctl reload ssh || as_root systemctl reload sshd; then
    rm "$due"
    changed
  else
    warn "sshd could not be reloaded"
  fi
fi
