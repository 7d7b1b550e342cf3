"""What one end makes of how much of the path it has."""

from __future__ import annotations

import math
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.link.capacity import MORE_THAN_HALF, YIELDING_ROUNDS
from bittrrt.link.congestion import Sample
from bittrrt.link.rounds import Round
from bittrrt.link.share import GROWTH_WITH_LESS, LOOK_ROUNDS, PAUSE_ROUNDS, PAUSE_TIME, Share

PATH = 1e6  # bytes a second
MINIMUM = 0.1  # seconds
MOST = MORE_THAN_HALF * PATH


def acknowledged(now: float, round_trip: float, delivered: int = 0) -> Sample:
    return Sample(now, 1000, 0, 0, delivered, 0, 0.0, False, round_trip)


class ShareTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.share = Share(0.0, Random(1))

    def round(self, now: float, *, longest: float, contended: bool = True, cut: bool = False) -> float:
        """The most that is kept after a round that ended `now`."""
        seen = Round()
        seen.add(acknowledged(now, longest))
        self.share.round_ended(seen, now, minimum=MINIMUM, contended=contended, cut=cut)
        return self.share.most_rate

    def pause(self, own: float) -> None:
        """Somebody else, who had the rest of the path, sends nothing, and the queue drains."""
        for step in range(400):
            sent = step * 0.002
            round_trip = min(0.2, max(0.2 - (1 - own / PATH) * (sent - 0.2), MINIMUM))
            sample = acknowledged(sent + round_trip, round_trip, delivered=int(own * sent))
            self.share.acknowledged(sample, minimum=MINIMUM, datagram_size=0)

    def test_a_pause_tells_the_share(self) -> None:
        self.assertFalse(self.share.lacks(0.3 * PATH))
        self.pause(0.3 * PATH)
        self.assertTrue(self.share.lacks(0.3 * PATH))
        self.assertTrue(self.share.has_half(0.6 * PATH))
        self.assertFalse(self.share.lacks(0.6 * PATH))

    def test_a_pause_while_this_end_sends_less_tells_nothing(self) -> None:
        for cut in (False, True):
            self.setUp()
            self.share.acknowledged(acknowledged(0.3, 0.2), minimum=MINIMUM, datagram_size=0)
            if cut:
                self.share.cut()
            self.share.acknowledged(acknowledged(0.35, 0.1, delivered=50_000), minimum=MINIMUM, datagram_size=0)
            self.assertEqual(self.share.capacity.sure, not cut)

    def test_little_more_than_half_is_kept_where_nobody_else_yields(self) -> None:
        self.assertEqual(self.round(1.0, longest=0.2), math.inf)
        self.share.capacity.paused(PATH)
        self.assertEqual(self.round(1.0, longest=0.2), MOST)
        self.assertEqual(self.round(1.0, longest=0.2, contended=False), math.inf)

    def test_all_is_taken_where_the_others_stay_away_for_longer_than_a_pause(self) -> None:
        self.share.capacity.paused(PATH)
        pause = PAUSE_TIME + PAUSE_ROUNDS * MINIMUM
        self.round(1.0, longest=0.2)
        self.assertEqual(self.round(1.0 + pause, longest=0.1), MOST)
        self.assertEqual(self.round(1.1 + pause, longest=0.1), math.inf)
        self.assertEqual(self.round(1.2 + pause, longest=0.1, cut=True), MOST)

    def test_a_look_is_planned_once_and_due_until_enough_is_known(self) -> None:
        def due(now: float) -> bool:
            return self.share.look_is_due(now, 100, contended=False)

        self.assertFalse(due(10.0))
        self.share.plan_look(10.0, MINIMUM)
        self.assertFalse(due(10.0 + LOOK_ROUNDS[0] * MINIMUM))
        self.assertEqual([due(10.0 + LOOK_ROUNDS[1] * MINIMUM), due(20.0)], [True, False])
        self.share.plan_look(20.0, MINIMUM)
        self.share.capacity.paused(PATH)
        self.assertFalse(due(30.0))

    def test_a_look_waits_for_calm_after_an_overflow(self) -> None:
        self.share.plan_look(0.0, MINIMUM)
        self.share.capacity.overflowed(100)
        self.assertFalse(self.share.look_is_due(10.0, 100 + YIELDING_ROUNDS + 1, contended=True))
        self.assertTrue(self.share.look_is_due(10.0, 100 + YIELDING_ROUNDS + 1, contended=False))

    def test_the_bound_grows_faster_with_less_than_half_and_not_at_all_with_more(self) -> None:
        self.assertEqual(self.share.growth(0.2 * PATH, occupied=True), 1.0)
        self.share.capacity.paused(PATH)
        self.assertEqual(self.share.growth(0.2 * PATH, occupied=True), GROWTH_WITH_LESS)
        self.assertEqual(self.share.growth(0.5 * PATH, occupied=True), 1.0)
        self.assertEqual(self.share.growth(0.7 * PATH, occupied=True), 0.0)
        self.assertEqual(self.share.growth(0.7 * PATH, occupied=False), 1.0)
