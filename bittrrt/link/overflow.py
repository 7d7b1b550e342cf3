"""Losses that a full queue explains, and the bound on what is in flight that follows from them.

    what a round lost beyond the path's own loss, while a queue stands
        |
        +-- now and then: an overflow. Yield: the bound comes down, and grows back as CUBIC's window does, along its
        |   curve or as Reno would, whichever is more (RFC 9438 sections 4.2 and 4.3)
        |
        +-- in round after round: somebody fills the queue and yields to nothing. There is no bound then

A path's own loss is there whether a queue stands or not: the rounds without one tell it. Paced datagrams lose little
when a queue overflows, one to five in a round where a TCP CUBIC flow loses as many and takes three tenths off its
window: who does not answer each of these takes what CUBIC gives up, four fifths of the path after a while. So where the
path loses none by itself a single one counts, as it does over there.

An overflow that took nothing of ours counts too, if somebody else yields to it (see `neighbour`).

Beside a flow that yields to nothing (see `contention`) each yielding loses a part of the own share for good: then the
model alone decides, as it does over there.
"""

from __future__ import annotations

import math
from collections import deque
from statistics import fmean, median
from typing import Final

from .contention import LOSS_ROUNDS, Contention
from .neighbour import Neighbour
from .rounds import Round

LOSS_MARGIN: Final = 0.01  # share of a round's bytes beyond the path's own loss
LOSS_DEVIATIONS: Final = 3.0  # so many standard deviations of chance are none
BETA: Final = 0.7  # RFC 9438 section 4.6
HALF: Final = 0.5  # of a path that two share
C: Final = 0.4  # RFC 9438 section 5: segments a cubic second
RENO: Final = 3 * (1 - BETA) / (1 + BETA)  # RFC 9438 section 4.3: segments a round trip
SEGMENT: Final = 1448  # bytes; TCP's, whatever the own datagrams have, as it is TCP's share that this keeps
SAME_ROUNDS: Final = 2  # after the first one of an overflow: until the answer to it shows
SOON: Final = 0.22  # of what was given up is still missing: a flow that yields does not overflow the queue before that


