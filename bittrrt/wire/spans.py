"""Sets of integers kept as spans: which sequences came, which ports are free, which bytes are missing.

A span is a pair `(first, last)`, both inclusive. Spans in a set are ascending, disjoint and not adjacent, so a set has
exactly one representation, and what arrives in order costs one comparison and one assignment.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Final, Self

from ..errors import MalformedSpans

MAX_NUMBER: Final = 2**64 - 1
_SPAN: Final = struct.Struct(">QQ")


class SpanSet:
    """A set of integers from 0 to 2**64 - 1, kept as spans.

    Binary form: for each span, ascending, `first u64 | last u64`, big-endian.
    """

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, spans: Iterable[tuple[int, int]] | None = None) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in spans or ():
            self.add_span(first, last)

    def __contains__(self, number: object) -> bool:
        if not isinstance(number, int):
            return False
        at = bisect_left(self._lasts, number)
        return at < len(self._lasts) and self._firsts[at] <= number

    def __iter__(self) -> Iterator[int]:
        for first, last in zip(self._firsts, self._lasts, strict=True):
            yield from range(first, last + 1)

    def __bool__(self) -> bool:
        return bool(self._lasts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SpanSet) and self._firsts == other._firsts and self._lasts == other._lasts

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        shown = ", ".join(f"{first}-{last}" if first != last else f"{first}" for first, last in self.get_spans()[:8])
        more = f", ... {self.span_count - 8} more" if self.span_count > 8 else ""
        return f"<{type(self).__name__} {shown}{more}>"

    @property
    def span_count(self) -> int:
        """How many spans; the memory that the set takes."""
        return len(self._lasts)

    @property
    def lowest(self) -> int | None:
        """The lowest number, or None of an empty set."""
        return self._firsts[0] if self._firsts else None

    @property
    def highest(self) -> int | None:
        """The highest number, or None of an empty set."""
        return self._lasts[-1] if self._lasts else None

    def count(self) -> int:
        """How many numbers."""
        return sum(self._lasts) - sum(self._firsts) + len(self._lasts)

    def get_spans(self) -> list[tuple[int, int]]:
        """The spans, ascending, as `(first, last)`."""
        return list(zip(self._firsts, self._lasts, strict=True))

    def get_lowest(self) -> int | None:
        """Take the lowest number out and return it; None if the set is empty."""
        if not self._firsts:
            return None
        lowest = self._firsts[0]
        if lowest == self._lasts[0]:
            del self._firsts[0], self._lasts[0]
        else:
            self._firsts[0] = lowest + 1
        return lowest

    def add(self, number: int) -> bool:
        """Put one number in; False if it was there."""
        lasts = self._lasts
        if lasts and number == lasts[-1] + 1 <= MAX_NUMBER:  # in order, as nearly all that arrives
            lasts[-1] = number
            return True
        if number in self:
            return False
        self.add_span(number, number)
        return True

    def add_span(self, first: int, last: int) -> None:
        """Put `first` to `last` in, joined with what they touch."""
        if not 0 <= first <= last <= MAX_NUMBER:
            raise ValueError(f"no span of 64-bit numbers: {first} to {last}")
        firsts, lasts = self._firsts, self._lasts
        if lasts and first == lasts[-1] + 1:  # in order, as nearly all that arrives
            lasts[-1] = last
            return
        begin = bisect_left(lasts, first - 1)  # the first span that touches or follows
        end = begin
        while end < len(lasts) and firsts[end] <= last + 1:
            end += 1
        if begin < end:
            first = min(first, firsts[begin])
            last = max(last, lasts[end - 1])
        firsts[begin:end] = [first]
        lasts[begin:end] = [last]

    def remove_seq(self, number: int) -> bool:
        """Take one number out; False if it was not there."""
        if number not in self:
            return False
        self.remove_span(number, number)
        return True

    def remove_span(self, first: int, last: int) -> None:
        """Take `first` to `last` out, as far as they are there."""
        if first > last:
            raise ValueError(f"no span: {first} to {last}")
        firsts, lasts = self._firsts, self._lasts
        begin = bisect_left(lasts, first)
        end = begin
        kept: list[tuple[int, int]] = []
        while end < len(lasts) and firsts[end] <= last:
            if firsts[end] < first:
                kept.append((firsts[end], first - 1))
            if lasts[end] > last:
                kept.append((last + 1, lasts[end]))
            end += 1
        firsts[begin:end] = [span[0] for span in kept]
        lasts[begin:end] = [span[1] for span in kept]

    def gap_at(self, number: int) -> tuple[int, int]:
        """The first run of numbers that are not in the set at or after `number`, as `(first, last)`.

        Its `first` is over 2**64 - 1 if there is none; its `last` is 2**64 - 1 if no span follows.
        """
        at = bisect_left(self._lasts, number)
        if at < len(self._lasts) and self._firsts[at] <= number:
            number = self._lasts[at] + 1
            at += 1
        return number, self._firsts[at] - 1 if at < len(self._firsts) else MAX_NUMBER

    def missing(self, first: int, last: int) -> list[tuple[int, int]]:
        """The parts of `first` to `last` that are not in the set, ascending."""
        lasts = self._lasts
        if not lasts or lasts[-1] < first:
            return [(first, last)]
        gaps: list[tuple[int, int]] = []
        while first <= last:
            gap_first, gap_last = self.gap_at(first)
            if gap_first > last:
                break
            gaps.append((gap_first, min(gap_last, last)))
            first = gap_last + 1
        return gaps

    def lowest_span(self) -> tuple[int, int]:
        """The span with the lowest numbers. Raises `IndexError` of an empty set."""
        return self._firsts[0], self._lasts[0]

    def newest_spans(self, limit: int) -> list[tuple[int, int]]:
        """At most `limit` spans, the highest first."""
        return list(zip(self._firsts[: -limit - 1 : -1], self._lasts[: -limit - 1 : -1], strict=True))

    def forget_spans_below(self, number: int) -> None:
        """Take out every span that ends below `number`; one that reaches it stays whole."""
        while self._lasts and self._lasts[0] < number:
            del self._firsts[0], self._lasts[0]

    def to_binary(self) -> bytes:
        """The binary form, 16 bytes a span."""
        return b"".join(map(_SPAN.pack, self._firsts, self._lasts))

    @classmethod
    def from_binary(cls, data: bytes) -> Self:
        """The set whose binary form this is. Raises `MalformedSpans`, and nothing else, for any other bytes."""
        if len(data) % _SPAN.size:
            raise MalformedSpans(f"{len(data)} bytes are not a whole number of spans")
        spans = cls(())
        before = -2
        for first, last in _SPAN.iter_unpack(data):
            if first > last or first <= before + 1:
                raise MalformedSpans(f"{first} to {last} after {before}: not ascending, disjoint and apart")
            spans._firsts.append(first)
            spans._lasts.append(last)
            before = last
        return spans


class SequenceSpan(SpanSet):
    """The seed's span set: unless told otherwise it starts with every sequence there is, as those still awaited."""

    __slots__ = ()

    def __init__(self, spans: Iterable[tuple[int, int]] | None = None) -> None:
        super().__init__(((0, MAX_NUMBER),) if spans is None else spans)
