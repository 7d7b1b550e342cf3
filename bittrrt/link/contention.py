"""Whether somebody else fills the queue of a path and yields to nothing, as TCP BBR version 1 does.

Who yields to each overflow beside such a flow loses a part of its share each time, for good. What shows it, from this
end alone:

- Much is lost in round after round, with a queue, or with a short one that is never gone.
- Overflows follow one another sooner than CUBIC's curve explains.
- The round trip stays as long as it was after overflows that took many datagrams of ours: nobody else sends less.
- The own rate has come down to a small part of what it was, overflow by overflow. Beside a flow that yields as this end
  does it comes down to a half, with bad luck to a third.

It is over when little is lost for a while and the own rate does not grow any more; or when this end, which had lost the
path, has nearly all of it again, no less than half of a path of which that is known, and lost little: then the other
one did yield. That is believed once: if the rate falls again, what it fell from was no more than half of the path.
"""

from __future__ import annotations

import math
from collections import deque
from statistics import fmean, median
from typing import Final

from .rounds import Round

LOSS_ROUNDS: Final = 16  # whose median is what is lost in round after round
CONTENDED_LOSS: Final = 0.01  # beyond the path's own, in half of the rounds: nobody else yields
CALM_ROUNDS: Final = 48  # whose mean is less than that: somebody yields. BBR pauses for some of them, every 10 s
GROWN: Final = 1.15  # times the rate, from the first third of these to the last: calm because the share is still small
SOON_OVERFLOWS: Final = 3  # in a row: nobody else yields. A start beside Linux's CUBIC has two
ANSWER_ROUNDS: Final = 5  # until a flow that yields to an overflow has done so
ANSWERED_ROUNDS: Final = 3  # the same, if the queue overflows again before the others are over
UNANSWERED: Final = 0.85  # of the round trip at the overflow: it is never shorter meanwhile. Half of CUBIC's answer
UNANSWERED_DATAGRAMS: Final = 8  # lost so, in a row: nobody else yields. One of two equal flows loses all by 1 in 256
FALLEN: Final = 0.3  # of the most that the own rate was
REGAINED: Final = 0.8  # of it: who yields to nothing would not have given that back
REGAINED_LOSS: Final = 0.03  # beyond the path's own, and more: it was not given back, but taken


class Contention:
    """What the rounds and the overflows of one path say of those who share it."""

    __slots__ = (
        "_emptiest",
        "_fell",
        "_full",
        "_lost",
        "_most",
        "_rate",
        "_regained",
        "_settled_losses",
        "_since",
        "_soon",
        "_standing",
        "_unanswered",
        "_until_answer",
        "holds",
    )

    def __init__(self) -> None:
        self.holds = False
        """Whether nobody else yields."""
        self._settled_losses: deque[float] = deque(maxlen=LOSS_ROUNDS)  # shares of rounds' bytes, without the start's
        self._since: deque[tuple[float, float]] = deque(maxlen=CALM_ROUNDS)  # losses and rates since it holds
        self._standing = 0  # occupied rounds, in a row
        self._soon = 0  # overflows that each came soon after the one before
        self._full = 0.0  # seconds, the round trip at the last overflow
        self._lost = 0.0  # datagrams, then
        self._emptiest = math.inf  # seconds, the least round trip since then
        self._until_answer = 0  # rounds
        self._unanswered = 0.0  # datagrams lost in overflows that nobody answered
        self._rate = 0.0  # bytes a second, of the last round
        self._most = 0.0  # bytes a second, the most of a round while it did not hold
        self._fell = False  # whether it is the fall of the own rate that showed it
        self._regained = False  # whether it was over last because this end had got back what it had lost

    @property
    def half(self) -> float:
        """Bytes a second: half of the most that this end had."""
        return self._most / 2

    def round_ended(
        self, seen: Round, *, own: float, queued: bool, occupied: bool, settled: bool, enough: float = 0.0
    ) -> None:
        """Take in a round. `own`: the share that the path loses by itself; the others: see `Overflow.happened`."""
        self._rate = seen.rate
        self._standing = self._standing + 1 if occupied else 0
        if settled:
            self._settled_losses.append(seen.loss)
        if self.holds:
            self._since.append((seen.loss, seen.rate))
            if len(self._since) == CALM_ROUNDS:
                self._look_for_calm(own, enough)
            return
        self._most = max(self._most, seen.rate)
        self._wait_for_answer(seen, settled=settled)
        known = (queued or self._standing >= LOSS_ROUNDS) and len(self._settled_losses) == LOSS_ROUNDS
        if known and median(self._settled_losses) > own + CONTENDED_LOSS:
            self._begin()

    def overflowed(self, seen: Round, datagram_size: int) -> None:
        """An overflow began in the round: somebody else may answer it."""
        if 0 < self._until_answer <= ANSWER_ROUNDS - ANSWERED_ROUNDS:
            self._judge_answer()
        self._full, self._lost = seen.slowest, seen.lost / datagram_size
        self._emptiest, self._until_answer = math.inf, ANSWER_ROUNDS

    def yielding(self, *, soon: bool) -> None:
        """This end is about to yield, `soon` after it did before. Afterwards `holds` says whether it should."""
        self._soon = self._soon + 1 if soon else 0
        fell = self._rate < FALLEN * self._most
        if fell or self._soon == SOON_OVERFLOWS:
            self._begin()
            self._fell = fell

    def _wait_for_answer(self, seen: Round, *, settled: bool) -> None:
        if settled:  # else it is this end that sends less
            self._emptiest = min(self._emptiest, seen.quickest)
        self._until_answer -= 1
        if self._until_answer == 0:
            self._judge_answer()

    def _judge_answer(self) -> None:
        if self._emptiest == math.inf:
            return
        self._unanswered = self._unanswered + self._lost if self._emptiest > UNANSWERED * self._full else 0.0
        if self._unanswered >= UNANSWERED_DATAGRAMS:
            self._begin()

    def _look_for_calm(self, own: float, enough: float) -> None:
        losses, rates = zip(*self._since, strict=True)
        third = CALM_ROUNDS // 3
        calm = fmean(losses) <= own + CONTENDED_LOSS and fmean(rates[-third:]) <= GROWN * fmean(rates[:third])
        given = fmean(losses) <= own + REGAINED_LOSS
        regained = self._fell and not self._regained and given and fmean(rates) > max(REGAINED * self._most, enough)
        if calm or regained:
            self._regained = regained
            self.holds = False
            self._most = 0.0
            self._settled_losses.clear()

    def _begin(self) -> None:
        self.holds = True
        self._fell = False
        self._soon = self._until_answer = 0
        self._unanswered = 0.0
        self._since.clear()
