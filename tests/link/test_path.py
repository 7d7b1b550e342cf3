"""What one end knows of one port's path."""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.link.heartbeats import RoundTripSample
from bittrrt.link.path import LOSS_WINDOW, MIN_PATIENCE, PathReport, PathStatistics


class ReportTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = PathStatistics()

    def measure(self, *round_trips: float) -> PathReport:
        for second, round_trip in enumerate(round_trips):
            self.path.add_round_trip(RoundTripSample(float(second), round_trip), second + round_trip)
        return self.path.report(float(len(round_trips)))

    def test_nothing_is_known_at_first(self) -> None:
        self.assertEqual(
            self.path.report(5.0),
            PathReport(
                last=None,
                smoothed=None,
                minimum=None,
                jitter=0.0,
                answered=0,
                lost=0,
                loss=0.0,
                offset=None,
                silent=None,
            ),
        )

    def test_round_trips_show_at_once(self) -> None:
        report = self.measure(0.05, 0.03)
        self.assertEqual((report.last, report.minimum), (0.03, 0.03))
        self.assertAlmostEqual(report.smoothed or 0, 0.05 - 0.02 / 8)

    def test_jitter_is_the_rfcs(self) -> None:
        self.assertEqual(self.measure(0.05).jitter, 0.0)
        self.path = PathStatistics()
        self.assertAlmostEqual(self.measure(0.05, 0.066).jitter, 0.016 / 16)
        self.path = PathStatistics()
        self.assertAlmostEqual(self.measure(0.05, 0.066, 0.034).jitter, 0.001 + (0.032 - 0.001) / 16)
        self.path = PathStatistics()
        self.assertAlmostEqual(self.measure(*[0.05, 0.06] * 200).jitter, 0.01, places=4)

    def test_a_steady_path_has_none(self) -> None:
        self.assertEqual(self.measure(*[0.05] * 50).jitter, 0.0)

    def test_silence_is_counted_from_the_last_sign_of_life(self) -> None:
        self.path.last_heard = 10.0
        self.assertEqual((self.path.silent(10.0), self.path.report(17.5).silent), (0.0, 7.5))

    def test_the_clock_offset_is_shown_with_its_age(self) -> None:
        self.path.offset.add(3.0, 0.0, 0.0)
        offset = self.path.report(100.0).offset
        assert offset is not None
        self.assertEqual(offset.offset_ms, 3.0)
        self.assertGreater(offset.error_ms, 1.0)


class LossTests(SynchronousTestCase):
    def test_loss_is_the_share_of_the_last_hundred(self) -> None:
        chance = random.Random(2)
        path = PathStatistics()
        lost: list[bool] = []
        for beat in range(1000):
            lost.append(chance.random() < (0.1 if beat < 500 else 0.6))
            if lost[-1]:
                path.count_lost(1)
            else:
                path.count_answered()
            recent = lost[-LOSS_WINDOW:]
            self.assertAlmostEqual(path.report(0.0).loss, sum(recent) / len(recent))
        report = path.report(0.0)
        self.assertEqual((report.lost, report.answered), (sum(lost), 1000 - sum(lost)))

    def test_many_lost_at_once_are_each_counted(self) -> None:
        path = PathStatistics()
        path.count_answered()
        path.count_lost(3)
        path.count_lost(0)
        self.assertEqual((path.report(0.0).loss, path.lost), (0.75, 3))

    def test_old_losses_are_forgotten(self) -> None:
        path = PathStatistics()
        path.count_lost(500)
        self.assertEqual(path.report(0.0).loss, 1.0)
        for _ in range(LOSS_WINDOW):
            path.count_answered()
        self.assertEqual((path.report(0.0).loss, path.lost), (0.0, 500))


class PatienceTests(SynchronousTestCase):
    def test_a_path_that_never_answered_is_given_three_seconds(self) -> None:
        self.assertEqual(PathStatistics().patience(), 3.0)

    def test_a_fast_path_is_given_a_second(self) -> None:
        path = PathStatistics()
        path.add_round_trip(RoundTripSample(0.0, 0.001), 0.001)
        path.count_answered()
        self.assertEqual(path.patience(), MIN_PATIENCE)

    def test_a_slow_path_is_given_three_timeouts(self) -> None:
        path = PathStatistics()
        path.add_round_trip(RoundTripSample(0.0, 0.6), 0.6)
        path.count_answered()
        self.assertAlmostEqual(path.patience(), 3 * (0.6 + 4 * 0.3))
