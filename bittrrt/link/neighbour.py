"""Another flow that yields to an overflow of which nothing of ours was lost.

An unpaced TCP flow sends two datagrams back to back, and where few fit into the queue it is the second of them that
finds it full. The paced flow beside it loses nothing then, and would keep for good what the other gives up each time.
What tells it, from this end alone: the round trip had grown to where the queue overflowed before, it fell and stays
down, and the own rate rose meanwhile: so it was not this end that sent less.

How much it rises tells who has more. A TCP CUBIC flow takes three tenths off its window. With half of the path that
makes 18 % for the other, with less than half less, with more than half more: then there is nothing to answer.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from .rounds import Round

FULL: Final = 0.95  # of the round trip at which the queue overflowed: it is full, or as good as
FALL: Final = 0.05  # of that round trip, for two rounds: somebody yielded. TCP BBR drains for shorter
LEAST_RISE: Final = 1.04  # times the own rate: it was not this end
MOST_RISE: Final = 1.14  # the same: who gave up so much had more
ROUNDS: Final = 5  # three in which the queue was full, two in which it is no more


class Neighbour:
    """Who else uses the path, as far as the last rounds tell."""

    __slots__ = ("_full_round_trip", "_rounds")

    def __init__(self) -> None:
        self._rounds: deque[tuple[float, int, float]] = deque(maxlen=ROUNDS)  # round trip, bytes in flight, rate
        self._full_round_trip = 0.0  # seconds, the longest when the queue overflowed last; 0 before that

    def watch(self, seen: Round, *, overflowed: bool) -> None:
        """Take in a round that has ended. `overflowed`: it lost something of ours in a queue."""
        self._rounds.append((seen.slowest, seen.in_flight, seen.rate))
        if overflowed:
            self._full_round_trip = max(round_trip for round_trip, _, _ in self._rounds)

    @property
    def yielded(self) -> int:
        """The own bytes in flight when the queue was full, if somebody yielded since; 0 if nobody did."""
        if not self._full_round_trip or len(self._rounds) < ROUNDS:
            return 0
        *before, (one, _, one_rate), (two, _, two_rate) = self._rounds
        round_trip, in_flight, rate = max(before)
        full = round_trip >= FULL * self._full_round_trip
        fell = max(one, two) <= (1 - FALL) * round_trip
        rose = LEAST_RISE * rate <= (one_rate + two_rate) / 2 <= MOST_RISE * rate
        return in_flight if full and fell and rose else 0
