"""Time counted in round trips: what is sent now and acknowledged later makes one round."""

from __future__ import annotations

from collections import deque
from statistics import median

from .congestion import Sample


class MaximumOfRounds:
    """The greatest value of the last rounds."""

    __slots__ = ("_rounds", "_values", "value")

    def __init__(self, rounds: int) -> None:
        self._rounds = rounds
        self._values: deque[tuple[int, float]] = deque()  # of falling value
        self.value = 0.0
        """The greatest; 0 before the first. It is asked for many times as often as it changes."""

    def add(self, value: float, now: int) -> None:
        """`value` in the round `now`."""
        values = self._values
        while values and values[-1][1] <= value:
            values.pop()
        values.append((now, value))
        self.expire(now)

    def expire(self, now: int) -> None:
        """Forget what is too old, but for the last value there is."""
        values = self._values
        while len(values) > 1 and values[0][0] <= now - self._rounds:
            values.popleft()
        if values:
            self.value = values[0][1]

    def restart(self, value: float, now: int) -> None:
        """Forget everything but this."""
        self._values.clear()
        self._values.append((now, value))
        self.value = value


class MedianOfRounds:
    """The median of the last rounds' values."""

    __slots__ = ("_values", "value")

    def __init__(self, rounds: int) -> None:
        self._values: deque[float] = deque(maxlen=rounds)
        self.value = 0.0
        """The median; 0 before the first."""

    def add(self, value: float) -> None:
        """That of the next round."""
        self._values.append(value)
        self.value = median(self._values)

    @property
    def rounds(self) -> int:
        """How many it is of."""
        return len(self._values)


class Round:
    """What the acknowledgements of one round trip said; it begins anew when something sent after its start arrives."""

    __slots__ = (
        "_began_at",
        "_ends_at",
        "_now",
        "_previous",
        "acknowledged",
        "count",
        "in_flight",
        "jitter",
        "lost",
        "quickest",
        "slowest",
    )

    def __init__(self) -> None:
        self.count = 0
        """Rounds so far."""
        self._ends_at = 0  # `delivered` at its start: what was sent later ends it
        self._began_at = self._now = 0.0
        self._previous = 0.0  # seconds, the newest round trip before; 0 before the first
        self.clear()

    def clear(self) -> None:
        """Forget what it counted."""
        self.acknowledged = 0
        self.lost = 0
        self.in_flight = 0  # bytes, the most
        self.quickest = float("inf")  # seconds, the least round trip
        self.slowest = 0.0
        self.jitter = 0.0
        """Seconds, the most by which two round trips in sequence differ (RFC 3550 section 6.4.1 takes their mean).

        A queue that grows and shrinks within the round, as beside TCP BBR, does so over many of them.
        """

    def add(self, sample: Sample) -> bool:
        """Count `sample` in; True if the round ends with it."""
        self._now = sample.now
        self.acknowledged += sample.acknowledged
        self.lost += sample.lost
        self.in_flight = max(self.in_flight, sample.in_flight + sample.acknowledged + sample.lost)
        if sample.round_trip:
            self.quickest = min(self.quickest, sample.round_trip)
            self.slowest = max(self.slowest, sample.round_trip)
            if self._previous:
                self.jitter = max(self.jitter, abs(sample.round_trip - self._previous))
            self._previous = sample.round_trip
        return 0 <= self._ends_at <= sample.delivered_before

    def begin(self, delivered: int) -> None:
        """The next round starts now."""
        self.count += 1
        self._ends_at = delivered
        self._began_at = self._now
        self.clear()

    @property
    def spread(self) -> float:
        """Seconds between the quickest and the slowest round trip; 0 without any."""
        return max(self.slowest - self.quickest, 0.0)

    @property
    def loss(self) -> float:
        """The share of its bytes that were lost."""
        total = self.acknowledged + self.lost
        return self.lost / total if total else 0.0

    @property
    def rate(self) -> float:
        """Bytes acknowledged a second; 0 before any time has passed."""
        elapsed = self._now - self._began_at
        return self.acknowledged / elapsed if elapsed else 0.0
