#!/usr/bin/env bash
# title: Jupyter
# needs: requirements
# limit: 300
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$SETUP_DIR/setup.d/lib.sh"

home="$HOME/.aws-bootstrap"
settings="$home/jupyter.env"
umask 077

# Jupyter listens on 127.0.0.1 and on this port only. It requires a token, because on a shared laptop the end of the SSH
# tunnel is open to all users. The token is passed in a file that only the login user can read. A command line (`ps`) or
# a unit (`systemctl show`) would show it to every user of the box.
unit() {
  cat <<UNIT
[Unit]
Description=JupyterLab on 127.0.0.1:8888 (aws-bootstrap)
After=network.target

[Service]
User=$(id -un)
WorkingDirectory=$HOME
Environment=PATH=$VENV/bin:/usr/local/cuda/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
Environment=VIRTUAL_ENV=$VENV SHELL=/bin/bash
# Without the file Jupyter would generate another token, and jupyter-link would not find it.
EnvironmentFile=$settings
# Another program on the port would answer in its place.
ExecStartPre=/bin/bash -c '! (</dev/tcp/127.0.0.1/8888) 2>/dev/null'
ExecStart=$VENV/bin/jupyter lab --no-browser --ServerApp.ip=127.0.0.1 --ServerApp.port=8888 \\
    --ServerApp.port_retries=0 --ServerApp.root_dir=$HOME
# Jupyter counts as started when the port answers. Stop waiting if it has exited.
ExecStartPost=/bin/bash -c 'for i in {1..99}; do (</dev/tcp/127.0.0.1/8888) 2>&- && exit; \\
    test -z "\$MAINPID" || kill -0 \$MAINPID 2>&- || exit 1; sleep 0.5; done; exit 1'
TimeoutStartSec=90
Restart=on-failure
RestartSec=5

[Install]
WantedBy=multi-user.target
UNIT
}

# create_token: succeed if there was no token yet. An existing token stays, the user's own included.
create_token() {
  local draft="$STEP_TMP/jupyter.env" token
  if grep -q '^JUPYTER_TOKEN=' "$settings" 2>/dev/null; then return 1; fi
  token=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
  [[ ${#token} == 48 ]] || die "no token for Jupyter: /dev/urandom cannot be read"
  if [[ -e $settings ]]; then cat "$settings" >"$draft" || die "$settings cannot be read"; fi
  echo "JUPYTER_TOKEN=$token" >>"$draft" || die "$draft could not be written"
  mv "$draft" "$settings" || die "$settings could not be written"
}

port_is_open() { (: </dev/tcp/127.0.0.1/8888) 2>/dev/null; }

# fail_to VERB: fail with the reason why Jupyter does not VERB, in the log and in one sentence.
fail_to() {
  local listener users='.*users:\(\("([^"]+)",pid=([0-9]+).*'
  if port_is_open; then
    listener=$(as_root ss -Hltnp 'sport = :8888' 2>/dev/null | sed -nE "s/$users/\1, process \2/p" || true)
    die "jupyter does not start: another program uses port 8888${listener:+ ($listener)}"
  fi
  as_root journalctl -u jupyter -n 20 --no-pager || true
  die "jupyter does not $1: sudo journalctl -u jupyter"
}

if create_token; then : >"$STATE_DIR/jupyter.restart"; fi
chmod 600 "$settings"
if ! cmp -s "$SETUP_DIR/jupyter-link" "$home/jupyter-link"; then
  install -m 700 "$SETUP_DIR/jupyter-link" "$STEP_TMP/jupyter-link"
  mv "$STEP_TMP/jupyter-link" "$home/jupyter-link"
  changed
fi
due="$STATE_DIR/jupyter.unit"
if put_root_file "$due" /etc/systemd/system/jupyter.service < <(unit); then
  as_root systemctl daemon-reload
  as_root systemctl enable --quiet jupyter
  : >"$STATE_DIR/jupyter.restart"
  rm "$due"
fi
if [[ -e $STATE_DIR/jupyter.restart ]] || ! systemctl is-active --quiet jupyter; then
  as_root systemctl restart jupyter || fail_to start
  rm -f "$STATE_DIR/jupyter.restart"
  changed
fi
systemctl is-active --quiet jupyter || fail_to "stay up"
