from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.link.in_flight import InFlight, SentBurst

OVERHEAD = 48


def burst(first: int, length: int, at: float = 0.0, *, offset: int = 0, chunk_size: int = 100) -> SentBurst:
    return SentBurst(None, offset=offset, length=length, chunk_size=chunk_size, overhead=OVERHEAD, first=first, at=at)


class SentBurstTests(SynchronousTestCase):
    def test_the_last_datagram_may_be_shorter(self) -> None:
        sent = burst(10, 250)
        self.assertEqual((sent.first, sent.last), (10, 12))
        self.assertEqual(sent.size_of(0b111), 250 + 3 * OVERHEAD)
        self.assertEqual(sent.size_of(0b100), 50 + OVERHEAD)
        self.assertEqual(sent.size_of(0b001), 100 + OVERHEAD)

    def test_an_empty_burst_is_one_datagram_without_bytes(self) -> None:
        sent = burst(10, 0)
        self.assertEqual(sent.last, 10)
        self.assertEqual(sent.size_of(1), OVERHEAD)
        self.assertEqual(list(sent.ranges_of(1)), [])

    @given(st.integers(1, 25_600), st.integers(0, 2**256 - 1))
    def test_ranges_are_the_bytes_of_the_bits_neighbours_joined(self, length: int, bits: int) -> None:
        sent = burst(0, length, offset=1000)
        bits &= sent.outstanding
        expected = {1000 + at for at in range(length) if bits >> (at // 100) & 1}
        ranges = list(sent.ranges_of(bits))
        self.assertEqual({at for first, last in ranges for at in range(first, last + 1)}, expected)
        self.assertTrue(all(before[1] + 1 < after[0] for before, after in pairwise(ranges)))


class InFlightTests(SynchronousTestCase):
    def test_an_acknowledged_span_takes_its_datagrams_out_of_several_bursts(self) -> None:
        flight = InFlight()
        for first in (0, 10, 20):
            flight.sent(burst(first, 500, first))
        found = flight.acknowledge([(3, 21)])
        self.assertEqual([(item.burst.first, item.outstanding) for item in found], [(0, 0b11000), (10, 31), (20, 3)])
        self.assertEqual(flight.bytes, 6 * (100 + OVERHEAD))
        self.assertEqual(flight.acknowledge([(3, 21)]), [])

    def test_a_span_that_grew_tells_only_what_is_new(self) -> None:
        flight = InFlight()
        flight.sent(burst(0, 500))
        flight.acknowledge([(0, 1)])
        (found,) = flight.acknowledge([(0, 3)])
        self.assertEqual(found.outstanding, 0b1100)

    def test_sequences_of_others_are_not_found(self) -> None:
        flight = InFlight()
        flight.sent(burst(5, 300))
        self.assertEqual(flight.acknowledge([(100, 200), (8, 9), (0, 4)]), [])

    def test_parts_of_a_burst_of_hundreds_of_datagrams_are_acknowledged_one_by_one(self) -> None:
        flight = InFlight()
        sent = burst(0, 25_600)
        flight.sent(sent)
        for first, last in ((0, 44), (45, 134), (200, 255)):
            (found,) = flight.acknowledge([(first, last)])
            self.assertEqual(found.outstanding, (1 << last + 1) - (1 << first))
        self.assertEqual(list(sent.ranges_of(sent.outstanding)), [(13_500, 19_999)])
        self.assertEqual(flight.bytes, 65 * (100 + OVERHEAD))

    def test_what_was_overtaken_and_is_old_is_lost_and_may_prove_false(self) -> None:
        flight = InFlight()
        flight.sent(burst(0, 500, 1.0))
        flight.sent(burst(5, 500, 2.0))
        flight.acknowledge([(7, 7), (1, 1)])
        (lost,) = flight.lose(7, 1.5)
        self.assertEqual((lost.burst.first, lost.outstanding), (0, 0b11101))
        (lost,) = flight.lose(7, 2.5)
        self.assertEqual((lost.burst.first, lost.outstanding), (5, 0b00011))
        self.assertEqual(flight.bytes, 2 * (100 + OVERHEAD))
        (late,) = flight.acknowledge([(2, 2)])
        self.assertEqual((late.outstanding, late.lost), (0, 0b00100))
        self.assertEqual(flight.bytes, 2 * (100 + OVERHEAD))

    def test_sequences_go_up(self) -> None:
        flight = InFlight()
        flight.sent(burst(5, 300))
        self.assertRaises(ValueError, flight.sent, burst(7, 300))

    @given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 800), st.booleans()), max_size=40))
    def test_bytes_in_flight_are_those_of_the_outstanding_datagrams(self, steps: list[tuple[int, int, bool]]) -> None:
        flight = InFlight()
        outstanding = set()
        for number in range(30):
            flight.sent(burst(number * 100, 9000, number))  # ten sequences between two bursts are others'
            outstanding |= set(range(number * 100, number * 100 + 90))
        for first, length, lost in steps:
            if lost:
                flight.lose(first, length / 10)
                outstanding -= {at for at in outstanding if at < first and at // 100 <= length / 10}
            else:
                flight.acknowledge([(first, first + length)])
                outstanding -= set(range(first, first + length + 1))
            self.assertEqual(flight.bytes, len(outstanding) * (100 + OVERHEAD))

    def test_what_is_done_with_is_forgotten(self) -> None:
        flight = InFlight()
        for number in range(5000):
            flight.sent(burst(number * 10, 1000, number))
            flight.acknowledge([(0, number * 10 + 9)])
            flight.forget_sent_before(number)
        self.assertLess(flight.record_count, 1000)
