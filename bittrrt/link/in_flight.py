"""What was sent and not acknowledged yet: a record a burst, with its datagrams as the bits of one int.

    sequence      100 101 102 103 104 ... 144        one burst: one range of one stream, in datagrams of one size but
                                                     the last, that left in one turn, by one write or a few
    bit             0   1   2   3   4      44
    outstanding     0   0   1   0   1       1        neither acknowledged nor lost
    lost            0   0   0   1   0       0        taken for lost; kept for a while, as it may be acknowledged yet

An acknowledged span finds its bursts by bisection and clears the bits of each with one mask.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from .send_channel import SendChannel

KEPT_HEAD: Final = 256  # records that are done with, before the lists are cut: a cut costs as much as the rest is long


class SentBurst:
    """One burst on its way."""

    __slots__ = (
        "application_limited",
        "at",
        "channel",
        "chunk_size",
        "datagram_size",
        "delivered",
        "delivered_at",
        "first",
        "first_sent_at",
        "last",
        "last_size",
        "length",
        "lost",
        "offset",
        "outstanding",
    )

    def __init__(
        self,
        channel: SendChannel | None,
        *,
        offset: int,
        length: int,
        chunk_size: int,
        overhead: int,
        first: int,
        at: float,
    ) -> None:
        """`length` bytes from `offset`, `chunk_size` in each datagram but the last; `first` is the lowest sequence."""
        count = -(-length // chunk_size) or 1
        self.channel = channel
        self.offset = offset
        self.length = length
        self.chunk_size = chunk_size
        self.datagram_size = chunk_size + overhead
        self.last_size = length - (count - 1) * chunk_size + overhead
        self.first = first
        self.last = first + count - 1
        self.at = at
        self.outstanding = (1 << count) - 1
        self.lost = 0
        # the sender's delivery at the time of sending, for rate samples
        self.delivered = 0
        self.delivered_at = at
        self.first_sent_at = at
        self.application_limited = False

    @property
    def lowest_outstanding(self) -> int:
        """The lowest sequence that is outstanding; only if one is."""
        return self.first + (self.outstanding & -self.outstanding).bit_length() - 1

    def size_of(self, bits: int) -> int:
        """Bytes of the datagrams `bits`, whole datagrams."""
        size = bits.bit_count() * self.datagram_size
        return size + self.last_size - self.datagram_size if bits >> (self.last - self.first) else size

    def ranges_of(self, bits: int) -> Iterator[tuple[int, int]]:
        """The stream's bytes in the datagrams `bits`, as `(first, last)` offsets, neighbours joined."""
        base, end = self.offset, self.offset + self.length
        while bits:
            low = (bits & -bits).bit_length() - 1
            rest = bits >> low
            run = (~rest & (rest + 1)).bit_length() - 1  # its lowest zero
            bits = rest >> run << (low + run)
            first = base + low * self.chunk_size
            last = min(base + (low + run) * self.chunk_size, end) - 1
            if first <= last:
                yield first, last


class Found(NamedTuple):
    """The part of a burst that an acknowledgement or a loss is about."""

    burst: SentBurst
    outstanding: int
    """Bits that were outstanding."""
    lost: int
    """Bits that had been taken for lost before."""


class InFlight:
    """The bursts of one sender in the order of their sequences, which is that of their times."""

    __slots__ = ("_bursts", "_firsts", "_head", "_known", "_oldest", "bytes")

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._bursts: list[SentBurst] = []
        self._head = 0  # bursts before it are done with
        self._oldest = 0  # bursts before it have nothing outstanding
        self._known: dict[int, int] = {}  # the spans of the last acknowledgement, to pass over what they said
        self.bytes = 0
        """Bytes in flight."""

    def sent(self, burst: SentBurst) -> None:
        """`burst` has left. Raises `ValueError` if its sequences do not follow those before it."""
        bursts = self._bursts
        if bursts and burst.first <= bursts[-1].last:
            raise ValueError(f"sequence {burst.first} after {bursts[-1].last}")
        bursts.append(burst)
        self._firsts.append(burst.first)
        self.bytes += burst.size_of(burst.outstanding)

    @property
    def oldest(self) -> SentBurst | None:
        """The first burst with something outstanding."""
        bursts = self._bursts
        at, count = self._oldest, len(bursts)
        while at < count and not bursts[at].outstanding:
            at += 1
        self._oldest = at
        return bursts[at] if at < count else None

    @property
    def record_count(self) -> int:
        """How many bursts are remembered; the memory that this takes."""
        return len(self._bursts)

    def acknowledge(self, spans: Iterable[tuple[int, int]]) -> list[Found]:
        """Take the datagrams in `spans`, newest first, for arrived. Returns what that is news of, newest span first."""
        found: list[Found] = []
        bursts, firsts, head = self._bursts, self._firsts, self._head
        if head == len(bursts):
            return found
        known, oldest = self._known, firsts[head]
        kept: dict[int, int] = {}
        for first, last in spans:
            if last < oldest:
                break
            kept[first] = last
            told = known.get(first)
            begin = first if told is None else told + 1
            if begin > last:
                continue
            at = bisect_right(firsts, begin, head) - 1
            for burst in bursts[max(at, head) : bisect_right(firsts, last, head)]:
                outstanding, lost = burst.outstanding, burst.lost
                if begin > burst.first or last < burst.last:
                    low, high = max(begin - burst.first, 0), min(last, burst.last) - burst.first + 1
                    mask = (1 << high) - (1 << low) if low < high else 0
                    outstanding &= mask
                    lost &= mask
                if outstanding or lost:
                    burst.outstanding ^= outstanding
                    burst.lost ^= lost
                    if outstanding:
                        self.bytes -= burst.size_of(outstanding)
                    found.append(Found(burst, outstanding, lost))
        self._known = kept
        return found

    def lose(self, newest_acknowledged: int, sent_before: float) -> list[Found]:
        """Take for lost what was sent before `newest_acknowledged` and no later than `sent_before`."""
        found: list[Found] = []
        burst = self.oldest
        at = self._oldest
        bursts = self._bursts
        while burst is not None and burst.first < newest_acknowledged and burst.at <= sent_before:
            bits = burst.outstanding
            if burst.last >= newest_acknowledged:
                bits &= (1 << (newest_acknowledged - burst.first)) - 1
            if bits:
                burst.outstanding ^= bits
                burst.lost |= bits
                self.bytes -= burst.size_of(bits)
                found.append(Found(burst, bits, 0))
            at += 1
            burst = bursts[at] if at < len(bursts) else None
        return found

    def forget_sent_before(self, time: float) -> None:
        """Forget bursts of which nothing is outstanding, and whose losses are too old to prove false."""
        bursts, at, count = self._bursts, self._head, len(self._bursts)
        while at < count:
            burst = bursts[at]
            if burst.outstanding or (burst.lost and burst.at > time):
                break
            at += 1
        self._head = at
        if at >= KEPT_HEAD and at * 2 >= count:
            del bursts[:at], self._firsts[:at]
            self._oldest = max(self._oldest - at, 0)
            self._head = 0
