"""The BLAKE3 digest of a file, taken as its bytes come by, so that the file need not be read once more for it.

Bytes that come in order are taken from memory; after a hole, the digest falls behind and catches up from the file, then
still in the page cache. One lock makes both safe in two threads: bytes that come while the other catches up are simply
left to it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final

from blake3 import blake3

from .disk import Chunk

DIGEST_SIZE: Final = 32
PIECE: Final = 1024 * 1024  # bytes read back at once; BLAKE3 is twice as fast on these as on 64 KiB


class OrderedDigest:
    """The digest of the bytes from 0 to `position`."""

    __slots__ = ("_hash", "_lock", "position")

    def __init__(self) -> None:
        self._hash = blake3()
        self._lock = threading.Lock()
        self.position = 0
        """How many bytes, from the beginning of the file, were taken."""

    def offer(self, offset: int, chunks: Sequence[Chunk], length: int) -> None:
        """Bytes that lie at `offset`, `length` of them in all: taken if they hold the next ones in order."""
        if not offset <= self.position < offset + length or not self._lock.acquire(blocking=False):
            return
        try:
            known = self.position - offset
            if 0 <= known < length:  # as before the lock was held, or left to whoever held it
                joined = chunks[0] if len(chunks) == 1 else b"".join(chunks)  # six times the speed of one by one
                self._hash.update(memoryview(joined)[known:])
                self.position = offset + length
        finally:
            self._lock.release()

    def catch_up(self, read: Callable[[int, int], bytes], end: int) -> None:
        """Take the bytes up to `end` by `read(offset, length)`, which returns at least one byte or raises."""
        with self._lock:
            while self.position < end:
                data = read(self.position, min(PIECE, end - self.position))
                self._hash.update(data)
                self.position += len(data)

    def digest(self) -> bytes:
        """The 32 bytes of digest of what was taken so far."""
        with self._lock:
            return self._hash.digest()
