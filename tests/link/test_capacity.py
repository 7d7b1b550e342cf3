"""What the whole path delivers, by a startup and by probes of the round trip."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.link.capacity import YIELDING_ROUNDS, Capacity
from bittrrt.link.congestion import Sample
from bittrrt.link.rounds import Round

RATE = 1e6  # bytes a second, the path's
EMPTY = 0.1  # seconds, the round trip without a queue


def acknowledged(now: float, round_trip: float, in_flight: float) -> Sample:
    """The newest of the acknowledged left with so many bytes in flight, itself among them."""
    return Sample(now, 1000, 0, 0, 10_000_000, 10_000_000 - int(in_flight), 0.0, False, round_trip)


def started(*rounds: tuple[float, float, float]) -> Capacity:
    """After a startup of such rounds: bytes a second, the quickest and the slowest round trip."""
    capacity = Capacity()
    seen, now, minimum = Round(), 0.0, float("inf")
    seen.begin(0)
    for rate, quickest, slowest in rounds:
        in_flight = int(rate * slowest)
        first, last = acknowledged(now, quickest, 0), acknowledged(now + 0.1, slowest, 0)
        seen.add(first._replace(acknowledged=0))
        seen.add(last._replace(acknowledged=int(rate * 0.1), in_flight=in_flight))
        minimum = min(minimum, quickest)
        capacity.startup_round(seen, minimum)
        now += 0.1
        seen.begin(0)
    return capacity


def probed(capacity: Capacity, others: float, *, own: tuple[int, ...], yielded: float = 0.0) -> Capacity:
    """After a probe beside `others` bytes in flight, of which `yielded` are given up; `own` bytes one after another."""

    def crossing(in_flight: int, others: float) -> Sample:
        return acknowledged(0.0, max((in_flight + others) / RATE, EMPTY), in_flight)

    first, *less = own
    start = crossing(first, others)
    capacity.probe_begins(start, count=100)
    samples = [crossing(in_flight, others - yielded) for in_flight in less]
    for sample in samples:
        capacity.probe(sample, EMPTY)
    capacity.probe_ended(EMPTY, own=first / start.round_trip)
    return capacity


class StartupTests(SynchronousTestCase):
    def test_one_that_makes_the_first_queue_and_gets_no_more_by_sending_more_has_all(self) -> None:
        capacity = started((4e5, 0.1, 0.1), (8e5, 0.1, 0.12), (1e6, 0.1, 0.15), (1e6, 0.15, 0.2))
        self.assertAlmostEqual(capacity.value, 1e6)
        self.assertTrue(capacity.exact)

    def test_one_that_still_gets_more_while_the_queue_grows_is_not_alone(self) -> None:
        self.assertEqual(started((4e5, 0.1, 0.1), (5e5, 0.1, 0.12), (6e5, 0.1, 0.15), (7e5, 0.15, 0.2)).value, 0.0)

    def test_one_that_found_a_queue_is_not_alone(self) -> None:
        self.assertEqual(started((1e5, 0.14, 0.2), (2e5, 0.1, 0.2), (6e5, 0.1, 0.2), (6e5, 0.2, 0.3)).value, 0.0)

    def test_one_that_gets_less_as_it_loses_some_cannot_tell(self) -> None:
        self.assertEqual(started((8e5, 0.1, 0.1), (1e6, 0.1, 0.15), (9e5, 0.15, 0.2)).value, 0.0)

    def test_one_that_does_not_send_more_cannot_tell(self) -> None:
        self.assertEqual(started((8e5, 0.1, 0.1), (1e6, 0.1, 0.15), (1e6, 0.1, 0.15)).value, 0.0)


class ProbeTests(SynchronousTestCase):
    def test_what_is_not_in_flight_shortens_the_queue(self) -> None:
        capacity = probed(Capacity(), 120_000, own=(60_000, 45_000, 20_000, 10_000))
        self.assertAlmostEqual(capacity.value, RATE)
        self.assertTrue(capacity.exact)

    def test_a_probe_that_empties_the_queue_tells_the_most_that_it_may_be(self) -> None:
        capacity = probed(Capacity(), 60_000, own=(100_000, 20_000))
        self.assertAlmostEqual(capacity.value, 80_000 / 0.06)
        self.assertFalse(capacity.exact)

    def test_it_is_believed_as_soon_as_half_of_the_queue_is_gone(self) -> None:
        capacity = probed(Capacity(), 60_000, own=(100_000, 85_000, 65_000, 20_000))
        self.assertAlmostEqual(capacity.value, RATE)
        self.assertTrue(capacity.exact)

    def test_the_most_that_it_may_be_takes_nothing_from_what_is_known(self) -> None:
        capacity = probed(Capacity(), 120_000, own=(60_000, 10_000))
        probed(capacity, 60_000, own=(100_000, 20_000))
        self.assertAlmostEqual(capacity.value, RATE)
        self.assertTrue(capacity.exact)

    def test_a_probe_tells_nothing_when_others_probe_at_the_same_time(self) -> None:
        self.assertEqual(probed(Capacity(), 120_000, own=(60_000, 30_000), yielded=60_000).value, 0.0)

    def test_a_probe_tells_nothing_while_others_yield_to_an_overflow(self) -> None:
        for count, known in ((100 - YIELDING_ROUNDS, True), (101 - YIELDING_ROUNDS, False)):
            capacity = Capacity()
            capacity.overflowed(count)
            probed(capacity, 120_000, own=(60_000, 10_000))
            self.assertEqual(capacity.value > 0, known)

    def test_a_round_trip_that_hardly_falls_tells_nothing(self) -> None:
        self.assertEqual(probed(Capacity(), 120_000, own=(60_000, 57_000)).value, 0.0)
