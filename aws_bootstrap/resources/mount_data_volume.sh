#!/usr/bin/env bash
# Mount an EBS data volume at /data, owned by the login user. Run on the box as that user:
#
#   bash mount_data_volume.sh vol-0123456789abcdef0 [--format-if-empty] [--wait SECONDS]
#   bash mount_data_volume.sh --choose vol-0123456789abcdef0 [--format-if-empty] < LSBLK    # the choice alone, no root
#
# empty_disk.py and fstab.py must be beside it. It finds the volume by its serial. It formats the volume only with
# --format-if-empty, and only if every check succeeds and finds the volume empty. It is safe to repeat, also at the same
# time. Lines on stdout that begin with "note: " are for the user. The last line is
# {"device", "mount_point", "fstype", "formatted"}. A failure is one sentence on stderr and exit status 1. Exit status 3
# means that the volume is empty and was not formatted, because --format-if-empty was not given.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

MOUNT_POINT=/data
FSTAB=/etc/fstab
WAIT_SECONDS=120
LOCK_SECONDS=300
READ_SECONDS=90
UNFORMATTED=3
# A fallback must be the only result this many times in a row, because a new disk may lack its serial at first.
STEADY_LOOKS=5
# nofail: a boot continues without the volume. Without a timeout systemd would still wait 90 s for it.
OPTIONS=nofail,x-systemd.device-timeout=30s
LSBLK_COLUMNS=NAME,TYPE,SERIAL,MODEL,FSTYPE,PTTYPE,MOUNTPOINT,PKNAME

die() {
  echo "$*" >&2
  exit 1
}

note() { echo "note: $*"; }

as_root() { sudo -n "$@"; }

# A tool's output in one line, without sudo's own warning about a host name that does not resolve.
in_short() { grep -v '^sudo: ' <<<"$1" | head -n 2 | paste -s -d ' ' -; }

list_disks() { lsblk -p -P -o "$LSBLK_COLUMNS"; }

# choose_device VOLUME FORMAT(0|1) < `lsblk -p -P -o COLUMNS`: print "serial DEVICE", "fallback DEVICE" or "none".
#
# EC2 gives a volume's id, without the dash, as the serial of its NVMe device:
# https://docs.aws.amazon.com/ebs/latest/userguide/identify-nvme-ebs-device.html
# Xen instance types show no serial. Only for them the usual device names are a fallback, and only for an unused disk.
# If the disk may be formatted, it must also be blank. An instance store is never chosen.
choose_device() {
  awk -v volume="${1//-/}" -v format="$2" '
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
        if (tolower(serial) == tolower(volume)) chosen = name
        disk[name] = 1
        if (serial != "" || field("MODEL") ~ /Instance.*Storage/) barred[name] = 1
        if (format && (field("FSTYPE") != "" || field("PTTYPE") != "")) barred[name] = 1
      } else if (parent != "") {
        if (format) barred[parent] = 1
        if (field("MOUNTPOINT") != "") barred[parent] = 1
      }
      # A mounted disk is in use. A data volume that is mounted already is found by its serial.
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

# wait_for_device VOLUME FORMAT SECONDS: wait for the device and print it.
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

partition_table_of() { as_root blkid -p -o value -s PTTYPE "$1" 2>/dev/null || true; }

is_read_only() { [[ $(lsblk -d -n -o RO "$1" | tr -d ' ') == 1 ]]; }

# The box has this Python before any setup. `python3` alone may be that of an active venv.
run_python() {
  local program=/usr/bin/python3
  [[ -x $program ]] || program=python3
  as_root timeout "$READ_SECONDS" "$program" -I "$@"
}

# is_empty DEVICE: whether the disk is provably empty. If not, sets REASON.
#
# Only the success of each tool counts. blkid exits with 2 for "nothing found", but also if it cannot read the disk, and
# with 8 if it finds several signatures. So empty_disk.py also checks that the disk is readable.
is_empty() {
  local device=$1 status=0 signatures rows said
  as_root blkid -p "$device" >/dev/null 2>&1 || status=$?
  if [[ $status != 2 ]]; then
    REASON="blkid finds a signature, or several (status $status)"
    return 1
  fi
  if ! signatures=$(as_root wipefs -n "$device" 2>/dev/null) || [[ -n $signatures ]]; then
    REASON="wipefs finds something on it, or cannot read it"
    return 1
  fi
  if ! rows=$(lsblk -n -r -o NAME "$device") || [[ $(wc -l <<<"$rows") != 1 ]]; then
    REASON="lsblk shows something below it, or fails"
    return 1
  fi
  if ! said=$(run_python "$here/empty_disk.py" "$device") || [[ $said != "empty: "* ]]; then
    REASON=${said:-"it could not be read within $READ_SECONDS s"}
    return 1
  fi
}

