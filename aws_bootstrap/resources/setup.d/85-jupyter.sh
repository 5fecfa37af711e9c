#!/usr/bin/env bash
# title: Jupyter
# needs: requirements
# limit: 300
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$SETUP_DIR/setup.d/lib.sh"

# On 127.0.0.1 only, and on no other port if this one is taken. Without a token, so that the page opens through the
# SSH tunnel: who reaches the port is logged in on this box already. Jupyter's checks of the Host header and of XSRF
# stay on against other web pages. A token: JUPYTER_TOKEN=... in ~/.aws-bootstrap/jupyter.env, then restart it.
unit() {
  cat <<UNIT
[Unit]
Description=JupyterLab on 127.0.0.1:8888 (aws-bootstrap)
After=network.target

[Service]
User=$(id -un)
WorkingDirectory=$HOME
Environment=PATH=$VENV/bin:/usr/local/cuda/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
Environment=VIRTUAL_ENV=$VENV SHELL=/bin/bash JUPYTER_TOKEN=
EnvironmentFile=-$HOME/.aws-bootstrap/jupyter.env
# Another program on the port would answer in its place.
ExecStartPre=/bin/bash -c '! (</dev/tcp/127.0.0.1/8888) 2>/dev/null'
ExecStart=$VENV/bin/jupyter lab --no-browser --ServerApp.ip=127.0.0.1 --ServerApp.port=8888 \\
    --ServerApp.port_retries=0 --ServerApp.root_dir=$HOME --IdentityProvider.token=\${JUPYTER_TOKEN}
# Started means: it answers.
ExecStartPost=/bin/bash -c 'for i in {1..99}; do (</dev/tcp/127.0.0.1/8888) 2>&- && exit; sleep 0.5; done; exit 1'
TimeoutStartSec=90
Restart=on-failure
RestartSec=5

[Install]
WantedBy=multi-user.target
UNIT
}

if put_root_file /etc/systemd/system/jupyter.service < <(unit); then
  as_root systemctl daemon-reload
  as_root systemctl enable --quiet jupyter
  : >"$STATE_DIR/jupyter.restart"
fi
if [[ -e $STATE_DIR/jupyter.restart ]] || ! systemctl is-active --quiet jupyter; then
  as_root systemctl restart jupyter || die "jupyter does not start (is port 8888 taken?): sudo journalctl -u jupyter"
  rm -f "$STATE_DIR/jupyter.restart"
  changed
fi
systemctl is-active --quiet jupyter || die "jupyter does not stay up: sudo journalctl -u jupyter"
