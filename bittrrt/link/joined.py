"""Datagrams of one size that the kernel has joined in one read, and where each of them lies.

    received    | nonce | sealed ...     | nonce | sealed ...     | ...          cut every `size` bytes
                      |                        |
                decrypt_into             decrypt_into
                      v                        v
    opened      | header | payload | header | payload | ...                      cut every `size - 28` bytes

All reads of a process land in one such buffer, and the views that cut it for a size are kept: to make them again for
each read would cost half of what opening where they lie saves.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from ..wire.datagram import HEADER_SIZE, NONCE_SIZE, OVERHEAD
from .full_burst import MAX_SEGMENTS

MAX_READ: Final = 65_535  # bytes
MAX_CUTS: Final = 8  # sizes for which views are kept; anybody may send any size


class Cut(NamedTuple):
    """How the buffer is cut for datagrams of one size."""

    chunk_size: int
    """Bytes of payload in each."""
    stride: int
    """Bytes from one opened header to the next."""
    parts: list[tuple[memoryview, memoryview, memoryview]]
    """Of each datagram: its nonce, what is sealed, and where that is opened."""
    payloads: list[memoryview]
    opened: memoryview
    headers: Callable[[memoryview], Iterator[tuple[int, int, int]]]
    """What the headers say, in a whole number of strides."""


class JoinedBuffer:
    """What one read brought. It is good until the next one."""

    __slots__ = ("_cuts", "_opened", "received")

    def __init__(self) -> None:
        self.received = memoryview(bytearray(MAX_READ))
        self._opened = memoryview(bytearray(MAX_READ))
        self._cuts: dict[int, Cut] = {}

    def cut(self, size: int) -> Cut:
        """The views for datagrams of `size` bytes, at least one of them payload."""
        cut = self._cuts.get(size)
        if cut is None:
            if len(self._cuts) >= MAX_CUTS:
                self._cuts.clear()
            cut = self._cuts[size] = self._make_cut(size)
        return cut

    def datagrams(self, length: int, size: int) -> list[bytes]:
        """The `length` bytes of one read as datagrams of their own, `size` bytes each, the last may have less."""
        received = self.received
        return [bytes(received[at : min(at + size, length)]) for at in range(0, length, size)]

    def _make_cut(self, size: int) -> Cut:
        stride, chunk_size = size - OVERHEAD + HEADER_SIZE, size - OVERHEAD
        parts: list[tuple[memoryview, memoryview, memoryview]] = []
        payloads: list[memoryview] = []
        for number in range(min(MAX_READ // size, MAX_SEGMENTS)):
            datagram = self.received[number * size : (number + 1) * size]
            opened = self._opened[number * stride : (number + 1) * stride]
            parts.append((datagram[:NONCE_SIZE], datagram[NONCE_SIZE:], opened))
            payloads.append(opened[HEADER_SIZE:])
        return Cut(
            chunk_size, stride, parts, payloads, self._opened, struct.Struct(f">IQQ{chunk_size}x").iter_unpack
        )  # fmt: skip
