#!/bin/bash
# Remove from a copy of a box what belongs to that box alone: keys, tokens, history, logs, limits.
#
# `bake` installs this before it creates an image. systemd runs it at every boot before the network is up. It acts only
# on another instance than the one in $note, so that the box itself keeps everything. The DMI tables name the instance
# without a network: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/identify_ec2_instances.html
#
#   first-boot.sh            remove it, on another instance
#   first-boot.sh identity   print the identity of this instance; fail if it has none
#   first-boot.sh compare    print "same" or "other"
#   first-boot.sh remaining  print the files of the homes that look like secrets and would remain in a copy
set -uo pipefail
shopt -s nullglob dotglob

note=/etc/aws-bootstrap/baked-in
dmi=/sys/devices/virtual/dmi/id

# In each home.
credentials=(
  .ssh/authorized_keys .ssh/authorized_keys2 .aws .azure .boto .config/gcloud .config/doctl .databrickscfg .s3cfg
  .config/rclone .kube .docker/config.json .config/containers/auth.json .terraform.d/credentials.tfrc.json .vault-token
  .cache/huggingface/token .cache/huggingface/stored_tokens .huggingface .kaggle .config/kaggle .config/wandb .netrc
  .modal.toml .comet.config .lightning .git-credentials .config/git/credentials .config/gh .config/glab-cli .config/hub
  .pypirc .npmrc .pgpass .my.cnf .claude/.credentials.json .codex/auth.json .config/github-copilot
  .local/share/jupyter/runtime .local/share/jupyter/jupyter_cookie_secret .jupyter/jupyter_server_config.json
  .jupyter/jupyter_notebook_config.json
)
history=(
  .bash_history .zsh_history .zhistory .histfile .local/share/fish/fish_history .python_history .sqlite_history
  .psql_history .mysql_history .rediscli_history .node_repl_history .Rhistory .lesshst .viminfo .wget-hsts
  .ipython/profile_default/history.sqlite .vscode-server/data/logs .cursor-server/data/logs AWS-BOOTSTRAP-DEADLINE
)
# Folders of programs and packages, in which files are named like secrets.
skipped=(
  -name .git -o -name .cache -o -name venv -o -name .venv -o -name 'venv.old-*' -o -name site-packages
  -o -name node_modules -o -name .pyenv -o -name 'mini*3' -o -name anaconda3 -o -name .conda -o -name .cargo
  -o -name .rustup -o -name .nvm -o -name .npm -o -name .vscode-server -o -name .cursor-server
)

identity() {
  local tag uuid
  tag=$(cat "$dmi/board_asset_tag" 2>/dev/null)
  uuid=$(cat "$dmi/product_uuid" 2>/dev/null)
  case $tag in i-*) echo "$tag" && return ;; esac
  case $uuid in [Ee][Cc]2* | *-*-*-*-*) echo "$uuid" && return ;; esac
  return 1
}

# An instance that cannot be identified counts as another one: a token can be created again, a leaked one cannot be
# taken back. `bake` refuses a box without an identity, so that this is never the box itself.
is_another() { [[ -s $note && $(identity) != "$(cat "$note")" ]]; }

