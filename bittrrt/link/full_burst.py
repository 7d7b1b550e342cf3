"""A burst as large as one write takes, sealed into one buffer without an object for each of its datagrams.

    payload  | chunk      | chunk      | ...
                   |            |                  one call each that cuts the payload, writes all headers and chunks,
    plain    | header | chunk | header | chunk |   and writes all nonces
                   |                |
              encrypt_into     encrypt_into        one call a datagram
                   v                v
    sealed   | nonce | sealed | nonce | sealed |   as the kernel's segmentation takes it

Of 45 datagrams of 1452 bytes it takes 38 us instead of 55, of which the AEAD itself is 29. All full bursts of a process
are sealed in one such buffer, as what they are sent by copies them on the spot.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import chain, repeat
from typing import Final, NamedTuple

from ..wire.datagram import HEADER_SIZE, MAX_MTU, NONCE_SIZE, OVERHEAD, pack_numbers

MAX_BATCH: Final = MAX_MTU  # bytes; the kernel hands a batch down as one packet, and cuts it later
MAX_SEGMENTS: Final = 64  # UDP_MAX_SEGMENTS of the kernel since UDP_SEGMENT came, 128 in newer ones; and what it joins
LARGE_CHUNK: Final = 8192  # bytes that take longer to be copied once more, through an object, than a call takes
MAX_CUTS: Final = 4  # sizes for which views are kept; a path has one, and while it is searched for some more

_flatten: Final = chain.from_iterable


class _Cut(NamedTuple):
    """How the buffer is cut for chunks of one size."""

    datagrams: int
    sealed: memoryview
    parts: list[tuple[memoryview, memoryview, memoryview]]
    """Of each datagram: its nonce, what is to be sealed, and where to."""
    write_nonces: Callable[..., None]
    """Of epochs and counters in turn, to `sealed`."""
    write_plain: Callable[..., None]
    """Of the three numbers of a header and a chunk in turn."""
    chunks: Callable[[bytes | memoryview], tuple[bytes, ...]]


class FullBurst:
    """The buffer. What was sealed in it is good until the next burst."""

    __slots__ = ("_cuts", "_plain", "_sealed")

    def __init__(self) -> None:
        self._plain = bytearray(MAX_BATCH)
        self._sealed = bytearray(MAX_BATCH)
        self._cuts: dict[int, _Cut] = {}

    def seal(
        self,
        payload: bytes | memoryview,
        chunk_size: int,
        encrypt_into: Callable[[memoryview, memoryview, None, memoryview], int],
        epoch: int,
        counter: int,
        word: int,
        sequence: int,
        offset: int,
    ) -> memoryview:
        """All of a payload of `full_burst(chunk_size)` chunks, joined.

        The numbers are the first datagram's; `word` is `flags << 24 | channel`.
        """
        cut = self._cuts.get(chunk_size) or self._make_cut(chunk_size)
        count = cut.datagrams
        numbers = zip(repeat(epoch, count), range(counter, counter + count), strict=True)
        cut.write_nonces(self._sealed, 0, *_flatten(numbers))
        if chunk_size >= LARGE_CHUNK:
            rest = memoryview(payload)
            for number, (_, plain, _) in enumerate(cut.parts):
                at = number * chunk_size
                plain[:HEADER_SIZE] = pack_numbers(word, sequence + number, offset + at)
                plain[HEADER_SIZE:] = rest[at : at + chunk_size]
        else:
            offsets = range(offset, offset + len(payload), chunk_size)
            sequences = range(sequence, sequence + count)
            headed = zip(repeat(word, count), sequences, offsets, cut.chunks(payload), strict=True)
            cut.write_plain(self._plain, 0, *_flatten(headed))
        for nonce, plain, sealed in cut.parts:
            encrypt_into(nonce, plain, None, sealed)
        return cut.sealed

    def _make_cut(self, chunk_size: int) -> _Cut:
        if len(self._cuts) >= MAX_CUTS:
            self._cuts.clear()
        count, size, stride = full_burst(chunk_size), chunk_size + OVERHEAD, chunk_size + HEADER_SIZE
        sealed, plain = memoryview(self._sealed)[: count * size], memoryview(self._plain)
        parts = []
        for number in range(count):
            datagram = sealed[number * size : (number + 1) * size]
            header_and_chunk = plain[number * stride : (number + 1) * stride]
            parts.append((datagram[:NONCE_SIZE], header_and_chunk, datagram[NONCE_SIZE:]))
        cut = self._cuts[chunk_size] = _Cut(
            count, sealed, parts,
            struct.Struct(">" + f"IQ{size - NONCE_SIZE}x" * count).pack_into,
            struct.Struct(">" + f"IQQ{chunk_size}s" * count).pack_into,
            struct.Struct(f"{chunk_size}s" * count).unpack,
        )  # fmt: skip
        return cut


def full_burst(chunk_size: int) -> int:
    """How many datagrams with `chunk_size` bytes of payload one write takes."""
    return min(MAX_BATCH // (chunk_size + OVERHEAD), MAX_SEGMENTS)
