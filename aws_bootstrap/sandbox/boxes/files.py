"""SFTP (and so modern scp) on a box's files.

Paths are those of the box: its root, its links, what is mounted in it. Links are followed here, one by one, so that
an absolute link in the box leads to the box's file and never to the machine's.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import asyncssh

if TYPE_CHECKING:
    from .box import Box

VOLUMES = b"/run/sandbox/volumes"
MOST_LINKS = 40  # as the kernel: path_resolution(7)


class BoxFiles(asyncssh.SFTPServer):
    """The SFTP server of one session."""

    def __init__(self, channel: asyncssh.SSHServerChannel, box: Box) -> None:
        super().__init__(channel)
        self._root = os.fsencode(box.view())
        self._inside = os.fsencode(box.tree.inside("/"))
        self._volumes = b"" if box.isolation.apart else os.fsencode(box.volumes)
        self._start = os.fsencode(f"/home/{box.tree.user}")

    def exit(self) -> None:
        """The session's end, told as sshd tells it: without an exit status scp reports a failure."""
        self.channel.exit(0)

    def map_path(self, path: bytes) -> bytes:
        """Where a path of the box lies for us; its last part is taken as it is."""
        folder, name = os.path.split(self._absolute(path))
        return self._ours(os.path.join(self._resolve(folder), name))

    def _ours(self, path: bytes) -> bytes:
        """Our path for a resolved one of the box. A plain box's mounts are links to the volumes, outside its tree."""
        if self._volumes and path.startswith(VOLUMES):
            return self._volumes + path.removeprefix(VOLUMES)
        return self._root + path

    def reverse_map_path(self, path: bytes) -> bytes:
        """The box's name for a path of ours."""
        return path.removeprefix(self._root) or b"/"

    def realpath(self, path: bytes) -> bytes:
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
        """The path from the box's root, `..` taken out. A box without namespaces knows its files by our names too."""
        if len(self._inside) > 1 and path.startswith(self._inside):
            path = b"/" + path.removeprefix(self._inside)
        return os.path.normpath(b"/" + os.path.join(self._start, path).lstrip(b"/"))

    def _resolve(self, path: bytes) -> bytes:
        """The path with every link followed inside the box. What does not exist is taken as it is."""
        done, rest, links = b"/", [part for part in path.split(b"/") if part], 0
        while rest:
            here = os.path.join(done, rest.pop(0))
            try:
                target = os.readlink(self._ours(here))
            except OSError:
                done = here
                continue
            if self._volumes and target.startswith(self._volumes):
                target = VOLUMES + target.removeprefix(self._volumes)
            links += 1
            if links > MOST_LINKS:
                raise asyncssh.SFTPFailure("Too many levels of symbolic links")
            followed = os.path.normpath(os.path.join(done, target))
            done, rest = b"/", [part for part in followed.split(b"/") if part] + rest
        return done
