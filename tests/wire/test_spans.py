"""Sets of integers kept as spans, against Python's own sets."""

from __future__ import annotations

import struct
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.errors import MalformedSpans
from bittrrt.wire.spans import MAX_NUMBER, SequenceSpan, SpanSet

# The model holds every number, so the machine plays at both ends of the range, where the edges are.
LOW = st.integers(0, 40)
HIGH = st.integers(MAX_NUMBER - 40, MAX_NUMBER)
numbers = st.one_of(LOW, HIGH)
runs = st.one_of(st.tuples(LOW, LOW), st.tuples(HIGH, HIGH)).map(lambda ends: (min(ends), max(ends)))


class SpanSetMachine(RuleBasedStateMachine):
    """A span set beside a plain set."""

    def __init__(self) -> None:
        super().__init__()
        self.spans = SpanSet()
        self.model: set[int] = set()

    @rule(number=numbers)
    def add(self, number: int) -> None:
        assert self.spans.add(number) == (number not in self.model)
        self.model.add(number)

    @rule(run=runs)
    def add_span(self, run: tuple[int, int]) -> None:
        self.spans.add_span(*run)
        self.model.update(range(run[0], run[1] + 1))

    @rule(number=numbers)
    def remove_seq(self, number: int) -> None:
        assert self.spans.remove_seq(number) == (number in self.model)
        self.model.discard(number)

    @rule(run=runs)
    def remove_span(self, run: tuple[int, int]) -> None:
        self.spans.remove_span(*run)
        self.model.difference_update(range(run[0], run[1] + 1))

    @rule()
    def get_lowest(self) -> None:
        lowest = min(self.model, default=None)
        assert self.spans.get_lowest() == lowest
        self.model.discard(lowest or 0)

    @rule(number=numbers)
    def forget_spans_below(self, number: int) -> None:
        gone = {n for first, last in self.spans.get_spans() if last < number for n in range(first, last + 1)}
        self.spans.forget_spans_below(number)
        self.model -= gone

    @invariant()
    def the_same_numbers(self) -> None:
        assert list(self.spans) == sorted(self.model)
        assert self.spans.count() == len(self.model)
        assert (self.spans.lowest, self.spans.highest) == (min(self.model, default=None), max(self.model, default=None))
        assert bool(self.spans) == bool(self.model)
        for number in (0, 20, 41, MAX_NUMBER - 20, MAX_NUMBER):
            assert (number in self.spans) == (number in self.model)

    @invariant()
    def in_the_one_form(self) -> None:
        spans = self.spans.get_spans()
        assert all(first <= last for first, last in spans)
        assert all(before[1] + 1 < after[0] for before, after in pairwise(spans))
        assert SpanSet.from_binary(self.spans.to_binary()) == self.spans == SpanSet(spans)
        assert len(self.spans.to_binary()) == 16 * self.spans.span_count


class SpanSetTests(SynchronousTestCase):
    def test_any_use_of_it_is_that_of_a_plain_set(self) -> None:
        run_state_machine_as_test(SpanSetMachine, settings=settings(max_examples=60, stateful_step_count=40))

    def test_spans_that_touch_are_one(self) -> None:
        self.assertEqual(SpanSet([(8, 9), (1, 2), (3, 4), (4, 5)]).get_spans(), [(1, 5), (8, 9)])
        spans = SpanSet([(1, 2), (4, 5), (7, 8)])
        spans.add(3)
        self.assertEqual(spans.get_spans(), [(1, 5), (7, 8)])
        spans.add_span(0, 100)
        self.assertEqual(spans.get_spans(), [(0, 100)])

    def test_one_taken_out_of_the_middle_leaves_two_spans(self) -> None:
        spans = SpanSet([(1, 5)])
        self.assertTrue(spans.remove_seq(3))
        self.assertFalse(spans.remove_seq(3))
        self.assertEqual(spans.get_spans(), [(1, 2), (4, 5)])

    def test_the_lowest_is_taken_out_until_none_is_left(self) -> None:
        spans = SpanSet([(5, 6), (1, 1)])
        self.assertEqual([spans.get_lowest() for _ in range(4)], [1, 5, 6, None])

    def test_only_64_bit_numbers_and_spans_that_go_up_are_taken(self) -> None:
        for first, last in ((-1, 3), (3, 2), (0, MAX_NUMBER + 1)):
            self.assertRaises(ValueError, SpanSet().add_span, first, last)
        self.assertRaises(ValueError, SpanSet().add, -1)
        self.assertRaises(ValueError, SpanSet([(0, MAX_NUMBER)]).add, MAX_NUMBER + 1)

    def test_a_span_that_goes_down_is_not_taken_out(self) -> None:
        spans = SpanSet([(0, 10)])
        self.assertRaises(ValueError, spans.remove_span, 5, 3)
        self.assertEqual(spans.get_spans(), [(0, 10)])

    def test_only_spans_that_end_below_are_forgotten(self) -> None:
        for number, kept in {0: 3, 2: 3, 3: 2, 4: 2, 6: 2, 7: 1, 9: 1, 10: 0}.items():
            spans = SpanSet([(1, 2), (5, 6), (9, 9)])
            spans.forget_spans_below(number)
            self.assertEqual(spans.get_spans(), [(1, 2), (5, 6), (9, 9)][3 - kept :], f"below {number}")

    def test_what_is_no_number_is_not_in_it(self) -> None:
        self.assertNotIn("1", SpanSet([(0, 10)]))
        self.assertNotIn(None, SpanSet([(0, 10)]))

    def test_it_equals_what_holds_the_same_and_has_no_hash(self) -> None:
        self.assertEqual(SpanSet([(1, 2), (3, 3)]), SpanSet([(1, 3)]))
        self.assertEqual(SequenceSpan([(1, 3)]), SpanSet([(1, 3)]))
        self.assertNotEqual(SpanSet([(1, 2)]), SpanSet([(1, 3)]))
        self.assertNotEqual(SpanSet(), [])
        self.assertRaises(TypeError, hash, SpanSet())

    def test_its_repr_stays_short(self) -> None:
        self.assertEqual(repr(SpanSet([(1, 2), (5, 5)])), "<SpanSet 1-2, 5>")
        self.assertEqual(
            repr(SpanSet((2 * n, 2 * n) for n in range(1000))), "<SpanSet 0, 2, 4, 6, 8, 10, 12, 14, ... 992 more>"
        )


