"""Disks as `lsblk -p -P -o NAME,TYPE,SERIAL,MODEL,FSTYPE,PTTYPE,MOUNTPOINT,PKNAME` shows them on EC2."""

from __future__ import annotations

OURS = "vol-0abc123def4567890"
EBS, STORE = "Amazon Elastic Block Store", "Amazon EC2 NVMe Instance Storage"


def row(name: str, kind: str = "disk", **columns: str) -> str:
    """Return one line of lsblk."""
    shown = {"NAME": f"/dev/{name}", "TYPE": kind}
    for column in ("SERIAL", "MODEL", "FSTYPE", "PTTYPE", "MOUNTPOINT", "PKNAME"):
        shown[column] = columns.get(column.lower(), "")
    return " ".join(f'{key}="{value}"' for key, value in shown.items())


def root(disk: str, part: str, serial: str = "", model: str = "") -> list[str]:
    """Return the rows of a root disk with its partitions."""
    return [
        row(disk, serial=serial, model=model, pttype="gpt"),
        row(f"{part}1", "part", fstype="ext4", pttype="gpt", mountpoint="/", pkname=f"/dev/{disk}"),
        row(f"{part}14", "part", pttype="gpt", pkname=f"/dev/{disk}"),
        row(f"{part}15", "part", fstype="vfat", pttype="gpt", mountpoint="/boot/efi", pkname=f"/dev/{disk}"),
    ]


def ebs(name: str, volume: str = OURS, **columns: str) -> str:
    """Return a data volume on Nitro."""
    return row(name, serial=volume.replace("-", ""), model=EBS, **columns)


def store(name: str, number: int, **columns: str) -> str:
    """Return an instance store on Nitro."""
    return row(name, serial=f"AWS2263D51B0E9F4A7C{number:02}", model=STORE, **columns)


SNAP = row("loop0", "loop", fstype="squashfs", mountpoint="/snap/core22/1722")
NITRO_ROOT = root("nvme0n1", "nvme0n1p", "vol0f0000000000000aa", EBS)

G4DN = [SNAP, *NITRO_ROOT, store("nvme1n1", 1)]
G5 = [*NITRO_ROOT, store("nvme1n1", 1, fstype="ext4", mountpoint="/opt/dlami/nvme")]
P4D = [*NITRO_ROOT, *(store(f"nvme{n}n1", n) for n in range(1, 9))]
# The Deep Learning AMI joins several stores to one logical volume.
P4D_LVM = [
    *NITRO_ROOT,
    *(
        line
        for n in range(1, 9)
        for line in (
            store(f"nvme{n}n1", n, fstype="LVM2_member"),
            row(
                "mapper/vg.01-lv_ephemeral",
                "lvm",
                fstype="ext4",
                mountpoint="/opt/dlami/nvme",
                pkname=f"/dev/nvme{n}n1",
            ),
        )
    ),
]
# Xen types (p2, p3, g3): no serial, no model, xvd names; NVMe only where the type has such stores.
XEN = root("xvda", "xvda")
XEN_STORE = [*XEN, row("xvdb", fstype="ext4", mountpoint="/mnt")]