failed=0
remove() {
  [[ $# -gt 0 ]] || return 0
  rm -rf -- "$@" || failed=1
}

remove_from_home() {
  local home=$1
  remove "${credentials[@]/#/$home/}" "${history[@]/#/$home/}" "$home"/.ssh/id_*
  remove "$home"/.vscode-server/.*.token "$home"/.cursor-server/.*.token
  [[ -d $home/.aws-bootstrap ]] || return 0
  # What the setup needs to skip its steps remains, and what the user has put there.
  find "$home/.aws-bootstrap" -mindepth 1 -maxdepth 1 ! -name state ! -name '*.d' ! -name caches.sh ! -name jupyter-link \
    -exec rm -rf {} + || failed=1
  [[ ! -e /etc/systemd/system/jupyter.service ]] || new_jupyter_token "$home"
}

# Jupyter starts before the setup runs, and needs a token then.
new_jupyter_token() {
  local file="$1/.aws-bootstrap/jupyter.env"
  (umask 077 && echo "JUPYTER_TOKEN=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')" >"$file") || failed=1
  chown --reference="$1" "$file" || failed=1
}

remove_from_system() {
  remove /etc/ssh/ssh_host_* /etc/ssh/sshd_config.d/10-aws-bootstrap.conf
  remove /etc/aws-bootstrap/{guardian.env,peers.json,peers.new} /var/lib/aws-bootstrap
  remove /var/lib/cloud/{data,handlers,instance,instances,sem} /var/lib/amazon/ssm/{Vault,i-*} /var/lib/dhcp/*
  remove /var/lib/systemd/{random-seed,credential.secret,coredump} /var/crash/* /tmp/* /var/tmp/*
  remove /var/log/journal/* /var/log/sandbox-journal
  find /var/log -type f -delete || failed=1
  # The entry of the old data volume (fstab.py).
  sed -i '/x-aws-bootstrap/d' /etc/fstab || failed=1
  remove_names_of_cluster
}

# The block of put_peers.py. One without its last line stays: where it ends is not known.
remove_names_of_cluster() {
  [[ -f /etc/hosts ]] || return 0
  sed -i -e '/^# >>> aws-bootstrap >>>$/{' -e ':next' -e '/\n# <<< aws-bootstrap <<<$/d' -e 'N' -e 'b next' -e '}' /etc/hosts || failed=1
}

# dbus would give the old id back.
new_machine_id() {
  [[ -L /var/lib/dbus/machine-id ]] || remove /var/lib/dbus/machine-id
  tr -d '-' </proc/sys/kernel/random/uuid >/etc/machine-id || failed=1
}

# systemd has read the old files already. The guardian begins again when cloud-init has written its settings.
reload() {
  systemctl daemon-reload
  systemctl --no-block restart systemd-journald.service
  systemctl --no-block stop aws-bootstrap-guardian.service aws-bootstrap-deadline.timer
}

remove_all() {
  local home
  for home in /root /home/*; do
    [[ ! -d $home ]] || remove_from_home "$home"
  done
  remove_from_system
  new_machine_id
  reload >/dev/null 2>&1
  if [[ $failed == 0 ]]; then
    rm -f "$note"
    echo "aws-bootstrap: this box is a copy of $1: its keys, tokens, history, logs and limits were removed."
  else
    # Nobody may log in to a box that still has what is not its own.
    echo "aws-bootstrap: this box is a copy of $1, and not everything of it could be removed: it is powered off."
    systemctl --no-block poweroff
  fi
  sync
  return "$failed"
}

remaining() {
  local home name
  for home in /root /home/*; do
    for name in "${credentials[@]}"; do
      [[ ! -L $home/$name || ! -e $home/$name ]] || readlink -f "$home/$name"
    done
    find "$home" -xdev \( "${skipped[@]}" -o -path "$home/.local/share/uv" -o -path "$home/.aws-bootstrap" \) -prune \
      -o -type f -size -1024k \( -name .env -o -name '.env.*' -o -name '*.pem' -o -name '*.key' -o -name '*.p12' \
      -o -name '*.pfx' -o -name '*.ppk' -o -name '*.kdbx' -o -name 'id_*' -o -name credentials -o -name '*credentials*.json' \
      -o -name 'service[-_]account*.json' -o -name '.secrets*' -o -name 'secrets.*' -o -name token -o -name '*.token' \
      -o -name '*[-_]token' -o -name .htpasswd \) ! -name '*.pub' ! -name '*.py' ! -name '*.pyc' -print 2>/dev/null | without_removed "$home"
    grep -lsE '^[^#]*(TOKEN|SECRET|PASSWORD|API_?KEY|ACCESS_KEY)[A-Z_]*[= ]' "$home"/.{bashrc,bash_profile,profile,zshrc,zshenv} \
      "$home"/.{zprofile,pam_environment} "$home"/.config/fish/config.fish
    find "$home" -xdev -maxdepth 4 -path '*/.git/config' -exec grep -lE '://[^/@ ]+:[^/@ ]+@' {} + 2>/dev/null
  done
  grep -lsE '^[^#]*(TOKEN|SECRET|PASSWORD|API_?KEY|ACCESS_KEY)[A-Z_]*=' /etc/environment
}

# Leave out the files that are removed from a copy.
without_removed() {
  local path name
  while read -r path; do
    [[ $path != "$1"/.ssh/id_* ]] || continue
    for name in "${credentials[@]}"; do
      [[ $path != "$1/$name" && $path != "$1/$name/"* ]] || continue 2
    done
    echo "$path"
  done
}

case ${1:-} in
  identity) identity ;;
  compare) if is_another; then echo other; else echo same; fi ;;
  remaining) remaining | sort -u ;;
  *) if is_another; then remove_all "$(cat "$note")"; fi ;;
esac
