"""What a transfer does right now, as one frozen record for people and programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

LimitedBy = Literal["path", "window", "peer's disk", "own disk", "CPU", "limit", "path or sender"]
"""The last where this end receives, and does not hold the sender back: which of the two it is, only that one knows."""

METER_WINDOW: Final = 0.25  # seconds; short enough to follow a path that changes, long enough to read


@dataclass(frozen=True, slots=True)
class TransferStatistics:
    """One transfer at one moment. Sizes are bytes, times seconds, rates bytes a second."""

    rate: float
    """Bytes of the stream that arrived there, a second, over the last quarter of a second or more."""
    acknowledged: int
    """Bytes of the stream that have arrived there."""
    sent: int
    """Bytes of the stream sent for the first time."""
    retransmitted: int
    """Bytes of the stream sent again."""
    lost_datagrams: int
    """Datagrams of this transfer that were taken for lost."""
    in_flight: int
    """Bytes of all transfers on their way."""
    window: int
    """Bytes of all transfers that may be on their way."""
    pacing_rate: float
    """Rate at which all transfers together may send."""
    round_trip: float
    """Smoothed round-trip time."""
    minimum_round_trip: float
    """The least of the last ten minutes; infinite before the first."""
    path_mtu: int
    """Bytes of UDP payload in a datagram."""
    limited_by: LimitedBy
    """What held sending back for most of the last while; of a stream that is received, what does so now."""


class SentTotals(NamedTuple):
    """What one end of a session has sent in all, on every channel, control messages too: numbers that only grow."""

    fresh: int
    """Bytes sent for the first time."""
    retransmitted: int
    """Bytes sent again."""
    lost_datagrams: int
    """Datagrams that were taken for lost."""
    false_losses: int
    """Of these, the ones that had arrived after all."""


class ReceivedTotals(NamedTuple):
    """What it has received in all; the same."""

    new: int
    """Bytes that arrived, each counted once."""
    duplicate: int
    """Bytes that had arrived before."""
    messages_late: int
    """Messages that came after a newer one of their channel, and were dropped."""


class RateMeter:
    """Bytes a second, measured over windows of a quarter of a second or more."""

    __slots__ = ("_bytes", "_since", "rate", "total")

    def __init__(self, now: float) -> None:
        self.rate = 0.0
        self.total = 0
        """Bytes ever added."""
        self._bytes = 0
        self._since = now

    def add(self, count: int, now: float) -> None:
        """`count` bytes more."""
        self.total += count
        self._bytes += count
        elapsed = now - self._since
        if elapsed >= METER_WINDOW:
            self.rate = self._bytes / elapsed
            self._bytes = 0
            self._since = now

    def read(self, now: float) -> float:
        """The rate; it falls to nothing when nothing is added."""
        self.add(0, now)
        return self.rate


class Limits:
    """For how long each thing held the sender back; old times fade."""

    __slots__ = ("_reason", "_since", "_times")

    def __init__(self, now: float) -> None:
        self._times: dict[LimitedBy, float] = {}
        self._reason: LimitedBy = "path"
        self._since = now

    def note(self, reason: LimitedBy, now: float) -> None:
        """From `now` on it is `reason`."""
        if reason != self._reason:
            self._charge(now)
            self._reason = reason

    def most(self, now: float) -> LimitedBy:
        """What held the sender back for the longest time lately."""
        self._charge(now)
        return max(self._times, key=self._times.__getitem__, default=self._reason)

    def _charge(self, now: float) -> None:
        elapsed = now - self._since
        self._since = now
        times = self._times
        if elapsed > 0:
            times[self._reason] = times.get(self._reason, 0.0) + elapsed
        if sum(times.values()) > 4 * METER_WINDOW:
            for reason in times:
                times[reason] /= 2
