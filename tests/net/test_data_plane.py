"""Streams, control messages and lossy messages between two ends, over networks of every kind."""

from __future__ import annotations

from bittrrt.errors import ControlOverflow, PeerMisbehaved
from bittrrt.link.link import Link
from bittrrt.net.handlers import PortHandler
from bittrrt.net.streams import INITIAL_CREDIT
from bittrrt.wire.acknowledgement import Acknowledgement, pack_acknowledgement
from bittrrt.wire.datagram import ACKNOWLEDGEMENT_FLAGS, MESSAGE_FLAGS, STREAM_FLAGS, URGENT, PortType
from bittrrt.wire.spans import SpanSet

from .simulated_data import MemorySink, MemorySource, SimulatedDataTestCase, outcome_of
from .simulated_link import with_seeds


class StreamTests(SimulatedDataTestCase):
    def test_a_stream_goes_up_and_another_down(self) -> None:
        data = self.network.random.randbytes(300_000)
        up, up_sink, up_done = self.send(data)
        down, down_sink, down_done = self.send(data[::-1], down=True)
        self.network.run_until(lambda: up_done and down_done, 20)
        self.assert_whole(data, up_sink)
        self.assert_whole(data[::-1], down_sink)
        self.assertEqual((up_done, down_done), ([None], [None]))
        self.assertEqual((self.there.received, self.here.received), ([up], [down]))
        self.assertEqual((up % 2, down % 2), (1, 0))

    @with_seeds(*range(1000, 1060))
    def test_nothing_is_lost_or_written_twice_on_a_bad_network(self) -> None:
        network, random = self.network, self.network.random
        network.loss, network.duplication = random.uniform(0, 0.3), random.uniform(0, 0.2)
        network.delay = (0.01, 0.01 + random.uniform(0, 0.05))
        data = random.randbytes(random.randrange(1, 60_000))
        streams = [self.send(data, down=random.random() < 0.5) for _ in range(random.randrange(1, 4))]
        network.run_until(lambda: all(done for _, _, done in streams), 60)
        for _, sink, done in streams:
            self.assertEqual(done, [None])
            self.assert_whole(data, sink)
        self.assertEqual(self.here.ends + self.there.ends, [])

    def test_it_goes_on_when_ports_that_were_all_blocked_are_open_again(self) -> None:
        data = self.network.random.randbytes(200_000)
        for blocked in (self.network.blocked_to, self.network.blocked_from):
            _, sink, done = self.send(data, limit=100_000.0)
            self.network.run_for(0.5)
            blocked.update(self.connection.ports.values())
            self.network.run_for(4)
            self.assertEqual(done, [])
            blocked.clear()
            self.network.run_until(done.__len__, 10)
            self.assert_whole(data, sink)

    @with_seeds(1, 2)
    def test_it_goes_on_while_the_client_moves_every_two_seconds(self) -> None:
        data = self.network.random.randbytes(600_000)
        for down in (False, True):
            _, sink, done = self.send(data, down=down, limit=100_000.0)
            for move in range(40):
                if done:
                    break
                self.network.move(f"203.0.113.{move + 1}", 100 + move)
                self.network.run_for(2.0)
            self.assertEqual(done, [None])
            self.assert_whole(data, sink)

    def test_it_goes_on_after_a_blackout(self) -> None:
        data = self.network.random.randbytes(200_000)
        _, sink, done = self.send(data, limit=50_000.0)
        self.network.run_for(1.0)
        self.network.cut = True
        self.network.run_for(4.0)
        self.network.cut = False
        self.network.run_until(lambda: done, 20)
        self.assert_whole(data, sink)

    def test_what_the_peer_has_is_not_sent(self) -> None:
        data = self.network.random.randbytes(200_000)
        have = SpanSet([(0, 49_999), (100_000, 149_999)])
        sink = MemorySink(len(data))
        self.server_plane.open_receiving(1, sink, len(data), have=have)
        done = outcome_of(self.client_plane.open_sending(1, MemorySource(data), len(data), skip=have))
        self.network.run_until(lambda: done, 20)
        self.assertEqual(self.there.received, [1])
        self.assertEqual(sink.written, 100_000)
        self.assertEqual(sink.data[50_000:100_000] + sink.data[150_000:], data[50_000:100_000] + data[150_000:])

    def test_an_empty_stream_is_done_at_once(self) -> None:
        _, _, done = self.send(b"")
        self.network.run_for(0.1)
        self.assertEqual((done, self.there.received), ([None], [1]))

    def test_a_stream_that_its_sender_closes_fails_with_cancelled_error(self) -> None:
        number, sink, done = self.send(bytes(500_000))
        self.network.run_for(0.05)
        self.client_plane.close_stream(number)
        self.assertEqual([type(error).__name__ for error in done], ["CancelledError"])
        self.network.run_for(1.0)
        self.assertLess(sink.written, 500_000)
        self.assert_next_stream_works()

    def test_late_data_of_a_stream_that_its_receiver_closed_is_dropped(self) -> None:
        number, sink, _ = self.send(bytes(500_000))
        self.network.run_for(0.05)
        self.server_plane.close_stream(number)
        written = sink.written
        self.network.run_for(1.0)
        self.assertEqual(sink.written, written)
        self.assertGreater(self.server_plane.unexpected, 0)
        self.client_plane.close_stream(number)
        self.assert_next_stream_works()

    def test_many_streams_cut_short_leave_credit_for_the_rest(self) -> None:
        for _ in range(40):
            number, _, _ = self.send(bytes(2_000_000))
            self.network.run_for(0.03)
            self.client_plane.close_stream(number)
            self.server_plane.close_stream(number)
        self.network.run_for(2)
        self.assert_next_stream_works()

    def test_an_error_of_the_source_ends_its_stream_alone(self) -> None:
        source = MemorySource(bytes(200_000))
        source.fails_at = 100_000
        number = self.client_plane.new_channel()
        self.server_plane.open_receiving(number, MemorySink(200_000), 200_000)
        done = outcome_of(self.client_plane.open_sending(number, source, 200_000))
        self.network.run_for(2)
        self.assertEqual(self.here.failed, [(number, done[0])])
        self.assertIsInstance(done[0], OSError)
        self.assert_next_stream_works()

    def test_a_source_that_shrinks_ends_its_stream(self) -> None:
        self.server_plane.open_receiving(1, MemorySink(200_000), 200_000)
        done = outcome_of(self.client_plane.open_sending(1, MemorySource(bytes(1000)), 200_000))
        self.network.run_for(1)
        self.assertEqual([type(error).__name__ for error in done], ["SourceChanged"])

    def test_an_error_of_the_sink_ends_its_stream_alone(self) -> None:
        number, sink, _ = self.send(bytes(200_000))
        sink.fails_after = 50_000
        self.network.run_for(2)
        self.assertEqual([channel for channel, _ in self.there.failed], [number])
        self.client_plane.close_stream(number)
        self.assert_next_stream_works()

    def test_a_slow_reader_stops_the_sender(self) -> None:
        data = self.network.random.randbytes(3 * INITIAL_CREDIT)
        sink = MemorySink(len(data))
        self.server_plane.open_receiving(1, sink, len(data), window=INITIAL_CREDIT, paced=True)
        done = outcome_of(self.client_plane.open_sending(1, MemorySource(data), len(data)))
        self.network.run_for(5)
        self.assertEqual(sink.written, INITIAL_CREDIT)
        self.assertEqual(self.client_plane.statistics(1).limited_by, "peer's disk")
        while not done:
            before = sink.written
            self.server_plane.stream_consumed(1, 300_000)
            self.network.run_for(0.5)
            self.assertLessEqual(sink.written - before, 300_000)
        self.assert_whole(data, sink)

    def test_a_number_is_used_once(self) -> None:
        number, _, done = self.send(b"x")
        self.network.run_until(lambda: done, 5)
        for bad in (number, 0, 1 << 24):
            self.assertRaises(ValueError, self.client_plane.open_sending, bad, MemorySource(b"x"), 1)
            self.assertRaises(ValueError, self.server_plane.open_receiving, bad, MemorySink(1), 1)

    def test_statistics_tell_what_both_ends_do(self) -> None:
        number, sink, _ = self.send(bytes(400_000), limit=100_000.0)
        self.network.run_for(2)
        sent, received = self.client_plane.statistics(number), self.server_plane.statistics(number)
        self.assertEqual(sent.limited_by, "limit")
        self.assertTrue(80_000 < sent.rate < 120_000 and 80_000 < received.rate < 120_000, (sent.rate, received.rate))
        self.assertEqual(received.acknowledged, sink.written)

    def test_nothing_ticks_when_all_is_done(self) -> None:
        _, _, done = self.send(bytes(100_000))
        self.network.run_until(lambda: done, 20)
        self.network.run_for(0.5)
        before = len(self.network.getDelayedCalls())
        self.network.sent.clear()
        self.network.run_for(0.3)
        self.assertLessEqual(len(self.network.getDelayedCalls()), before)
        self.assertFalse(self.client_plane.active or self.server_plane.active)
        self.assertLessEqual(len(self.network.sent), 12)  # a round of heartbeats

    def test_closing_the_session_ends_the_streams(self) -> None:
        _, _, done = self.send(bytes(500_000))
        self.network.run_for(0.05)
        self.connection.close()
        self.assertEqual([type(error).__name__ for error in done], ["CancelledError"])
        self.assertRaises(ValueError, self.client_plane.send_control, b"late")
        self.network.run_for(1)
        self.assert_nothing_left()

    def test_gaps_of_data_are_not_laid_to_heartbeats(self) -> None:
        self.network.loss = 0.1
        _, _, done = self.send(bytes(1_000_000), down=True, limit=150_000.0)
        self.network.run_until(lambda: done, 30)
        for port_type in PortType:
            self.assertEqual(self.connection.report(port_type).direction.from_peer, 0)

    def assert_next_stream_works(self) -> None:
        data = self.network.random.randbytes(50_000)
        _, sink, done = self.send(data)
        self.network.run_until(lambda: done, 20)
        self.assert_whole(data, sink)


