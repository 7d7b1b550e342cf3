"""What is to be sent, made ready in a thread: files opened, small ones read whole, folders walked as far as needed.

    walk -> FileToSend ... -> prepare(count) -> ReadyFile ... -> offered -> given back, if the session is lost before
                                                                            the other end has said that it is done

A small file is read and digested at once and then closed, so that a thousand of them on their way hold no descriptors.
"""

from __future__ import annotations

import stat
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from ..errors import FileError, FileMissing, NotAFile, SettingsError
from .names import below, parse_name_untrusted
from .root import Place, Root
from .source import Source
from .tree import Entry, walk
from .version import PERMISSIONS, FileVersion

SMALL: Final = 64 * 1024  # bytes; 256 of them under way take 16 MB
MAX_FOLDERS: Final = 65_536  # folders of a supply that are offered again in a new session; some 20 MB


@dataclass(frozen=True, slots=True)
class FileToSend:
    """A file that is not open yet."""

    name: str
    """Where it goes, below the destination."""
    size: int
    """Bytes, as far as is known yet."""
    locate: Callable[[], Place] = field(compare=False)
    """Its place; raises a `FileError`."""
    inside: str = ""
    """The name that it gets in a folder, if one is found at `name`."""

    def settled(self, *, inside: bool) -> FileToSend:
        """The same file, now that it is known whether there is such a folder: from now on it goes nowhere else."""
        return replace(self, name=below(self.name, self.inside) if inside else self.name, inside="")


@dataclass(frozen=True, slots=True)
class FolderToSend:
    """A folder."""

    name: str
    mode: int
    mtime_ns: int
    keep: bool = False
    """Whether it stays as it is, if it is there already: it is where the rest goes, and not sent itself."""


@dataclass(frozen=True, slots=True)
class Unsendable:
    """Something that cannot be sent, and why."""

    error: FileError


Item = FileToSend | FolderToSend | Unsendable


class SmallFile:
    """A file in memory."""

    __slots__ = ("data", "version")

    def __init__(self, version: FileVersion, data: bytes) -> None:
        self.version = version
        self.data = data

    def read(self, offset: int, length: int) -> bytes:
        """The bytes at `offset`, at most `length`."""
        return self.data[offset : offset + length]

    def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True, slots=True)
class ReadyFile:
    """A file that can be offered and read."""

    item: FileToSend
    content: Source | SmallFile
    digest: bytes | None
    """Of the whole, where it was taken already."""


Ready = ReadyFile | FolderToSend | Unsendable


class Supply:
    """What one transfer has to send, over as many sessions as it takes."""

    def __init__(self, items: Iterable[Item], *, checksum: bool = False, once: bool = False) -> None:
        """With `checksum`, every file is read for its digest before it is offered.

        `once`: for one session only, and so nothing is remembered for another.
        """
        self._items: Iterator[Item] = iter(items)
        self._checksum = checksum
        self._again: deque[Item] = deque()
        self._folders: deque[FolderToSend] = deque(maxlen=0 if once else MAX_FOLDERS)
        self.has_folders = False
        """Whether there was a folder in it so far that is to be settled."""
        self._lock = threading.Lock()
        self._walked = False

    @property
    def exhausted(self) -> bool:
        """Whether all there is was prepared."""
        return self._walked and not self._again

    def prepare(self, count: int) -> list[Ready]:
        """The next things, at most `count`, and nothing more after a file that is not small. May block."""
        ready: list[Ready] = []
        with self._lock:
            while len(ready) < count:
                item = self._next()
                if item is None:
                    break
                if not isinstance(item, FileToSend):
                    ready.append(item)
                    continue
                try:
                    opened = self._open(item)
                except FileError as error:
                    ready.append(Unsendable(error))
                    continue
                ready.append(opened)
                if isinstance(opened.content, Source):
                    break
        return ready

    def begin_again(self, unfinished: Iterable[FileToSend]) -> None:
        """The session is lost: its folders come again, as their times are yet to be set, then these files.

        May block for as long as `prepare` does.
        """
        with self._lock:
            self._again.extendleft(reversed(self._folders))
            self._again.extend(unfinished)
            self._folders.clear()

    def _next(self) -> Item | None:
        try:
            item = self._again.popleft() if self._again else None if self._walked else next(self._items, None)
        except FileError as error:
            self._walked = True
            return Unsendable(error)
        if item is None:
            self._walked = True
        elif isinstance(item, FolderToSend):
            self.has_folders = self.has_folders or not item.keep
            self._folders.append(item)
        return item

    def _open(self, item: FileToSend) -> ReadyFile:
        source = Source(item.locate())
        try:
            if source.size <= SMALL:
                data = source.read(0, source.size)
                digest = source.digest()
                source.close()
                return ReadyFile(item, SmallFile(source.version, data), digest)
            return ReadyFile(item, source, source.digest() if self._checksum else None)
        except BaseException:
            source.close()
            raise


