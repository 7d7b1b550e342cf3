"""Folders: what is in them, for sending; and making them, for receiving.

    photos/             a folder comes before what is in it, and so exists before it is needed
    photos/a.jpg        names in a folder come in the order of their bytes, the same at every call
    photos/old/
    photos/old/b.jpg    symbolic links, devices and names that no peer would take are told, and left out

A walk is lazy and holds a bounded number of names, however many a folder has: it takes the lowest so many, and when
these are used up reads the folder again for the next. Deeper folders take fewer at once.
"""

from __future__ import annotations

import heapq
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ..errors import FileError, LeftOut, NameRefused, NotAFile
from .failures import read_error, write_error
from .names import MAX_PARTS, is_hidden, parse_name_untrusted, shown_untrusted
from .root import FOLDER_FLAGS, Root
from .version import PERMISSIONS

NAMES_AT_ONCE: Final = 65_536  # at the top, half of that a level deeper, and so on: some 20 MB at most
LEAST_NAMES_AT_ONCE: Final = 256
MAX_PENDING: Final = 32 * 1024 * 1024  # bytes of folders that wait for their times; some 65,536 of them
_PENDING_SIZE: Final = 400  # bytes that one takes, without its name
_OWNER: Final = stat.S_IRWXU


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder."""

    name: str
    """From where the walk began, parts with `/` between them; one that a peer takes."""
    is_folder: bool
    size: int
    """Bytes; 0 of a folder."""
    mtime_ns: int
    """Last change, nanoseconds since 1970."""
    mode: int
    """Permissions, nine bits."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that cannot be sent."""

    name: str
    """As a person may be shown it."""
    reason: str
    """Why, as the end of a line that begins with the name."""
    on_purpose: bool = False
    """Whether nothing of its kind is ever sent, and so nothing is wrong."""

    def error(self, shown: str) -> FileError:
        """What tells a person of it; `shown` is the whole name."""
        kind = LeftOut if self.on_purpose else NotAFile
        return kind(f"{shown}: left out, {self.reason}")