class FindingMtuTests(SimulatedDataTestCase):
    mtu = None

    def test_where_datagrams_may_be_cut_to_pieces_the_base_is_kept(self) -> None:
        data = self.network.random.randbytes(200_000)
        number, sink, done = self.send(data)
        self.network.run_until(lambda: sink.written > 50_000, 20)
        self.assertEqual(self.client_plane.statistics(number).path_mtu, 1200)
        self.network.run_until(lambda: done, 20)
        self.assert_whole(data, sink)

    def test_the_largest_size_that_gets_through_is_found(self) -> None:
        self.network.largest = 9000
        number, _, _ = self.send(bytes(3_000_000), limit=300_000.0)
        self.network.run_for(5)
        self.assertEqual(self.client_plane.statistics(number).path_mtu, 8952)
        self.assertEqual(self.client_plane.statistics(number).lost_datagrams, 0)
        self.assertEqual(self.client_plane.max_message, 8952 - 48)

    def test_the_size_is_found_without_a_stream_by_who_asks(self) -> None:
        self.network.largest = 9000
        self.client_plane.send_control(b"hello")
        self.network.run_for(0.2)
        self.assertTrue(self.client_plane.search_path_mtu())
        self.assertIsNone(self.client_plane.found_path_mtu())
        self.network.run_until(self.client_plane.found_path_mtu, 5)
        self.assertEqual(self.client_plane.found_path_mtu(), 8952)

    def test_who_asks_where_datagrams_may_be_cut_to_pieces_is_told_that_it_cannot_be_found(self) -> None:
        self.assertFalse(self.client_plane.search_path_mtu())
        self.assertEqual(self.client_plane.found_path_mtu(), 1200)

    def test_a_probe_after_silence_fits_one_write_at_the_largest_size(self) -> None:
        self.network.largest = 65_507
        data = self.network.random.randbytes(3_000_000)
        _, sink, done = self.send(data, limit=1_000_000.0)
        self.network.run_for(1.5)
        self.network.cut = True
        self.network.run_for(1)
        self.network.cut = False
        self.network.run_until(done.__len__, 20)
        self.assert_whole(data, sink)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_size_that_this_machine_refuses_is_not_tried_again(self) -> None:
        self.network.largest = 65_507
        self.network.largest_sent = 1472
        number, _, _ = self.send(bytes(3_000_000), limit=300_000.0)
        self.network.run_for(5)
        self.assertEqual(self.client_plane.statistics(number).path_mtu, 1472)
        counters = self.connection.handlers[PortType.UP].counters
        self.assertEqual(counters.unsent, 1)

    def test_a_path_that_begins_to_swallow_large_datagrams_is_noticed(self) -> None:
        self.network.largest = 9000
        data = self.network.random.randbytes(2_000_000)
        _, sink, done = self.send(data, limit=300_000.0)
        self.network.run_for(3)
        self.network.largest = 1300
        self.network.run_until(lambda: done, 30)
        self.assert_whole(data, sink)


