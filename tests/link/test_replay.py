"""The replay filter: exact over its window, against a plain set."""

from __future__ import annotations

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.link.replay import WINDOW, ReplayFilter
from bittrrt.wire.spans import MAX_NUMBER

W = WINDOW
CASES: list[list[tuple[int, bool]]] = [
    # Sequences in the order of their arrival, and whether each is taken.
    [(0, True), (0, False)],
    [(0, True), (1, True), (1, False), (0, False)],
    [(1, True), (0, True), (0, False), (2, True)],
    [(9, True), (8, True), (7, True), (7, False), (8, False), (9, False), (6, True)],
    [(W - 1, True), (0, True), (0, False)],  # the window holds 0 to W - 1
    [(W, True), (0, False), (1, True), (1, False)],
    [(W + 1, True), (1, False), (0, False), (2, True)],
    [(0, True), (W, True), (0, False), (1, True)],
    [(W, True), (W - 1, True), (W - 1, False), (W - 2, True), (2, True), (2, False), (W - 16, True), (3, True)],
    [(10 * W, True), (9 * W, False), (9 * W + 1, True), (9 * W + 1, False), (10 * W, False)],
    [(10 * W, True), (10 * W + 1, True), (9 * W + 1, False), (9 * W + 2, True)],
    [(2**63, True), (0, False), (2**63 - W + 1, True), (2**63 - W, False)],
    [(MAX_NUMBER, True), (MAX_NUMBER, False), (MAX_NUMBER - W + 1, True), (MAX_NUMBER - W, False), (0, False)],
    [(MAX_NUMBER - 1, True), (MAX_NUMBER, True), (MAX_NUMBER - 1, False)],
]


class FilterModel:
    """The filter as a set of all that was taken: slow, and plainly right."""

    def __init__(self) -> None:
        self.taken: set[int] = set()

    def accept(self, sequence: int) -> bool:
        if sequence in self.taken or sequence <= max(self.taken, default=-1) - WINDOW:
            return False
        self.taken.add(sequence)
        return True


class ReplayMachine(RuleBasedStateMachine):
    """The filter beside its model."""

    def __init__(self) -> None:
        super().__init__()
        self.filter = ReplayFilter()
        self.model = FilterModel()

    @property
    def highest(self) -> int:
        return max(self.model.taken, default=-1)

    def offer(self, sequence: int) -> None:
        assert self.filter.accept(sequence) == self.model.accept(sequence), sequence

    @rule(sequence=st.integers(0, 3 * WINDOW))
    def anywhere(self, sequence: int) -> None:
        self.offer(sequence)

    @rule(ahead=st.integers(1, 2 * WINDOW))
    def newer(self, ahead: int) -> None:
        self.offer(self.highest + ahead)

    @rule(behind=st.integers(0, WINDOW + 2))
    def older(self, behind: int) -> None:
        self.offer(max(self.highest - behind, 0))

    @rule(off=st.integers(-2, 2))
    def at_the_edge(self, off: int) -> None:
        self.offer(max(self.highest - WINDOW + off, 0))

    @rule(length=st.integers(1, 20), step=st.integers(1, 3))
    def burst(self, length: int, step: int) -> None:
        start = self.highest + 1
        for sequence in range(start, start + length * step, step):
            self.offer(sequence)

    @rule(data=st.data())
    def again(self, data: st.DataObject) -> None:
        if self.model.taken:
            assert not self.filter.accept(data.draw(st.sampled_from(sorted(self.model.taken))))

    @invariant()
    def the_same(self) -> None:
        taken = self.model.taken
        assert self.filter.highest == self.highest
        assert self.filter.accepted == len(taken)
        assert self.filter.missing == self.highest + 1 - len(taken)
        floor = self.highest - WINDOW
        assert {n for n in self.filter.received if n > floor} == {n for n in taken if n > floor}
        assert self.filter.received.span_count <= WINDOW // 2 + 1


class ReplayTests(SynchronousTestCase):
    def test_cases(self) -> None:
        for case in CASES:
            replay = ReplayFilter()
            for step, (sequence, taken) in enumerate(case):
                self.assertIs(replay.accept(sequence), taken, f"step {step} of {case}")

    def test_the_window_is_exact(self) -> None:
        for highest in (WINDOW - 1, WINDOW, 5 * WINDOW + 3):
            replay = ReplayFilter()
            replay.accept(highest)
            oldest = highest - WINDOW + 1
            for sequence in range(max(oldest - 50, 0), oldest):
                self.assertFalse(replay.accept(sequence))
            for sequence in range(oldest, highest):
                self.assertTrue(replay.accept(sequence))
            for sequence in range(oldest, highest + 1):
                self.assertFalse(replay.accept(sequence))
            self.assertEqual(replay.accepted, WINDOW)

    def test_it_is_a_plain_set_with_a_window(self) -> None:
        run_state_machine_as_test(ReplayMachine, settings=settings(max_examples=40, stateful_step_count=40))

    def test_every_datagram_of_a_shuffled_stream_is_taken_once(self) -> None:
        chance = random.Random(3)
        stream = sorted(range(20_000), key=lambda n: n + chance.uniform(0, WINDOW - 1))
        replay = ReplayFilter()
        self.assertEqual([n for n in stream if not replay.accept(n)], [])
        self.assertEqual((replay.accepted, replay.missing), (20_000, 0))
        self.assertEqual([n for n in stream if replay.accept(n)], [])

    def test_what_is_missing_is_what_has_not_come(self) -> None:
        replay = ReplayFilter()
        self.assertEqual((replay.highest, replay.missing), (-1, 0))
        for sequence in (0, 1, 5, 9):
            replay.accept(sequence)
        self.assertEqual((replay.highest, replay.missing), (9, 6))
        replay.accept(4)
        self.assertEqual(replay.missing, 5)
        replay.accept(9 + WINDOW)
        replay.accept(3)  # too old by now: it stays missing
        self.assertEqual(replay.missing, 10 + WINDOW - 6)

    def test_the_worst_pattern_takes_bounded_memory(self) -> None:
        replay = ReplayFilter()
        for sequence in range(0, 6 * WINDOW, 2):
            replay.accept(sequence)
            self.assertLessEqual(replay.received.span_count, WINDOW // 2 + 1)
