"""How much of the path this end has, as far as it knows what the path delivers, and what it may do for half of it.

Beside flows that yield the bound on what is in flight grows faster with less than half, and not at all with more. Where
nobody else yields there is no bound: this end sends more with less than half, and never keeps much more than half. (A
little, as what is lost there makes it less again.)
"""

from __future__ import annotations

import math
from random import Random
from typing import Final

from .capacity import MORE_THAN_HALF, Capacity
from .congestion import Sample
from .pause import Pause
from .rounds import Round

GROWTH_WITH_LESS: Final = 3.0  # than half of the path: times CUBIC's
OCCUPIED: Final = 1.1  # times the minimum round trip, for a whole round: there is a short queue, as others keep it
LOOK_ROUNDS: Final = (8, 16)  # minimum round trips, drawn, that a queue stands before a look at what the path delivers
LOOK_CALM_ROUNDS: Final = 8  # without an overflow before one where nobody else yields: it costs some of the share
PAUSE_TIME: Final = 0.2  # seconds; so long pauses TCP BBR
PAUSE_ROUNDS: Final = 4  # and until it is back. Without a queue for longer there is nobody else any more


class Share:
    """One end's of one path. Rates are bytes a second, times seconds."""

    __slots__ = ("_look_at", "_pause", "_queue_at", "_random", "capacity", "most_rate")

    def __init__(self, now: float, random: Random) -> None:
        self._random = random
        self.capacity = Capacity()
        """What the whole path delivers."""
        self.most_rate = math.inf
        """What more arrives is of the share of somebody else, who pauses."""
        self._pause = Pause()
        self._queue_at = now  # when one was seen last
        self._look_at: float | None = None  # seconds, when a look is due; None: none is planned

    def acknowledged(self, sample: Sample, *, minimum: float, datagram_size: int) -> None:
        """Look for a pause of somebody else. `minimum`: the least round trip, in seconds."""
        if sample.round_trip:
            capacity = self._pause.watch(sample, minimum=minimum, datagram_size=datagram_size)
            if capacity:
                self.capacity.paused(capacity)

    def cut(self) -> None:
        """What is acknowledged now was sent while this end sent less than it might, or in its start."""
        self._pause.forget()

    def round_ended(self, seen: Round, now: float, *, minimum: float, contended: bool, cut: bool) -> None:
        """`contended`: whether nobody else yields. `cut`: whether this end sent less than it might."""
        if cut or seen.slowest > OCCUPIED * minimum:
            self._queue_at = now
        alone = now - self._queue_at > PAUSE_TIME + PAUSE_ROUNDS * minimum
        kept = contended and self.capacity.sure and not alone
        self.most_rate = MORE_THAN_HALF * self.capacity.value if kept else math.inf

    def plan_look(self, now: float, minimum: float) -> None:
        """Others hold a queue, clearly: look at what the path delivers before long."""
        if self._look_at is None:
            self._look_at = now + self._random.uniform(*LOOK_ROUNDS) * minimum

    def look_is_due(self, now: float, count: int, *, contended: bool) -> bool:
        """Whether to look in the round `count`, as too little is known; if so, the next look has to be planned anew."""
        if self._look_at is None or now < self._look_at or self.capacity.sure:
            return False
        due = self.capacity.calm(count, LOOK_CALM_ROUNDS if contended else 0)
        if due:
            self._look_at = None
        return due

    def lacks(self, rate: float) -> bool:
        """Whether so much is less than half, for sure."""
        return rate < self.capacity.enough

    def has_half(self, rate: float) -> bool:
        """Whether so much is half or more."""
        return self.capacity.exact and not self.capacity.less_than_half(rate)

    def growth(self, rate: float, *, occupied: bool) -> float:
        """How many times as fast as CUBIC's the bound grows: in time to come nearer to half of the path.

        Where a window takes ten seconds to come back, as many such times pass until two flows have equal shares. With
        more than half, and a queue, there is nothing to gain by growing.
        """
        if occupied and self.capacity.more_than_half(rate):
            return 0.0
        return GROWTH_WITH_LESS if self.capacity.less_than_half(rate) else 1.0