class ControlTests(SimulatedDataTestCase):
    @with_seeds(*range(4))
    def test_messages_come_in_order_and_none_is_missing(self) -> None:
        network = self.network
        network.loss, network.duplication, network.delay = 0.2, 0.1, (0.01, 0.04)
        sent = [b"%d:" % number + bytes(network.random.randrange(0, 4000)) for number in range(60)]
        for message in sent:
            self.client_plane.send_control(message)
            self.server_plane.send_control(message)
        network.run_until(lambda: len(self.there.controls) == len(self.here.controls) == len(sent), 60)
        self.assertEqual(self.there.controls, sent)
        self.assertEqual(self.here.controls, sent)
        network.run_until(lambda: not self.client_plane.control_backlog, 10)

    def test_more_than_the_limit_is_refused(self) -> None:
        self.network.cut = True
        with self.assertRaises(ControlOverflow):
            for _ in range(1000):
                self.client_plane.send_control(bytes(8192))
        self.assertRaises(ValueError, self.client_plane.send_control, bytes(8193))
        self.assertLessEqual(self.client_plane.control_backlog, 4 * 2**20)

    def test_a_control_message_passes_bulk(self) -> None:
        self.send(bytes(3_000_000))
        self.network.run_for(0.2)
        self.client_plane.send_control(b"now")
        self.assertLess(self.network.run_until(lambda: self.there.controls, 5), 0.03)


