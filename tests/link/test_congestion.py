from __future__ import annotations

import math
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.link.congestion import Sample
from bittrrt.link.contention import LOSS_ROUNDS
from bittrrt.link.cubic import Cubic
from bittrrt.link.model import FEW_DATAGRAMS, SLOW_START_DATAGRAMS, STARTUP_GAIN, Model, State
from bittrrt.link.overflow import BETA, RENO, SEGMENT, Overflow
from bittrrt.link.round_trip import RoundTrip
from bittrrt.link.rounds import MaximumOfRounds, Round


def sample(now: float, delivered: int, **values: object) -> Sample:
    defaults = Sample(now, 12_000, 0, 60_000, delivered, delivered - 60_000, 1e6, False, 0.05)
    return defaults._replace(**values)  # type: ignore[arg-type]


class ModelTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.delivered = 60_000
        self.model = Model(0.0, round_trip=RoundTrip(), random=Random(1))

    def run_at(self, rate: float, seconds: float, since: float = 0.0, **values: object) -> None:
        for step in range(int(seconds / 0.01)):
            self.delivered += 12_000
            self.model.update(sample(since + step * 0.01, self.delivered, rate=rate, **values))

    def test_startup_ends_when_the_rate_grows_no_more(self) -> None:
        self.run_at(1e6, 1.0)
        self.assertIsNot(self.model.state, State.STARTUP)
        self.assertEqual(self.model.bandwidth, 1e6)

    def test_the_window_is_two_products_and_something_for_clumps(self) -> None:
        self.run_at(1e6, 1.0)
        self.assertTrue(1.9 * 50_000 < self.model.window < 3.5 * 50_000, self.model.window)

    def test_an_application_limited_sample_may_only_raise_the_rate(self) -> None:
        self.run_at(1e6, 1.0)
        self.run_at(2e5, 3.0, since=1.0, application_limited=True)
        self.assertEqual(self.model.bandwidth, 1e6)
        self.model.update(sample(5.0, 10**8, rate=2e6, application_limited=True))
        self.assertEqual(self.model.bandwidth, 2e6)

    def starts_again(self, round_trip: float, growth: float) -> bool:
        """Whether a probe of the bandwidth that brings so many times the rate, at such round trips, lets it start."""
        self.run_at(1e6, 1.0)
        rate = 1e6
        for step in range(100):
            rate = growth * 1e6 if self.model.state is State.UP else rate
            self.run_at(rate, 0.01, since=1 + step / 100, round_trip=round_trip, in_flight=50_000)
            if self.model.state is State.STARTUP:
                return True
        return False

    def test_a_probe_that_brings_all_that_it_tries_shows_that_the_path_has_much_more(self) -> None:
        for round_trip, growth, again in ((0.05, 1.25, True), (0.05, 1.1, False), (0.06, 1.25, False)):
            self.setUp()
            self.assertEqual(self.starts_again(round_trip, growth), again, f"{round_trip} {growth}")

    def test_a_slower_path_is_believed_after_some_rounds(self) -> None:
        self.run_at(1e6, 1.0)
        self.run_at(2e5, 3.0, since=1.0)
        self.assertEqual(self.model.bandwidth, 2e5)

    def test_the_minimum_round_trip_is_measured_anew_after_twelve_seconds(self) -> None:
        self.run_at(1e6, 1.0)
        self.run_at(1e6, 14.0, since=1.0, round_trip=0.08, in_flight=1000)
        self.assertEqual(self.model.minimum_round_trip, 0.08)

    def test_round_trips_that_come_near_the_minimum_confirm_it(self) -> None:
        self.run_at(1e6, 1.0)
        self.run_at(1e6, 25.0, since=1.0, round_trip=0.0502, in_flight=1000)
        self.assertIsNot(self.model.state, State.PROBE_ROUND_TRIP)
        self.assertEqual(self.model.minimum_round_trip, 0.05)

    def test_a_few_words_before_the_file_do_not_set_its_pace(self) -> None:
        known = RoundTrip()
        known.add(0.1, 0.0)
        model = Model(0.0, round_trip=known, random=Random(1))
        first = model.pacing_rate
        model.update(sample(0.1, 100, acknowledged=100, in_flight=0, rate=1000.0, application_limited=True))
        self.assertGreaterEqual(model.pacing_rate, first)
        self.assertGreater(model.window, 30 * 1200)

    def test_a_first_round_trip_that_no_heartbeat_measured_sets_the_pace(self) -> None:
        self.model.update(sample(0.1, 100, acknowledged=100, in_flight=0, rate=0.0, round_trip=0.1))
        self.assertApproximates(self.model.pacing_rate * 0.1 / self.model.window, STARTUP_GAIN, 0.01)

    def test_slow_start_doubles_while_no_queue_shows(self) -> None:
        windows = []
        for queue in (0.0, 0.02):
            model = Model(0.0, round_trip=RoundTrip(), random=Random(1))
            model.update(sample(0.0, 1200, acknowledged=1200, rate=1e5))
            for step in range(100):
                model.update(sample(0.05 + step / 1000, 0, in_flight=model.window, rate=1e5, round_trip=0.05 + queue))
            windows.append(model.window)
        self.assertEqual(windows, [SLOW_START_DATAGRAMS * 1200, FEW_DATAGRAMS * 1200])

    def test_after_persistent_trouble_it_starts_again_from_half(self) -> None:
        self.run_at(1e6, 1.0)
        self.model.persistent_trouble()
        self.assertIs(self.model.state, State.STARTUP)
        self.assertLessEqual(self.model.window, 50_000)
        self.assertEqual(self.model.bandwidth, 5e5)


class CubicTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.round_trip = RoundTrip()
        self.round_trip.add(0.05, 0.0)
        self.cubic = Cubic(round_trip=self.round_trip)

    def test_slow_start_doubles_and_a_loss_takes_three_tenths(self) -> None:
        before = self.cubic.window
        self.cubic.update(sample(0.1, 12_000))
        self.assertEqual(self.cubic.window, before + 12_000)
        self.cubic.update(sample(0.2, 24_000, acknowledged=0, lost=1200))
        self.assertEqual(self.cubic.window, int((before + 12_000) * 0.7))
        self.cubic.update(sample(0.21, 25_000, acknowledged=0, lost=1200))  # of the same round trip
        self.assertEqual(self.cubic.window, int((before + 12_000) * 0.7))

    def test_slow_start_ends_when_round_trips_have_grown(self) -> None:
        for step in range(9):
            self.cubic.update(sample(0.1 + step / 100, 12_000 * step, round_trip=0.08))
        self.assertFalse(self.cubic.in_slow_start)

    def test_it_comes_back_to_its_window_along_the_curve(self) -> None:
        self.cubic.update(sample(0.1, 12_000, acknowledged=0, lost=1200))
        low = self.cubic.window
        for step in range(1000):
            self.cubic.update(sample(0.2 + step / 100, 100_000 + 12_000 * step))
        self.assertGreater(self.cubic.window, low / 0.7)

    def test_a_false_loss_is_undone(self) -> None:
        before = self.cubic.window
        self.cubic.update(sample(0.1, 12_000, acknowledged=0, lost=1200))
        self.cubic.loss_was_false()
        self.assertEqual(self.cubic.window, before)


class OverflowTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.overflow = Overflow()
        self.round = Round()
        self.now = 0.0

    def rounds(
        self,
        count: int,
        lost: int,
        *,
        queued: bool = True,
        occupied: bool = False,
        settled: bool = True,
        round_trip: float = 0.1,
    ) -> list[bool]:
        """So many rounds of a hundred datagrams, `lost` of each lost; whether an overflow began in each."""
        judged = []
        for _ in range(count):
            self.now += round_trip
            acknowledged = (100 - lost) * 1000
            self.round.add(Sample(self.now, acknowledged, lost * 1000, 0, 0, 0, 0.0, False, round_trip))
            self.overflow.grow(1.0, 1.0 + self.now)
            in_flight = self.overflow.happened(
                self.round,
                queued=queued,
                occupied=queued or occupied,
                settled=settled,
                datagram_size=1000,
                now=1.0 + self.now,
            )
            judged.append(in_flight > 0)
            self.round.begin(0)
        return judged

    def overflows_soon(self, count: int, *, lost: int) -> None:
        """So many overflows, half a second after each other, that all yield to; the last one may show something."""
        self.rounds(16, 0, queued=False)
        for number in range(count):
            self.assertFalse(self.overflow.contended)
            self.assertEqual(self.rounds(3, 0, round_trip=0.08)[-1:] + self.rounds(1, lost), [False, True])
            self.overflow.answer(100_000, 1.0 + number / 2)

    def test_loss_that_is_always_there_is_no_overflow(self) -> None:
        self.rounds(16, 5, queued=False)
        self.assertNotIn(True, self.rounds(30, 5))
        self.assertFalse(self.overflow.contended)

    def test_much_loss_in_one_round_is_an_overflow_if_a_queue_stands(self) -> None:
        self.rounds(16, 1, queued=False)
        self.assertEqual(self.rounds(1, 20, queued=False), [False])
        self.assertTrue(self.overflow.excess)
        self.assertEqual(self.rounds(2, 20), [True, False])

    def test_one_datagram_lost_in_a_queue_is_an_overflow_where_the_path_loses_none(self) -> None:
        self.rounds(16, 0, queued=False)
        self.assertEqual(self.rounds(1, 1), [True])

    def test_one_datagram_more_than_usual_is_none_where_the_path_loses_some(self) -> None:
        self.rounds(16, 1, queued=False)
        self.assertEqual(self.rounds(1, 5), [False])
        self.assertEqual(self.rounds(1, 6), [True])

    def test_what_is_still_lost_when_the_answer_shows_is_another_overflow(self) -> None:
        self.rounds(16, 0, queued=False)
        self.assertEqual(self.rounds(7, 3), [True, False, False, True, False, False, True])

    def test_one_round_of_an_overflow_without_a_queue_does_not_hide_the_next(self) -> None:
        self.rounds(15, 0, queued=False)
        self.rounds(1, 40, queued=False)
        self.assertEqual(self.rounds(1, 2), [True])

    def test_what_was_lost_before_the_flight_was_cut_is_not_taken_for_the_paths_own(self) -> None:
        self.rounds(4, 0, queued=False)
        self.rounds(3, 50, queued=False, settled=False)
        self.assertEqual(self.rounds(1, 1), [True])

    def test_a_path_that_loses_nothing_any_more_is_not_believed_to_lose_much_by_itself(self) -> None:
        self.rounds(4, 30, queued=False)
        self.assertEqual(self.rounds(16, 0), [False] * 16)  # in a queue, so that nothing tells the own loss anew
        self.assertEqual(self.rounds(1, 1), [True])

    def test_what_is_lost_while_a_short_queue_stands_is_not_taken_for_the_paths_own(self) -> None:
        self.rounds(8, 5, queued=False, occupied=True)
        self.assertEqual(self.rounds(1, 5), [True])

    def test_a_minimum_that_was_measured_in_a_queue_told_nothing_of_the_paths_own_loss(self) -> None:
        self.rounds(8, 5, queued=False)
        self.overflow.forget_own_loss()
        self.assertEqual(self.rounds(1, 5), [True])

    def test_loss_in_round_after_round_of_a_short_queue_that_is_never_gone_shows_that_nobody_yields(self) -> None:
        self.rounds(15, 3, queued=False, occupied=True)
        self.assertFalse(self.overflow.contended)
        self.rounds(1, 3, queued=False, occupied=True)
        self.assertTrue(self.overflow.contended)

    def test_the_bound_comes_down_and_goes_back_along_the_curve(self) -> None:
        self.overflow.answer(100_000, 1.0)
        self.assertAlmostEqual(self.overflow.bound(1.0) / 1e5, BETA)
        self.assertGreater(self.overflow.bound(60.0), 100_000)
        self.overflow.undo()
        self.assertEqual(self.overflow.bound(1.0), math.inf)

    def test_who_has_less_than_half_of_the_path_yields_less(self) -> None:
        for share, left in ((0.75, BETA), (0.5, BETA), (0.25, (1 + BETA) / 2), (0.0, 1.0)):
            overflow = Overflow()
            overflow.answer(100_000, 1.0, share)
            self.assertAlmostEqual(overflow.bound(1.0) / 1e5, left)

    def test_the_bound_grows_by_as_much_a_round_trip_as_reno_where_the_curve_is_slower(self) -> None:
        self.overflow.answer(20_000, 1.0)
        self.rounds(20, 0)
        self.assertAlmostEqual(self.overflow.bound(3.0), 20_000 * BETA + 20 * RENO * SEGMENT)

    def test_it_grows_faster_or_not_at_all_along_the_curve_if_it_is_told_to(self) -> None:
        self.overflow.grow(3.0, 1.0)
        self.overflow.answer(100_000, 1.0)
        thrice = self.overflow.bound(1.5)
        self.overflow.grow(0.0, 1.5)
        self.assertAlmostEqual(self.overflow.bound(2.5), thrice)
        self.overflow.grow(1.0, 2.5)
        self.assertAlmostEqual(self.overflow.bound(2.5), thrice)
        usual = Overflow()
        usual.answer(100_000, 1.0)
        self.assertAlmostEqual(usual.bound(2.5), thrice)

    def test_by_rounds_it_grows_half_as_fast_then(self) -> None:
        self.overflow.answer(20_000, 0.0)
        self.overflow.grow(0.0, 0.0)
        before = self.overflow.bound(0.0)
        for number in range(20):
            self.overflow.grow(0.0, number / 10)
        self.assertAlmostEqual(self.overflow.bound(2.0), before + 10 * RENO * SEGMENT)

    def test_an_overflow_below_the_last_top_leaves_room_to_another_flow(self) -> None:
        """RFC 9438 section 4.7: as much is given up as ever, and the curve levels out lower."""
        self.overflow.answer(100_000, 1.0)
        self.overflow.answer(90_000, 20.0)
        self.assertAlmostEqual(self.overflow.bound(20.0), 90_000 * BETA)
        level = 90_000 * (1 + BETA) / 2
        self.assertAlmostEqual(self.overflow.bound(20.0 + math.cbrt((level - 90_000 * BETA) / SEGMENT / 0.4)), level)

    def test_loss_in_round_after_round_of_a_queue_shows_that_nobody_yields(self) -> None:
        self.rounds(16, 0, queued=False)
        self.overflow.answer(100_000, 1.0)
        self.rounds(LOSS_ROUNDS, 3)
        self.assertTrue(self.overflow.contended)
        self.assertEqual(self.overflow.bound(1.0), math.inf)
        self.overflow.answer(100_000, 2.0)
        self.assertEqual(self.overflow.bound(2.0), math.inf)

    def test_overflows_that_follow_one_another_soon_show_that_nobody_yields(self) -> None:
        self.overflows_soon(4, lost=4)
        self.assertTrue(self.overflow.contended)

    def test_single_losses_that_follow_one_another_soon_show_nothing(self) -> None:
        self.overflows_soon(10, lost=1)
        self.assertFalse(self.overflow.contended)

    def test_an_overflow_that_took_nothing_of_ours_counts_if_somebody_yields_to_it(self) -> None:
        self.rounds(16, 0, queued=False)
        self.assertEqual(self.rounds(1, 5), [True])
        self.assertEqual(self.rounds(3, 0), [False] * 3)
        self.assertEqual(self.rounds(2, 0, round_trip=0.09), [False, True])

    def test_somebody_who_yields_again_before_the_own_share_is_back_is_not_answered(self) -> None:
        self.rounds(16, 0, queued=False)
        self.rounds(1, 5)
        self.rounds(3, 0)
        self.overflow.answer(100_000, self.now + 1)
        self.assertEqual(self.rounds(2, 0, round_trip=0.09), [False, False])

    def test_overflows_at_the_pace_of_cubic_are_yielded_to_for_ever(self) -> None:
        for at in range(20):
            self.overflow.answer(100_000, at * 4.0)
        self.assertFalse(self.overflow.contended)


class MaximumOfRoundsTests(SynchronousTestCase):
    def test_values_expire_but_for_the_last(self) -> None:
        maximum = MaximumOfRounds(3)
        for now, value in enumerate((5.0, 4.0, 3.0, 2.0)):
            maximum.add(value, now)
        self.assertEqual(maximum.value, 4.0)
        maximum.expire(20)
        self.assertEqual(maximum.value, 2.0)