# refuse_if_no_filesystem DEVICE FSTYPE: fail if the signature is not that of a filesystem, and name its type.
refuse_if_no_filesystem() {
  local description
  case $2 in
    LVM2_member) description="a physical volume of LVM ($2): activate its volume group with 'sudo vgchange -ay'" ;;
    crypto_LUKS) description="encrypted ($2): open it with 'sudo cryptsetup open $1 data'" ;;
    zfs_member) description="part of a zfs pool ($2): import it with 'sudo zpool import'" ;;
    *raid_member) description="part of a RAID array ($2): assemble it with 'sudo mdadm --assemble --scan'" ;;
    swap | swsuspend) description="swap space ($2), which holds no files" ;;
    *_member | bcache | ceph_bluestore) description="part of something larger ($2), not a filesystem of its own" ;;
    *) return 0 ;;
  esac
  die "$1 is $description. Nothing was mounted or formatted"
}

# refuse_if_partitioned DEVICE: fail if there is a partition table, and name the filesystems of its partitions.
refuse_if_partitioned() {
  local table names carried
  table=$(partition_table_of "$1")
  names=$(lsblk -n -r -o NAME,TYPE "$1" | awk '$2 == "part" { print $1 }')
  [[ -n $table || -n $names ]] || return 0
  carried=$(lsblk -n -r -o TYPE,FSTYPE "$1" | awk '$1 == "part" { print $2 == "" ? "none" : $2 }' | paste -s -d , -)
  die "$1 is partitioned (${table:-unknown table}): $(wc -w <<<"$names") partitions, filesystems: ${carried:-none}." \
    "Nothing was mounted or formatted. Mount one by hand: sudo mount /dev/PARTITION $MOUNT_POINT"
}

mounted_from() { findmnt -n -o SOURCE --mountpoint "$1" 2>/dev/null || true; }

# The mount options that give a filesystem without owners to the login user.
owner_options() {
  case $1 in
    vfat | exfat | ntfs | ntfs3) echo ",uid=$(id -u),gid=$(id -g)" ;;
  esac
}

