"""Which bytes of a partial file are on the disk, in a small file beside it.

    0                       SLOT                                          two slots, written in turn; the newer that
    | slot 0                | slot 1                |                     is whole counts, so a torn one is no loss

    slot:  magic 8 | generation u64 | inode u64 | identity 32 | count u64 | spans 16 * count | BLAKE3 of all that 32

    generation   one higher with every write
    inode        the partial file's: a journal says nothing of any other
    identity     of the version that is being received, see `version`
    spans        what is on the disk, in the binary form of `wire.spans`, big-endian as are the numbers

A slot is written after the bytes that it speaks of were synced, and is synced itself before anybody hears of it. A slot
in place needs no rename and no sync of the folder, and less than half the time of a new file.
"""

from __future__ import annotations

import os
import struct
from typing import Final

from blake3 import blake3

from ..errors import MalformedSpans
from .digest import DIGEST_SIZE
from .disk import Disk
from .extents import Extents

MAX_SPANS: Final = (
    65_536  # 5 % loss at 10 Gbit/s and 100 ms makes 4,300 holes; more than this is no honest sender's doing
)
_MAGIC: Final = b"BTRJRN1\n"
_HEAD: Final = struct.Struct(">8sQQ32sQ")
_SPAN_SIZE: Final = 16
SLOT: Final = (_HEAD.size + MAX_SPANS * _SPAN_SIZE + DIGEST_SIZE + 4095) // 4096 * 4096
_FLAGS: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class Journal:
    """The journal of one partial file. Every method raises `OSError`; all but `close` can take long."""

    __slots__ = ("_descriptor", "_disk", "_folder", "_generation", "_identity", "_inode", "_name", "_named")

    def __init__(self, folder: int, name: bytes, identity: bytes, inode: int, disk: Disk) -> None:
        self._folder = folder
        self._name = name
        self._identity = identity
        self._inode = inode
        self._disk = disk
        self._descriptor = -1
        self._generation = 0
        self._named = False  # whether the folder, with the journal's name in it, is on the disk

    def read(self, size: int) -> Extents | None:
        """What the journal says of a partial file of `size` bytes; None if it is corrupt, another's, or not there."""
        try:
            descriptor = os.open(self._name, _FLAGS, dir_fd=self._folder)
        except OSError:  # not there, not readable, a link: not ours
            return None
        newest: Extents | None = None
        try:
            for at in (0, SLOT):
                slot = self._read_slot(os.pread(descriptor, SLOT, at), size)
                if slot and (newest is None or slot[0] > self._generation):
                    self._generation, newest = slot
        except BaseException:
            os.close(descriptor)
            raise
        if newest is None:
            os.close(descriptor)
        else:
            self._descriptor = descriptor
            self._named = True
        return newest

    def write(self, extents: Extents) -> None:
        """Say that these bytes are on the disk, which they are. Returns when that is on the disk too."""
        if self._descriptor < 0:
            self._descriptor = os.open(self._name, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=self._folder)
        generation = self._generation + 1
        head = _HEAD.pack(_MAGIC, generation, self._inode, self._identity, extents.span_count)
        body = head + extents.to_binary()
        self._disk.write(self._descriptor, [body, blake3(body).digest()], generation % 2 * SLOT)
        self._disk.sync_data(self._descriptor)
        if not self._named:
            self._disk.sync(self._folder)
            self._named = True
        self._generation = generation

    def remove(self) -> bool:
        """Close it and take it away, whosever it is; False if there was none."""
        self.close()
        return self._disk.unlink(self._name, self._folder)

    def close(self) -> None:
        """Close the file; it stays. Again does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _read_slot(self, data: bytes, size: int) -> tuple[int, Extents] | None:
        if len(data) < _HEAD.size + DIGEST_SIZE:
            return None
        magic, generation, inode, identity, count = _HEAD.unpack_from(data)
        end = _HEAD.size + count * _SPAN_SIZE
        if magic != _MAGIC or count > MAX_SPANS or blake3(data[:end]).digest() != data[end : end + DIGEST_SIZE]:
            return None
        if inode != self._inode or identity != self._identity:
            return None
        try:
            extents = Extents.from_binary(data[_HEAD.size : end])
        except MalformedSpans:
            return None
        if (extents.highest or 0) >= max(size, 1):
            return None
        return generation, extents
