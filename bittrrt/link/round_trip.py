"""Round-trip time as an estimate, RFC 9002 section 5. Times are seconds."""

from __future__ import annotations

from typing import Final

GRANULARITY: Final = 0.001  # RFC 9002 section 6.1.2: kGranularity, what a timer can tell apart
INITIAL_ROUND_TRIP: Final = 0.333  # RFC 9002 section 6.2.2: kInitialRtt
MINIMUM_LIFETIME: Final = 300.0  # a path that changed shows itself in the minimum after twice that at the latest


class RoundTrip:
    """Smoothed, minimum and variation of the round-trip times of one path."""

    __slots__ = ("_minimum_at", "_next_minimum", "latest", "minimum", "smoothed", "supposed", "variation")

    def __init__(self, expected: float | None = None) -> None:
        """`expected`: what another exchange with the same peer took; the first sample takes its place."""
        self.latest: float | None = None
        self.smoothed = INITIAL_ROUND_TRIP if expected is None else expected
        self.variation = self.smoothed / 2
        self.supposed = expected is not None
        """Whether `smoothed` says something about this path: it was measured, or expected with reason."""
        self.minimum = float("inf")
        self._minimum_at = 0.0
        self._next_minimum = float("inf")  # the least since the last change of guard

    def add(self, sample: float, now: float) -> None:
        """Take in one measured round trip."""
        if self.latest is None:
            self.supposed = True
            self.smoothed = sample
            self.variation = sample / 2
            self._minimum_at = now
        else:  # RFC 9002 section 5.3
            self.variation += (abs(self.smoothed - sample) - self.variation) / 4
            self.smoothed += (sample - self.smoothed) / 8
        self.latest = sample
        self._next_minimum = min(self._next_minimum, sample)
        if now - self._minimum_at > MINIMUM_LIFETIME:
            self.minimum, self._next_minimum, self._minimum_at = self._next_minimum, sample, now
        self.minimum = min(self.minimum, sample)

    def probe_timeout(self) -> float:
        """How long an answer may take until asking again is worth it: RFC 9002 section 6.2.1, less the peer's delay."""
        return self.smoothed + max(4 * self.variation, GRANULARITY)
