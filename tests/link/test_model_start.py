"""The model's first round trips: what was said before the first data must not slow it."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.link.congestion import INITIAL_DATAGRAMS, Sample
from bittrrt.link.model import Model
from bittrrt.link.round_trip import RoundTrip

SIZE = 1200


def message_arrived(now: float, delivered: int) -> Sample:
    """One control message of 200 bytes, alone on its way."""
    return Sample(now, 200, 0, 0, delivered, delivered - 200, 2000.0, False, 0.1)


class ModelStartTests(SynchronousTestCase):
    def test_the_first_round_trip_spreads_the_first_window(self) -> None:
        model = Model(0.0, round_trip=RoundTrip(), random=Random(1))
        model.update(message_arrived(0.1, 200))
        self.assertGreaterEqual(model.window, INITIAL_DATAGRAMS * SIZE)
        self.assertTrue(1.0 < model.pacing_rate * 0.1 / (INITIAL_DATAGRAMS * SIZE) < 3.0, model.pacing_rate)

    def test_an_expected_round_trip_spreads_the_first_window_until_one_is_measured(self) -> None:
        model = Model(0.0, round_trip=RoundTrip(0.2), random=Random(1))
        expected = model.pacing_rate
        self.assertTrue(1.0 < expected * 0.2 / (INITIAL_DATAGRAMS * SIZE) < 3.0, expected)
        self.assertEqual(model.minimum_round_trip, 0.0)
        model.update(message_arrived(0.1, 200))
        self.assertEqual((model.pacing_rate, model.minimum_round_trip), (2 * expected, 0.1))

    def test_messages_before_the_first_data_do_not_slow_it(self) -> None:
        round_trip = RoundTrip()
        round_trip.add(0.1, 0.0)
        model = Model(0.0, round_trip=round_trip, random=Random(1))
        before = model.pacing_rate
        for number in range(1, 4):
            model.update(message_arrived(number * 0.1, number * 200))
        self.assertGreaterEqual(model.pacing_rate, before)

    def test_once_a_window_has_arrived_what_was_measured_counts(self) -> None:
        round_trip = RoundTrip()
        round_trip.add(0.1, 0.0)
        model = Model(0.0, round_trip=round_trip, random=Random(1))
        for number in range(1, INITIAL_DATAGRAMS * SIZE // 200 + 1):
            model.update(message_arrived(number * 0.1, number * 200))
        self.assertLess(model.pacing_rate, 20_000)
