"""What one end knows of the path of one port, from its heartbeats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .clock_offset import ClockOffset, Offset
from .heartbeats import RoundTripSample
from .round_trip import RoundTrip

LOSS_WINDOW: Final = 100  # heartbeats
_WINDOW_MASK: Final = (1 << LOSS_WINDOW) - 1
MIN_PATIENCE: Final = 1.0  # seconds until an answer counts as lost, however short the round trip is
SILENT_HEARTBEATS: Final = 2.5  # a port on which nothing came for so many is silent: two were missed for certain


@dataclass(frozen=True, slots=True)
class PathReport:
    """One port's path at one moment. Times in seconds; None where nothing was measured yet."""

    last: float | None
    smoothed: float | None
    minimum: float | None
    jitter: float
    """Mean deviation from one round trip to the next, RFC 3550 section 6.4.1."""
    answered: int
    """Heartbeats whose answer came, since the session began."""
    lost: int
    """Heartbeats whose answer did not come, since the session began."""
    loss: float
    """The share that was lost of the last 100."""
    offset: Offset | None
    silent: float | None
    """Seconds since anything authentic was heard."""


class PathStatistics:
    """Measures one path. Everything is bounded: a hundred heartbeats are a hundred bits."""

    __slots__ = ("_window", "_window_size", "answered", "jitter", "last_heard", "lost", "offset", "round_trip")

    def __init__(self) -> None:
        self.round_trip = RoundTrip()
        self.offset = ClockOffset()
        self.jitter = 0.0
        self.answered = 0
        self.lost = 0
        self.last_heard: float | None = None
        self._window = 0  # a bit for each of the last heartbeats, set where it was lost
        self._window_size = 0

    def add_round_trip(self, sample: RoundTripSample, now: float) -> None:
        """An answer came."""
        before = self.round_trip.latest
        if before is not None:
            self.jitter += (abs(sample.round_trip - before) - self.jitter) / 16
        self.round_trip.add(sample.round_trip, now)

    def count_answered(self) -> None:
        """A heartbeat was answered."""
        self.answered += 1
        self._shift(0)

    def count_lost(self, count: int) -> None:
        """So many heartbeats were not."""
        self.lost += count
        for _ in range(count):
            self._shift(1)

    def _shift(self, bit: int) -> None:
        self._window = (self._window << 1 | bit) & _WINDOW_MASK
        self._window_size = min(self._window_size + 1, LOSS_WINDOW)

    def patience(self) -> float:
        """Seconds after which an answer that has not come counts as lost."""
        return max(MIN_PATIENCE, 3 * self.round_trip.probe_timeout()) if self.answered else 3.0

    @property
    def loss(self) -> float:
        """The share that was lost of the last 100 heartbeats."""
        return self._window.bit_count() / self._window_size if self._window else 0.0

    def silent(self, now: float) -> float | None:
        """Seconds since anything authentic was heard; None if nothing ever was."""
        return None if self.last_heard is None else now - self.last_heard

    def report(self, now: float) -> PathReport:
        """Everything, at this moment."""
        measured = self.round_trip.latest is not None
        return PathReport(
            last=self.round_trip.latest,
            smoothed=self.round_trip.smoothed if measured else None,
            minimum=self.round_trip.minimum if measured else None,
            jitter=self.jitter,
            answered=self.answered,
            lost=self.lost,
            loss=self.loss,
            offset=self.offset.estimate(now),
            silent=self.silent(now),
        )
