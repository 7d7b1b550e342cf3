"""What the transport asks of a span set: gaps, and spans from either end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.wire.spans import MAX_NUMBER, SpanSet

NUMBERS = st.sets(st.integers(0, 60), max_size=40)


class GapTests(SynchronousTestCase):
    @given(NUMBERS, st.integers(0, 60), st.integers(0, 60))
    def test_missing_is_what_a_set_misses(self, numbers: set[int], one: int, two: int) -> None:
        first, last = min(one, two), max(one, two)
        spans = SpanSet((number, number) for number in numbers)
        missing = [number for begin, end in spans.missing(first, last) for number in range(begin, end + 1)]
        self.assertEqual(missing, [number for number in range(first, last + 1) if number not in numbers])

    @given(NUMBERS, st.integers(0, 60))
    def test_a_gap_goes_from_the_first_missing_to_the_next_span(self, numbers: set[int], at: int) -> None:
        spans = SpanSet((number, number) for number in numbers)
        first, last = spans.gap_at(at)
        self.assertEqual(first, next(number for number in range(at, 100) if number not in numbers))
        after = [number for number in numbers if number > first]
        self.assertEqual(last, min(after) - 1 if after else MAX_NUMBER)

    def test_newest_spans_come_highest_first_and_no_more_than_asked_for(self) -> None:
        spans = SpanSet([(1, 2), (5, 5), (9, 12)])
        self.assertEqual(spans.newest_spans(2), [(9, 12), (5, 5)])
        self.assertEqual(spans.newest_spans(9), [(9, 12), (5, 5), (1, 2)])
        self.assertEqual(SpanSet().newest_spans(3), [])

    def test_the_lowest_span(self) -> None:
        self.assertEqual(SpanSet([(5, 7), (9, 9)]).lowest_span(), (5, 7))
        self.assertRaises(IndexError, SpanSet().lowest_span)
