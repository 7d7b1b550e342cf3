"""Windows of streams: they grow with the path, and not with a slow reader."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.link.receiver import Receiver
from bittrrt.link.replay import ReplayFilter
from bittrrt.net.stream_window import FIRST_WINDOW, MOST_GROWTH, StreamWindow, WindowRoom

from .test_session import RecordingProtocol, SessionTestCase, Writer


class SlowProtocol(RecordingProtocol):
    """Takes 128 KiB, and pauses for a fifth of a second."""

    network: Any

    def dataReceived(self, data: bytes) -> None:
        before = len(self.data) // 131_072
        super().dataReceived(data)
        if len(self.data) // 131_072 > before:
            self.transport.pauseProducing()
            self.network.callLater(0.2, self.transport.resumeProducing)


class LongPathTests(SessionTestCase):
    delay = (0.3, 0.3)

    def test_a_long_path_is_filled_by_one_stream(self) -> None:
        """A window a round trip is the rate: in seconds there is room for 100 Mbit/s with 600 ms."""
        near, far = self.open_stream()
        size = 24 * 2**20
        writer = Writer(self.network, near.transport, size)
        self.network.run_until(lambda: len(far.data) > size * 3 // 4, within=20)
        windows = near.transport._write_window.size, far.transport._read_window.size
        self.network.run_until(lambda: len(far.data) == size, within=5)
        self.assertGreater(min(windows) / 0.6, 100e6 / 8)
        self.assertLessEqual(writer.most, FIRST_WINDOW + MOST_GROWTH + 65536)
        self.network.run_until(lambda: near.ends and far.ends, within=5)
        for session in (self.opened, self.there.session):
            self.assertEqual((session.write_room.left, session.read_room.left), (MOST_GROWTH, MOST_GROWTH))

    def test_the_receiving_end_says_when_its_window_holds_the_sender_back(self) -> None:
        self.there.session.read_room.left = 0
        near, far = self.open_stream()
        Writer(self.network, near.transport, 64 * 2**20)
        limits = []
        for _ in range(12):
            self.network.run_for(0.5)
            limits.append(self.there.session.plane.statistics(far.transport.channel, receiving=True).limited_by)
        self.assertEqual(limits[0], "path or sender")
        self.assertEqual(set(limits), {"path or sender", "window"})


class SlowReaderTests(SessionTestCase):
    delay = (0.05, 0.05)

    def test_a_slow_reader_stops_a_fast_writer_with_the_memory_of_the_beginning(self) -> None:
        SlowProtocol.network = self.network
        self.there.accepts = SlowProtocol
        near, far = self.open_stream()
        writer = Writer(self.network, near.transport, 100 * 2**20)
        most = 0
        for _ in range(200):
            self.network.run_for(0.1)
            most = max(most, len(far.transport._in_order.unread) + len(far.transport._in_order._early))
        self.assertGreater(len(far.data), 4 * 2**20)
        self.assertLessEqual(most, FIRST_WINDOW)
        there = self.there.session.plane.statistics(far.transport.channel, receiving=True)
        self.assertEqual(there.limited_by, "own disk")
        self.assertLessEqual(writer.most, FIRST_WINDOW + 65536)


class WindowTests(SynchronousTestCase):
    def test_it_doubles_when_a_windowful_goes_within_two_round_trips_and_not_when_it_takes_longer(self) -> None:
        window = StreamWindow(WindowRoom(), 0.0)
        self.assertFalse(window.moved(FIRST_WINDOW - 1, 0.1, 0.1))
        self.assertTrue(window.moved(1, 0.1, 0.2))
        self.assertEqual(window.size, 2 * FIRST_WINDOW)
        self.assertFalse(window.moved(2 * FIRST_WINDOW, 0.1, 0.5))
        self.assertEqual(window.size, 2 * FIRST_WINDOW)

    def test_all_windows_together_are_bounded_and_give_back_what_they_took(self) -> None:
        room = WindowRoom()
        windows = [StreamWindow(room, 0.0) for _ in range(100)]
        for _ in range(10):
            for window in windows:
                window.moved(window.size, 1.0, 0.0)
        self.assertLessEqual(sum(window.size - FIRST_WINDOW for window in windows), MOST_GROWTH)
        self.assertLess(room.left, FIRST_WINDOW)
        for window in windows:
            window.close()
            window.close()
        self.assertEqual(room.left, MOST_GROWTH)

    def test_the_peer_is_told_of_a_larger_window_at_once(self) -> None:
        receiver = Receiver(ReplayFilter().received)
        receiver.open_channel(1, window=1000)
        self.assertIsNone(receiver.acknowledgement(1.0))
        receiver.widen(1, 2000)
        told = receiver.acknowledgement(1.0)
        assert told is not None
        self.assertEqual(told.channel_credits, ((1, 2000),))
