"""What the whole path delivers, by queues of one's own and by probes of the round trip."""

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


def sent(capacity: Capacity, *rounds: tuple[float, float, float], pushed: bool = True) -> Capacity:
    """After rounds of so many bytes a second, and such quickest and slowest round trips."""
    seen, now = Round(), 0.0
    seen.begin(0)
    for rate, quickest, slowest in rounds:
        seen.add(acknowledged(now, quickest, 0)._replace(acknowledged=0))
        seen.add(acknowledged(now + 0.1, slowest, 0)._replace(acknowledged=int(rate * 0.1)))
        capacity.round_ended(seen, EMPTY, pushed=pushed)
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


def queue(before: float, then: float) -> tuple[tuple[float, float, float], ...]:
    """Rounds, the last of which has a queue: bytes a second without it and with it."""
    return (before, 0.1, 0.101), (before, 0.1, 0.12), (then, 0.11, 0.125)


class AloneTests(SynchronousTestCase):
    def test_one_that_gets_no_more_by_making_a_queue_has_all(self) -> None:
        capacity = sent(Capacity(), *queue(1e6, 1.01e6), *queue(1e6, 1.01e6))
        self.assertAlmostEqual(capacity.value, 1.01e6)
        self.assertTrue(capacity.exact and capacity.sure)

    def test_once_may_be_somebody_elses_return(self) -> None:
        self.assertEqual(sent(Capacity(), *queue(1e6, 1e6)).value, 0.0)

    def test_one_that_gets_more_by_making_a_queue_is_not_alone(self) -> None:
        self.assertEqual(sent(Capacity(), *(3 * queue(5e5, 5.5e5))).value, 0.0)

    def test_a_queue_in_which_it_gets_more_begins_the_count_again(self) -> None:
        rounds = *queue(1e6, 1e6), *queue(5e5, 5.5e5), *queue(1e6, 1e6)
        self.assertEqual(sent(Capacity(), *rounds).value, 0.0)

    def test_a_queue_that_always_stood_tells_nothing(self) -> None:
        self.assertEqual(sent(Capacity(), *(6 * [(1e6, 0.15, 0.16)])).value, 0.0)

    def test_a_queue_that_it_did_not_make_tells_nothing(self) -> None:
        self.assertEqual(sent(Capacity(), *(3 * queue(1e6, 1e6)), pushed=False).value, 0.0)

    def test_it_takes_nothing_from_what_is_known(self) -> None:
        capacity = sent(Capacity(), *(2 * queue(1e6, 1e6)), *(3 * queue(4e5, 4e5)))
        self.assertAlmostEqual(capacity.value, 1e6)

    def test_a_look_does_not_outweigh_it(self) -> None:
        capacity = sent(Capacity(), *(2 * queue(5e5, 5e5)))
        probed(capacity, 120_000, own=(60_000, 10_000))
        self.assertAlmostEqual(capacity.value, 5e5)
        probed(capacity, 120_000, own=(60_000, 10_000))
        self.assertAlmostEqual(capacity.value, RATE)


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

    def test_the_median_of_three_counts(self) -> None:
        capacity = Capacity()
        for others, yielded, sure in ((120_000, 0, False), (240_000, 20_000, False), (120_000, 0, True)):
            probed(capacity, others, own=(60_000, 10_000), yielded=yielded)
            self.assertEqual(capacity.sure, sure)
        self.assertAlmostEqual(capacity.value, RATE)

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


class PausedTests(SynchronousTestCase):
    def test_the_pause_of_somebody_else_is_believed_at_once_and_more_than_looks(self) -> None:
        capacity = probed(Capacity(), 60_000, own=(100_000, 85_000, 65_000, 20_000))
        capacity.paused(2e6)
        self.assertEqual(capacity.value, 2e6)
        self.assertTrue(capacity.sure)

    def test_the_greater_of_the_last_two_counts_as_somebody_else_may_have_sent_a_little(self) -> None:
        capacity = Capacity()
        for told, believed in ((1e6, 1e6), (8e5, 1e6), (9e5, 9e5), (1.1e6, 1.1e6)):
            capacity.paused(told)
            self.assertEqual(capacity.value, believed)

    def test_half_is_told_from_less_and_more_and_little_beside_it_is_neither(self) -> None:
        capacity = Capacity()
        self.assertFalse(capacity.less_than_half(1.0) or capacity.more_than_half(1.0))
        capacity.paused(1e6)
        told = [(capacity.less_than_half(rate), capacity.more_than_half(rate)) for rate in (4.4e5, 5e5, 5.6e5)]
        self.assertEqual(told, [(True, False), (False, False), (False, True)])

    def test_whoever_gets_more_than_that_knows_that_it_was_wrong(self) -> None:
        capacity = Capacity()
        capacity.paused(RATE)
        sent(capacity, (1.2e6, 0.1, 0.12), (RATE, 0.1, 0.12), (1.2e6, 0.1, 0.12))  # while a queue drains
        self.assertEqual(capacity.value, RATE)
        sent(capacity, (1.2e6, 0.1, 0.12))
        self.assertEqual(capacity.value, 0.0)
        self.assertFalse(capacity.exact)
