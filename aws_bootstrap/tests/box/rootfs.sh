#!/usr/bin/env bash
# rootfs.sh DIRECTORY PUBLIC_KEY CERTIFICATE KIT: a Debian that stands in for a Deep Learning AMI, for machines.py.
#
# DIRECTORY gets the root file system, KIT the kernel and the disk image that a virtual machine boots. As root; from
# Debian packages only. Real: systemd, sshd, sudo, apt, Python. Stand-ins: nvidia-smi, nvcc, lspci. What a box fetches comes
# from mirrors.py, by the names and over the TLS that the real addresses have.
set -euo pipefail

root=$1 key=$2 certificate=$3 kit=$4
MIRROR=10.99.0.1
PACKAGES=(
  ca-certificates curl dbus e2fsprogs iproute2 kmod libpam-systemd netbase openssh-server procps python3 rsync sudo
  systemd systemd-sysv udev linux-image-cloud-amd64 fish tcsh zsh
)

rm -rf "$root" "$kit"
mkdir -p "$root" "$kit"
joined=$(IFS=,; echo "${PACKAGES[*]}")
debootstrap --variant=minbase --include="$joined" bookworm "$root" >"$kit/debootstrap.log" 2>&1 ||
  { tail -n 20 "$kit/debootstrap.log" >&2; exit 1; }
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*

# The login user of an Ubuntu AMI.
chroot "$root" useradd -m -s /bin/bash ubuntu
usermod --root "$root" -p '*' ubuntu
echo 'ubuntu ALL=(ALL) NOPASSWD:ALL' >"$root/etc/sudoers.d/90-cloud-init-users"
chmod 440 "$root/etc/sudoers.d/90-cloud-init-users"
install -d -m 700 "$root/home/ubuntu/.ssh"
install -m 600 "$key" "$root/home/ubuntu/.ssh/authorized_keys"
chroot "$root" chown -R ubuntu: /home/ubuntu/.ssh
chroot "$root" ssh-keygen -A

# Every name resolves without asking anybody: else each sudo waits 10 to 20 s.
echo box >"$root/etc/hostname"
: >"$root/etc/resolv.conf"
: >"$root/etc/machine-id"
cat >"$root/etc/hosts" <<HOSTS
127.0.0.1 localhost
127.0.1.1 box
$MIRROR astral.sh download.pytorch.org packages.box.test
HOSTS
sed -i 's/^hosts:.*/hosts: files/' "$root/etc/nsswitch.conf"
echo '# /etc/fstab' >"$root/etc/fstab"

echo "deb [trusted=yes] http://$MIRROR:8000/debs ./" >"$root/etc/apt/sources.list"
cp "$certificate" "$root/usr/local/share/ca-certificates/box-test.crt"
chroot "$root" update-ca-certificates >/dev/null 2>&1
# Every login finds the mirrors by these, and a setup that meets a fault does not try for minutes.
cat >>"$root/etc/environment" <<'ENVIRONMENT'
SETUP_RETRY_SECONDS=3
SETUP_RETRY_PAUSE=0
UV_HTTP_RETRIES=0
SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
UV_DEFAULT_INDEX=https://packages.box.test/simple
ENVIRONMENT

cat >"$root/usr/bin/nvidia-smi" <<'TOOL'
#!/bin/sh
case "$*" in
  *--query-gpu=compute_cap*) echo 7.5 ;;
  *--query-gpu=name,compute_cap,driver_version*) echo "Tesla T4, 7.5, 580.95.05" ;;
  *--query-gpu*) echo "Tesla T4, 580.95.05, 15360 MiB" ;;
  *) echo "| NVIDIA-SMI 580.95.05    Driver Version: 580.95.05    CUDA Version: 13.0 |" ;;
esac
TOOL
printf '#!/bin/sh\necho "Cuda compilation tools, release 13.0, V13.0.88"\n' >"$root/usr/local/bin/nvcc"
printf '#!/bin/sh\necho "00:1e.0 0302: 10de:1eb8 (rev a1)"\n' >"$root/usr/bin/lspci"
chmod 755 "$root/usr/bin/nvidia-smi" "$root/usr/bin/lspci" "$root/usr/local/bin/nvcc"

chroot "$root" systemctl enable ssh systemd-networkd >/dev/null 2>&1
chroot "$root" systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
  e2scrub_reap.service fstrim.timer networking.service systemd-pstore.service systemd-timesyncd.service >/dev/null 2>&1

cp "$root"/boot/vmlinuz-* "$kit/vmlinuz"
truncate -s 4G "$kit/root.img"
mkfs.ext4 -q -F -d "$root" "$kit/root.img"
