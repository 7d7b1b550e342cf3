"""The replay filter: every sequence is taken once. It is exact over the last 8192 sequences; older ones are refused.

The span set that filters is also what acknowledgements are made of: what was received, and what is missing.
"""

from __future__ import annotations

from typing import Final

from ..wire.spans import SpanSet

WINDOW: Final = 8192  # DESIGN: at least that many; a burst of one fast link's round trip stays well inside


class ReplayFilter:
    """Which sequences of the peer's one sequence space were taken."""

    __slots__ = ("_floor", "accepted", "received")

    def __init__(self) -> None:
        self.received = SpanSet()
        """What was taken, exact from `highest - WINDOW` on; at most WINDOW / 2 + 1 spans."""
        self.accepted = 0
        """How many sequences were taken."""
        self._floor = -1  # nothing at or below is taken any more

    @property
    def highest(self) -> int:
        """The highest sequence taken, -1 before the first."""
        highest = self.received.highest
        return -1 if highest is None else highest

    @property
    def missing(self) -> int:
        """How many of the sequences up to the highest have not come: lost, or still on their way."""
        return self.highest + 1 - self.accepted

    def accept_run(self, first: int, last: int) -> bool:
        """Take `first` to `last` if all of them are newer than everything before; if not, False, and none is taken."""
        if first <= self.highest:
            return False
        self.received.add_span(first, last)
        self.accepted += last - first + 1
        self._move_floor(last)
        return True

    def forget(self, first: int, last: int) -> None:
        """`first` to `last` were taken and could not be used: let them count as lost, so that they are sent again."""
        self.received.remove_span(first, last)
        self.accepted -= last - first + 1

    def accept(self, sequence: int) -> bool:
        """Take `sequence`; False if it was taken before, or is too old to tell."""
        if sequence <= self._floor or not self.received.add(sequence):
            return False
        self.accepted += 1
        self._move_floor(self.highest)
        return True

    def _move_floor(self, highest: int) -> None:
        floor = highest - WINDOW
        if floor > self._floor:
            self._floor = floor
            self.received.forget_spans_below(floor)