class Overflow:
    """What one path's queue drops, and what to make of it."""

    __slots__ = (
        "_before",
        "_begun",
        "_contention",
        "_last",
        "_losses",
        "_low",
        "_neighbour",
        "_own",
        "_pace",
        "_round_ended",
        "_rounds",
        "_several",
        "_top",
        "excess",
    )

    def __init__(self) -> None:
        self._losses: deque[float] = deque(maxlen=LOSS_ROUNDS)  # shares of the last rounds' bytes
        self._own: deque[tuple[int, int]] = deque(maxlen=LOSS_ROUNDS)  # bytes, lost and all, of rounds with no queue
        self.excess = False
        """Whether the last round lost much more than the path does by itself."""
        self._last = -SAME_ROUNDS  # round of the last overflow
        self._several = False  # whether it was more than one datagram that it took
        self._neighbour = Neighbour()
        self._contention = Contention()
        self._top: float | None = None  # bytes in flight when this end yielded last
        self._low = 0.0  # bytes: down to there
        self._begun = 0.0  # when that was
        self._rounds = 0.0  # since then
        self._pace = 1.0  # of the curve's time: `_begun` moves with it
        self._round_ended = 0.0  # seconds, the last one
        self._before: tuple[float | None, float, float, float] | None = None  # all four before that, to undo

    @property
    def contended(self) -> bool:
        """Whether nobody else yields."""
        return self._contention.holds

    @property
    def half(self) -> float:
        """Bytes a second: half of the most that this end had before it found that nobody else yields."""
        return self._contention.half

    def happened(
        self,
        seen: Round,
        *,
        queued: bool,
        occupied: bool,
        settled: bool,
        datagram_size: int,
        now: float,
        enough: float = 0.0,
    ) -> int:
        """Judge a round that has ended: the bytes in flight when an overflow began in it, 0 if none did.

        `queued`: whether a queue stood all the time. `occupied`: whether there was one, be it short, that may have been
        full: the minimum round trip may have been measured in it. `settled`: whether the round may tell what the path
        loses by itself: no startup of which nobody knows whether it queues, nothing that was sent before the flight
        had been cut. `enough`: bytes a second that are about half of the path; 0 if unknown.
        """
        usual, own = median(self._losses) if self._losses else 0.0, self._own_loss
        datagrams = (seen.acknowledged + seen.lost) / datagram_size
        expected = datagrams * own
        most = expected + LOSS_DEVIATIONS * math.sqrt(expected) + (expected > 0)
        much = datagrams * (usual + LOSS_MARGIN) + LOSS_DEVIATIONS * math.sqrt(datagrams * usual + 1)
        self.excess = seen.lost > much * datagram_size
        self._losses.append(seen.loss)
        apart = seen.count > self._last + SAME_ROUNDS
        somebodys = queued or (occupied and seen.loss > LOSS_MARGIN)  # what this queue dropped, most likely
        if settled and not somebodys and apart and not self.contended:
            self._own.append((seen.lost, seen.acknowledged + seen.lost))
        self._contention.round_ended(seen, own=own, queued=queued, occupied=occupied, settled=settled, enough=enough)
        if self.contended:
            self._top = self._before = None
        overflowed = queued and seen.lost > most * datagram_size
        self._neighbour.watch(seen, overflowed=overflowed)
        if not apart:
            return 0
        in_flight = seen.in_flight if overflowed else 0
        if settled and not overflowed and not self._soon_after(now):
            in_flight = self._neighbour.yielded
        if in_flight:
            self._last = seen.count
            self._contention.overflowed(seen, datagram_size)
            self._several = seen.lost > (most + 1) * datagram_size
        return in_flight

    def forget_bound(self) -> None:
        """With all that is in flight there is no queue."""
        self._top = self._before = None

    def forget_own_loss(self) -> None:
        """There was a queue in the rounds that told it."""
        self._own.clear()

    @property
    def _own_loss(self) -> float:
        """The share that the path loses by itself: no more than was lost lately, with a queue and without.

        A round that lost most is left out: an overflow's may come late.
        """
        worst = max(self._own, default=(0, 0))
        everything = sum(size for _, size in self._own) - worst[1]
        if not everything:
            return 0.0
        own = (sum(lost for lost, _ in self._own) - worst[0]) / everything
        return min(own, fmean(self._losses))

    def answer(self, in_flight: float, now: float, share: float = HALF) -> None:
        """Yield to an overflow with so many bytes in flight, unless nobody else does.

        `share`: how much of the path this end has. With less than half it yields less, so that both come to half.
        """
        if not self.contended:
            self._contention.yielding(soon=self._several and self._soon_after(now))
        if self.contended:
            self._top = self._before = None
            return
        top = self._top
        self._before = top, self._low, self._begun, self._rounds
        falling = top is not None and in_flight < top  # RFC 9438 section 4.7: another flow needs room
        beta = 1 - (1 - BETA) * min(share / HALF, 1.0)
        self._top = in_flight * (1 + beta) / 2 if falling else in_flight
        self._low = in_flight * beta
        self._begun = now
        self._rounds = 0.0

    def grow(self, pace: float, now: float) -> None:
        """A round has ended; in the next one the curve's time passes `pace` times as fast as the clock.

        Reno's rounds count by half if it is 0, so that two who both take what they have for more than half still come
        together, and never by more than one.
        """
        self._begun += (1 - self._pace) * (now - self._round_ended)
        self._rounds += (1 + min(self._pace, 1)) / 2
        self._round_ended = now
        self._pace = pace

    def _soon_after(self, now: float) -> bool:
        """Whether much of what was given up last is still missing."""
        top = self._top
        return top is not None and self.bound(now) < top - SOON * (top - self._low)

    def undo(self) -> None:
        """The last overflow was none."""
        if self._before is not None:
            self._top, self._low, self._begun, self._rounds = self._before
            self._before = None

    def bound(self, now: float) -> float:
        """Bytes that may be in flight; infinite if nothing is known against it."""
        top = self._top
        if top is None:
            return math.inf
        time_to_top = math.cbrt((top - self._low) / SEGMENT / C)
        elapsed = self._round_ended - self._begun + self._pace * (now - self._round_ended)
        curve = C * (elapsed - time_to_top) ** 3 * SEGMENT + top
        return max(curve, self._low + RENO * SEGMENT * self._rounds)
