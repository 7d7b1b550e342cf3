"""Receiving: which bytes are new, when to acknowledge, and how much credit to give. It holds no bytes.

    datagrams of one read, contiguous ---> data_received ---> spans of new bytes ---> the shell writes them in place
                                                |                                            |
                      acknowledgement <--- when it is due                          consumed ---> more credit

The replay filter's set of received sequences is what acknowledgements are made of. Times are seconds.
"""

from __future__ import annotations

from typing import Final

from ..errors import CreditExceeded
from ..wire.acknowledgement import MAX_CHANNELS, MAX_SPANS, Acknowledgement
from ..wire.spans import SpanSet

ACKNOWLEDGE_BYTES: Final = 6 * 60_000  # six writes, full but for the last datagram that did not fit
ACKNOWLEDGE_AFTER: Final = 0.001  # seconds; at 1 Gbit/s with ten milliseconds, a tenth of what is in flight
WINDOW: Final = 32 * 2**20  # bytes that may wait for the disk; 1 Gbit/s with 250 ms
NEWS_OF_CREDIT: Final = 4  # a quarter of the window is told at once, not with the next data
MAX_CHANNELS_OPEN: Final = 1024
MAX_HOLES: Final = 65_536  # spans of all channels; a peer that sends every second byte only is not worth the memory


class ReceiveChannel:
    """What one channel has received."""

    __slots__ = ("consumed", "received", "size", "told", "window")

    def __init__(self, *, size: int | None, window: int) -> None:
        self.received = SpanSet()
        """Offsets of the bytes that have arrived."""
        self.size = size
        """Bytes of the whole stream; None while it is not known."""
        self.window = window
        self.consumed = 0
        """Bytes that have left memory: written, or read by the application."""
        self.told = window  # the credit that the peer was told last

    @property
    def credit(self) -> int:
        """The offset up to which the peer may send."""
        return self.consumed + self.window

    @property
    def unread(self) -> int:
        """Bytes that have arrived and not left memory."""
        return self.received.count() - self.consumed

    @property
    def done(self) -> bool:
        """Whether everything has arrived."""
        return self.size is not None and self.received.gap_at(0)[0] >= self.size


