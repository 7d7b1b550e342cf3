"""Times in buckets: each in the first bucket whose end is not below it, as Prometheus defines `le`."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.core import HistogramMetricFamily
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.app.histogram import TIME_BOUNDS, Histogram


def buckets(histogram: Histogram) -> dict[float, float]:
    """The cumulative counts, by the upper end."""
    family = HistogramMetricFamily("x_seconds", "x", labels=["port"])
    histogram.add_to(family, "up")
    return {float(sample.labels["le"]): sample.value for sample in family.samples if sample.name == "x_seconds_bucket"}


class HistogramTests(SynchronousTestCase):
    def test_bounds_ascend_from_50_microseconds_to_10_seconds_without_a_wide_gap(self) -> None:
        self.assertEqual((TIME_BOUNDS[0], TIME_BOUNDS[-1]), (50e-6, 10.0))
        for low, high in pairwise(TIME_BOUNDS):
            self.assertTrue(1.2 < high / low < 2.01, (low, high))

    def test_a_time_that_is_a_bound_is_in_the_bucket_that_ends_there(self) -> None:
        histogram = Histogram((1.0, 2.0))
        for value in (1.0, 1.5, 2.0, 2.5):
            histogram.observe(value)
        self.assertEqual(buckets(histogram), {1.0: 1, 2.0: 3, float("inf"): 4})
        self.assertEqual((histogram.count, histogram.sum), (4, 7.0))

    @given(st.lists(st.floats(0, 100)))
    def test_buckets_hold_what_is_not_above_their_ends(self, values: list[float]) -> None:
        histogram = Histogram()
        for value in values:
            histogram.observe(value)
        values.sort()
        for bound, count in buckets(histogram).items():
            self.assertEqual(count, bisect_right(values, bound))
