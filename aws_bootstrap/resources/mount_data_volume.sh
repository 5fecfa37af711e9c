#!/usr/bin/env bash
# Mount an EBS data volume at /data, owned by the login user. Run on the box as that user:
#
#   bash mount_data_volume.sh vol-0123456789abcdef0 [--format-if-empty] [--wait SECONDS]
#   bash mount_data_volume.sh --choose vol-0123456789abcdef0 [--format-if-empty] < LSBLK    # the choice alone, no root
#
# The volume is known by its serial. Nothing that carries a filesystem or a partition table is ever formatted. Safe to
# repeat. The last line on stdout is {"device", "mount_point", "fstype", "formatted"}; a failure is one sentence on
# stderr and exit status 1.
set -euo pipefail

MOUNT_POINT=/data
WAIT_SECONDS=120
# A fallback must be the only answer for this many looks in a row: a disk that has just appeared may lack its serial.
STEADY_LOOKS=5
# nofail: a boot goes on without the volume. systemd would look out for it for 90 s all the same.
OPTIONS=nofail,x-systemd.device-timeout=30s
LSBLK_COLUMNS=NAME,TYPE,SERIAL,MODEL,FSTYPE,PTTYPE,MOUNTPOINT,PKNAME

die() {
  echo "$*" >&2
  exit 1
}

as_root() { sudo -n "$@"; }

list_disks() { lsblk -p -P -o "$LSBLK_COLUMNS"; }

# choose_device VOLUME FORMAT(0|1) < `lsblk -p -P -o COLUMNS`: print "serial DEVICE", "fallback DEVICE" or "none".
#
# EC2 gives a volume's id, without the dash, as the serial of its NVMe device:
# https://docs.aws.amazon.com/ebs/latest/userguide/identify-nvme-ebs-device.html
# Xen types show no serial at all. Only there do the usual names count, and only for a disk that nothing uses; where
# it may be formatted, only for a bare one. An instance store is never the answer.
choose_device() {
  awk -v wanted="${1//-/}" -v format="$2" '
    function field(key,   at, rest) {
      at = index(" " $0, " " key "=\"")
      if (!at) return ""
      rest = substr($0, at + length(key) + 2)
      return substr(rest, 1, index(rest, "\"") - 1)
    }
    {
      name = field("NAME"); type = field("TYPE"); parent = field("PKNAME")
      if (type == "disk") {
        serial = field("SERIAL"); gsub(/[- ]|\\x20/, "", serial)
        if (tolower(serial) == tolower(wanted)) chosen = name
        disk[name] = 1
        if (serial != "" || field("MODEL") ~ /Instance.*Storage/) barred[name] = 1
        if (format && (field("FSTYPE") != "" || field("PTTYPE") != "")) barred[name] = 1
      } else if (parent != "") {
        if (format) barred[parent] = 1
        if (field("MOUNTPOINT") != "") barred[parent] = 1
      }
      # A mounted disk is somebody'"'"'s; the one that is at our mount point already is found by its serial.
      if (field("MOUNTPOINT") != "" && field("MOUNTPOINT") != "'"$MOUNT_POINT"'") barred[name] = 1
    }
    END {
      if (chosen != "") { print "serial", chosen; exit }
      count = split("/dev/nvme1n1 /dev/xvdf /dev/sdf", usual, " ")
      for (i = 1; i <= count; i++)
        if (usual[i] in disk && !(usual[i] in barred)) { print "fallback", usual[i]; exit }
      print "none"
    }'
}

# wait_for_device VOLUME FORMAT SECONDS: print the device once it is there.
wait_for_device() {
  local ends=$((SECONDS + $3)) steady=0 last="" how device
  while true; do
    read -r how device < <(list_disks | choose_device "$1" "$2") || true
    if [[ $how == serial ]]; then
      echo "$device"
      return
    fi
    if [[ $how == fallback && $device == "$last" ]]; then steady=$((steady + 1)); else steady=0; fi
    last=${device:-}
    if ((steady >= STEADY_LOOKS)); then
      echo "$device"
      return
    fi
    ((SECONDS < ends)) || die "volume $1 did not appear on this box within $3 s: is it attached?"
    sleep 1
  done
}

filesystem_of() { as_root blkid -p -o value -s TYPE "$1" 2>/dev/null || true; }

# Truly empty: no tool knows a signature on it, the kernel no partition, and it begins with zeros as a new volume does
# (a database's or an encrypted volume may carry no signature at all). A tool that fails says nothing of the kind: blkid
# ends with 2 for "nothing found" and with 8 where it found two things at once, cmp with 1 for "different".
is_empty() {
  local status=0 different=0 signatures
  as_root blkid -p "$1" >/dev/null 2>&1 || status=$?
  as_root cmp -s -n 1048576 "$1" /dev/zero || different=$?
  signatures=$(as_root wipefs -n "$1") || return 1
  [[ $status == 2 && $different != 1 && -z $signatures && $(lsblk -n -o NAME "$1" | wc -l) -eq 1 ]]
}

mounted_from() { findmnt -n -o SOURCE --mountpoint "$1" 2>/dev/null || true; }