def count_items(items: Iterable[Item]) -> tuple[int, int]:
    """How many files, and bytes, there are to send. May block."""
    files = size = 0
    try:
        for item in items:
            if isinstance(item, FileToSend):
                files += 1
                size += item.size
    except FileError:  # told when it is met again
        pass
    return files, size


def from_paths(paths: Iterable[tuple[Path, str]], *, recursive: bool, inside: str = "") -> Iterator[Item]:
    """What this machine's own user wants to send: paths, links followed, each with the name that it gets there.

    `inside`: the name of a file in the folder that may be found at its own name.
    """
    for path, name in paths:
        try:
            with Place.of_path(path) as place:
                status = place.status()
        except FileError as error:
            yield Unsendable(error)
            continue
        if status is None or not stat.S_ISDIR(status.st_mode):
            yield FileToSend(name, status.st_size if status else 0, _PathOpener(path), inside)
        elif not recursive:
            yield Unsendable(NotAFile(f"{path}: a folder; say -r to send it with all that is in it"))
        else:
            if name:
                yield FolderToSend(name, stat.S_IMODE(status.st_mode) & PERMISSIONS, status.st_mtime_ns)
            try:
                with Root(path) as root:
                    yield from _inside(root, name, str(path), partial(_RootOpener, path))
            except FileError as error:
                yield Unsendable(error)


def from_root_untrusted(root: Root, path: str, *, recursive: bool) -> Iterator[Item]:
    """What a peer asks for by a path below a root, which stays open until all is sent.

    Names begin with the last part of `path`; with an empty path, below the root. Raises a `FileError`.
    """
    if not path:
        if not recursive:
            raise NotAFile("everything: say -r to get folders with all that is in them")
        yield from _inside(root, "", "", lambda inner: lambda: root.locate_untrusted(inner))
        return
    name = parse_name_untrusted(path)[-1]
    with root.locate_untrusted(path, follow=True) as place:
        status = place.status()
    if status is None:
        raise FileMissing(f"{path}: no such file or folder")
    if not stat.S_ISDIR(status.st_mode):
        yield FileToSend(name, status.st_size, lambda: root.locate_untrusted(path, follow=True))
        return
    if not recursive:
        raise NotAFile(f"{path}: a folder; say -r to get it with all that is in it")
    yield FolderToSend(name, stat.S_IMODE(status.st_mode) & PERMISSIONS, status.st_mtime_ns)
    with root.locate_folder_untrusted(path) as folder:
        yield from _inside(folder, name, path, lambda inner: lambda: root.locate_untrusted(f"{path}/{inner}"))


def _inside(root: Root, name: str, shown: str, opener: Callable[[str], Callable[[], Place]]) -> Iterator[Item]:
    for found in walk(root):
        if not isinstance(found, Entry):
            yield Unsendable(found.error(below(shown, found.name)))
        elif found.is_folder:
            yield FolderToSend(below(name, found.name), found.mode, found.mtime_ns)
        else:
            yield FileToSend(below(name, found.name), found.size, opener(found.name))


@dataclass(frozen=True, slots=True)
class _PathOpener:
    """Finds a file that this machine's own user named."""

    path: Path

    def __call__(self) -> Place:
        return Place.of_path(self.path)


@dataclass(frozen=True, slots=True)
class _RootOpener:
    """Finds a file in a folder that this machine's own user named, in a later session too."""

    path: Path
    name: str

    def __call__(self) -> Place:
        with Root(self.path) as root:
            place = root.locate_untrusted(self.name)
        place.shown = str(self.path / self.name)
        return place


def name_of(path: Path) -> str:
    """The name that a path of this machine's own user has at the other end. Raises `SettingsError` if it has none."""
    name = path.name or path.resolve().name
    if not name or name == "..":
        name = path.resolve().name
    if not name:
        raise SettingsError(f"{path}: has no name of its own; name the files and folders in it")
    return name
