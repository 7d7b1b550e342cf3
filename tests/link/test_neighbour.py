"""Another flow, as its yielding shows from this end."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.link.congestion import Sample
from bittrrt.link.neighbour import Neighbour
from bittrrt.link.rounds import Round


class NeighbourTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.neighbour = Neighbour()
        self.round = Round()
        self.now = 0.0

    def rounds(self, *round_trips: float, in_flight: int = 50_000, overflowed: bool = False) -> int:
        """Rounds in which all that is in flight is acknowledged; the bytes in flight when somebody yielded."""
        for round_trip in round_trips:
            self.now += round_trip
            self.round.add(Sample(self.now, in_flight, 0, 0, 0, 0, 0.0, False, round_trip))
            self.neighbour.watch(self.round, overflowed=overflowed)
            self.round.begin(0)
        return self.neighbour.yielded

    def overflow(self) -> None:
        self.rounds(0.2, overflowed=True)
        self.assertEqual(self.rounds(*[0.16] * 5), 0)

    def test_a_full_queue_that_gets_shorter_without_this_end_shows_that_somebody_yields(self) -> None:
        self.overflow()
        self.assertEqual(self.rounds(0.2, in_flight=60_000), 0)
        self.assertEqual(self.rounds(0.182, 0.182, in_flight=60_000), 60_000)

    def test_a_queue_that_gets_shorter_as_this_end_sends_less_shows_nothing(self) -> None:
        self.overflow()
        self.rounds(0.2, in_flight=60_000)
        self.assertEqual(self.rounds(0.182, 0.182, in_flight=50_000), 0)

    def test_a_queue_that_is_shorter_for_one_round_only_shows_nothing(self) -> None:
        self.overflow()
        self.assertEqual(self.rounds(0.2, 0.182, 0.2), 0)

    def test_a_queue_that_had_not_been_full_shows_nothing(self) -> None:
        self.overflow()
        self.assertEqual(self.rounds(0.18, 0.165, 0.165), 0)

    def test_who_gives_up_much_had_more_than_half_and_is_not_answered(self) -> None:
        self.overflow()
        self.assertEqual(self.rounds(0.2, 0.16, 0.16), 0)

    def test_nothing_is_known_before_the_first_overflow(self) -> None:
        self.assertEqual(self.rounds(0.16, 0.16, 0.2, 0.182, 0.182), 0)
