#!/usr/bin/env bash
# title: SSH keepalive
# after: utilities
# limit: 60
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$SETUP_DIR/setup.d/lib.sh"

# Routers drop idle connections after some minutes. sshd sends a message every minute, and closes a connection that did
# not answer ten of them.
settings() {
  echo 'ClientAliveInterval 60'
  echo 'ClientAliveCountMax 10'
}

due="$STATE_DIR/keepalive.reload"
if put_root_file "$due" /etc/ssh/sshd_config.d/60-aws-bootstrap.conf < <(settings); then
  as_root sshd -t || die "sshd does not accept its configuration"
  if as_root systemctl reload ssh || as_root systemctl reload sshd; then
    rm "$due"
    changed
  else
    warn "sshd could not be reloaded"
  fi
fi
