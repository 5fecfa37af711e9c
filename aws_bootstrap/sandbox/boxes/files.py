"""SFTP (and so modern scp) on a box's files.

Paths are those of the box: its root, its links, its mounts. Links are followed here, one by one, so that an absolute
link in the box leads to the box's file and never to the machine's.
"""

from __future__ import annotations

import os

import asyncssh

from .processes import Processes

VOLUMES = b"/run/sandbox/volumes"
MAX_LINKS = 40  # as the kernel: path_resolution(7)


class BoxFiles(asyncssh.SFTPServer):
    """The SFTP server of one session."""

    def __init__(self, channel: asyncssh.SSHServerChannel, processes: Processes) -> None:
        super().__init__(channel)
        tree = processes.tree
        self._root = os.fsencode(processes.view())
        self._inside = os.fsencode(tree.inside("/"))
        self._volumes = b""
        if not tree.isolation.has_namespaces:
            self._volumes = os.fsencode(tree.volumes)
        self._start = os.fsencode(f"/home/{tree.user}")

    def exit(self) -> None:
        """End the session as sshd does: without an exit status scp reports a failure."""
        self.channel.exit(0)

    def map_path(self, path: bytes) -> bytes:
        """Return the machine's path of a box's path; its last part is not resolved."""
        folder, name = os.path.split(self._absolute(path))
        return self._outside(os.path.join(self._resolve(folder), name))

    def _outside(self, path: bytes) -> bytes:
        """Return the machine's path of a resolved path. A plain box's mounts are links to volumes outside its tree."""
        if self._volumes and path.startswith(VOLUMES):
            return self._volumes + path.removeprefix(VOLUMES)
        return self._root + path

    def reverse_map_path(self, path: bytes) -> bytes:
        """Return the box's path of a machine's path."""
        return path.removeprefix(self._root) or b"/"

    def realpath(self, path: bytes) -> bytes:
        """Return the box's path with every link followed."""
        return self._resolve(self._absolute(path))

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs):
        return super().open(self.realpath(path), pflags, attrs)

    def stat(self, path: bytes):
        return super().stat(self.realpath(path))

    def setstat(self, path: bytes, attrs: asyncssh.SFTPAttrs):
        return super().setstat(self.realpath(path), attrs)

    def scandir(self, path: bytes):
        return super().scandir(self.realpath(path))

    def readlink(self, path: bytes) -> bytes:
        return os.readlink(self.map_path(path))

    def symlink(self, oldpath: bytes, newpath: bytes) -> None:
        os.symlink(oldpath, self.map_path(newpath))

    def _absolute(self, path: bytes) -> bytes:
        """Return the absolute path without `..`. In a box without namespaces it may be the machine's path."""
        if len(self._inside) > 1 and path.startswith(self._inside):
            path = b"/" + path.removeprefix(self._inside)
        return os.path.normpath(b"/" + os.path.join(self._start, path).lstrip(b"/"))

    def _resolve(self, path: bytes) -> bytes:
        """Return the path with every link followed inside the box. Missing parts stay as they are."""
        done, rest, links = b"/", _parts(path), 0
        while rest:
            here = os.path.join(done, rest.pop(0))
            try:
                target = os.readlink(self._outside(here))
            except OSError:
                done = here
                continue
            if self._volumes and target.startswith(self._volumes):
                target = VOLUMES + target.removeprefix(self._volumes)
            links += 1
            if links > MAX_LINKS:
                raise asyncssh.SFTPFailure("Too many levels of symbolic links")
            followed = os.path.normpath(os.path.join(done, target))
            done, rest = b"/", _parts(followed) + rest
        return done


def _parts(path: bytes) -> list[bytes]:
    """Return the parts of a path."""
    return [part for part in path.split(b"/") if part]
