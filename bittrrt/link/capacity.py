"""What a whole path delivers, whoever uses it, and so how much of it this end has.

Two things tell it, from this end alone:

- A startup that finds no queue until it makes one, and then gets no more by sending more. Beside others it would.
- A probe of the round trip. With so many bytes fewer in flight each of them arrives so much sooner, as whoever is held
  by a window keeps that many in flight: bytes for seconds. If the queue is gone then, it may have been gone before, and
  the path delivers no more than that.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from .congestion import Sample
from .rounds import Round

EMPTY: Final = 1.125  # times the minimum round trip, no more: there is no queue. RFC 9406 section 4.3: MIN_RTT_DIVISOR
ALONE: Final = 0.55  # of all that it gets the startup had when a queue came: a round that doubles may have a half
MORE: Final = 1.05  # times as many bytes in flight as in the round before
SAME: Final = 0.03  # of the bytes a second then, more or less: all that there is
LEFT: Final = 1.05  # times the minimum round trip: some queue is left, its shortening tells the rate
YIELDING_ROUNDS: Final = 4  # from an overflow until all have found what they lost, and have yielded
NOT_ALL: Final = 1.5  # times the own rate, or more: else others may have probed at the same time, as own flows do
LEAST_FALL: Final = 0.05  # of the round trip: less may be jitter


class Crossing(NamedTuple):
    """One datagram's way through the queue."""

    in_flight: int
    """Bytes, when it left."""
    round_trip: float
    """Seconds."""


def crossing(sample: Sample) -> Crossing:
    """That of the newest of the acknowledged: what arrived while it was under way was in flight when it left."""
    return Crossing(sample.delivered - sample.delivered_before, sample.round_trip)


class Capacity:
    """One path's."""

    __slots__ = ("_calm_from", "_from", "_last", "_queued", "_to", "_until_queue", "exact", "value")

    def __init__(self) -> None:
        self.value = 0.0
        """Bytes a second; 0 if unknown."""
        self.exact = False
        """Whether the path delivers as much as that, and not less."""
        self._last = 0, 0.0  # bytes in flight and bytes a second, of the startup's last round
        self._until_queue = 0.0  # bytes a second, the most before a queue came or in the round in which it did
        self._queued = False  # whether it has come
        self._calm_from = 0  # the first round in which nobody yields to the last overflow any more
        self._from: Crossing | None = None  # before a probe of the round trip
        self._to: Crossing | None = None  # in it: the first with half of the queue, or else the quickest

    def startup_round(self, seen: Round, minimum: float) -> None:
        """A round of the startup has ended; `minimum` is the least round trip so far, in seconds."""
        rate, (in_flight, before) = seen.rate, self._last
        if self._queued:
            saturated = seen.in_flight > MORE * in_flight and abs(rate - before) < SAME * before
            if saturated and self._until_queue > ALONE * rate:
                self.value, self.exact = max(rate, before), True
        else:
            if seen.quickest <= EMPTY * minimum:
                self._until_queue = max(self._until_queue, rate)
            self._queued = seen.slowest > EMPTY * minimum
        self._last = seen.in_flight, rate

    def overflowed(self, count: int) -> None:
        """An overflow began in the round `count`: others yield to it, and a probe would measure that."""
        self._calm_from = count + YIELDING_ROUNDS
        self._from = None

    def probe_begins(self, sample: Sample, count: int) -> None:
        """From here on, in the round `count`, less is sent."""
        self._from = crossing(sample) if sample.round_trip and count >= self._calm_from else None
        self._to = None

    def probe(self, sample: Sample, minimum: float) -> None:
        """Something was acknowledged during a probe of the round trip; `minimum`: the least so far, in seconds."""
        if self._from is None or not sample.round_trip:
            return
        half = (self._from.round_trip + minimum) / 2
        last = self._to.round_trip if self._to else math.inf
        if last > half and last > sample.round_trip:
            self._to = crossing(sample)

    def probe_ended(self, minimum: float, own: float) -> None:
        """`minimum`: the least round trip so far, in seconds; `own`: bytes a second before the probe."""
        start, end = self._from, self._to
        if start is None or end is None or start.round_trip - end.round_trip <= LEAST_FALL * minimum:
            return
        rate = (start.in_flight - end.in_flight) / (start.round_trip - end.round_trip)
        if rate < NOT_ALL * own:  # others sent less, too: they may have looked at the same time
            return
        if end.round_trip > LEFT * minimum:
            self.value, self.exact = rate, True
        else:
            self.value = min(self.value, rate) if self.exact else rate
