# shellcheck shell=bash
# Prepare this box to be copied: install first-boot.sh, which removes from a copy what belongs to this box alone.
# Run as the login user in the folder of these files. A box without an identity is left as it is.
set -euo pipefail

first_boot() { sudo -n bash -c "$(<first-boot.sh)" first-boot "$1"; }

first_boot identity >identity || { echo "no-identity" && exit 1; }
sudo -n install -D -m 0755 first-boot.sh /usr/local/sbin/aws-bootstrap-first-boot
sudo -n install -D -m 0644 first-boot.service /etc/systemd/system/aws-bootstrap-first-boot.service
sudo -n install -D -m 0600 identity /etc/aws-bootstrap/baked-in
# Before anything is copied: this box must know itself after its reboot, or it would lose what is its own.
[[ $(first_boot compare) == same ]] || { echo "no-identity" && exit 1; }
sudo -n systemctl daemon-reload
sudo -n systemctl enable --quiet aws-bootstrap-first-boot.service
# A reboot empties /run.
sudo -n touch /run/aws-bootstrap-bake
sync
echo prepared
