"""What a whole path delivers, whoever uses it, and so how much of it this end has.

Three things tell it, from this end alone:

- A flow that finds no queue, makes one by sending more, and gets no more by it, has the path for itself. Beside others
  it would get more. Two such times in a row are believed, and more than any look.
- A look: a probe of the round trip. With so many bytes fewer in flight each of them arrives so much sooner, as whoever
  is held by a window keeps that many in flight: bytes for seconds. If the queue is gone then, it may have been gone
  before, and the path delivers no more than that. Others come, go and look meanwhile, so the median of three counts.
- The pause of somebody else (see `pause`), which is believed at once. Who sends a little meanwhile makes it tell less,
  so the greater one of the last two counts.

Whoever gets more than that knows that it was wrong.
"""

from __future__ import annotations

import math
from collections import deque
from statistics import median_high
from typing import Final, NamedTuple

from .congestion import Sample
from .rounds import Round

EMPTY: Final = 1.125  # times the minimum round trip, no more: there is no queue. RFC 9406 section 4.3: MIN_RTT_DIVISOR
SAME: Final = 0.03  # of the bytes a second, more or less, without a queue and with one: all that there is
ALIKE: Final = 2  # such queues in a row: once it may be somebody else who comes back from a probe
ESTIMATES: Final = 3  # whose median counts
PAUSES: Final = 2  # whose maximum counts
WRONG: Final = 1.1  # times what the path delivers: it delivers more
WRONG_ROUNDS: Final = 2  # with so much, in a row: what drains from a queue comes faster for one
MORE_THAN_HALF: Final = 0.55  # of it
LESS_THAN_HALF: Final = 0.45
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

    __slots__ = ("_alike", "_calm_from", "_estimates", "_from", "_pauses", "_to", "_unqueued", "_wrong", "value")

    def __init__(self) -> None:
        self.value = 0.0
        """Bytes a second; 0 if unknown."""
        self._estimates: deque[float] = deque(maxlen=ESTIMATES)  # bytes a second
        self._pauses: deque[float] = deque(maxlen=PAUSES)  # bytes a second
        self._unqueued = 0.0  # bytes a second, of the last round without a queue; 0 if one stood since
        self._alike = 0  # queues in a row that brought no more than that
        self._calm_from = 0  # the first round in which nobody yields to the last overflow any more
        self._wrong = 0  # rounds in a row that got more than the path delivers
        self._from: Crossing | None = None  # before a probe of the round trip
        self._to: Crossing | None = None  # in it: the first with half of the queue, or else the quickest

    @property
    def exact(self) -> bool:
        """Whether the path delivers as much as `value`, and not less."""
        return bool(self._estimates)

    @property
    def sure(self) -> bool:
        """Whether more than a single look tells it."""
        return len(self._estimates) == ESTIMATES

    @property
    def enough(self) -> float:
        """Bytes a second that are about half of it; 0 if that is not known for sure."""
        return LESS_THAN_HALF * self.value if self.sure else 0.0

    def less_than_half(self, rate: float) -> bool:
        """Whether so many bytes a second are."""
        return self.exact and rate < LESS_THAN_HALF * self.value

    def more_than_half(self, rate: float) -> bool:
        """The same, if the path delivers no more than `value`."""
        return rate > MORE_THAN_HALF * self.value > 0

    def round_ended(self, seen: Round, minimum: float, *, pushed: bool) -> None:
        """A round after the startup has ended, in which this end did not lack anything to send.

        `minimum`: the least round trip so far, in seconds; `pushed`: whether more was in flight than the path holds.
        """
        self._wrong = self._wrong + 1 if seen.rate > WRONG * self.value > 0 else 0
        if self._wrong == WRONG_ROUNDS:
            self._estimates.clear()
            self._pauses.clear()
            self.value = 0.0
        if seen.slowest <= EMPTY * minimum:
            self._unqueued = seen.rate
        elif seen.quickest > LEFT * minimum:
            if pushed and self._unqueued:
                same = abs(seen.rate - self._unqueued) < SAME * self._unqueued
                self._alike = self._alike + 1 if same else 0
                if self._alike >= ALIKE and seen.rate > (1 - SAME) * self.value:
                    self._learn(seen.rate, ESTIMATES)
            self._unqueued = 0.0

    def calm(self, count: int, rounds: int = 0) -> bool:
        """Whether in the round `count` nobody has had an overflow to yield to for so many rounds."""
        return count >= self._calm_from + rounds

    def overflowed(self, count: int) -> None:
        """An overflow began in the round `count`: others yield to it, and a probe would measure that."""
        self._calm_from = count + YIELDING_ROUNDS
        self._from = None

    def probe_begins(self, sample: Sample, count: int) -> None:
        """From here on, in the round `count`, less is sent."""
        self._from = crossing(sample) if sample.round_trip and self.calm(count) else None
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
            self._learn(rate)
        elif not self.exact:
            self.value = rate

    def paused(self, rate: float) -> None:
        """The pause of somebody else told that the path delivers so many bytes a second."""
        self._pauses.append(rate)
        self._learn(max(self._pauses), ESTIMATES)

    def _learn(self, rate: float, weight: int = 1) -> None:
        self._estimates.extend([rate] * weight)
        self.value = median_high(self._estimates)
