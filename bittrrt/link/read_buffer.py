"""Where the datagrams of one read turn land, and where each of them is opened.

    slot         0                                           1                           2
    received    | nonce | sealed | nonce | sealed | ...     | nonce | sealed | ...      | nonce | sealed |
                             |                |                          |                           |
                        decrypt_into     decrypt_into               decrypt_into                decrypt_into
                             v                v                          v                           v
    opened      | header | payload | header | payload | ... | header | payload | ...    | header | payload |

A slot takes what one read brings: a datagram, or several of one size that the kernel has joined. All turns of a process
land in one such buffer, and the views that cut it are kept: to make them again for each turn would cost half of what
opening where they lie saves.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from ..wire.datagram import EPOCH_SIZE, HEADER_SIZE, NONCE_SIZE, OVERHEAD

MAX_READ: Final = 65_535  # bytes
SLOTS: Final = 64
SLOT: Final = 64 * 1024 + 24 * 64
"""Bytes from one slot to the next. If it were a power of two, the beginnings of all slots, which is all that small
datagrams fill, would share a few lines of the processor's caches."""
LARGE: Final = 8192  # bytes of a datagram that is better opened where it lies than copied, also when it comes alone
FEW: Final = 4  # small datagrams of one size that came one by one, from which on that holds for them too
MAX_VIEWS: Final = 1024  # datagrams for which views are kept, a megabyte of them; anybody may send any size


class Reads(NamedTuple):
    """What came from one address in neighbouring slots."""

    slot: int
    """The first."""
    lengths: list[int]
    """Bytes in each."""
    sizes: list[int]
    """Bytes of each slot's datagrams, of which the last may have less; the slot's length if it is one."""


class Group(NamedTuple):
    """Datagrams of one size at even distances."""

    begin: int
    """Where the first begins, bytes from the beginning of the buffer."""
    step: int
    """Bytes from one to the next."""
    size: int
    """Bytes in each."""
    datagrams: int
    """How many."""

    @property
    def in_place(self) -> bool:
        """Whether it pays to open them where they lie, and they are long enough for that."""
        return self.size > OVERHEAD and (self.step == self.size or self.size >= LARGE or self.datagrams >= FEW)


View: TypeAlias = tuple[memoryview, memoryview, memoryview, memoryview]
"""Of a datagram: its nonce, what is sealed, where that is opened, and the payload that is then there."""


class ReadBuffer:
    """What one read turn brought. It is good until the next one."""

    __slots__ = ("_kept", "_opened", "_views", "received")

    def __init__(self) -> None:
        self.received = _memory(SLOTS * SLOT)
        """All slots."""
        self._opened = _memory((SLOTS + 1) * SLOT)  # headers are looked for a whole slot at a time
        self._views: dict[tuple[int, int, int], list[View]] = {}
        self._kept = 0  # datagrams for which there are views

    def slot(self, number: int) -> memoryview:
        """Where a read lands."""
        return self.received[number * SLOT : number * SLOT + MAX_READ]

    @staticmethod
    def groups(reads: Reads) -> Iterator[Group]:
        """The datagrams of `reads` in their order: those of one slot, and those of neighbours that have one each."""
        slot, lengths, sizes = reads
        at = 0
        while at < len(lengths):
            length, size = lengths[at], sizes[at]
            begin = (slot + at) * SLOT
            at += 1
            if size < length:
                whole = length // size
                yield Group(begin, size, size, whole)
                if length > whole * size:
                    yield Group(begin + whole * size, SLOT, length - whole * size, 1)
                continue
            count = 1
            while at < len(lengths) and lengths[at] == sizes[at] == length:
                count += 1
                at += 1
            yield Group(begin, SLOT, length, count)

    def datagrams(self, group: Group) -> list[bytes]:
        """Each as bytes of its own."""
        begin, step, size, count = group
        return [bytes(self.received[at : at + size]) for at in range(begin, begin + count * step, step)]

    def all_datagrams(self, reads: Reads) -> list[bytes]:
        """Each of all that came, as bytes of its own."""
        return [datagram for group in self.groups(reads) for datagram in self.datagrams(group)]

    def epoch(self, group: Group) -> memoryview:
        """Of the first datagram."""
        return self.received[group.begin : group.begin + EPOCH_SIZE]

    def views(self, group: Group) -> list[View]:
        """Of each datagram; as many are made as there are new ones, whatever anybody sends."""
        begin, step, size, count = group
        if step == size:
            return self._views_of(begin, step, size, count)
        places, known = range(begin, begin + count * step, step), self._views
        try:
            return [known[at, step, size][0] for at in places]
        except KeyError:
            return [self._views_of(at, step, size, 1)[0] for at in places]

    def _views_of(self, begin: int, step: int, size: int, count: int) -> list[View]:
        views = self._views.get((begin, step, size))
        if views is None or len(views) < count:
            if self._kept >= MAX_VIEWS:
                self._views.clear()
                self._kept = 0
            views = self._views.setdefault((begin, step, size), [])
            self._kept += count - len(views)
            stride = _stride(step, size)
            for number in range(len(views), count):
                datagram = self.received[begin + number * step :][:size]
                opened = self._opened[begin + number * stride :][: size - OVERHEAD + HEADER_SIZE]
                views.append((datagram[:NONCE_SIZE], datagram[NONCE_SIZE:], opened, opened[HEADER_SIZE:]))
        return views[:count]

    def headers(self, group: Group) -> list[tuple[int, int, int]]:
        """What the headers of opened datagrams say: flags and channel in one word, sequence, offset."""
        begin, step, size, count = group
        stride = _stride(step, size)
        return list(_header_every(stride).iter_unpack(self._opened[begin : begin + count * stride]))


def _memory(size: int) -> memoryview:
    """Bytes that take memory where they are written to, and are not shared with a process that is forked."""
    private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    return memoryview(mmap.mmap(-1, size, **private))


def _stride(step: int, size: int) -> int:
    """Bytes from one opened header to the next."""
    return SLOT if step == SLOT else size - OVERHEAD + HEADER_SIZE


@lru_cache(maxsize=16)
def _header_every(stride: int) -> struct.Struct:
    return struct.Struct(f">IQQ{stride - HEADER_SIZE}x")
