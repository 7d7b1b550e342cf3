"""The calls that change what is on the disk, in one place, so that a test can stop the world between any two."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Sequence
from typing import Final

Chunk = bytes | bytearray | memoryview
"""Bytes that need not be copied to be written; a memoryview is one of bytes."""

MAX_CHUNKS: Final = 1024  # IOV_MAX, as Linux and the BSDs have it
ALLOCATE_FROM: Final = 64 * 1024  # bytes; for less than that a call to reserve space costs more than it can show

_CANNOT_ALLOCATE: Final = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENODEV, errno.ENOSYS)


class Disk:
    """The operating system's calls, each raising `OSError`. Names are within the open folder `folder`."""

    def write(self, descriptor: int, chunks: Sequence[Chunk], offset: int) -> None:
        """Write all the chunks, joined, at `offset`."""
        if len(chunks) > MAX_CHUNKS:
            chunks = [b"".join(chunks)]
        length = sum(map(len, chunks))
        done = os.pwritev(descriptor, chunks, offset)
        if done < length:  # a limit or a signal came between: go on where it stopped, to hear which
            rest = memoryview(b"".join(chunks))
            while done < length:
                done += os.pwrite(descriptor, rest[done:], offset + done)

    def read(self, descriptor: int, length: int, offset: int) -> bytes:
        """The bytes at `offset`, at most `length`; none beyond the end."""
        return os.pread(descriptor, length, offset)

    def allocate(self, descriptor: int, size: int) -> None:
        """Reserve the space of a file, so that a full disk shows now; where that cannot be, look at what is free."""
        if size < ALLOCATE_FROM:
            return
        room = os.fstatvfs(descriptor)
        missing = size - os.fstat(descriptor).st_blocks * 512
        if room.f_blocks and missing > room.f_bavail * room.f_frsize:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        try:
            os.posix_fallocate(descriptor, 0, size)
        except AttributeError:  # macOS has none
            return
        except OSError as error:
            if error.errno not in _CANNOT_ALLOCATE:
                raise

    def truncate(self, descriptor: int, size: int) -> None:
        os.ftruncate(descriptor, size)

    def sync_data(self, descriptor: int) -> None:
        """Wait until the bytes are on the disk, and what is needed to find them again."""
        getattr(os, "fdatasync", os.fsync)(descriptor)  # macOS has none

    def drop_cached(self, descriptor: int, length: int) -> None:
        """Let the first bytes of a file leave the page cache, as far as they are on the disk: a hint, and no more."""
        with contextlib.suppress(AttributeError, OSError):  # macOS has none
            os.posix_fadvise(descriptor, 0, length, os.POSIX_FADV_DONTNEED)

    def sync(self, descriptor: int) -> None:
        """Wait until a file with its mode and times, or a folder with its names, is on the disk."""
        os.fsync(descriptor)

    def rename(self, source: bytes, goal: bytes, folder: int) -> None:
        """Move a name over another, replacing what is there."""
        os.rename(source, goal, src_dir_fd=folder, dst_dir_fd=folder)

    def link(self, source: bytes, goal: bytes, folder: int) -> None:
        """Give a file a second name, which must be free."""
        os.link(source, goal, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)

    def unlink(self, name: bytes, folder: int) -> bool:
        """Take a name away; False if it was not there."""
        try:
            os.unlink(name, dir_fd=folder)
        except FileNotFoundError:
            return False
        return True


DISK: Final = Disk()
