"""Congestion control by CUBIC, RFC 9438; slow start ends when round trips grow, as HyStart has it.

It takes every loss for a full queue, as TCP does: on a path with random loss it is slow, and on a shared one it takes
what TCP takes. Sizes are bytes; the RFC's windows in segments are bytes over the datagram's size.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from .congestion import INITIAL_DATAGRAMS, MIN_DATAGRAMS, Congestion, Sample
from .pacer import TICK
from .round_trip import RoundTrip

C: Final = 0.4  # RFC 9438 section 5: segments a cubic second
BETA: Final = 0.7  # RFC 9438 section 4.6
ALPHA: Final = 3 * (1 - BETA) / (1 + BETA)  # RFC 9438 section 4.3: as fast as Reno on short paths
SLOW_START_PACING: Final = 2.0  # RFC 9002 section 7.7: the window over a round trip, and somewhat more
PACING: Final = 1.25
MIN_DELAY_STEP: Final = 0.004  # seconds; RFC 9406 section 4.3
MAX_DELAY_STEP: Final = 0.016
ROUND_SAMPLES: Final = 8  # RFC 9406 section 4.3: N_RTT_SAMPLE


class Cubic(Congestion):
    """One sender's window by RFC 9438."""

    name = "cubic"

    def __init__(self, *, round_trip: RoundTrip) -> None:
        self._round_trip = round_trip
        self._datagram_size = 0
        self._threshold = float("inf")
        self._most = 0.0  # the window at the last loss, W_max
        self._origin = 0.0  # seconds from an epoch's start to where the curve is flat, K
        self._epoch: float | None = None
        self._friendly = 0.0  # what Reno would have, W_est
        self._recovery_until = -1  # delivered bytes; losses before that belong to the same event
        self._before_loss: tuple[float, float, float] | None = None  # window, threshold and W_max, to undo
        self._latest: deque[float] = deque(maxlen=ROUND_SAMPLES)  # round trips, seconds
        self._exact = 0.0  # the window with its fraction
        self.window = 0
        self.set_datagram_size(1200)
        first = round_trip.smoothed if round_trip.supposed else TICK
        self.pacing_rate = SLOW_START_PACING * self.window / first

    @property
    def in_slow_start(self) -> bool:
        return self._exact < self._threshold

    def set_datagram_size(self, size: int) -> None:
        if not self._datagram_size:
            self._exact = INITIAL_DATAGRAMS * size
        self._datagram_size = size
        self._set(self._exact)

    def update(self, sample: Sample) -> None:
        if sample.lost:
            self._lost(sample)
        if sample.acknowledged and not sample.application_limited and sample.delivered > self._recovery_until:
            if self.in_slow_start:
                self._slow_start(sample)
            else:
                self._avoid_congestion(sample)
        gain = SLOW_START_PACING if self.in_slow_start else PACING
        self.pacing_rate = gain * self.window / max(self._round_trip.smoothed, TICK / 10)

    def _set(self, window: float) -> None:
        self._exact = max(window, MIN_DATAGRAMS * self._datagram_size)
        self.window = int(self._exact)

    def _slow_start(self, sample: Sample) -> None:
        """RFC 9406 section 4.2, on the least of the last samples, so that jitter does not end it.

        It looks at every sample, and ends at once: a queue that was seen to grow overflows within a round.
        """
        self._set(self._exact + sample.acknowledged)
        if not sample.round_trip:
            return
        self._latest.append(sample.round_trip)
        least = self._round_trip.minimum
        step = min(max(least / 8, MIN_DELAY_STEP), MAX_DELAY_STEP)
        if len(self._latest) == ROUND_SAMPLES and min(self._latest) >= least + step:
            self._threshold = self._exact

    def _avoid_congestion(self, sample: Sample) -> None:
        """RFC 9438 sections 4.2 to 4.5."""
        size, now = self._datagram_size, sample.now
        if self._epoch is None:
            self._epoch = now
            self._most = max(self._most, self._exact)
            self._origin = ((self._most - self._exact) / size / C) ** (1 / 3)
            self._friendly = self._exact
        self._friendly += ALPHA * size * sample.acknowledged / self._exact
        time = now - self._epoch + self._round_trip.smoothed
        target = C * (time - self._origin) ** 3 * size + self._most
        target = min(max(target, self._exact), 1.5 * self._exact)
        grown = self._exact + (target - self._exact) * sample.acknowledged / self._exact
        self._set(max(grown, self._friendly))

    def _lost(self, sample: Sample) -> None:
        """RFC 9438 sections 4.6 and 4.7; once a round trip."""
        if sample.delivered <= self._recovery_until:
            return
        self._before_loss = (self._exact, self._threshold, self._most)
        self._recovery_until = sample.delivered + sample.in_flight
        self._most = self._exact if self._exact >= self._most else self._exact * (1 + BETA) / 2
        self._set(self._exact * BETA)
        self._threshold = self._exact
        self._epoch = None

    def loss_was_false(self) -> None:
        if self._before_loss is None:
            return
        window, self._threshold, self._most = self._before_loss
        self._before_loss = None
        self._recovery_until = -1
        self._epoch = None
        self._set(max(window, self._exact))

    def persistent_trouble(self) -> None:
        """RFC 9002 section 7.6: from the least window, in slow start up to half of what there was."""
        self._threshold = max(self._exact / 2, MIN_DATAGRAMS * self._datagram_size)
        self._epoch = None
        self._before_loss = None
        self._recovery_until = -1
        self._latest.clear()
        self._set(0)
