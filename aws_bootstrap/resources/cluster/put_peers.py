"""Write what this node knows of its cluster: put_peers.py PEERS_FILE HOSTS_FILE. Sent over ssh, executed as root.

The first file is for the guardian (resources/guardian/peers.py), which alone may read it: it has the secret of the
cluster. The second one gets a block in which each node has its name. Python 3.8 or newer. `write_peers` in
workflows/cluster/peers.py appends the call.
"""

import json
import os
import sys
import types
from pathlib import Path

FOLDER_MODE, FILE_MODE = 0o755, 0o600


def main(spec, block_program):
    """Write both files where they differ, and print the secret that this node has now."""
    peers_file, hosts_file = Path(sys.argv[1]), Path(sys.argv[2])
    try:
        if spec.pop("keep_secret"):
            spec["secret"] = secret_in(peers_file, spec["cluster_id"]) or spec["secret"]
        write(peers_file, json.dumps(spec))
        put_names(hosts_file, spec, block_program)
    except OSError as error:
        sys.exit(f"{error.filename or peers_file} could not be written: {error.strerror}")
    print(json.dumps({"secret": spec["secret"]}))


def secret_in(path, cluster_id):
    """Return the secret that the file has for this cluster; None for any other, or without one."""
    try:
        known = json.loads(path.read_text())
        if known["cluster_id"] != cluster_id:
            return None
        return str(known["secret"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write(path, text):
    """Replace the file, whole or not at all, unless it has this text."""
    try:
        if path.read_text() == text and path.stat().st_mode & 0o777 == FILE_MODE:
            return
    except (OSError, ValueError):
        pass  # it does not exist, or is something else: then it is replaced
    path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    if draft.exists():  # a killed run may have left one
        draft.unlink()
    with os.fdopen(os.open(str(draft), os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def put_names(path, spec, block_program):
    """Put the block with the names of all nodes into the file. What else is in it stays."""
    blocks = types.ModuleType("put_block")
    exec(block_program, blocks.__dict__)
    lines = [blocks.FIRST.decode()]
    for node in [spec, *spec["peers"]]:
        lines.append(f"{node['address']} {node['alias']}")
    lines.append(blocks.LAST.decode())
    try:
        blocks.put_block(path, "\n".join([*lines, ""]).encode())
    except blocks.BrokenBlock as broken:
        sys.exit(f"{path} was not changed: {broken}")
    except blocks.NotAFile:
        sys.exit(f"{path} is not a file")
