"""The one place where a name from a peer becomes a place on the disk, inside a configured folder.

    root/  photos/  2024 -> archive/2024  jpg        the name photos/2024/x.jpg
      |       |        |
      fd     openat   readlink: its parts go before what is left of the name

Every step is `openat` on the folder before it, with `O_NOFOLLOW`: what one step has opened cannot be swapped for a link
before the next. A link is read and walked as if its parts stood in the name; it may go up with `..`, but never above
the root, and never to an absolute path. What comes out is no path, which could be swapped under its user, but an open
folder and one last part: `Place`.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ..errors import FileError, FileMissing, NameRefused, NotAFile
from .failures import folder_error, read_error, write_error
from .names import parse_name_untrusted

MAX_LINKS: Final = 16  # on the way of one name; Linux stops at 40
FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_THROUGH_FLAGS: Final = FOLDER_FLAGS | getattr(
    os, "O_PATH", 0
)  # not to look into: one of mode 0711 will do; Linux only
_ON_THE_WAY: Final = "a folder on the way to it"
_READ_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK  # a pipe must not block


class Place:
    """An open folder and the name of something in it, there or not yet. Owns the folder's descriptor: close it."""

    __slots__ = ("folder", "leaf", "shown")

    def __init__(self, folder: int, leaf: bytes, shown: str) -> None:
        self.folder = folder
        """Descriptor of the folder."""
        self.leaf = leaf
        """The last part of the name, as the file system has it."""
        self.shown = shown
        """The name as people know it."""

    @classmethod
    def of_path(cls, path: Path) -> Self:
        """The place of a path that this machine's own user gave, links followed. Never for a name from a peer."""
        try:
            real = path.resolve(strict=True)
            return cls(os.open(real.parent, _THROUGH_FLAGS), os.fsencode(real.name) or b".", str(path))
        except OSError as error:
            raise folder_error(error, str(path), _ON_THE_WAY) from None

    def status(self) -> os.stat_result | None:
        """What is there, a link not followed; None if nothing is."""
        try:
            return os.stat(self.leaf, dir_fd=self.folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise read_error(error, self.shown) from None

    def open_file(self) -> int:
        """Descriptor of the regular file there, to read. Raises a `FileError` for links, pipes, devices, folders."""
        status = self.status()
        if status is None:
            raise FileMissing(f"{self.shown}: no such file or folder")
        if not stat.S_ISREG(status.st_mode):  # seen before it is opened: opening a device can have effects
            raise NotAFile(f"{self.shown}: not a regular file")
        try:
            descriptor = os.open(self.leaf, _READ_FLAGS, dir_fd=self.folder)
        except OSError as error:
            raise read_error(error, self.shown) from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise NotAFile(f"{self.shown}: not a regular file")
        return descriptor

    def open_folder(self) -> int:
        """Descriptor of the folder there. Raises a `FileError` for anything else."""
        try:
            return os.open(self.leaf, FOLDER_FLAGS, dir_fd=self.folder)
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                raise NotAFile(f"{self.shown}: not a folder") from None
            raise folder_error(error, self.shown) from None

    def close(self) -> None:
        """Close the folder's descriptor; again does nothing."""
        if self.folder >= 0:
            os.close(self.folder)
            self.folder = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class Root:
    """A configured folder: what a peer sees of this machine, or where what a server sends may go."""

    __slots__ = ("_folder",)

    def __init__(self, path: Path) -> None:
        """Open the folder, which its owner named: links in `path` are followed. Raises a `FileError`."""
        self._folder = -1
        try:
            self._folder = os.open(path, FOLDER_FLAGS & ~os.O_NOFOLLOW)
        except OSError as error:
            raise folder_error(error, str(path)) from None

    @classmethod
    def of_descriptor(cls, folder: int) -> Self:
        """The root that an open folder is; it belongs to the root from now on."""
        root = cls.__new__(cls)
        root._folder = folder
        return root

    def locate_untrusted(self, name: str, *, follow: bool = False) -> Place:
        """The place that a name from a peer means.

        The folders on the way have to exist. Links on the way are followed inside the root; one that is the last part
        of the name only with `follow`, which reading wants and writing does not: a file replaces a link.

        Raises `NameRefused` for a name that is not acceptable or leaves the root, and other `FileError`s.
        """
        todo = [part.encode() for part in reversed(parse_name_untrusted(name))]
        walk = _Walk(self._folder, name)
        try:
            while todo:
                part = todo.pop()
                if part == b"..":
                    walk.leave()
                elif todo:
                    todo.extend(walk.enter(part))
                else:
                    target = walk.read_link(part) if follow else None
                    if target is None:
                        return Place(walk.release(), part, name)
                    todo.extend(target)
            return Place(walk.release(), b".", name)  # a link to a folder on its own way
        finally:
            walk.close()

    def locate_folder_untrusted(self, name: str) -> Root:
        """The folder that a name from a peer means, as a root of its own; the empty name means this one.

        Raises as `locate_untrusted` does, and `NotAFile` when something else is there.
        """
        if not name:
            return Root.of_descriptor(os.dup(self._folder))
        with self.locate_untrusted(name, follow=True) as place:
            return Root.of_descriptor(place.open_folder())

    def make_folder_untrusted(self, name: str, mode: int = 0o777) -> bool:
        """Make the folder that a name from a peer means, in one that exists; False if it was there already."""
        with self.locate_untrusted(name) as place:
            try:
                os.mkdir(place.leaf, mode, dir_fd=place.folder)
            except FileExistsError:
                self.locate_folder_untrusted(name).close()
                return False
            except OSError as error:
                raise write_error(error, place.shown) from None
        return True

    @property
    def folder(self) -> int:
        """Descriptor of the folder, still the root's own."""
        return self._folder

    def close(self) -> None:
        """Close the folder's descriptor; again does nothing."""
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1

    def __del__(self) -> None:
        self.close()  # of a root that transfers share, nobody knows which of them is the last

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class _Walk:
    """The folder that one walk has come to, and the way there, free of links."""

    __slots__ = ("_here", "_links", "_root", "_shown", "_way")

    def __init__(self, root: int, shown: str) -> None:
        self._root = root
        self._shown = shown
        self._way: list[bytes] = []
        self._links = 0
        self._here = os.dup(root)

    def enter(self, part: bytes) -> list[bytes]:
        """Step into a folder; or, when a link is there, stay, and return what the link says, last part first."""
        try:
            self._step(part)
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise folder_error(error, self._shown, _ON_THE_WAY) from None
            target = self.read_link(part)
            if target is None:
                raise NotAFile(f"{self._shown}: a file is where a folder has to be") from None
            return target
        self._way.append(part)
        return []

    def leave(self) -> None:
        """Go up by one, never above the root: the way is walked again, and a link put there meanwhile ends it."""
        if not self._way:
            raise self._refused()
        way = self._way[:-1]
        os.close(self._here)
        self._here = -1
        self._here = os.dup(self._root)
        try:
            for part in way:
                self._step(part)
        except OSError as error:
            raise folder_error(error, self._shown, _ON_THE_WAY) from None
        self._way = way

    def read_link(self, part: bytes) -> list[bytes] | None:
        """The parts of the link that is here, last part first; None if what is here, if anything, is no link."""
        try:
            target = os.readlink(part, dir_fd=self._here)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOENT):
                return None
            raise read_error(error, self._shown) from None
        self._links += 1
        if target.startswith(b"/") or self._links > MAX_LINKS:
            raise self._refused()
        return [step for step in reversed(target.split(b"/")) if step not in (b"", b".")]

    def release(self) -> int:
        """The descriptor of the folder here, which is the caller's from now on."""
        here, self._here = self._here, -1
        return here

    def close(self) -> None:
        if self._here >= 0:
            os.close(self._here)
            self._here = -1

    def _step(self, part: bytes) -> None:
        inside = os.open(part, FOLDER_FLAGS, dir_fd=self._here)
        os.close(self._here)
        self._here = inside

    def _refused(self) -> FileError:
        return NameRefused(f"{self._shown}: a symbolic link leads out of the folder; name the file itself")