# has_user_entry DEVICE: whether an fstab entry of the user mounts this device at the mount point. Fails if such an
# entry names another device.
has_user_entry() {
  local entries
  entries=$(run_python "$here/fstab.py" others "$FSTAB" "$MOUNT_POINT") || die "$FSTAB could not be read"
  [[ -n $entries ]] || return 1
  case $entries in
    "$1" | "UUID=$(blkid_value "$1" UUID)" | "LABEL=$(blkid_value "$1" LABEL)") return 0 ;;
  esac
  [[ $entries == /dev/* && $(readlink -f "$entries") == "$1" ]] ||
    die "$FSTAB has an entry for $MOUNT_POINT that this tool did not write, for another device:" "${entries//$'\n'/, }"
}

blkid_value() { as_root blkid -p -o value -s "$2" "$1" 2>/dev/null || echo none; }

check_mount_point() {
  local device=$1 source elsewhere content
  source=$(mounted_from "$MOUNT_POINT")
  [[ -z $source || $source == "$device" ]] || die "$MOUNT_POINT is already the mount point of $source"
  elsewhere=$(findmnt -n -o TARGET --source "$device" 2>/dev/null | grep -vx "$MOUNT_POINT" | head -n 1 || true)
  [[ -z $elsewhere || -n $source ]] || die "$device is already mounted at $elsewhere"
  [[ -z $source && -d $MOUNT_POINT ]] || return 0
  # As root, because a folder that the login user cannot list is not necessarily empty.
  content=$(as_root ls -A "$MOUNT_POINT") || die "$MOUNT_POINT cannot be listed"
  [[ -z $content ]] || die "$MOUNT_POINT is not empty on the root volume: mounting $device there would hide its files"
}

# format_if_empty DEVICE FORMAT: create a filesystem, if that is allowed and the disk is empty.
format_if_empty() {
  ! is_read_only "$1" || die "$1 has no filesystem and is read-only. Nothing was formatted"
  is_empty "$1" ||
    die "$1 has no known filesystem, and is not provably empty: $REASON. Nothing was formatted"
  if [[ $2 != 1 ]]; then
    echo "$1 is empty and has no filesystem. Nothing was formatted" >&2
    exit "$UNFORMATTED"
  fi
  as_root mkfs.ext4 -q "$1" >&2 || die "$1 could not be formatted"
}

# check_filesystem DEVICE FSTYPE: replay the journal of an ext filesystem and make safe repairs, as a boot does. e2fsck
# never goes beyond safe repairs here.
check_filesystem() {
  local said status=0
  [[ $2 == ext* ]] && as_root e2fsck -V >/dev/null 2>&1 || return 0
  said=$(as_root e2fsck -p "$1" 2>&1) || status=$?
  case $status in
    0) ;;
    1 | 2 | 3) note "e2fsck has repaired the filesystem of $1: $(in_short "$said")" ;;
    *)
      die "$1 has an $2 filesystem with errors that need your decision (e2fsck: status $status)." \
        "Nothing was mounted. Run: sudo e2fsck $1"
      ;;
  esac
}

# mount_now DEVICE FSTYPE OPTIONS BY_USER(0|1): mount it, unless it is mounted. With BY_USER 1, use the user's entry.
mount_now() {
  local said
  [[ -z $(mounted_from "$MOUNT_POINT") ]] || return 0
  [[ $3 == *,ro ]] || check_filesystem "$1" "$2"
  as_root mkdir -p "$MOUNT_POINT" || die "$MOUNT_POINT could not be created"
  if [[ $4 == 1 ]]; then
    said=$(as_root mount "$MOUNT_POINT" 2>&1) || die "$1 could not be mounted as $FSTAB says: $(in_short "$said")"
  else
    said=$(as_root mount -t "$2" -o "defaults$3" "$1" "$MOUNT_POINT" 2>&1) ||
      die "$1 has the filesystem $2, and could not be mounted: $(in_short "$said")"
  fi
}

# give_to_user OPTIONS: make the login user the owner of the mount point, if the filesystem is writable.
give_to_user() {
  local content
  case ,$(findmnt -n -o OPTIONS --mountpoint "$MOUNT_POINT"), in
    *,ro,*)
      note "the data volume is read-only at $MOUNT_POINT"
      return
      ;;
  esac
  [[ -z $1 && $(stat -c %u "$MOUNT_POINT") != "$(id -u)" ]] || return 0
  content=$(as_root ls -A "$MOUNT_POINT") || true
  [[ -z $content || $content == lost+found ]] ||
    note "files on the data volume keep their owners; $MOUNT_POINT itself now belongs to $(id -un)"
  as_root chown "$(id -u):$(id -g)" "$MOUNT_POINT" ||
    die "$MOUNT_POINT is mounted, but its owner could not be changed to $(id -un)"
}

# write_entry DEVICE FSTYPE OPTIONS: write the fstab entry that mounts the volume at each boot.
write_entry() {
  local uuid pass=0 said
  uuid=$(as_root blkid -p -o value -s UUID "$1") || die "the filesystem $2 of $1 has no UUID"
  [[ $2 != ext* ]] || pass=2
  said=$(run_python "$here/fstab.py" write "$FSTAB" \
    "UUID=$uuid $MOUNT_POINT $2 defaults,$OPTIONS,x-aws-bootstrap$3 0 $pass" 2>&1) ||
    die "$MOUNT_POINT is mounted, but will not be after a reboot: $FSTAB could not be written: $(in_short "$said")"
  as_root systemctl daemon-reload || true
}

# Only one mount at a time runs on a box. A second one waits, and then finds the volume mounted. The lock is on the home
# folder itself, which exists even if the disk is full. The lock ends with this process.
wait_for_others() {
  exec 9<"$HOME"
  flock -w "$LOCK_SECONDS" 9 || die "another mount has been running on this box for $LOCK_SECONDS s"
}

mount_volume() {
  local volume=$1 format=$2 seconds=$3 device fstype formatted=false options by_user=0
  wait_for_others
  device=$(wait_for_device "$volume" "$format" "$seconds")
  check_mount_point "$device"
  fstype=$(filesystem_of "$device")
  if [[ -z $fstype ]]; then
    refuse_if_partitioned "$device"
    format_if_empty "$device" "$format"
    formatted=true
    fstype=$(filesystem_of "$device")
  fi
  refuse_if_no_filesystem "$device" "$fstype"
  options=$(owner_options "$fstype")
  ! is_read_only "$device" || options+=,ro
  if has_user_entry "$device"; then by_user=1; fi
  mount_now "$device" "$fstype" "$options" "$by_user"
  give_to_user "$options"
  [[ $by_user == 1 ]] || write_entry "$device" "$fstype" "$options"
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

# Tests source this file for its functions.
[[ ${BASH_SOURCE[0]} != "$0" ]] || main "$@"