def walk(root: Root, *, recursive: bool = True, names_at_once: int = NAMES_AT_ONCE) -> Iterator[Entry | Skipped]:
    """Everything in a folder, and without `recursive` not what is in its folders.

    Hidden files of transfers, and what vanishes under way, are left out. May block. Raises a `FileError` if the folder
    itself cannot be read.
    """
    levels = [_Level(os.dup(root.folder), "", names_at_once)]
    try:
        while levels:
            level = levels[-1]
            leaf = level.next_name()
            if leaf is None:
                levels.pop().close()
                continue
            found = _look(level, leaf)
            if found is None:
                continue
            yield found
            if recursive and isinstance(found, Entry) and found.is_folder:
                try:
                    inside = os.open(leaf, FOLDER_FLAGS, dir_fd=level.folder)
                except OSError as error:
                    yield Skipped(found.name, f"its contents cannot be read: {os.strerror(error.errno or 0)}")
                    continue
                levels.append(_Level(inside, f"{found.name}/", max(LEAST_NAMES_AT_ONCE, level.names_at_once // 2)))
    finally:
        for level in levels:
            level.close()


def measure(root: Root) -> int:
    """The bytes of all files in a folder and its folders, partial files included: what a quota counts. May block."""
    total = 0
    folders = [os.scandir(root.folder)]
    opened: list[int] = []
    try:
        while folders:
            entry = next(folders[-1], None)
            if entry is None:
                folders.pop().close()
                if opened:
                    os.close(opened.pop())
                continue
            try:
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode) and not _is_journal(entry.name):
                    total += status.st_size
                if stat.S_ISDIR(status.st_mode) and len(folders) < MAX_PARTS:
                    opened.append(os.open(entry.name, FOLDER_FLAGS, dir_fd=opened[-1] if opened else root.folder))
                    folders.append(os.scandir(opened[-1]))
            except OSError:  # gone, or not ours to look into
                continue
    finally:
        for folder in folders:
            folder.close()
        for descriptor in opened:
            os.close(descriptor)
    return total


class FolderRoom:
    """What all transfers of one session may remember of their folders; used in one thread at a time."""

    __slots__ = ("left",)

    def __init__(self, size: int = MAX_PENDING) -> None:
        self.left = size
        """Bytes, about."""


def ensure_folder_untrusted(root: Root, name: str, mode: int) -> None:
    """Make the folder that a name from a peer means; one that is there stays as it is. The one around it must exist.

    `mode` is nine bits. Raises a `FileError`.
    """
    try:
        made = root.make_folder_untrusted(name, mode & PERMISSIONS)
    except NotAFile:
        raise NotAFile(f"{name}: a file at the server, where a folder has to be; choose another name") from None
    if made:
        _set_attributes(root, name, mode & PERMISSIONS, None)


class Folders:
    """The folders that one transfer makes. They get their modes and times at the end: files still change both."""

    def __init__(self, root: Root, room: FolderRoom | None = None) -> None:
        """Where `room` is short, the oldest are settled before the end."""
        self._root = root
        self._room = room or FolderRoom()
        self._pending: dict[str, tuple[int, int]] = {}  # mode and mtime_ns by name, as they came

    def make_untrusted(self, name: str, mode: int, mtime_ns: int) -> None:
        """Make the folder that a name from a peer means, or take the one that is there. The one around it must exist.

        `mode` is nine bits, `mtime_ns` nanoseconds since 1970. Raises a `FileError`.
        """
        if not self._root.make_folder_untrusted(name, mode & PERMISSIONS | _OWNER):
            _set_attributes(self._root, name, None, None)
        if self._pending.pop(name, None) is None:
            self._room.left -= _PENDING_SIZE + len(name)
        self._pending[name] = mode & PERMISSIONS, mtime_ns
        while self._room.left < 0 and self._settle_one(name):
            pass

    def settle(self) -> list[FileError]:
        """Give every folder its mode and time, the deepest first; returns what went wrong. May block."""
        errors = []
        for name in sorted(self._pending, key=lambda name: name.count("/"), reverse=True):
            try:
                _set_attributes(self._root, name, *self._pending[name])
            except FileError as error:
                errors.append(error)
            self._room.left += _PENDING_SIZE + len(name)
        self._pending.clear()
        return errors

    def _settle_one(self, newest: str) -> bool:
        """Settle the oldest folder that the newest is not in: a walk is through with it, but files may still come.

        False if there is none.
        """
        name = next((name for name in self._pending if not f"{newest}/".startswith(f"{name}/")), None)
        if name is None:
            return False
        mode, mtime_ns = self._pending.pop(name)
        self._room.left += _PENDING_SIZE + len(name)
        _set_attributes(self._root, name, mode | _OWNER, mtime_ns)
        return True


def _set_attributes(root: Root, name: str, mode: int | None, mtime_ns: int | None) -> None:
    """None for a `mode` that lets its owner do everything besides; and for a time that stays."""
    with root.locate_folder_untrusted(name) as folder:
        try:
            if mtime_ns is not None:
                os.utime(folder.folder, ns=(mtime_ns, mtime_ns))
            before = stat.S_IMODE(os.fstat(folder.folder).st_mode)
            after = before | _OWNER if mode is None else mode
            if after != before:
                os.fchmod(folder.folder, after)
        except OSError as error:
            raise write_error(error, name) from None


class _Level:
    """One folder of a walk."""

    __slots__ = ("_last", "_names", "_whole", "folder", "names_at_once", "prefix")

    def __init__(self, folder: int, prefix: str, names_at_once: int) -> None:
        self.folder = folder
        self.prefix = prefix
        self.names_at_once = names_at_once
        self._names: list[bytes] = []  # the highest first
        self._last = b""  # the last that was given out; every name is higher than none
        self._whole = False  # whether `_names` has all that is left

    def next_name(self) -> bytes | None:
        """The next name in the folder, or None at its end."""
        if not self._names and not self._whole:
            try:
                with os.scandir(self.folder) as entries:
                    later = (name for name in map(_name_of, entries) if name > self._last)
                    self._names = heapq.nsmallest(self.names_at_once, later)
            except OSError as error:
                raise read_error(error, self.prefix or "the folder") from None
            self._whole = len(self._names) < self.names_at_once
            self._names.reverse()
        if not self._names:
            return None
        self._last = self._names.pop()
        return self._last

    def close(self) -> None:
        os.close(self.folder)


def _look(level: _Level, leaf: bytes) -> Entry | Skipped | None:
    """What is there by a name; None for what is gone, or a transfer's own."""
    text = leaf.decode("utf-8", "surrogateescape")
    name = level.prefix + text
    if is_hidden(text):
        return None
    try:
        leaf.decode("utf-8")
        parse_name_untrusted(name)
    except UnicodeDecodeError:
        return Skipped(shown_untrusted(name), "its name is not UTF-8")
    except NameRefused as error:
        return Skipped(shown_untrusted(name), str(error).rpartition(": ")[2])
    try:
        status = os.stat(leaf, dir_fd=level.folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        return Skipped(name, f"it cannot be read: {os.strerror(error.errno or 0)}")
    return _describe(name, status)


def _describe(name: str, status: os.stat_result) -> Entry | Skipped:
    is_folder = stat.S_ISDIR(status.st_mode)
    if is_folder or stat.S_ISREG(status.st_mode):
        mode = stat.S_IMODE(status.st_mode) & PERMISSIONS
        return Entry(name, is_folder, 0 if is_folder else status.st_size, status.st_mtime_ns, mode)
    is_link = stat.S_ISLNK(status.st_mode)
    reason = "a symbolic link is not followed" if is_link else "it is a device, a pipe or a socket"
    return Skipped(name, reason, on_purpose=True)


def _name_of(entry: os.DirEntry[str]) -> bytes:
    return os.fsencode(entry.name)


def _is_journal(name: str) -> bool:
    return is_hidden(name) and name.endswith(".journal")
