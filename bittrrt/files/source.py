"""A file that is sent: read where the sender asks, watched for changes, its digest taken on the way.

    opened: version, inode -> read(offset, length) ... -> digest(): the rest is taken, then version and inode again

A sender reads mostly in order, so the digest is taken from what is read; a part that is sent again is read again and
not taken twice; a part that the receiver has already is read for the digest alone, by `catch_up`, in a thread.
"""

from __future__ import annotations

import os
from typing import Final

from ..errors import NotAFile, SourceChanged
from .digest import OrderedDigest
from .failures import read_error
from .root import Place
from .version import FileVersion, read_version

CATCH_UP: Final = 64 * 1024 * 1024  # bytes; some tens of milliseconds from the page cache


class Source:
    """An open regular file. Everything but `read` of what the page cache has can take long: use a thread.

    `read` may be called in one thread while `catch_up` runs in another. Every `FileError` leaves it open.
    """

    __slots__ = ("_descriptor", "_digest", "_inode", "_place", "version")

    def __init__(self, place: Place) -> None:
        """Open the file at `place`, which belongs to the source from now on, also if this raises a `FileError`."""
        self._place = place
        self._descriptor = -1
        self._digest = OrderedDigest()
        try:
            self._descriptor = place.open_file()
            self._inode = os.fstat(self._descriptor).st_ino
            self.version: FileVersion = read_version(self._descriptor)
            """What is sent: size, time, mode and sample when it was opened."""
            if _is_made_up(self._descriptor, self.version.size):
                raise NotAFile(f"{place.shown}: the system makes it up as it is read; copy it to a file, and send that")
        except OSError as error:
            self.close()
            raise read_error(error, place.shown) from None
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int:
        """Bytes."""
        return self.version.size

    @property
    def behind(self) -> int:
        """Bytes that the digest has yet to take."""
        return self.version.size - self._digest.position

    def read(self, offset: int, length: int) -> bytes:
        """The bytes at `offset`, `length` of them or as many as the file had when it was opened.

        Raises `SourceChanged` when it has fewer by now, and `ReadFailed`.
        """
        length = min(length, self.version.size - offset)
        data = self._read(offset, length)
        while len(data) < length:
            data += self._read(offset + len(data), length - len(data))
        self._digest.offer(offset, (data,), length)
        return data

    def catch_up(self) -> bool:
        """Read up to 64 MiB for the digest alone; True if there is more to take."""
        self._digest.catch_up(self._read, min(self.version.size, self._digest.position + CATCH_UP))
        return self.behind > 0

    def digest(self) -> bytes:
        """The digest of the whole, 32 bytes; what it lacks is read. Raises as `check_unchanged` and `read` do."""
        while self.catch_up():
            pass
        self.check_unchanged()
        return self._digest.digest()

    def check_unchanged(self) -> None:
        """Raise `SourceChanged` if the file is no longer what it was when it was opened.

        A file whose name is gone is still whole and goes on; one whose name is another file's by now does not.
        """
        try:
            status = os.fstat(self._descriptor)
        except OSError as error:
            raise read_error(error, self._place.shown) from None
        if status.st_size < self.version.size:
            self._raise_changed(f"was cut from {self.version.size} to {status.st_size} bytes")
        if status.st_size != self.version.size or status.st_mtime_ns != self.version.mtime_ns:
            self._raise_changed("was changed")
        there = self._place.status()
        if there is not None and there.st_ino != self._inode:
            self._raise_changed("was replaced by another file")

    def close(self) -> None:
        """Close the file; again does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._place.close()

    def _read(self, offset: int, length: int) -> bytes:
        if length <= 0:
            return b""
        try:
            data = os.pread(self._descriptor, length, offset)
        except OSError as error:
            raise read_error(error, self._place.shown) from None
        if not data:
            self.check_unchanged()
            self._raise_changed("was cut")  # and has grown again since
        return data

    def _raise_changed(self, how: str) -> None:
        raise SourceChanged(f"{self._place.shown}: {how} while it was being sent; send it again")


def _is_made_up(descriptor: int, size: int) -> bool:
    """Whether a file has another size than it says, as in /proc, where that is 0, and in /sys, where it is a page."""
    has_last = bool(os.pread(descriptor, 1, max(size - 1, 0)))
    return has_last != (size > 0) and os.fstat(descriptor).st_size == size
