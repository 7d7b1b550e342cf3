from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.link.loss import KEPT_ROUNDS, LossTimer
from bittrrt.link.round_trip import RoundTrip


class LossTimerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.round_trip = RoundTrip()
        self.round_trip.add(0.1, 0.0)
        self.timer = LossTimer(self.round_trip)
        self.timer.acknowledged(5, 0.0, 0.1)

    def test_the_window_starts_at_a_quarter_of_the_round_trip(self) -> None:
        self.assertAlmostEqual(self.timer.patience, 0.125)

    def test_false_losses_widen_it_to_a_round_trip_and_quiet_rounds_narrow_it_again(self) -> None:
        for _ in range(20):
            self.timer.loss_was_false()
        self.assertAlmostEqual(self.timer.reordering_window, 0.1)
        for number in range(KEPT_ROUNDS):
            self.timer.losses_found(1.0 + number)
        self.assertAlmostEqual(self.timer.reordering_window, 0.025)

    def test_the_newest_sequence_counts(self) -> None:
        self.timer.acknowledged(3, 0.0, 0.5)
        self.assertEqual(self.timer.newest_acknowledged, 5)
        self.assertAlmostEqual(self.timer.travelled, 0.1)

    def test_a_slow_path_backs_off_no_further_than_its_own_timeout(self) -> None:
        self.round_trip.smoothed = 2.0
        once = self.timer.probe_after()
        self.timer.timeouts = 9
        self.assertEqual(self.timer.probe_after(), once)