class SequenceSpanTests(SynchronousTestCase):
    """The seed's span set: which sequences are still awaited."""

    def test_it_starts_with_every_sequence(self) -> None:
        awaited = SequenceSpan()
        self.assertEqual(awaited.get_spans(), [(0, MAX_NUMBER)])
        self.assertEqual([awaited.get_lowest(), awaited.get_lowest()], [0, 1])

    def test_what_came_is_taken_out(self) -> None:
        awaited = SequenceSpan()
        for sequence in (0, 1, 2, 5):
            self.assertTrue(awaited.remove_seq(sequence))
        self.assertFalse(awaited.remove_seq(5))
        self.assertEqual(awaited.get_spans(), [(3, 4), (6, MAX_NUMBER)])

    def test_it_starts_with_what_it_is_told(self) -> None:
        self.assertEqual(SequenceSpan([]).get_spans(), [])
        self.assertEqual(SequenceSpan([(3, 4)]).get_spans(), [(3, 4)])

    def test_it_survives_its_binary_form(self) -> None:
        awaited = SequenceSpan()
        awaited.remove_seq(7)
        again = SequenceSpan.from_binary(awaited.to_binary())
        self.assertIsInstance(again, SequenceSpan)
        self.assertEqual(again, awaited)
        self.assertEqual(SequenceSpan.from_binary(b"").get_spans(), [])


class BinaryTests(SynchronousTestCase):
    def test_the_layout_is_two_numbers_a_span(self) -> None:
        self.assertEqual(
            SpanSet([(1, 2), (256, MAX_NUMBER)]).to_binary().hex(), f"{1:016x}{2:016x}{256:016x}{'f' * 16}"
        )

    def test_anything_but_the_one_form_is_refused(self) -> None:
        for spans in (
            [(2, 1)],
            [(5, 6), (1, 2)],
            [(1, 5), (5, 6)],
            [(1, 5), (6, 7)],
            [(1, 2), (1, 2)],
            [(0, MAX_NUMBER), (0, 0)],
        ):
            data = b"".join(struct.pack(">QQ", *span) for span in spans)
            self.assertRaises(MalformedSpans, SpanSet.from_binary, data)
        for size in (1, 8, 15, 17):
            self.assertRaises(MalformedSpans, SpanSet.from_binary, bytes(size))

    @given(st.one_of(st.binary(max_size=100), st.lists(st.binary(min_size=16, max_size=16)).map(b"".join)))
    @example(bytes(16))
    def test_any_bytes_are_a_set_or_raise_the_named_error_only(self, data: bytes) -> None:
        try:
            spans = SpanSet.from_binary(data)
        except MalformedSpans:
            return
        self.assertEqual(spans.to_binary(), data)

    @given(st.lists(st.tuples(*[st.integers(0, MAX_NUMBER)] * 2).map(lambda ends: (min(ends), max(ends)))))
    def test_every_set_survives_its_binary_form(self, spans: list[tuple[int, int]]) -> None:
        self.assertEqual(SpanSet.from_binary(SpanSet(spans).to_binary()), SpanSet(spans))
