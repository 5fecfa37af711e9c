"""What `cp` and `sync` must know of files, and what `sync --delete` deletes. Runs on this machine and on the box alike.

    probe PATH…            what each path is, and whether rsync is installed, as JSON; wildcards are expanded
    sizes PATH…            the sizes of the files that a copy of the paths has
    create FOLDER          create a folder, and those above it
    list FOLDER [--git]    the files that git would take: tracked, or matched by no rule of .gitignore
    state FOLDER [--git]   a line that differs once one of them is changed
    ignored FOLDER         those of the paths on standard input that the rules of the folder exclude
    delete FOLDER          delete the files on standard input, and folders that are empty then; print what was deleted

Paths on standard input and output end with a NUL byte. Those of a folder begin there.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile

#: Exit statuses: the folder does not exist; it has rules, and git, which reads them, is not installed.
NO_FOLDER, NO_GIT = 3, 4

_INSTALLERS = {
    "apt-get": "sudo apt-get install -y rsync",
    "dnf": "sudo dnf install -y rsync",
    "yum": "sudo yum install -y rsync",
    "brew": "brew install rsync",
}


# --- paths -----------------------------------------------------------------------------------------------


def type_of(path):
    """Return what a path is: `folder`, `file`, or `missing`. A link counts as what it leads to."""
    if os.path.isdir(path):
        return "folder"
    if os.path.lexists(path):
        return "file"
    return "missing"


def expanded(path):
    """Return the paths that a name means: itself if it exists, else what its wildcards match."""
    if os.path.lexists(path):
        return [path]
    return sorted(glob.glob(path)) or [path]


def probe(paths):
    """Print what each path is."""
    known = []
    for path in paths:
        known.append([{"path": one, "type": type_of(one)} for one in expanded(path)])
    programs = [program for program in _INSTALLERS if shutil.which(program)]
    install = _INSTALLERS[programs[0]] if programs else "install rsync with the package manager"
    facts = {"paths": known, "rsync": bool(shutil.which("rsync")), "install": install}
    sys.stdout.write(json.dumps(facts))


def sizes(paths):
    """Print the size of each file below the paths, links followed as scp does."""
    for path in paths:
        if not os.path.isdir(path):
            sys.stdout.write(f"{os.stat(path).st_size}\n")
        for place, _, names in os.walk(path, followlinks=True):
            for name in names:
                sys.stdout.write(f"{os.stat(os.path.join(place, name)).st_size}\n")


# --- the files that git would take -----------------------------------------------------------------------


def git(folder, *words, **options):
    """Return the finished git command; it neither writes to the folder nor runs a program that the folder names."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    argv = ["git", "-C", folder, "--no-optional-locks", "-c", "core.fsmonitor=false", *words]
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=clean, check=False, **options)


class Rules:
    """The rules of .gitignore in a folder: those of its repository, or as in a new one if it belongs to none."""

    def __init__(self, folder):
        self.folder = folder
        self.own = None
        self.is_repository = git(folder, "rev-parse", "--is-inside-work-tree").stdout.strip() == b"true"
        # A folder that the repository around it ignores was named on purpose.
        if self.is_repository and git(folder, "check-ignore", "-q", ".").returncode == 0:
            self.is_repository = False

    def __enter__(self):
        if not self.is_repository:
            self.own = tempfile.mkdtemp(prefix="aws-bootstrap-")
            git(self.own, "init", "-q", "--bare", ".")
        return self

    def __exit__(self, *_):
        if self.own:
            shutil.rmtree(self.own, ignore_errors=True)

    def run(self, *words, **options):
        """Return the finished git command in the folder."""
        where = []
        if self.own:
            where = ["--git-dir", self.own, "--work-tree", os.path.abspath(self.folder)]
        return git(self.folder, *where, *words, **options)

    def files(self):
        """Return the files that are tracked or not excluded; a folder among them is a repository of its own."""
        states = ["--others"] if self.own else ["--cached", "--others"]
        done = self.run("ls-files", *states, "--exclude-standard", "-z")
        if done.returncode:
            sys.exit(f"git could not list {self.folder}")
        return set(done.stdout.split(b"\0")) - {b""}

    def excluded(self, paths):
        """Return those of the paths that a rule excludes."""
        done = self.run("check-ignore", "--stdin", "-z", "--no-index", input=b"\0".join(paths))
        return set(done.stdout.split(b"\0")) - {b""}


