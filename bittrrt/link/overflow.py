"""Losses that a full queue explains, and the bound on what is in flight that follows from them.

A path's own loss is there in every round trip; a queue that overflows drops much in one round and nothing in the next
ones, and round trips are long then. On such an overflow the bound comes down and grows back along CUBIC's curve
(RFC 9438 section 4.2), so that a TCP flow beside this one has its share.

Against a flow that does not yield to loss (TCP BBR), yielding changes nothing: overflows follow one another in a few
rounds. Then there is no bound, and the model alone decides, as it does there.
"""

from __future__ import annotations

import math
from collections import deque
from statistics import median
from typing import Final

from .rounds import Round

LOSS_ROUNDS: Final = 16  # whose median is the path's own loss
LOSS_MARGIN: Final = 0.01  # share of a round's bytes beyond the path's own loss
LOSS_DEVIATIONS: Final = 3.0  # and so many standard deviations of chance
BETA: Final = 0.7  # RFC 9438 section 4.6
C: Final = 0.4  # RFC 9438 section 5: segments a cubic second
SEGMENT: Final = 1448  # bytes; TCP's, whatever the own datagrams have, as it is TCP's share that this keeps
CONTENDED_ROUNDS: Final = 24
CONTENDED_OVERFLOWS: Final = 3  # in so many rounds: CUBIC leaves 50 or more between two of its own
CONTENDED_LOSS: Final = 0.01  # and the share lost over all of them


class Overflow:
    """What one path's queue has dropped lately."""

    __slots__ = ("_before", "_begun", "_last", "_losses", "_overflows", "_seen", "_top", "contended")

    def __init__(self) -> None:
        self._losses: deque[float] = deque(maxlen=LOSS_ROUNDS)  # shares of the last rounds' bytes
        self._seen: deque[tuple[int, int]] = deque(maxlen=CONTENDED_ROUNDS)  # bytes lost, of bytes
        self._overflows: deque[int] = deque(maxlen=CONTENDED_OVERFLOWS)  # rounds in which one began
        self._last = -2  # round of the last one
        self._top: float | None = None  # bytes in flight at the last overflow
        self._begun = 0.0  # when that was
        self._before: tuple[float | None, float] | None = None  # both before that, to undo
        self.contended = False
        """Whether yielding changes nothing."""

    def happened(self, seen: Round, *, queued: bool, datagram_size: int) -> bool:
        """Judge a round that has ended: whether its loss is that of a full queue."""
        usual = median(self._losses) if self._losses else 0.0
        size = seen.acknowledged + seen.lost
        datagrams = size / datagram_size
        expected = datagrams * usual
        most = expected + LOSS_MARGIN * datagrams + LOSS_DEVIATIONS * math.sqrt(expected + 1)
        self._losses.append(seen.loss)
        self._seen.append((seen.lost, size))
        overflown = queued and seen.lost > most * datagram_size
        begins = overflown and seen.count > self._last + 2
        if overflown:
            self._last = seen.count
        if begins:
            self._overflows.append(seen.count)
        self._judge_contention(seen.count, usual)
        return begins

    def _judge_contention(self, now: int, usual: float) -> None:
        overflows = self._overflows
        often = len(overflows) == CONTENDED_OVERFLOWS and overflows[0] > now - CONTENDED_ROUNDS
        lost = sum(lost for lost, _ in self._seen)
        much = lost > (usual + CONTENDED_LOSS) * sum(size for _, size in self._seen)
        self.contended = often and much
        if self.contended:
            self._top = self._before = None

    def come_down(self, in_flight: float, now: float) -> None:
        """The queue overflowed with so many bytes in flight."""
        if not self.contended:
            self._before = self._top, self._begun
            self._top, self._begun = in_flight, now

    def undo(self) -> None:
        """The last overflow was none."""
        if self._before is not None:
            self._top, self._begun = self._before
            self._before = None

    def bound(self, now: float) -> float:
        """Bytes that may be in flight; infinite if nothing is known against it."""
        if self._top is None:
            return math.inf
        top = self._top / SEGMENT
        flat_at = (top * (1 - BETA) / C) ** (1 / 3)
        return (C * (now - self._begun - flat_at) ** 3 + top) * SEGMENT
