"""Losses that a full queue explains, and the bound on what is in flight that follows from them.

    loss beyond the path's own, while a queue stands: an overflow
        |
        +-- mostly: yield. The bound comes down, and grows back along CUBIC's curve (RFC 9438 section 4.2)
        |
        +-- now and then: stand, and watch the queue for some rounds. It shrinks: somebody yields. It stays: nobody does

A path's own loss is there in every round trip; a queue that overflows drops much in one round and nothing in the next
ones. Beside a TCP CUBIC flow, yielding as it does leaves it its share. Beside a flow that yields to nothing (TCP BBR)
each yielding loses a part of the own share for good: then there is no bound, and the model alone decides, as it does
over there. Which of them it is shows in the queue after an overflow at which this end stood. Measured in simulation, it
shrinks to 47-73 % of its height beside CUBIC, and to 77-95 % beside BBR, over shares from 25 to 90 %. Beside the BBR of
Linux the queue wavers more, but overflows again within a second or so, where CUBIC takes its time to come back: an
overflow that comes so soon after another one says that nobody yields, whatever the queue does.
"""

from __future__ import annotations

import math
from collections import deque
from random import Random
from statistics import median
from typing import Final

from .rounds import Round

LOSS_ROUNDS: Final = 16  # whose median is the path's own loss
LOSS_MARGIN: Final = 0.01  # share of a round's bytes beyond the path's own loss
LOSS_DEVIATIONS: Final = 3.0  # and so many standard deviations of chance
BETA: Final = 0.7  # RFC 9438 section 4.6
C: Final = 0.4  # RFC 9438 section 5: segments a cubic second
SEGMENT: Final = 1448  # bytes; TCP's, whatever the own datagrams have, as it is TCP's share that this keeps
WATCHED_ROUNDS: Final = 8
STAYED: Final = 0.75  # of the queue's height: least of the watched rounds, above which nobody yielded
READINGS: Final = 3  # whose median counts
STAND: Final = 1 / 2  # chance to stand and watch, while others yield
SOON: Final = 0.5  # of CUBIC's time back to its top: an overflow sooner than that is not of a flow that yields
STARTUP_OVERFLOWS: Final = 2  # which come for their own reasons
STAND_CONTENDED: Final = 5 / 6  # while nobody does: two of this kind, each standing, would never find out otherwise
BRIEF_ROUNDS: Final = 4  # of yielding while contended


class Overflow:
    """What one path's queue drops, and what to make of it."""

    __slots__ = (
        "_answered",
        "_before",
        "_begun",
        "_begun_round",
        "_height",
        "_last",
        "_losses",
        "_lowest",
        "_overflows",
        "_random",
        "_readings",
        "_round",
        "_top",
        "_watch_until",
        "_watched_in_flight",
        "excess",
    )

    def __init__(self, random: Random) -> None:
        self._random = random
        self._losses: deque[float] = deque(maxlen=LOSS_ROUNDS)  # shares of the last rounds' bytes
        self.excess = False
        """Whether the last round lost more than the path does by itself."""
        self._round = 0
        self._last = -2  # round of the last overflow
        self._overflows = 0
        self._answered = 0.0  # when the last of them was
        self._top: float | None = None  # bytes in flight when this end yielded last
        self._begun = 0.0  # when that was
        self._begun_round = 0
        self._before: tuple[float | None, float] | None = None  # both before that, to undo
        self._watch_until: int | None = None  # round
        self._watched_in_flight = 0.0
        self._height = 0.0  # seconds of queue at the overflow that is watched
        self._lowest = 0.0  # seconds, the least since
        self._readings: deque[float] = deque(maxlen=READINGS)

    @property
    def contended(self) -> bool:
        """Whether nobody else yields."""
        return len(self._readings) > 1 and median(self._readings) > STAYED

    def happened(self, seen: Round, now: float, *, minimum: float, queued: bool, datagram_size: int) -> bool:
        """Judge a round that has ended: whether an overflow began in it."""
        self._round = seen.count
        self._watch(seen.quickest - minimum, now)
        usual = median(self._losses) if self._losses else 0.0
        datagrams = (seen.acknowledged + seen.lost) / datagram_size
        expected = datagrams * usual
        most = expected + LOSS_MARGIN * datagrams + LOSS_DEVIATIONS * math.sqrt(expected + 1)
        self._losses.append(seen.loss)
        self.excess = seen.lost > most * datagram_size
        if not queued or not self.excess:
            return False
        begins = seen.count > self._last + 2
        self._last = seen.count
        return begins

    def _watch(self, queue: float, now: float) -> None:
        """One more round of a queue that is watched; at the end, yield late if somebody else did."""
        if self._watch_until is None:
            return
        self._lowest = min(self._lowest, queue)
        if self._round < self._watch_until:
            return
        self._watch_until = None
        reading = self._lowest / self._height
        self._learn(reading)
        if reading <= STAYED and not self.contended:
            self._yield(self._watched_in_flight, now)

    def _learn(self, reading: float) -> None:
        self._readings.append(reading)
        if self.contended:
            self._top = self._before = None

    def answer(self, in_flight: float, height: float, now: float) -> None:
        """Yield to an overflow with so many bytes in flight and `height` seconds of queue, or stand and watch it."""
        early = now - self._answered < SOON * self._time_to(self._top or in_flight)
        soon = early and self._overflows > STARTUP_OVERFLOWS and not self.contended  # then the own probes overflow it
        self._overflows += 1
        self._answered = now
        if soon:
            self._watch_until = None
            self._learn(1.0)
        if soon or self._watch_until is not None:
            return
        if self.contended:
            stand = self._random.random() < STAND_CONTENDED
        else:
            stand = self._top is not None and self._random.random() < STAND
        if stand:
            self._watch_until = self._round + WATCHED_ROUNDS
            self._height = self._lowest = height
            self._watched_in_flight = in_flight
        else:
            self._yield(in_flight, now)

    def _yield(self, in_flight: float, now: float) -> None:
        top = self._top
        self._before = top, self._begun
        falling = top is not None and in_flight < top  # RFC 9438 section 4.7: another flow needs room
        self._top = in_flight * (1 + BETA) / 2 if falling else in_flight
        self._begun, self._begun_round = now, self._round

    @staticmethod
    def _time_to(top: float) -> float:
        """Seconds until CUBIC's curve is back at its top, K."""
        return math.cbrt(top / SEGMENT * (1 - BETA) / C)

    def undo(self) -> None:
        """The last overflow was none."""
        if self._before is not None:
            self._top, self._begun = self._before
            self._before = None

    def bound(self, now: float) -> float:
        """Bytes that may be in flight; infinite if nothing is known against it."""
        top = self._top
        if top is None or (self._round > self._begun_round + BRIEF_ROUNDS and self.contended):
            return math.inf
        return C * (now - self._begun - self._time_to(top)) ** 3 * SEGMENT + top