def files_of(folder):
    """Return the files of a folder that git would take, those of repositories inside it as well."""
    if not shutil.which("git"):
        found = walked(folder)
        if any(os.path.basename(path) == b".gitignore" for path in found):
            sys.exit(NO_GIT)
        return found
    found = []
    with Rules(folder) as rules:
        listed = rules.files()
    for path in listed:
        place = os.path.join(os.fsencode(folder), path)
        if os.path.isdir(place) and not os.path.islink(place.rstrip(b"/")):
            if os.path.lexists(os.path.join(place, b".git")):
                found += [os.path.join(path, inner) for inner in files_of(os.fsdecode(place))]
        elif os.path.lexists(place):  # a tracked file may be deleted
            found.append(path)
    return found


def walked(folder, only=b""):
    """Return all files and links below a folder, or below one part of it; without `only` those of .git are left out."""
    top = os.path.join(os.fsencode(folder), only)
    found = []
    for place, folders, names in os.walk(top):
        if not only and b".git" in folders:
            folders.remove(b".git")
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        for name in names + links:
            path = os.path.join(place, name)
            mode = os.lstat(path).st_mode
            if stat.S_ISREG(mode) or stat.S_ISLNK(mode):
                found.append(os.path.relpath(path, os.fsencode(folder)))
    return found


def listed(folder, with_git):
    """Return the files to synchronize, sorted."""
    if not os.path.isdir(folder):
        sys.exit(NO_FOLDER)
    found = files_of(folder)
    if with_git:
        found += walked(folder, only=b".git")
    return sorted(set(found))


def state(folder, with_git):
    """Print a line that differs once a file is added, deleted or changed."""
    digest = hashlib.sha256()
    for path in listed(folder, with_git):
        try:
            facts = os.lstat(os.path.join(os.fsencode(folder), path))
        except OSError:  # deleted meanwhile
            continue
        digest.update(b"%s\0%d %d %d\0" % (path, facts.st_mtime_ns, facts.st_size, facts.st_mode))
    sys.stdout.write(digest.hexdigest())


# --- deleting --------------------------------------------------------------------------------------------


def delete(folder, paths):
    """Return which of the files were deleted: none outside the folder, and none behind a link that leads elsewhere."""
    root = os.path.realpath(os.fsencode(folder))
    deleted = []
    for path in paths:
        parent, name = os.path.split(path)
        place = os.path.join(root, parent)
        inside = not os.path.isabs(path) and b".." not in path.split(b"/")
        if not inside or os.path.realpath(place) != place.rstrip(b"/"):
            continue
        try:
            os.unlink(os.path.join(place, name))
        except OSError as error:
            sys.stderr.write(f"{os.fsdecode(path)}: {error.strerror}\n")
            continue
        deleted.append(path)
        remove_empty(place, root)
    return deleted


def remove_empty(place, root):
    """Remove a folder and those above it as long as they are empty, up to the root, which stays."""
    place = place.rstrip(b"/")
    while place != root:
        try:
            os.rmdir(place)
        except OSError:
            return
        place = os.path.dirname(place)


# --- the command -----------------------------------------------------------------------------------------


def write(paths):
    """Print paths."""
    for path in paths:
        sys.stdout.buffer.write(path + b"\0")


def main(verb, *words):
    """Run one command of the docstring."""
    folder = words[0] if words else "."
    if verb == "probe":
        probe(words)
    elif verb == "sizes":
        sizes(words)
    elif verb == "create":
        os.makedirs(folder, exist_ok=True)
    elif verb == "list":
        write(listed(folder, "--git" in words[1:]))
    elif verb == "state":
        state(folder, "--git" in words[1:])
    else:
        given = [path for path in sys.stdin.buffer.read().split(b"\0") if path]
        if verb == "delete":
            write(delete(folder, given))
        elif shutil.which("git"):
            with Rules(folder) as rules:
                write(sorted(rules.excluded(given)))


if __name__ == "__main__":
    main(*sys.argv[1:])
