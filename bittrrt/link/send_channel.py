"""One channel's stream, as its sender sees it: what is to go, what was lost, what has arrived. Offsets are bytes.

0            acknowledged, lost, in flight         next_offset        available       credit
|--------------------------------------------------|------------------|---------------|
                                                    may go now         not read yet
"""

from __future__ import annotations

from ..wire.spans import SpanSet
from .pacer import Pacer
from .transfer_statistics import RateMeter


class SendChannel:
    """What one channel has to send. It never holds the bytes: the shell reads them at their offset."""

    __slots__ = (
        "acknowledged",
        "available",
        "credit",
        "finished",
        "limit",
        "lost",
        "lost_datagrams",
        "meter",
        "next_offset",
        "number",
        "retransmitted",
        "sent",
        "skipped",
        "urgent",
    )

    def __init__(self, number: int, now: float, *, urgent: bool, credit: int, limit: Pacer | None) -> None:
        """`credit`: the offset up to which the peer takes bytes before it says more.

        `limit`: what other channels may share.
        """
        self.number = number
        self.urgent = urgent
        self.credit = credit
        self.limit = limit
        self.available = 0
        """The offset up to which the shell can read bytes."""
        self.finished = False
        """Whether `available` is the stream's end."""
        self.next_offset = 0
        """The offset from which nothing was sent yet."""
        self.acknowledged = SpanSet()
        """Offsets of bytes that the peer has."""
        self.lost = SpanSet()
        """Offsets of bytes that are to be sent again, before anything new."""
        self.sent = 0
        """Bytes sent for the first time."""
        self.retransmitted = 0
        """Bytes sent again."""
        self.skipped = 0
        """Bytes that the peer had before this session."""
        self.lost_datagrams = 0
        self.meter = RateMeter(now)

    def supply(self, end: int, *, finished: bool = False) -> None:
        """The shell can read up to `end`; `finished`: there will be no more."""
        if end < self.available or (self.finished and end != self.available):
            raise ValueError(f"channel {self.number} had {self.available} bytes, and cannot have {end} now")
        self.available = end
        self.finished = self.finished or finished

    def skip(self, first: int, last: int) -> None:
        """The peer has the bytes `first` to `last` from an earlier session: they are not sent, or not again."""
        self.skipped += last - first + 1
        self.acknowledged.add_span(first, last)
        if self.lost:
            self.lost.remove_span(first, last)
        self._pass_what_is_there()

    @property
    def done(self) -> bool:
        """Whether the peer has everything."""
        return self.finished and self.acknowledged.gap_at(0)[0] >= self.available

    @property
    def waiting(self) -> bool:
        """Whether there are bytes to send, credit or not."""
        return bool(self.lost) or self.next_offset < self.available

    @property
    def held_back(self) -> bool:
        """Whether only the peer's credit is missing for more."""
        return self.credit <= self.next_offset < self.available and not self.lost

    def next_range(self, fresh: int) -> tuple[int, int, bool] | None:
        """`(offset, length, lost before)` of the bytes to go next; at most `fresh` of them for the first time."""
        if self.lost:
            first, last = self.lost.lowest_span()
            return first, last - first + 1, True
        offset = self.next_offset
        end = min(self.available, self.credit, offset + fresh)
        if offset >= end:
            return None
        if self.acknowledged.highest is not None and self.acknowledged.highest > offset:  # resumed, with holes
            end = min(end, self.acknowledged.gap_at(offset)[1] + 1)
        return offset, end - offset, False

    def range_sent(self, offset: int, length: int, retransmission: bool) -> None:
        """What `next_range` offered has left, or the beginning of it."""
        if retransmission:
            self.lost.remove_span(offset, offset + length - 1)
            self.retransmitted += length
        else:
            self.next_offset = offset + length
            self.sent += length
            self._pass_what_is_there()

    def range_acknowledged(self, first: int, last: int) -> int:
        """The peer has the bytes `first` to `last`. Returns how many of them are news."""
        acknowledged = self.acknowledged
        highest = acknowledged.highest
        if highest is None or highest < first:
            news = last - first + 1
        else:
            news = sum(end - begin + 1 for begin, end in acknowledged.missing(first, last))
        if news:
            acknowledged.add_span(first, last)
        if self.lost:
            self.lost.remove_span(first, last)
        return news

    def range_lost(self, first: int, last: int) -> None:
        """The bytes `first` to `last` are to be sent again, but for those that got there by another datagram."""
        for begin, end in self.acknowledged.missing(first, last):
            self.lost.add_span(begin, end)

    def _pass_what_is_there(self) -> None:
        highest = self.acknowledged.highest
        if highest is not None and highest >= self.next_offset:
            self.next_offset = self.acknowledged.gap_at(self.next_offset)[0]
