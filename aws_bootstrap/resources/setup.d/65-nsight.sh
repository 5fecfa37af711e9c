#!/usr/bin/env bash
# title: Nsight tools
# after: utilities
# limit: 600
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$SETUP_DIR/setup.d/lib.sh"

# Deep Learning AMIs install Nsight Systems readable by root only, some its parent folder too. 60-shell.sh adds it to
# PATH.
above=$(dirname "$NSIGHT_SYSTEMS")
if [[ -d $above && ! -x $above ]]; then
  as_root chmod a+rx "$above"
  changed
fi
nsys=$(newest_nsys)
if [[ -n $nsys && ! -x $nsys/nsys ]] || [[ -d $NSIGHT_SYSTEMS && ! -x $NSIGHT_SYSTEMS ]]; then
  as_root chmod -R a+rX "$NSIGHT_SYSTEMS"
  changed
fi

# ncu needs the GPU's performance counters. By default the driver allows them to root only:
# https://developer.nvidia.com/nvidia-development-tools-solutions-err_nvgpuctrperm-permission-issue-performance-counters
open_counters='options nvidia NVreg_RestrictProfilingToAdminUsers=0'
due="$STATE_DIR/nsight.initramfs"
if put_root_file "$due" /etc/modprobe.d/aws-bootstrap-nvidia.conf <<<"$open_counters"; then
  # If the driver is part of the initramfs, its options are read from there.
  initrd="/boot/initrd.img-$(uname -r)"
  if have lsinitramfs && [[ -e $initrd ]] && grep -q '/nvidia\.ko' <(as_root lsinitramfs "$initrd" 2>/dev/null); then
    as_root update-initramfs -u
    changed
  fi
  rm "$due"
fi
if grep -q 'RmProfilingAdminOnly: 1' /proc/driver/nvidia/params 2>/dev/null; then
  note "ncu works without sudo after a reboot"
fi
