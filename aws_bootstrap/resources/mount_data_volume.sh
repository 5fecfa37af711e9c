#!/usr/bin/env bash
# Mount an EBS data volume at /data, owned by the login user. Run on the box as that user:
#
#   bash mount_data_volume.sh vol-0123456789abcdef0 [--format-if-empty] [--wait SECONDS]
#   bash mount_data_volume.sh --choose vol-0123456789abcdef0 [--format-if-empty] < LSBLK    # the choice alone, no root
#
# empty_disk.py and fstab.py lie beside it. The volume is known by its serial. It is formatted only with leave, and only
# if every tool says in its own clean words that it is empty. Safe to repeat, also at the same time. Lines on stdout that
# begin with "note: " are for the user; the last line is {"device", "mount_point", "fstype", "formatted"}. A failure is one
# sentence on stderr and exit status 1; exit status 3 says that the volume is empty and lacks nothing but the leave.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

MOUNT_POINT=/data
FSTAB=/etc/fstab
WAIT_SECONDS=120
LOCK_SECONDS=300
READ_SECONDS=90
UNFORMATTED=3
# A fallback must be the only answer for this many looks in a row: a disk that has just appeared may lack its serial.
STEADY_LOOKS=5
# nofail: a boot goes on without the volume. systemd would look out for it for 90 s all the same.
OPTIONS=nofail,x-systemd.device-timeout=30s
LSBLK_COLUMNS=NAME,TYPE,SERIAL,MODEL,FSTYPE,PTTYPE,MOUNTPOINT,PKNAME

die() {
  echo "$*" >&2
  exit 1
}

note() { echo "note: $*"; }

as_root() { sudo -n "$@"; }

# What a tool said, in one line. sudo complains of its own where the host's name does not resolve.
in_short() { grep -v '^sudo: ' <<<"$1" | head -n 2 | paste -s -d ' ' -; }

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

partition_table_of() { as_root blkid -p -o value -s PTTYPE "$1" 2>/dev/null || true; }

is_read_only() { [[ $(lsblk -d -n -o RO "$1" | tr -d ' ') == 1 ]]; }

# The box has this before any setup; `python3` alone may be that of an active venv.
run_python() {
  local program=/usr/bin/python3
  [[ -x $program ]] || program=python3
  as_root timeout "$READ_SECONDS" "$program" -I "$@"
}

# is_empty DEVICE: whether the disk is provably empty; sets REASON to why it is not.
#
# Only a clean answer of each tool counts. blkid ends with 2 for "nothing found", but also where it could not read, and
# with 8 where it found several signatures. So what is read is proven apart, by empty_disk.py.
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

# refuse_if_no_filesystem DEVICE FSTYPE: fail where the signature is that of something else, with what that is.
refuse_if_no_filesystem() {
  local what
  case $2 in
    LVM2_member) what="a physical volume of LVM ($2): activate its volume group with 'sudo vgchange -ay'" ;;
    crypto_LUKS) what="encrypted ($2): open it with 'sudo cryptsetup open $1 data'" ;;
    zfs_member) what="part of a zfs pool ($2): import that with 'sudo zpool import'" ;;
    *raid_member) what="part of a RAID array ($2): assemble that with 'sudo mdadm --assemble --scan'" ;;
    swap | swsuspend) what="swap space ($2), which holds no files" ;;
    *_member | bcache | ceph_bluestore) what="part of something larger ($2), not a filesystem of its own" ;;
    *) return 0 ;;
  esac
  die "$1 is $what. Nothing was mounted or formatted"
}

# refuse_if_partitioned DEVICE: fail where there is a partition table, with what its partitions carry.
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

