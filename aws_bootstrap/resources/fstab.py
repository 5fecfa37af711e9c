"""Read and edit /etc/fstab for a mount point. Run on the box as root, by mount_data_volume.sh:

    python3 fstab.py others FSTAB MOUNT_POINT      print the device of each entry for it that this tool did not write
    python3 fstab.py write FSTAB LINE              make LINE this tool's only entry for its mount point

This tool's entries have the option x-aws-bootstrap. Every other byte of the file stays unchanged. The new file is
written beside the old one and renamed over it. A copy from before the first change is kept as
FSTAB.before-aws-bootstrap, and is never overwritten. Standard library only, Python 3.8 or newer.
"""

import os
import sys

MARK = b"x-aws-bootstrap"
COPY = ".before-aws-bootstrap"
# fstab(5): fields are separated by tabs and spaces.
SEPARATORS = b" \t"


def fields(line):
    """Return the fields of an entry. A comment or an empty line has none."""
    text = line.rstrip(b"\r\n").lstrip(SEPARATORS)
    if not text or text.startswith(b"#"):
        return []
    return [field for field in text.replace(b"\t", b" ").split(b" ") if field]


def mount_point(line):
    """Return an entry's mount point without a trailing slash, or None if the line is no entry."""
    found = fields(line)
    if len(found) < 2:
        return None
    return found[1].rstrip(b"/") or b"/"


def is_own_entry(line):
    """Return whether this tool wrote the entry."""
    found = fields(line)
    return len(found) >= 4 and MARK in found[3].split(b",")


def other_devices(content, point):
    """Return the device field of each entry for the mount point that this tool did not write."""
    devices = []
    for line in content.split(b"\n"):
        if mount_point(line) == point and not is_own_entry(line):
            devices.append(fields(line)[0])
    return devices


def with_entry(content, entry):
    """Return the file with `entry` (without its line end) as this tool's only entry for that mount point."""
    point = mount_point(entry)
    lines = content.split(b"\n")
    own = [line for line in lines if is_own_entry(line) and mount_point(line) == point]
    if own == [entry]:
        return content
    kept = [line for line in lines if line not in own]
    text = b"\n".join(kept)
    if text and not text.endswith(b"\n"):
        text += b"\n"
    return text + entry + b"\n"


def replace(target, content, like):
    """Replace a file by a draft with the mode and owner in `like` (a stat result), which is renamed over it."""
    draft = target + ".aws-bootstrap"
    try:
        with open(draft, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), like.st_mode & 0o7777)
            os.fchown(file.fileno(), like.st_uid, like.st_gid)
            os.fsync(file.fileno())
        os.replace(draft, target)
    except OSError:
        if os.path.exists(draft):
            os.unlink(draft)
        raise


def write(path, entry):
    """Write the entry, if that changes the file. Keep one copy from before the first change."""
    target = os.path.realpath(path)
    with open(target, "rb") as file:
        old = file.read()
        status = os.fstat(file.fileno())
    new = with_entry(old, entry)
    if new == old:
        return
    copy = path + COPY
    if not os.path.lexists(copy):
        replace(copy, old, status)
    replace(target, new, status)


def main(arguments):
    """Run the action that the arguments name and return the exit status."""
    action, path, argument = arguments
    try:
        if action == "write":
            write(path, os.fsencode(argument))
            return 0
        with open(path, "rb") as file:
            devices = other_devices(file.read(), os.fsencode(argument))
    except OSError as error:
        sys.stderr.write(f"{path}: {error.strerror}\n")
        return 1
    for device in devices:
        sys.stdout.buffer.write(device + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