class Receiver:
    """Everything one end receives of a session's data."""

    def __init__(self, sequences: SpanSet, *, window: int = WINDOW) -> None:
        """`sequences`: what the replay filter took. `window`: bytes of all channels that may wait for the disk."""
        self.channels: dict[int, ReceiveChannel] = {}
        self.received = 0
        """Bytes of all channels that have arrived, each counted once."""
        self.duplicates = 0
        """Bytes that had arrived before."""
        self._sequences = sequences
        self._window = window
        self._consumed = 0
        self._holes = 0  # spans of all channels
        self._told = window  # the credit that the peer was told last
        self._span_count = sequences.span_count
        self._waiting = 0  # bytes that are not acknowledged yet
        self._newest_at = 0.0
        self._due: float | None = None  # when to acknowledge
        self._moved: dict[int, None] = {}  # channels whose credit moved, the latest last

    @property
    def credit(self) -> int:
        """Bytes of all channels together that the peer may send."""
        return self._consumed + self._window

    def open_channel(self, number: int, *, size: int | None = None, window: int = WINDOW) -> ReceiveChannel:
        """A channel to receive on. Raises `ValueError` if it is open, or there are too many."""
        if number in self.channels or len(self.channels) >= MAX_CHANNELS_OPEN:
            raise ValueError(f"channel {number} is open, or {MAX_CHANNELS_OPEN} others are")
        channel = self.channels[number] = ReceiveChannel(size=size, window=window)
        return channel

    def close_channel(self, number: int) -> None:
        """What still arrives for it is refused. Bytes that were received and not consumed count as consumed."""
        channel = self.channels.pop(number)
        self._moved.pop(number, None)
        self._consumed += max(channel.received.count() - channel.consumed, 0)
        self._holes -= channel.received.span_count

    def already_has(self, number: int, first: int, last: int) -> None:
        """The bytes `first` to `last` of a channel are here from an earlier session, and on disk."""
        channel = self.channels[number]
        before, count = channel.received.span_count, channel.received.count()
        channel.received.add_span(first, last)
        self._holes += channel.received.span_count - before
        channel.consumed += channel.received.count() - count

    def agree(self, number: int, *, size: int | None, window: int) -> None:
        """A channel that was opened for what came early is a whole one from now on."""
        channel = self.channels[number]
        channel.size = size
        channel.window = window

    def data_received(self, number: int, offset: int, length: int, now: float) -> list[tuple[int, int]]:
        """A run of datagrams, contiguous in the stream, has arrived. Returns its new bytes as `(first, last)` offsets.

        Only these are to be written. Raises `CreditExceeded`, and takes nothing, for bytes on a channel that is not
        open, beyond its end or its credit, or when there are too many holes.
        """
        channel = self.channels.get(number)
        self._schedule(length, now)
        if channel is None:
            raise CreditExceeded(f"channel {number} is not open")
        if not length:
            self._moved[number] = None
            self._due = now
            return []
        end = offset + length
        received = channel.received
        if end > channel.credit or (channel.size is not None and end > channel.size):
            raise CreditExceeded(f"{end} bytes on channel {number}: credit {channel.credit}, size {channel.size}")
        new = received.missing(offset, end - 1)
        count = sum(last - first + 1 for first, last in new)
        self.duplicates += length - count
        if not count:
            return new
        if self.received + count > self.credit:
            raise CreditExceeded(f"{self.received + count} bytes in all: credit {self.credit}")
        before = received.span_count
        if self._holes >= MAX_HOLES:
            raise CreditExceeded(f"{self._holes} holes in all, {before} on channel {number}")
        received.add_span(offset, end - 1)
        self._holes += received.span_count - before
        self.received += count
        if channel.size is not None and (end == channel.size or channel.done):
            self._due = now
        return new

    def datagram_received(self, length: int, now: float, *, at_once: bool = False) -> None:
        """A datagram that is never sent again has come: a message, or a probe. It is acknowledged with the rest."""
        self._schedule(length, now)
        if at_once:
            self._due = now

    def consumed(self, number: int, count: int) -> None:
        """`count` bytes of a channel were written, or read by the application: there is room for as many more."""
        self._consumed += count
        channel = self.channels.get(number)
        moved_far = (self.credit - self._told) * NEWS_OF_CREDIT >= self._window
        if channel is not None:
            channel.consumed += count
            self._moved.pop(number, None)
            self._moved[number] = None
            moved_far = moved_far or (channel.credit - channel.told) * NEWS_OF_CREDIT >= channel.window
        if moved_far:
            self._due = self._newest_at  # the peer may be waiting for it

    def widen(self, number: int, window: int) -> None:
        """A channel's window is larger from now on: the peer, which waits for that, is told at once."""
        self.channels[number].window = window
        self._moved.pop(number, None)
        self._moved[number] = None
        self._due = self._newest_at

    def _schedule(self, length: int, now: float) -> None:
        """When to acknowledge what has just come."""
        span_count = self._sequences.span_count
        self._waiting += length
        self._newest_at = now
        if span_count != self._span_count or self._waiting >= ACKNOWLEDGE_BYTES:
            self._span_count = span_count
            self._due = now
        elif self._due is None:
            self._due = now + ACKNOWLEDGE_AFTER

    def next_timeout(self) -> float | None:
        """When `acknowledgement` has something to say; None if not before more data arrives."""
        return self._due

    def acknowledgement(self, now: float) -> Acknowledgement | None:
        """What to tell the peer at the end of a read turn, or of a wait; None if it is not due."""
        if self._due is None or now < self._due - 1e-9:
            return None
        self._due = None
        self._waiting = 0
        self._told = self.credit
        return Acknowledgement(
            delay=int((now - self._newest_at) * 1e6),
            credit=self.credit,
            received=self.received,
            channel_credits=self._channel_credits(),
            spans=tuple(self._sequences.newest_spans(MAX_SPANS)),
        )

    def _channel_credits(self) -> tuple[tuple[int, int], ...]:
        """The credit of the channels that moved; each is told again and again while it is among the latest."""
        moved = self._moved
        while len(moved) > MAX_CHANNELS:
            del moved[next(iter(moved))]
        told: list[tuple[int, int]] = []
        for number in sorted(moved):
            channel = self.channels[number]
            channel.told = channel.credit
            told.append((number, channel.told))
        return tuple(told)
