#!/usr/bin/env bash
# title: Jupyter
# needs: requirements
# limit: 300
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$SETUP_DIR/setup.d/lib.sh"

ours="$HOME/.aws-bootstrap"
settings="$ours/jupyter.env"
umask 077

# On 127.0.0.1 only, on no other port if this one is taken, and with a token: on a shared laptop the end of the SSH
# tunnel is open to all its users. The token is passed by a file that the login user alone can read; a command line
# (`ps`) or a unit (`systemctl show`) would show it to every user of the box.
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
# Without the file Jupyter would make up a token of its own, which jupyter-link could not tell.
EnvironmentFile=$settings
# Another program on the port would answer in its place.
ExecStartPre=/bin/bash -c '! (</dev/tcp/127.0.0.1/8888) 2>/dev/null'
ExecStart=$VENV/bin/jupyter lab --no-browser --ServerApp.ip=127.0.0.1 --ServerApp.port=8888 \\
    --ServerApp.port_retries=0 --ServerApp.root_dir=$HOME
# Started means: it answers. Not waited for once it has ended.
ExecStartPost=/bin/bash -c 'for i in {1..99}; do (</dev/tcp/127.0.0.1/8888) 2>&- && exit; \\
    test -z "\$MAINPID" || kill -0 \$MAINPID 2>&- || exit 1; sleep 0.5; done; exit 1'
TimeoutStartSec=90
Restart=on-failure
RestartSec=5

[Install]
WantedBy=multi-user.target
UNIT
}

# make_token: true if there was none yet. A token that is there, the user's own included, stays.
make_token() {
  local draft="$STEP_TMP/jupyter.env" token
  if grep -q '^JUPYTER_TOKEN=' "$settings" 2>/dev/null; then return 1; fi
  token=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
  [[ ${#token} == 48 ]] || die "no token for Jupyter: /dev/urandom cannot be read"
  if [[ -e $settings ]]; then cat "$settings" >"$draft" || die "$settings cannot be read"; fi
  echo "JUPYTER_TOKEN=$token" >>"$draft" || die "$draft could not be written"
  mv "$draft" "$settings" || die "$settings could not be written"
}

port_is_open() { (: </dev/tcp/127.0.0.1/8888) 2>/dev/null; }

# Why it does not start, for the log and in one sentence.
refused() {
  local listener users='.*users:\(\("([^"]+)",pid=([0-9]+).*'
  if port_is_open; then
    listener=$(as_root ss -Hltnp 'sport = :8888' 2>/dev/null | sed -nE "s/$users/\1, process \2/p" || true)
    die "jupyter does not start: port 8888 is taken by another program${listener:+ ($listener)}"
  fi
  as_root journalctl -u jupyter -n 20 --no-pager || true
  die "jupyter does not $1: sudo journalctl -u jupyter"
}

if make_token; then : >"$STATE_DIR/jupyter.restart"; fi
chmod 600 "$settings"
if ! cmp -s "$SETUP_DIR/jupyter-link" "$ours/jupyter-link"; then
  install -m 700 "$SETUP_DIR/jupyter-link" "$STEP_TMP/jupyter-link"
  mv "$STEP_TMP/jupyter-link" "$ours/jupyter-link"
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
  as_root systemctl restart jupyter || refused start
  rm -f "$STATE_DIR/jupyter.restart"
  changed
fi
systemctl is-active --quiet jupyter || refused "stay up"
