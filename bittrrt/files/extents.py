"""Which bytes of a file are there: a span set that can be asked about a part of the file."""

from __future__ import annotations

from bisect import bisect_left

from ..wire.spans import SpanSet


class Extents(SpanSet):
    """Offsets of bytes, as spans; first and last are inclusive, as in every span set."""

    __slots__ = ()

    @property
    def prefix(self) -> int:
        """How many bytes from the file's beginning are there without a hole."""
        return self._lasts[0] + 1 if self._lasts and self._firsts[0] == 0 else 0

    def holes(self, first: int, last: int) -> list[tuple[int, int]]:
        """The spans from `first` to `last` that are not there, ascending."""
        firsts, lasts = self._firsts, self._lasts
        if not lasts or first > lasts[-1]:  # in order, as nearly all that arrives
            return [(first, last)]
        holes = []
        at = bisect_left(lasts, first)
        while at < len(lasts) and firsts[at] <= last:
            if first < firsts[at]:
                holes.append((first, firsts[at] - 1))
            first = lasts[at] + 1
            at += 1
        if first <= last:
            holes.append((first, last))
        return holes

    def touches(self, first: int, last: int) -> bool:
        """Whether the byte before `first`, or the one after `last`, is there."""
        return first - 1 in self or last + 1 in self

    def copy(self) -> Extents:
        """The same bytes, in a set that does not change with this one."""
        other = Extents()
        other._firsts, other._lasts = self._firsts.copy(), self._lasts.copy()
        return other
