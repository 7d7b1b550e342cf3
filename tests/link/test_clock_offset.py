"""The clock offset, and that its error bound holds."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.link.clock_offset import DRIFT, ClockOffset, Offset, surest


class OffsetTests(SynchronousTestCase):
    def test_there_is_none_before_the_first_exchange(self) -> None:
        self.assertIsNone(ClockOffset().estimate(0.0))

    def test_the_error_is_half_of_the_round_trip_and_what_the_text_rounds(self) -> None:
        offset = ClockOffset()
        offset.add(250.0, 0.1, 5.0)
        self.assertEqual(offset.estimate(5.0), Offset(250.0, 51.0))

    def test_the_exchange_with_the_least_error_is_kept(self) -> None:
        offset = ClockOffset()
        offset.add(250.0, 0.1, 0.0)
        offset.add(900.0, 0.5, 1.0)
        self.assertEqual((offset.estimate(1.0) or Offset(0, 0)).offset_ms, 250.0)
        offset.add(240.0, 0.02, 2.0)
        self.assertEqual(offset.estimate(2.0), Offset(240.0, 11.0))

    def test_the_surest_port_is_the_one_to_believe(self) -> None:
        self.assertEqual(
            str(surest([None, Offset(-1.25, 11.0), Offset(3.0, 12.0)])), "-1.2 ms from ours, give or take 11.0"
        )
        self.assertIsNone(surest([None, None]))

    def test_the_error_grows_with_age_until_a_newer_exchange_is_better(self) -> None:
        offset = ClockOffset()
        offset.add(10.0, 0.02, 0.0)
        aged = offset.estimate(600.0)
        assert aged is not None
        self.assertAlmostEqual(aged.error_ms, 11.0 + 600 * DRIFT * 1000)
        offset.add(20.0, 0.05, 600.0)
        self.assertEqual(offset.estimate(600.0), Offset(20.0, 26.0))

    @given(st.integers(0, 2**32), st.floats(-1e7, 1e7), st.floats(0.0, 1.0))
    def test_the_truth_is_within_the_error_however_uneven_the_path_is(
        self, seed: int, true_offset_ms: float, share: float
    ) -> None:
        chance = random.Random(seed)
        offset = ClockOffset()
        drift = chance.uniform(-DRIFT, DRIFT)
        for exchange in range(20):
            now = exchange * 5.0
            truth = true_offset_ms + drift * now * 1000
            trip = chance.uniform(0.0, 0.5)
            there = trip * share
            client_ms = int(now * 1000)
            server_ms = int((now + there) * 1000 + truth)
            offset.add(server_ms - client_ms - trip * 500, trip, now)
            estimate = offset.estimate(now)
            assert estimate is not None
            self.assertLessEqual(abs(estimate.offset_ms - truth), estimate.error_ms + 1e-6)
