"""Quantiles in bounded memory, against a sorted list."""

from __future__ import annotations

import math
import random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.link.quantiles import Quantiles


class QuantileTests(SynchronousTestCase):
    def test_there_is_none_before_the_first_sample(self) -> None:
        self.assertIsNone(Quantiles().quantile(0.5))

    def test_one_sample_is_every_quantile(self) -> None:
        quantiles = Quantiles()
        quantiles.add(0.123)
        self.assertEqual([quantiles.quantile(q) for q in (0.0, 0.5, 0.99, 1.0)], [0.123] * 4)

    def test_the_extremes_are_exact(self) -> None:
        quantiles = Quantiles()
        for sample in (0.0123, 0.5, 0.0456, 0.0987):
            quantiles.add(sample)
        self.assertEqual((quantiles.minimum, quantiles.maximum, quantiles.count), (0.0123, 0.5, 4))

    def test_one_late_answer_in_a_thousand_does_not_move_the_p99(self) -> None:
        quantiles = Quantiles()
        for number in range(1000):
            quantiles.add(3.0 if number == 500 else 0.02)
        self.assertEqual(round(quantiles.quantile(0.99) or 0, 3), 0.02)
        self.assertEqual(round(quantiles.quantile(1.0) or 0, 1), 3.0)

    def test_memory_is_bounded_whatever_comes(self) -> None:
        chance = random.Random(1)
        quantiles = Quantiles()
        for _ in range(50_000):
            quantiles.add(10 ** chance.uniform(-12, 9))
        self.assertLess(len(quantiles._buckets), 4000)

    def test_zero_and_what_no_clock_shows_have_their_bucket(self) -> None:
        quantiles = Quantiles()
        for sample in (0.0, 1e-300, 1e300):
            quantiles.add(sample)
        self.assertEqual((quantiles.minimum, quantiles.maximum), (0.0, 1e300))
        self.assertLess(quantiles.quantile(0.5) or 1.0, 1e-8)

    @given(st.lists(st.floats(1e-8, 1e5), min_size=1, max_size=60), st.floats(0, 1))
    def test_every_quantile_is_within_half_a_percent(self, samples: list[float], fraction: float) -> None:
        quantiles = Quantiles()
        for sample in samples:
            quantiles.add(sample)
        exact = sorted(samples)[math.floor(fraction * (len(samples) - 1))]
        shown = quantiles.quantile(fraction)
        assert shown is not None
        self.assertLessEqual(abs(shown / exact - 1), 0.005_1)

    @given(st.lists(st.tuples(st.floats(1e-8, 1e5), st.integers(1, 5)), min_size=1, max_size=30))
    def test_samples_that_are_alike_may_be_counted_together(self, samples: list[tuple[float, int]]) -> None:
        together, one_by_one = Quantiles(), Quantiles()
        for sample, count in samples:
            together.add(sample, count)
            for _ in range(count):
                one_by_one.add(sample)
        fractions = [0.0, 0.05, 0.5, 0.5, 0.99, 1.0]
        self.assertEqual(together.quantiles(fractions), [one_by_one.quantile(fraction) for fraction in fractions])
