"""How far the peer's clock is from this one, and how sure that is.

One exchange tells the offset to within half of its round trip, whatever the path did; if the path is slower one way
than the other, the truth lies elsewhere in that range and no exchange can show it. The exchange with the smallest error
is kept, as NTP's clock filter does (RFC 5905 section 10); its error grows with age, since clocks drift.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

DRIFT: Final = 50e-6  # seconds a second: twice what a good quartz does, RFC 5905 allows 15 for a disciplined clock
TIMESTAMP_STEP_MS: Final = 1.0  # the text's resolution: both of its times are rounded down to it


@dataclass(frozen=True, slots=True)
class Offset:
    """The peer's clock minus this one, in milliseconds."""

    offset_ms: float
    error_ms: float
    """The truth is within this of `offset_ms`."""

    def __str__(self) -> str:
        """For people, after "the server's clock is"."""
        return f"{self.offset_ms:+.1f} ms from ours, give or take {self.error_ms:.1f}"


def surest(offsets: Iterable[Offset | None]) -> Offset | None:
    """Of what several ports know of one peer's clock, the one with the smallest error; None if none knows anything."""
    return min([offset for offset in offsets if offset is not None], key=lambda offset: offset.error_ms, default=None)


class ClockOffset:
    """The best estimate so far."""

    __slots__ = ("_at", "_error_ms", "_offset_ms")

    def __init__(self) -> None:
        self._offset_ms = 0.0
        self._error_ms = float("inf")
        self._at = 0.0

    def add(self, offset_ms: float, round_trip: float, now: float) -> None:
        """An exchange that took `round_trip` seconds and showed `offset_ms` at its middle."""
        error_ms = round_trip * 500 + TIMESTAMP_STEP_MS
        if error_ms <= self._aged(now):
            self._offset_ms, self._error_ms, self._at = offset_ms, error_ms, now

    def estimate(self, now: float) -> Offset | None:
        """The offset; None before the first exchange."""
        return None if self._error_ms == float("inf") else Offset(self._offset_ms, self._aged(now))

    def _aged(self, now: float) -> float:
        return self._error_ms + (now - self._at) * DRIFT * 1000