class MessageTests(SimulatedDataTestCase):
    @with_seeds(*range(4))
    def test_messages_come_at_most_once_and_none_late(self) -> None:
        network = self.network
        network.loss, network.duplication, network.delay = 0.1, 0.2, (0.01, 0.05)
        for number in range(200):
            self.client_plane.send_message(7, b"%d" % number, urgent=number % 5 == 0)
            network.run_for(0.003)
        network.run_for(1)
        numbers = [int(data) for channel, data in self.there.messages]
        self.assertEqual(numbers, sorted(set(numbers)))
        self.assertGreater(len(numbers), 20)
        self.assertGreater(self.server_plane.received_totals.messages_late, 0)

    def test_one_that_does_not_fit_the_window_is_dropped_here(self) -> None:
        self.network.cut = True
        taken = [self.client_plane.send_message(7, bytes(1000)) for _ in range(500)]
        self.assertTrue(taken[0])
        self.assertFalse(taken[-1])
        self.assertRaises(ValueError, self.client_plane.send_message, 7, bytes(1453 - 48))
        self.assertRaises(ValueError, self.client_plane.send_message, 0, b"x")


class HostilePeerTests(SimulatedDataTestCase):
    """The client's own link says what no honest data plane would."""

    def say(self, payload: bytes, flags: int, channel: int = 0, offset: int = 0) -> None:
        link: Link | None = self.connection.link
        handler: PortHandler = self.connection.handlers[PortType.UP]
        assert link is not None
        handler.transmit(link.seal(payload, flags, channel, offset))

    def assert_closed(self, why: str) -> None:
        self.network.run_for(1)
        self.assertEqual([type(end) for end in self.there.ends], [PeerMisbehaved])
        self.assertIn(why, str(self.there.ends[0]))
        self.assertEqual(self.server.sessions, {})
        self.assertEqual([type(end) for end in self.observer.ends], [PeerMisbehaved])
        self.assert_nothing_left()

    def test_it_acknowledges_what_was_never_sent(self) -> None:
        self.say(pack_acknowledgement(Acknowledgement(0, 0, 0, (), ((10**6, 10**6),))), ACKNOWLEDGEMENT_FLAGS)
        self.assert_closed("AcknowledgedUnsent")

    def test_its_acknowledgement_is_none(self) -> None:
        self.say(b"x" * 30, ACKNOWLEDGEMENT_FLAGS)
        self.assert_closed("MalformedAcknowledgement")

    def test_it_sends_beyond_the_end(self) -> None:
        self.server_plane.open_receiving(1, MemorySink(1000), 1000)
        self.say(bytes(100), STREAM_FLAGS, 1, 950)
        self.assert_closed("CreditExceeded")

    def test_it_sends_more_than_its_credit(self) -> None:
        self.server_plane.open_receiving(1, MemorySink(1), 2**40)
        self.say(bytes(100), STREAM_FLAGS, 1, 2**39)
        self.assert_closed("CreditExceeded")

    def test_it_sends_control_messages_beyond_its_credit(self) -> None:
        self.say(bytes(100), STREAM_FLAGS | URGENT, 0, 2**20)
        self.assert_closed("CreditExceeded")

    def test_its_control_messages_are_none(self) -> None:
        self.say(b"99999:x", STREAM_FLAGS | URGENT, 0, 8)
        self.assert_closed("MalformedMessage")

    def test_huge_credit_changes_nothing(self) -> None:
        credit = Acknowledgement(0, 2**64 - 1, 0, ((0, 2**64 - 1),), ())
        self.say(pack_acknowledgement(credit), ACKNOWLEDGEMENT_FLAGS)
        self.network.run_for(1)
        self.assertEqual(self.there.ends, [])

    def test_thousands_of_channels_take_no_memory(self) -> None:
        for channel in range(1, 3000):
            self.say(b"x", MESSAGE_FLAGS, channel, 0)
            if channel % 50 == 0:
                self.network.run_for(0.02)
        self.network.run_for(1)
        self.assertEqual(len(self.there.messages), 2999)
        self.assertEqual(self.there.ends, [])

    def test_a_peer_that_never_reads_costs_what_it_was_promised(self) -> None:
        number, _, done = self.send(bytes(INITIAL_CREDIT * 2), down=True)
        handler = self.session.conn.dn_handler
        self.network.run_for(0.001)
        self.connection.close_data_plane()
        self.network.sent.clear()
        self.network.run_for(10)
        self.assertEqual(done, [])
        self.assertLess(sum(len(sent.data) for sent in self.network.sent), 200_000)
        self.assertLess(self.server_plane.statistics(number).in_flight, 200_000)
        self.assertIsNotNone(handler.peer.address)
