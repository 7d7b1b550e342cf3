"""When to take a datagram for lost: by time, RFC 8985 (RACK), and the probe timeout of RFC 9002 section 6.2.

A datagram is lost if another one that left later has arrived, and it has not for a reordering window longer than that
one took. The window starts at a quarter of the minimum round trip; every loss that proves false makes it longer, up to
a smoothed round trip; sixteen rounds of losses without such a mistake make it short again.
"""

from __future__ import annotations

from typing import Final

from .round_trip import GRANULARITY, RoundTrip

STEP: Final = 0.25  # of the minimum round trip; RFC 8985 section 6.2, step 4
KEPT_ROUNDS: Final = 16  # RFC 8985 section 6.2: RACK.reo_wnd_persist
PEER_DELAY: Final = 0.005  # seconds; the peer's acknowledgement timer is 1 ms, and late now and then
LONGEST_BACKOFF: Final = 1.0  # seconds; a path that is back after minutes is in use again within one


class LossTimer:
    """The times of one sender's loss detection."""

    __slots__ = ("_last_round", "_round_trip", "_rounds", "_steps", "newest_acknowledged", "timeouts", "travelled")

    def __init__(self, round_trip: RoundTrip) -> None:
        self._round_trip = round_trip
        self.newest_acknowledged = -1
        """The highest sequence of data acknowledged."""
        self.travelled = 0.0
        """Seconds from its sending to its acknowledgement: RACK.rtt."""
        self.timeouts = 0
        """Probe timeouts since something was acknowledged."""
        self._steps = 1
        self._rounds = 0  # of losses since the last false one
        self._last_round = 0.0

    def acknowledged(self, sequence: int, sent_at: float, now: float) -> None:
        """Data with this sequence has arrived."""
        self.timeouts = 0
        if sequence > self.newest_acknowledged:
            self.newest_acknowledged = sequence
            self.travelled = now - sent_at

    @property
    def patience(self) -> float:
        """Seconds after its sending that a datagram overtaken by another one is taken for lost."""
        return self.travelled + self.reordering_window

    @property
    def reordering_window(self) -> float:
        """Seconds."""
        round_trip = self._round_trip
        if round_trip.latest is None:
            return GRANULARITY
        window = max(self._steps * STEP * round_trip.minimum, GRANULARITY)
        return min(window, max(round_trip.smoothed, GRANULARITY))

    def losses_found(self, now: float) -> None:
        """Some were taken for lost; rounds are counted at most one a round trip."""
        if now - self._last_round >= self._round_trip.smoothed:
            self._last_round = now
            self._rounds += 1
            if self._rounds >= KEPT_ROUNDS:
                self._steps = 1
                self._rounds = 0

    def loss_was_false(self) -> None:
        """One of them has arrived after all: wait longer from now on."""
        if (self._steps - 1) * STEP * self._round_trip.minimum < self._round_trip.smoothed:
            self._steps += 1
        self._rounds = 0

    def probe_after(self) -> float:
        """Seconds from the last sending to a probe timeout, backed off."""
        once = self._round_trip.probe_timeout() + PEER_DELAY
        return min(once * (1 << min(self.timeouts, 16)), max(once, LONGEST_BACKOFF))
