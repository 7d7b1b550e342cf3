"""The hidden file that a file is until it is whole, and how it gets its name.

    report.pdf                              the goal
    .bittrrt-<32 hex digits>.part           the partial file: the digits are the digest of the goal's name
    .bittrrt-<32 hex digits>.journal        what of it is on the disk

A lock on the partial file keeps a second transfer of the same goal out, and ends with the process that holds it. A
partial file is only ever a regular file of this user with one name; anything else of that name is taken away.
"""

from __future__ import annotations

import fcntl
import os
import stat
from enum import Enum
from typing import Final

from blake3 import blake3

from ..errors import NotAFile, TransferBusy
from .disk import Disk
from .failures import Left, target_exists, target_is_folder, write_error
from .names import HIDDEN_PREFIX
from .root import Place

_FLAGS: Final = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe put there must not block
_MODE: Final = 0o600  # until it is whole
_TRIES: Final = 8  # each lost to another program that made, moved or removed the same name just then


class Overwrite(Enum):
    """What to do about a file that has the goal's name."""

    REFUSE = "refuse"
    """It stays, and the transfer is refused: at its beginning, and once more when the file gets its name."""
    REPLACE = "replace"
    """It goes when the new one is whole. A symbolic link is replaced itself, never what it points to."""


def partial_names(leaf: bytes) -> tuple[bytes, bytes]:
    """The names of the partial file and the journal of the goal `leaf`."""
    stem = f"{HIDDEN_PREFIX}{blake3(leaf).hexdigest(length=16)}".encode()
    return stem + b".part", stem + b".journal"


def check_goal(place: Place, overwrite: Overwrite, left: Left = Left.UNTOUCHED) -> int:
    """The bytes that a new file at the goal would free.

    Raises a `FileError` that says what is left of the new one, if there must not be one.
    """
    status = place.status()
    if status is None:
        return 0
    if stat.S_ISDIR(status.st_mode):
        raise target_is_folder(place.shown, left)
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISLNK(status.st_mode):
        raise NotAFile(f"{place.shown}: a device, a pipe or a socket is there; choose another name{left.value}")
    if overwrite is Overwrite.REFUSE:
        raise target_exists(place.shown, left)
    return status.st_size if stat.S_ISREG(status.st_mode) and status.st_nlink == 1 else 0


class Partial:
    """An open, locked partial file; every method but the constructor raises `OSError`."""

    __slots__ = ("_disk", "_name", "_place", "descriptor", "found", "inode")

    def __init__(self, place: Place, journal_name: bytes, disk: Disk) -> None:
        """Open the partial file of `place`, or make it, without the journal that a lost one left behind.

        Raises `TransferBusy`, or a `FileError` of the folder.
        """
        self._place = place
        self._disk = disk
        self._name = partial_names(place.leaf)[0]
        self.found = False
        """Whether it was there already."""
        self.descriptor = -1
        try:
            for _ in range(_TRIES):
                if self._open(journal_name):
                    break
            else:
                raise TransferBusy(f"{place.shown}: another program keeps changing it; try again later")
        except OSError as error:
            self.close()
            raise write_error(error, place.shown) from None
        except BaseException:
            self.close()
            raise
        self.inode = os.fstat(self.descriptor).st_ino

    @property
    def size(self) -> int:
        """Bytes that it takes, holes counted."""
        return os.fstat(self.descriptor).st_size

    def set_attributes(self, mode: int, mtime_ns: int) -> None:
        """Give it the permissions and the time that it will have under its own name."""
        os.utime(self.descriptor, ns=(mtime_ns, mtime_ns))
        os.fchmod(self.descriptor, mode)

    def unset_attributes(self) -> None:
        """Make it writable again, so that the next call can go on."""
        os.fchmod(self.descriptor, _MODE)

    def publish(self, overwrite: Overwrite) -> None:
        """Give it the goal's name. The folder is yet to be synced."""
        place = self._place
        if overwrite is Overwrite.REFUSE:
            try:
                self._disk.link(self._name, place.leaf, place.folder)  # the one call that never replaces anything
            except FileExistsError:
                raise
            except OSError:  # a file system without second names
                if place.status() is not None:
                    raise FileExistsError from None
            else:
                self._disk.unlink(self._name, place.folder)
                return
        self._disk.rename(self._name, place.leaf, place.folder)

    def remove(self) -> None:
        """Take it away."""
        self._disk.unlink(self._name, self._place.folder)

    def close(self) -> None:
        """Close it, which unlocks it; again does nothing."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _open(self, journal_name: bytes) -> bool:
        """Open and lock it; False if something changed under way, and it is worth another try."""
        folder = self._place.folder
        self.close()
        self.found = True
        try:
            self.descriptor = os.open(self._name, os.O_RDWR | _FLAGS, dir_fd=folder)
        except FileNotFoundError:
            self.found = False
            if self._disk.unlink(journal_name, folder):
                self._disk.sync(folder)  # or it could come back, and speak of the file made next
            try:
                self.descriptor = os.open(self._name, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, _MODE, dir_fd=folder)
            except FileExistsError:
                return False
        except PermissionError:
            return self._unlock_mode()
        except OSError:  # a link, a pipe: not of our making
            self._disk.unlink(self._name, folder)
            return False
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TransferBusy(f"{self._place.shown}: another transfer is writing it; try again later") from None
        return self._is_ours()

    def _is_ours(self) -> bool:
        """Whether what was locked still has the name, and is what a partial file has to be."""
        mine = os.fstat(self.descriptor)
        try:
            named = os.stat(self._name, dir_fd=self._place.folder, follow_symlinks=False)
        except FileNotFoundError:  # got its own name while we waited for the lock
            return False
        if not os.path.samestat(mine, named):
            return False
        if stat.S_ISREG(mine.st_mode) and mine.st_nlink == 1 and mine.st_uid == os.geteuid():
            return True
        self._disk.unlink(self._name, self._place.folder)
        return False

    def _unlock_mode(self) -> bool:
        """A program killed between the last mode and the name leaves a file that may be read-only: make it writable."""
        descriptor = os.open(self._name, os.O_RDONLY | _FLAGS, dir_fd=self._place.folder)
        try:
            os.fchmod(descriptor, _MODE)
        finally:
            os.close(descriptor)
        return False
