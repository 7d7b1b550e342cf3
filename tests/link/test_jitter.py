"""A queue that swings, as beside TCP BBR, and round trips that differ by themselves: only the first one overflows."""

from __future__ import annotations

import math
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.link.congestion import Sample
from bittrrt.link.model import Model, State
from bittrrt.link.round_trip import RoundTrip
from bittrrt.link.rounds import Round

STEP = 0.01  # seconds between two acknowledgements
RATE = 1_200_000  # bytes a second
MINIMUM = 0.1  # seconds
SWING = [MINIMUM + 0.04 + 0.06 * abs(1 - step / 10) for step in range(20)] * 20  # 200 to 140 ms and back, each round


def acknowledged(now: float, round_trip: float, lost: int = 0, rate: float = RATE) -> Sample:
    """The sample of a flow that always has two round trips in flight."""
    size, in_flight = int(RATE * STEP), int(2 * RATE * MINIMUM)
    delivered = int(RATE * now)
    return Sample(now, size, lost, in_flight, delivered, delivered - in_flight, rate, False, round_trip)


def bound_after(round_trips: list[float], then: float | None = None) -> float:
    """The model's, after a quiet second and these round trips, near the end of which ten datagrams are lost.

    Another second of round trips of `then` may follow.
    """
    model = Model(0.0, round_trip=RoundTrip(), random=Random(1))
    for step in range(100):
        model.update(acknowledged(step * STEP, MINIMUM))
    for step, round_trip in enumerate(round_trips):
        lost = 12_000 if step == len(round_trips) - 50 else 0
        model.update(acknowledged(1 + step * STEP, round_trip, lost=lost))
    if then:
        for step in range(len(round_trips), len(round_trips) + 100):
            model.update(acknowledged(1 + step * STEP, then))
    return model.bound


class JitterTests(SynchronousTestCase):
    def test_it_is_how_far_one_round_trip_is_from_the_next(self) -> None:
        for round_trips, jitter in ((SWING, 0.006), ([0.1, 0.16] * 24, 0.06)):
            seen = Round()
            for round_trip in round_trips:
                seen.add(acknowledged(0.0, round_trip))
            self.assertAlmostEqual(seen.jitter, jitter)

    def test_the_first_of_a_round_is_compared_with_the_last_of_the_one_before(self) -> None:
        seen = Round()
        seen.add(acknowledged(0.0, 0.1))
        seen.begin(0)
        seen.add(acknowledged(0.0, 0.16))
        self.assertAlmostEqual(seen.jitter, 0.06)

    def test_a_queue_that_swings_overflows(self) -> None:
        self.assertLess(bound_after(SWING), math.inf)

    def test_a_queue_that_is_gone_takes_its_bound_with_it(self) -> None:
        self.assertLess(bound_after(SWING, then=1.3 * MINIMUM), math.inf)
        self.assertEqual(bound_after(SWING, then=MINIMUM), math.inf)

    def test_what_is_lost_while_round_trips_differ_by_as_much_is_none_of_a_queue(self) -> None:
        chance = Random(2)
        self.assertEqual(bound_after([MINIMUM + chance.uniform(0.0, 0.1) for _ in range(400)]), math.inf)

    def test_a_start_in_which_round_trips_swing_is_not_ended_by_a_queue_of_less(self) -> None:
        model = Model(0.0, round_trip=RoundTrip(), random=Random(1))
        growing = [MINIMUM, *SWING[:109]]  # five rounds, in each of which the rate grows by a half
        standing = [MINIMUM * 1.3] * 45  # two rounds in which it does not, and a queue stands
        for step, round_trip in enumerate(growing + standing):
            model.update(acknowledged(step * STEP, round_trip, rate=RATE * 1.5 ** min(step // 20, 5)))
        self.assertIs(model.state, State.STARTUP)