# own_entry DEVICE: whether the user's own entry of fstab for the mount point is about this device. Fails where it is
# about another.
own_entry() {
  local entries
  entries=$(run_python "$here/fstab.py" others "$FSTAB" "$MOUNT_POINT") || die "$FSTAB could not be read"
  [[ -n $entries ]] || return 1
  case $entries in
    "$1" | "UUID=$(blkid_value "$1" UUID)" | "LABEL=$(blkid_value "$1" LABEL)") return 0 ;;
  esac
  [[ $entries == /dev/* && $(readlink -f "$entries") == "$1" ]] ||
    die "$FSTAB has an entry for $MOUNT_POINT that is not this tool's and is about another device:" "${entries//$'\n'/, }"
}

blkid_value() { as_root blkid -p -o value -s "$2" "$1" 2>/dev/null || echo none; }

check_mount_point() {
  local device=$1 source elsewhere content
  source=$(mounted_from "$MOUNT_POINT")
  [[ -z $source || $source == "$device" ]] || die "$MOUNT_POINT is already the mount point of $source"
  elsewhere=$(findmnt -n -o TARGET --source "$device" 2>/dev/null | grep -vx "$MOUNT_POINT" | head -n 1 || true)
  [[ -z $elsewhere || -n $source ]] || die "$device is already mounted at $elsewhere"
  [[ -z $source && -d $MOUNT_POINT ]] || return 0
  # As root: a folder that the login user cannot look into is not an empty one.
  content=$(as_root ls -A "$MOUNT_POINT") || die "$MOUNT_POINT cannot be listed"
  [[ -z $content ]] || die "$MOUNT_POINT is not empty on the root volume: mounting $device there would hide what is in it"
}

# format_if_empty DEVICE FORMAT: make a filesystem, if that is allowed and nothing would be lost.
format_if_empty() {
  ! is_read_only "$1" || die "$1 carries no filesystem and is read-only: nothing was formatted"
  is_empty "$1" ||
    die "$1 carries no filesystem that is known, and is not provably empty: $REASON. Nothing was formatted"
  if [[ $2 != 1 ]]; then
    echo "$1 is empty and carries no filesystem. Nothing was formatted" >&2
    exit "$UNFORMATTED"
  fi
  as_root mkfs.ext4 -q "$1" >&2 || die "$1 could not be formatted"
}

# check_filesystem DEVICE FSTYPE: replay the journal of an ext filesystem and repair what is safe to repair, as a boot
# would. e2fsck is never told to go further than that.
check_filesystem() {
  local said status=0
  [[ $2 == ext* ]] && as_root e2fsck -V >/dev/null 2>&1 || return 0
  said=$(as_root e2fsck -p "$1" 2>&1) || status=$?
  case $status in
    0) ;;
    1 | 2 | 3) note "e2fsck has repaired the filesystem of $1: $(in_short "$said")" ;;
    *)
      die "$1 carries $2 with errors that need your decision (e2fsck: status $status)." \
        "Nothing was mounted. Run: sudo e2fsck $1"
      ;;
  esac
}

# mount_now DEVICE FSTYPE OPTIONS BY_USER(0|1): mount it, unless it is. With an entry of the user's own, as that says.
mount_now() {
  local said
  [[ -z $(mounted_from "$MOUNT_POINT") ]] || return 0
  [[ $3 == *,ro ]] || check_filesystem "$1" "$2"
  as_root mkdir -p "$MOUNT_POINT" || die "$MOUNT_POINT could not be made"
  if [[ $4 == 1 ]]; then
    said=$(as_root mount "$MOUNT_POINT" 2>&1) || die "$1 could not be mounted as $FSTAB says: $(in_short "$said")"
  else
    said=$(as_root mount -t "$2" -o "defaults$3" "$1" "$MOUNT_POINT" 2>&1) ||
      die "$1 carries $2, which could not be mounted: $(in_short "$said")"
  fi
}

# give_to_user OPTIONS: make the login user the owner of the mount point, where the filesystem can be written.
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
    note "what is on the data volume belongs to other users; $MOUNT_POINT itself was given to $(id -un)"
  as_root chown "$(id -u):$(id -g)" "$MOUNT_POINT" ||
    die "$MOUNT_POINT is mounted, but could not be given to $(id -un)"
}

# write_entry DEVICE FSTYPE OPTIONS: have the volume mounted at each boot.
write_entry() {
  local uuid pass=0 said
  uuid=$(as_root blkid -p -o value -s UUID "$1") || die "$1 carries $2 without a UUID"
  [[ $2 != ext* ]] || pass=2
  said=$(run_python "$here/fstab.py" write "$FSTAB" \
    "UUID=$uuid $MOUNT_POINT $2 defaults,$OPTIONS,x-aws-bootstrap$3 0 $pass" 2>&1) ||
    die "$MOUNT_POINT is mounted, but $FSTAB could not be written: it will not be there after a reboot: $(in_short "$said")"
  as_root systemctl daemon-reload || true
}

# One mount at a time on a box: the second waits for the first and finds its work done. The lock is on the home folder
# itself, which is there even on a disk that is full, and ends with this process.
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
  if own_entry "$device"; then by_user=1; fi
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

# Tests read this file for its functions alone.
[[ ${BASH_SOURCE[0]} != "$0" ]] || main "$@"