# The mount options that give a filesystem without owners to the login user.
owner_options() {
  case $1 in
    vfat | exfat | ntfs | ntfs3) echo ",uid=$(id -u),gid=$(id -g)" ;;
  esac
}

# write_fstab LINE: make it the only line that this tool wrote (it carries x-aws-bootstrap), in one rename.
write_fstab() {
  local folder
  if grep -qxF "$1" /etc/fstab; then return; fi
  mkdir -p "$HOME/.aws-bootstrap"
  folder=$(mktemp -d "$HOME/.aws-bootstrap/fstab.XXXXXX")
  { grep -v 'x-aws-bootstrap' /etc/fstab || true; echo "$1"; } >"$folder/fstab"
  as_root install -m 0644 "$folder/fstab" /etc/fstab.aws-bootstrap ||
    die "$MOUNT_POINT is mounted, but /etc/fstab could not be written: it will not be there after a reboot"
  as_root mv /etc/fstab.aws-bootstrap /etc/fstab
  rm -r "$folder"
  as_root systemctl daemon-reload || true
}

check_mount_point() {
  local device=$1 source elsewhere
  source=$(mounted_from "$MOUNT_POINT")
  [[ -z $source || $source == "$device" ]] || die "$MOUNT_POINT is already the mount point of $source"
  elsewhere=$(findmnt -n -o TARGET --source "$device" 2>/dev/null | grep -vx "$MOUNT_POINT" | head -n 1 || true)
  [[ -z $elsewhere || -n $source ]] || die "$device is already mounted at $elsewhere"
  [[ -n $source || ! -d $MOUNT_POINT || -z $(ls -A "$MOUNT_POINT") ]] ||
    die "$MOUNT_POINT is not empty on the root volume: mounting $device there would hide what is in it"
  if awk -v at="$MOUNT_POINT" '$1 !~ /^#/ && $2 == at { print $4 }' /etc/fstab | grep -qv x-aws-bootstrap; then
    die "/etc/fstab has an entry for $MOUNT_POINT that is not this tool's"
  fi
}

# format_if_empty DEVICE FORMAT: make a filesystem, if that is allowed and nothing would be lost.
format_if_empty() {
  [[ $2 == 1 ]] || die "$1 carries no filesystem; nothing was formatted"
  is_empty "$1" || die "$1 carries no filesystem, but is not empty (partitions, raw data): nothing was formatted"
  as_root mkfs.ext4 -q "$1" >&2 || die "$1 could not be formatted"
}

# mount_now DEVICE FSTYPE MORE_OPTIONS: mount it, unless it is, and give it to the login user.
mount_now() {
  local said
  if [[ -z $(mounted_from "$MOUNT_POINT") ]]; then
    as_root mkdir -p "$MOUNT_POINT" || die "$MOUNT_POINT could not be made"
    said=$(as_root mount -t "$2" -o "defaults$3" "$1" "$MOUNT_POINT" 2>&1) ||
      die "$1 carries $2, which could not be mounted: $(head -n 1 <<<"$said")"
  fi
  [[ -n $3 || $(stat -c %u "$MOUNT_POINT") == "$(id -u)" ]] || as_root chown "$(id -u):$(id -g)" "$MOUNT_POINT" ||
    die "$MOUNT_POINT is mounted, but could not be given to $(id -un)"
}

mount_volume() {
  local volume=$1 format=$2 seconds=$3 device fstype uuid formatted=false more pass=0
  device=$(wait_for_device "$volume" "$format" "$seconds")
  check_mount_point "$device"
  fstype=$(filesystem_of "$device")
  if [[ -z $fstype ]]; then
    format_if_empty "$device" "$format"
    formatted=true
    fstype=$(filesystem_of "$device")
  fi
  uuid=$(as_root blkid -p -o value -s UUID "$device") || die "$device carries $fstype without a UUID"
  more=$(owner_options "$fstype")
  mount_now "$device" "$fstype" "$more"
  [[ $fstype != ext* ]] || pass=2
  write_fstab "UUID=$uuid $MOUNT_POINT $fstype defaults,$OPTIONS,x-aws-bootstrap$more 0 $pass"
  printf '{"device": "%s", "mount_point": "%s", "fstype": "%s", "formatted": %s}\n' \
    "$device" "$MOUNT_POINT" "$fstype" "$formatted"
}

main() {
  local action=mount_volume volume="" format=0 seconds=$WAIT_SECONDS
  while [[ $# -gt 0 ]]; do
    case $1 in
      --choose) action=choose_device ;;
      --format-if-empty) format=1 ;;
      --wait) seconds=${2:-} && shift $(($# > 1)) ;;
      vol-*) volume=$1 ;;
      *) die "unknown argument: $1" ;;
    esac
    shift
  done
  [[ $volume =~ ^vol-[0-9a-f]+$ && $seconds =~ ^[0-9]+$ ]] ||
    die "usage: mount_data_volume.sh vol-ID [--format-if-empty] [--wait SECONDS]"
  "$action" "$volume" "$format" "$seconds"
}

main "$@"
