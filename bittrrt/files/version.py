"""What makes two files the same file, for a transfer that goes on where it stopped.

A journal belongs to

    the last part of the goal's name, the size, the time of the last change in nanoseconds, and a sample:
    BLAKE3 of the first and the last 16 KiB

and to nothing else: not to the inode (a copy that kept its times is the same file), not to the device's number (it
changes when a machine starts), not to the client. Size and time are what rsync goes by; the sample catches what they
miss most often: archives and images made anew with a fixed time, clocks with steps of two seconds. It costs two reads.
Should all four agree for two versions, the digest of the whole still refuses the mixture: nothing wrong gets its name.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import Final

from blake3 import blake3

SAMPLE_SIZE: Final = 16
SAMPLED: Final = 16 * 1024  # bytes at either end
MAX_SIZE: Final = 2**63 - 1  # off_t
PERMISSIONS: Final = 0o777  # never set-user-id, set-group-id or sticky: a peer has no say in these
_MAX_TIME: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class FileVersion:
    """One version of one file, as its sender offers it. Raises `ValueError` for a number that does not fit."""

    size: int
    """Bytes."""
    mtime_ns: int
    """Last change of its bytes, nanoseconds since 1970."""
    mode: int
    """Permissions, nine bits."""
    sample: bytes
    """BLAKE3 of its ends, 16 bytes."""

    def __post_init__(self) -> None:
        fits = 0 <= self.size <= MAX_SIZE and -_MAX_TIME <= self.mtime_ns <= _MAX_TIME
        if not fits or self.mode & ~PERMISSIONS or len(self.sample) != SAMPLE_SIZE:
            raise ValueError(f"out of range: {self}")

    def identity(self, leaf: bytes) -> bytes:
        """The 32 bytes that tell this version, on its way to the name `leaf`, from every other."""
        numbers = self.size.to_bytes(8, "big") + self.mtime_ns.to_bytes(8, "big", signed=True)
        return blake3(numbers + self.sample + leaf).digest()


def read_version(descriptor: int) -> FileVersion:
    """The version that an open file is. Raises `OSError`."""
    status = os.fstat(descriptor)
    size = status.st_size
    ends = blake3(os.pread(descriptor, SAMPLED, 0))
    if size > SAMPLED:
        ends.update(os.pread(descriptor, SAMPLED, max(SAMPLED, size - SAMPLED)))
    mode = stat.S_IMODE(status.st_mode) & PERMISSIONS
    return FileVersion(size, status.st_mtime_ns, mode, ends.digest(length=SAMPLE_SIZE))
