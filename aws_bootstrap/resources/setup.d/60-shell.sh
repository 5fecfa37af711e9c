#!/usr/bin/env bash
# title: Shell environment
# after: nsight
# limit: 60
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$SETUP_DIR/setup.d/lib.sh"

# The block goes to the top of ~/.bashrc. Bash reads that file for `ssh box 'python ...'` too, and Ubuntu's version
# returns early from shells that are not interactive. The block prints nothing, because output would break scp and
# rsync. zsh reads the same text.
# shellcheck disable=SC2016 # expanded when the shell starts, not now
block() {
  echo '# >>> aws-bootstrap >>>'
  echo '# Written by the setup, which replaces everything between these two marks.'
  echo "for _aws_bootstrap_folder in \"\$HOME/.local/bin\" /usr/local/cuda/bin $1; do"
  echo '  case ":$PATH:" in'
  echo '    *":$_aws_bootstrap_folder:"*) ;;'
  echo '    *) [ ! -d "$_aws_bootstrap_folder" ] || export PATH="$_aws_bootstrap_folder:$PATH" ;;'
  echo '  esac'
  echo 'done'
  echo 'unset _aws_bootstrap_folder'
  echo 'if [ -f ~/.aws-bootstrap/caches.sh ]; then . ~/.aws-bootstrap/caches.sh; fi'
  echo 'if [ -f ~/venv/bin/activate ]; then source ~/venv/bin/activate; fi'
  echo '# <<< aws-bootstrap <<<'
}

# The same for fish, as a separate file. Every fish shell reads it.
# shellcheck disable=SC2016
fish_file() {
  echo "for _aws_bootstrap_folder in \$HOME/.local/bin /usr/local/cuda/bin $1"
  echo '    if test -d $_aws_bootstrap_folder; and not contains -- $_aws_bootstrap_folder $PATH'
  echo '        set -gx PATH $_aws_bootstrap_folder $PATH'
  echo '    end'
  echo 'end'
  echo 'for _aws_bootstrap_folder in /data /opt/dlami/nvme'
  echo '    if grep -qs " $_aws_bootstrap_folder " /proc/mounts; and test -w $_aws_bootstrap_folder'
  echo '        set -q HF_HOME; or set -gx HF_HOME $_aws_bootstrap_folder/.cache/huggingface'
  echo '        set -q PIP_CACHE_DIR; or set -gx PIP_CACHE_DIR $_aws_bootstrap_folder/.cache/pip'
  echo '        if not set -q UV_CACHE_DIR'
  echo '            set -gx UV_CACHE_DIR $_aws_bootstrap_folder/.cache/uv'
  echo '            set -q UV_LINK_MODE; or set -gx UV_LINK_MODE copy'
  echo '        end'
  echo '        break'
  echo '    end'
  echo 'end'
  echo 'set -e _aws_bootstrap_folder'
  echo 'if test -f ~/venv/bin/activate.fish'
  echo '    source ~/venv/bin/activate.fish'
  echo 'end'
}

# put_block FILE < BLOCK
put_block() {
  local verdict
  verdict=$(system_python "$SETUP_DIR/put_block.py" "$1" 2>&1) || die "$verdict"
  case $verdict in
    changed) changed ;;
    unchanged) ;;
    *) warn "$verdict" ;;
  esac
}

nsys=$(newest_nsys)
replace_own_file "$HOME/.aws-bootstrap/caches.sh" <"$SETUP_DIR/caches.sh"
put_block "$HOME/.bashrc" < <(block "$nsys")
login_shell=$(basename "${SHELL:-/bin/bash}")
if [[ $login_shell == zsh || -e $HOME/.zshenv || -e $HOME/.zshrc ]]; then
  put_block "$HOME/.zshenv" < <(block "$nsys")
fi
if [[ $login_shell == fish || -d $HOME/.config/fish ]]; then
  fish_file "$nsys" >"$STEP_TMP/aws-bootstrap.fish"
  deploy "$STEP_TMP/aws-bootstrap.fish" "$HOME/.config/fish/conf.d/aws-bootstrap.fish"
fi
case $login_shell in
  bash | zsh | fish) ;;
  *) warn "your login shell, $login_shell, does not activate ~/venv: use ~/venv/bin/python" ;;
esac
