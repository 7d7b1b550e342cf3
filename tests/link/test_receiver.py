from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.errors import CreditExceeded
from bittrrt.link.receiver import ACKNOWLEDGE_AFTER, MAX_CHANNELS_OPEN, Receiver
from bittrrt.link.replay import ReplayFilter


class ReceiverTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.filter = ReplayFilter()
        self.receiver = Receiver(self.filter.received, window=10_000)
        self.receiver.open_channel(1, size=8000, window=5000)
        self.filter.accept(0)
        self.receiver.data_received(1, 0, 100, 1.0)
        self.receiver.acknowledgement(1.0)

    def test_it_waits_a_millisecond_before_it_acknowledges(self) -> None:
        self.filter.accept(1)
        self.receiver.data_received(1, 100, 100, 2.0)
        self.assertIsNone(self.receiver.acknowledgement(2.0))
        self.assertEqual(self.receiver.next_timeout(), 2.0 + ACKNOWLEDGE_AFTER)
        acknowledgement = self.receiver.acknowledgement(2.0 + ACKNOWLEDGE_AFTER)
        assert acknowledgement is not None
        self.assertEqual(acknowledgement.spans, ((0, 1),))
        self.assertLess(abs(acknowledgement.delay - 1000), 2)
        self.assertEqual(acknowledgement.received, 200)
        self.assertIsNone(self.receiver.next_timeout())

    def test_a_gap_that_opens_or_closes_is_told_at_once(self) -> None:
        self.filter.accept(2)
        self.receiver.data_received(1, 200, 100, 2.0)
        opened = self.receiver.acknowledgement(2.0)
        assert opened is not None
        self.assertEqual(opened.spans, ((2, 2), (0, 0)))
        self.filter.accept(1)
        self.receiver.data_received(1, 100, 100, 2.0)
        closed = self.receiver.acknowledgement(2.0)
        assert closed is not None
        self.assertEqual(closed.spans, ((0, 2),))

    def test_six_writes_that_wait_and_the_end_of_a_stream_are_told_at_once(self) -> None:
        receiver = Receiver(self.filter.received, window=1_000_000)
        receiver.open_channel(1, size=400_000, window=1_000_000)
        for number in range(5):
            receiver.data_received(1, 63_000 * number, 63_000, 1.0)
        self.assertIsNone(receiver.acknowledgement(1.0))
        receiver.data_received(1, 315_000, 63_000, 1.0)
        self.assertIsNotNone(receiver.acknowledgement(1.0))
        receiver.data_received(1, 399_000, 1000, 1.0)
        self.assertIsNotNone(receiver.acknowledgement(1.0))

    def test_it_tells_which_bytes_are_new(self) -> None:
        self.assertEqual(self.receiver.data_received(1, 200, 100, 1.0), [(200, 299)])
        self.assertEqual(self.receiver.data_received(1, 50, 300, 1.0), [(100, 199), (300, 349)])
        self.assertEqual(self.receiver.data_received(1, 0, 350, 1.0), [])
        self.assertEqual(self.receiver.received, 350)
        self.assertEqual(self.receiver.duplicates, 500)

    def test_more_than_the_credit_or_the_size_is_refused(self) -> None:
        for channel, offset, length in ((1, 4999, 2), (1, 2**63, 1), (3, 0, 1)):
            self.assertRaises(CreditExceeded, self.receiver.data_received, channel, offset, length, 1.0)
        self.receiver.open_channel(5, size=50)
        self.assertRaises(CreditExceeded, self.receiver.data_received, 5, 0, 51, 1.0)
        self.receiver.open_channel(7)
        self.assertRaises(CreditExceeded, self.receiver.data_received, 7, 0, 9_901, 1.0)
        self.assertEqual(self.receiver.received, 100)

    def test_credit_follows_what_was_consumed_and_is_told_when_it_moved_far(self) -> None:
        self.receiver.consumed(1, 100)
        self.assertIsNone(self.receiver.next_timeout())
        self.filter.accept(1)
        self.receiver.data_received(1, 100, 4900, 1.0)
        self.receiver.acknowledgement(1.01)
        self.receiver.consumed(1, 4900)
        acknowledgement = self.receiver.acknowledgement(1.01)
        assert acknowledgement is not None
        self.assertEqual(acknowledgement.credit, 15_000)
        self.assertEqual(acknowledgement.channel_credits, ((1, 10_000),))

    def test_an_empty_datagram_asks_for_credit(self) -> None:
        self.assertEqual(self.receiver.data_received(1, 0, 0, 1.0), [])
        acknowledgement = self.receiver.acknowledgement(1.0)
        assert acknowledgement is not None
        self.assertEqual(acknowledgement.channel_credits, ((1, 5000),))

    def test_a_resumed_channel_counts_what_is_there(self) -> None:
        self.receiver.open_channel(3, size=300, window=100)
        self.receiver.already_has(3, 0, 199)
        self.assertEqual(self.receiver.data_received(3, 200, 100, 1.0), [(200, 299)])
        self.assertTrue(self.receiver.channels[3].done)

    def test_a_closed_channel_gives_its_credit_back(self) -> None:
        self.receiver.close_channel(1)
        self.assertEqual(self.receiver.credit, 10_100)

    def test_channels_are_bounded(self) -> None:
        self.assertRaises(ValueError, self.receiver.open_channel, 1)
        for number in range(3, 2 * MAX_CHANNELS_OPEN, 2):
            self.receiver.open_channel(number)
        self.assertRaises(ValueError, self.receiver.open_channel, 2)
