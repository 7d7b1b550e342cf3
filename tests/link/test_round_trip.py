"""Smoothed, minimum and variation, RFC 9002 section 5."""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.link.round_trip import GRANULARITY, INITIAL_ROUND_TRIP, RoundTrip


class EstimateTests(SynchronousTestCase):
    def test_before_the_first_sample_it_is_the_rfcs_guess(self) -> None:
        trip = RoundTrip()
        self.assertEqual((trip.latest, trip.smoothed, trip.minimum), (None, INITIAL_ROUND_TRIP, float("inf")))
        self.assertAlmostEqual(trip.probe_timeout(), 3 * INITIAL_ROUND_TRIP)

    def test_the_first_sample_is_believed(self) -> None:
        trip = RoundTrip()
        trip.add(0.1, 0.0)
        self.assertEqual((trip.latest, trip.smoothed, trip.variation, trip.minimum), (0.1, 0.1, 0.05, 0.1))

    def test_an_expected_one_is_no_sample_and_goes_with_the_first(self) -> None:
        trip = RoundTrip(0.3)
        self.assertEqual((trip.latest, trip.smoothed, trip.minimum, trip.supposed), (None, 0.3, float("inf"), True))
        self.assertAlmostEqual(trip.probe_timeout(), 3 * 0.3)
        trip.add(0.4, 0.0)
        self.assertEqual((trip.latest, trip.smoothed, trip.variation, trip.minimum), (0.4, 0.4, 0.2, 0.4))

    def test_the_next_ones_are_smoothed_as_the_rfc_says(self) -> None:
        trip = RoundTrip()
        trip.add(0.1, 0.0)
        trip.add(0.2, 1.0)
        self.assertAlmostEqual(trip.variation, 3 / 4 * 0.05 + 1 / 4 * 0.1)
        self.assertAlmostEqual(trip.smoothed, 7 / 8 * 0.1 + 1 / 8 * 0.2)
        self.assertAlmostEqual(trip.probe_timeout(), trip.smoothed + 4 * trip.variation)
        self.assertEqual((trip.latest, trip.minimum), (0.2, 0.1))

    def test_a_steady_path_has_a_short_timeout_with_room_for_a_timer(self) -> None:
        trip = RoundTrip()
        for second in range(200):
            trip.add(0.05, float(second))
        self.assertAlmostEqual(trip.probe_timeout(), 0.05 + GRANULARITY)

    def test_the_estimate_stays_among_the_samples(self) -> None:
        chance = random.Random(5)
        trip = RoundTrip()
        samples = [chance.expovariate(20) + 0.01 for _ in range(1000)]
        for second, sample in enumerate(samples):
            trip.add(sample, second / 100)
            self.assertTrue(min(samples) <= trip.smoothed <= max(samples))
        self.assertEqual(trip.minimum, min(samples))


class MinimumTests(SynchronousTestCase):
    def test_a_longer_path_shows_within_ten_minutes_whenever_it_changed(self) -> None:
        for changed_at in range(0, 1300, 50):
            trip = RoundTrip()
            for second in range(0, changed_at + 600 + 3 * 5, 5):  # a heartbeat every 5 s
                trip.add(0.02 if second <= changed_at else 0.2, float(second))
            self.assertEqual(trip.minimum, 0.2, f"changed at {changed_at} s")

    def test_the_change_of_guard_does_not_forget_what_was_measured_just_before(self) -> None:
        trip = RoundTrip()
        for second in range(0, 400, 5):
            trip.add(0.02 if second < 290 else 0.3, float(second))
        self.assertEqual(trip.minimum, 0.02)

    def test_a_shorter_path_shows_at_once(self) -> None:
        trip = RoundTrip()
        trip.add(0.2, 0.0)
        trip.add(0.02, 5.0)
        self.assertEqual(trip.minimum, 0.02)

    def test_a_minimum_is_kept_over_a_few_minutes_of_queueing(self) -> None:
        trip = RoundTrip()
        trip.add(0.02, 0.0)
        for second in range(5, 240, 5):
            trip.add(0.3, float(second))
        self.assertEqual(trip.minimum, 0.02)
