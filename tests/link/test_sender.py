from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.errors import AcknowledgedUnsent
from bittrrt.link.burst import Burst
from bittrrt.link.full_burst import MAX_BATCH, full_burst
from bittrrt.link.model import Model
from bittrrt.link.pacer import WRITES_A_TURN
from bittrrt.link.path_mtu import PathMtu
from bittrrt.link.round_trip import RoundTrip
from bittrrt.link.sender import Sender
from bittrrt.wire.acknowledgement import Acknowledgement
from bittrrt.wire.datagram import OVERHEAD

CHUNK = 1452 - OVERHEAD


def acknowledge(*spans: tuple[int, int], credit: int = 0, received: int = 0) -> Acknowledgement:
    return Acknowledgement(0, credit, received, (), spans)


FAST = 200e6  # bytes a second, of which a tick is worth fewer than four writes


class SenderTests(SynchronousTestCase):
    def setUp(self) -> None:
        round_trip = RoundTrip()
        round_trip.add(0.1, 0.0)
        self.sender = Sender(
            0.0,
            congestion=Model(0.0, round_trip=round_trip, random=Random(1)),
            round_trip=round_trip,
            path_mtu=PathMtu(0.0, fixed=1452),
            credit=1_000_000,
        )
        self.sequence = 0
        self.now = 0.0

    def open(self, number: int = 1, size: int = 1_000_000, **settings: object) -> None:
        channel = self.sender.open_channel(number, self.now, credit=size, **settings)  # type: ignore[arg-type]
        channel.supply(size, finished=True)

    def take(self, seconds: float = 0.0) -> list[Burst]:
        """What is sent from now on for so long."""
        bursts = []
        end = self.now + seconds
        while True:
            burst = self.sender.next_burst(self.now)
            if burst is not None:
                self.sender.burst_sent(burst, self.sequence, self.now)
                self.sequence += burst.datagrams
                bursts.append(burst)
                continue
            if self.now >= end:
                return bursts
            self.now = min(self.now + 0.001, end)

    def test_bursts_are_contiguous_and_paced(self) -> None:
        self.open()
        first = self.take()
        self.assertEqual(len(first), 1)
        bursts = first + self.take(0.1)
        at = 0
        for burst in bursts:
            self.assertEqual((burst.offset, burst.chunk_size), (at, CHUNK))
            self.assertEqual(burst.writes, 1)
            at += burst.length
        self.assertEqual(self.sender.in_flight, at // CHUNK * 1452)
        self.assertLessEqual(self.sender.in_flight, self.sender.congestion.window)

    def fast(self, round_trip: float = 0.01) -> None:
        """The path delivers `FAST`, as is known by now."""
        self.sender.congestion.window = 10**8
        self.sender._pacer.set_rate(FAST, self.now)
        self.now += round_trip  # tokens for a whole turn

    def test_a_burst_takes_as_many_full_writes_as_the_tokens_allow(self) -> None:
        self.open()
        self.fast()
        (whole,) = self.take()
        self.assertEqual((whole.writes, whole.datagrams), (WRITES_A_TURN, WRITES_A_TURN * full_burst(CHUNK)))
        self.now += 2.9 * MAX_BATCH / FAST
        (some,) = self.take()
        self.assertEqual((some.writes, some.datagrams), (2, 2 * full_burst(CHUNK)))

    def test_a_large_burst_ends_where_its_range_does(self) -> None:
        self.open(size=full_burst(CHUNK) * CHUNK + 10)
        self.open(3, size=100)
        self.fast()
        long, short = self.take()
        self.assertEqual((long.writes, long.length), (2, full_burst(CHUNK) * CHUNK + 10))
        self.assertEqual((short.channel, short.length), (3, 100))

    def test_streams_take_turns_by_equal_bursts(self) -> None:
        for number in (1, 3):
            self.open(number)
        sent = {1: 0, 3: 0}
        for _ in range(2):
            self.fast()
            for burst in self.take():
                sent[burst.channel] += burst.length
        self.assertEqual(sent[1], sent[3])

    def test_a_stream_is_done_when_all_of_it_is_acknowledged(self) -> None:
        self.open(size=CHUNK + 1)
        bursts = self.take(0.1)
        self.assertEqual(sum(burst.length for burst in bursts), CHUNK + 1)
        self.sender.acknowledged(acknowledge((0, self.sequence - 1)), 0.2, sequences_used=self.sequence)
        self.assertTrue(self.sender.channels[1].done)
        self.assertEqual(self.sender.in_flight, 0)
        self.assertIsNone(self.sender.next_timeout())

    def test_what_was_lost_goes_first_and_again_under_its_offset(self) -> None:
        self.open()
        self.take(0.1)
        self.sender.acknowledged(acknowledge((2, 9), (0, 0)), 0.15, sequences_used=self.sequence)
        due = self.sender.next_timeout()
        assert due is not None
        self.now = 0.3
        self.sender.on_timeout(self.now)
        (again, *_) = self.take()
        self.assertEqual((again.offset, again.length, again.retransmission), (CHUNK, CHUNK, True))
        self.assertEqual(self.sender.channels[1].lost_datagrams, 1)

    def test_a_loss_that_proves_false_is_not_sent_again(self) -> None:
        self.open()
        self.take(0.1)
        self.sender.acknowledged(acknowledge((2, 9), (0, 0)), 0.15, sequences_used=self.sequence)
        self.sender.on_timeout(0.3)
        self.sender.acknowledged(acknowledge((0, 9)), 0.31, sequences_used=self.sequence)
        self.assertEqual(self.sender.false_losses, 1)
        self.assertFalse(self.sender.channels[1].lost)

    def test_an_acknowledgement_of_what_was_never_sent_is_refused_whole(self) -> None:
        self.open()
        self.take(0.1)
        before = self.sender.in_flight
        lie = acknowledge((0, self.sequence), credit=10**9)
        self.assertRaises(AcknowledgedUnsent, self.sender.acknowledged, lie, 0.2, sequences_used=self.sequence)
        self.assertEqual((self.sender.in_flight, self.sender.credit), (before, 1_000_000))
        self.assertEqual(self.sender.acknowledgements_refused, 1)

    def test_credit_only_grows(self) -> None:
        self.sender.acknowledged(acknowledge(credit=2_000_000), 0.1, sequences_used=0)
        self.sender.acknowledged(acknowledge(credit=1_500_000), 0.2, sequences_used=0)
        self.assertEqual(self.sender.credit, 2_000_000)

    def test_nothing_goes_beyond_the_credit_and_then_it_is_asked_for(self) -> None:
        self.sender.open_channel(1, 0.0, credit=2000).supply(10_000)
        bursts = self.take(0.2)
        self.assertEqual(sum(burst.length for burst in bursts), 2000)
        self.sender.acknowledged(acknowledge((0, self.sequence - 1)), 0.3, sequences_used=self.sequence)
        self.now = 10.0
        self.sender.on_timeout(self.now)
        (ask,) = [burst for burst in self.take() if not burst.retransmission][:1]
        self.assertEqual((ask.length, ask.datagrams), (0, 1))

    def test_a_probe_carries_data_when_nothing_is_heard(self) -> None:
        self.open(size=3 * CHUNK)
        self.take(0.1)
        due = self.sender.next_timeout()
        assert due is not None
        self.now = due
        self.sender.on_timeout(self.now)
        probes = self.take()
        self.assertEqual((probes[0].offset, probes[0].retransmission), (0, True))
        self.assertEqual(sum(probe.datagrams for probe in probes), 2)

    def test_probes_back_off_to_one_a_second(self) -> None:
        self.open(size=3 * CHUNK)
        self.take(0.1)
        times = []
        for _ in range(12):
            self.now = self.sender.next_timeout() or 0.0
            self.sender.on_timeout(self.now)
            self.take()
            times.append(self.now)
        self.assertLess(times[-1] - times[-2], 1.01)
        self.assertGreater(times[-1] - times[-2], 0.99)

    def test_urgent_channels_go_first_and_others_take_turns(self) -> None:
        for number in (1, 3):
            self.open(number)
        self.open(5, size=CHUNK, urgent=True)
        order = [burst.channel for burst in self.take(0.01)]
        self.assertEqual(order[:5], [5, 1, 3, 1, 3])

    def test_a_resumed_stream_skips_what_is_there(self) -> None:
        channel = self.sender.open_channel(1, 0.0, credit=10**6)
        channel.skip(0, 999)
        channel.skip(1500, 1999)
        channel.supply(2500, finished=True)
        bursts = self.take(0.1)
        self.assertEqual([(burst.offset, burst.length) for burst in bursts], [(1000, 500), (2000, 500)])
        self.sender.acknowledged(acknowledge((0, self.sequence - 1)), 0.2, sequences_used=self.sequence)
        self.assertTrue(channel.done)

    def test_a_closed_channel_sends_nothing_more(self) -> None:
        self.open()
        self.take(0.01)
        self.sender.close_channel(1)
        self.assertEqual(self.take(0.1), [])
        self.sender.acknowledged(acknowledge((0, self.sequence - 1)), 0.2, sequences_used=self.sequence)
        self.assertEqual(self.sender.in_flight, 0)

    def test_a_lossy_datagram_counts_and_is_not_sent_again(self) -> None:
        self.sender.datagram_sent(0, 500, 0.0)
        self.assertEqual(self.sender.in_flight, 500)
        self.sender.datagram_sent(1, 500, 0.1)
        self.sender.acknowledged(acknowledge((1, 1)), 0.3, sequences_used=2)
        self.assertEqual(self.sender.in_flight, 0)
        self.assertEqual(self.take(0.1), [])

    def test_a_stream_cannot_shrink_or_grow_beyond_its_end(self) -> None:
        channel = self.sender.open_channel(1, 0.0, credit=100)
        channel.supply(50)
        self.assertRaises(ValueError, channel.supply, 40)
        channel.supply(60, finished=True)
        self.assertRaises(ValueError, channel.supply, 70)
        self.assertRaises(ValueError, self.sender.open_channel, 1, 0.0, credit=100)
