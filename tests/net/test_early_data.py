"""Early data: the beginning of a stream comes with its offer, and waits at the receiver until that has decided."""

from __future__ import annotations

import gc
import tracemalloc

from bittrrt.errors import PeerMisbehaved
from bittrrt.link.receiver import Receiver
from bittrrt.net.streams import EARLY, MAX_EARLY_PIECES, EarlyData, StreamSink
from bittrrt.wire.datagram import STREAM_FLAGS, PortType
from bittrrt.wire.spans import SpanSet

from .simulated_data import MemorySink, MemorySource, SimulatedDataTestCase, outcome_of
from .simulated_link import with_seeds

SIZE = 200_000  # bytes


class EarlyDataTestCase(SimulatedDataTestCase):
    """The client offers its stream 1 and sends the beginning of it; the server opens it, or not."""

    def set_up_network(self, seed: int) -> None:
        super().set_up_network(seed)
        self.data = self.network.random.randbytes(SIZE)
        self.source = MemorySource(self.data)

    def offer(self) -> list[object]:
        """Its outcome, in time."""
        self.client_plane.send_control(b"offer")
        return outcome_of(self.client_plane.open_sending(1, self.source, len(self.data), early=True))

    def accept(self, sink: StreamSink, have: SpanSet) -> None:
        """Open it at the server; the client sends the rest when it hears of that."""
        self.here.on_control = lambda _: self.client_plane.send_rest(1, len(self.data), skip=have)
        self.server_plane.open_receiving(1, sink, len(self.data), have=have)
        self.server_plane.send_control(b"accept")

    def say(self, payload: bytes, offset: int, channel: int = 1) -> None:
        """The client's own link says what its data plane would not; it arrives at once."""
        link = self.connection.link
        assert link is not None
        handler = self.connection.handlers[PortType.UP]
        for at in range(0, len(payload), 1000):
            handler.transmit(link.seal(payload[at : at + 1000], STREAM_FLAGS, channel, offset + at))

    def assert_misbehaved(self, why: str) -> None:
        self.network.run_for(1)
        self.assertEqual([type(end) for end in self.there.ends], [PeerMisbehaved])
        self.assertIn(why, str(self.there.ends[0]))
        self.assertEqual(self.server.sessions, {})

    def assert_next_stream_works(self) -> None:
        data = self.network.random.randbytes(100_000)
        _, sink, done = self.send(data)
        self.network.run_until(lambda: done, 20)
        self.assert_whole(data, sink)
        self.assertEqual(self.here.ends + self.there.ends, [])


class EarlyDataTests(EarlyDataTestCase):
    def test_it_waits_at_the_receiver_and_no_more_comes_until_that_has_agreed(self) -> None:
        self.offer()
        self.network.run_for(0.5)
        self.assertEqual(self.server_plane.received_totals.new - len(b"5:hello,5:offer,"), EARLY)
        self.assertEqual(self.client_plane.sent_totals.retransmitted, 0)
        self.network.sent.clear()
        self.network.run_for(3)
        self.assertLess(max(len(sent.data) for sent in self.network.sent), 200)  # heartbeats, nothing else
        sink = MemorySink(SIZE)
        self.accept(sink, SpanSet())
        self.network.run_until(lambda: sink.written == EARLY, 0.001)
        self.network.run_until(lambda: self.there.received, 20)
        self.assert_whole(self.data, sink)

    @with_seeds(*range(2000, 2060))
    def test_nothing_is_lost_or_written_twice_on_a_bad_network(self) -> None:
        network, random = self.network, self.network.random
        self.data = self.source.data = random.randbytes(random.choice((1, 30_000, EARLY, EARLY + 1, SIZE)))
        size = len(self.data)
        network.loss, network.duplication = random.uniform(0, 0.4), random.uniform(0, 0.2)
        network.delay = (0.01, 0.01 + random.uniform(0, 0.1))
        first = random.randrange(size)
        have = SpanSet([(first, random.randrange(first, size))]) if random.random() < 0.5 else SpanSet()
        sink = MemorySink(size)
        for begin, end in have.get_spans():
            sink.write(begin, [self.data[begin : end + 1]])
        done = self.offer()
        at_once = random.random() < 0.5
        network.run_for(0.0 if at_once else random.uniform(0, 0.3))  # before the offer is there, or long after
        self.accept(sink, have)
        network.run_until(lambda: done and self.there.received, 60)
        self.assertEqual(done, [None])
        self.assert_whole(self.data, sink)
        self.assertEqual(self.here.ends + self.there.ends, [])

    def test_it_comes_before_the_offer(self) -> None:
        self.network.blocked_to.add(self.connection.ports[PortType.CTRL])
        done = self.offer()
        self.network.run_for(0.2)
        self.assertEqual(self.there.controls, [])
        self.assertEqual(self.server_plane.received_totals.new - len(b"5:hello,"), EARLY)
        self.network.blocked_to.clear()
        self.network.run_until(lambda: self.there.controls, 10)
        sink = MemorySink(SIZE)
        self.accept(sink, SpanSet())
        self.network.run_until(lambda: done, 20)
        self.assert_whole(self.data, sink)

    def test_what_the_receiver_has_already_is_not_sent_again(self) -> None:
        done = self.offer()
        self.network.run_for(0.2)
        sink = MemorySink(SIZE)
        self.accept(sink, SpanSet([(10_000, SIZE - 10_001)]))
        self.network.run_until(lambda: done, 20)
        self.assertEqual(sink.written, 20_000)
        self.assertEqual(self.client_plane.sent_totals.fresh, EARLY + 10_000 + len(b"5:hello,5:offer,"))

    def test_a_refused_stream_leaves_nothing_whether_it_comes_before_the_refusal_or_after(self) -> None:
        for wait in (0.0, 0.011, 0.2):
            self.set_up_network(3)
            done = self.offer()
            self.network.run_for(wait)
            self.server_plane.close_stream(1)
            self.network.run_for(0.5)
            self.assertFalse(self.server_plane.active)
            self.assertEqual(self.client_plane.sent_totals.retransmitted, 0)  # it was acknowledged
            self.client_plane.close_stream(1)
            self.assertEqual([type(error).__name__ for error in done], ["CancelledError"])
            self.assert_next_stream_works()

    def test_its_sender_can_give_it_up(self) -> None:
        self.offer()
        self.client_plane.close_stream(1)
        self.network.run_for(0.5)
        self.server_plane.close_stream(1)
        self.assert_next_stream_works()

    def test_an_error_of_the_sink_ends_the_stream_alone(self) -> None:
        self.offer()
        self.network.run_for(0.2)
        sink = MemorySink(SIZE)
        sink.fails_after = 0
        self.accept(sink, SpanSet())
        self.network.run_for(0.5)
        self.assertEqual([(channel, type(error)) for channel, error in self.there.failed], [(1, OSError)])
        self.client_plane.close_stream(1)
        self.assert_next_stream_works()

    def test_an_end_that_is_told_first_waits_until_it_is_written(self) -> None:
        self.say(self.data[:1000], 0)
        self.network.run_for(0.1)
        sink = MemorySink(1000)
        self.server_plane.open_receiving(1, sink, None)
        self.server_plane.end_receiving(1, 1000)
        self.assertEqual((self.there.received, sink.written), ([], 0))
        self.network.run_for(0.1)
        self.assertEqual((self.there.received, sink.written, self.there.ends), ([1], 1000, []))

    def test_what_comes_between_the_opening_and_its_own_turn_is_not_lost(self) -> None:
        self.data = self.source.data = self.data[:40_000]
        self.network.loss = 0.3
        done = self.offer()
        self.network.run_until(lambda: self.server_plane.received_totals.new > 20_000, 5)
        sink = MemorySink(len(self.data))
        self.accept(sink, SpanSet())
        missing = len(self.data) - self.server_plane._receiving.streams[1].channel.received.count()
        self.assertGreater(missing, 0)
        stream = self.server_plane._receiving.streams[1]
        for first, last in stream.channel.received.missing(0, len(self.data) - 1):
            self.say(self.data[first : last + 1], first)
        self.network.loss = 0.0
        self.network.run_until(lambda: done and self.there.received, 10)
        self.assert_whole(self.data, sink)


class HostilePeerTests(EarlyDataTestCase):
    def test_more_than_the_bound_ends_the_session(self) -> None:
        self.say(b"x" * 10, EARLY - 9)
        self.assert_misbehaved("CreditExceeded")

    def test_so_does_a_second_early_stream(self) -> None:
        self.say(b"x", 0)
        self.network.run_for(0.1)
        self.assertEqual(self.there.ends, [])
        self.say(b"x", 0, 3)
        self.assert_misbehaved("CreditExceeded")

    def test_so_does_data_on_a_channel_that_this_end_opens(self) -> None:
        self.say(b"x", 0, 2)
        self.assert_misbehaved("CreditExceeded")

    def test_so_does_more_of_a_stream_than_was_offered(self) -> None:
        self.say(b"x" * 11, 0)
        self.network.run_for(0.1)
        sink = MemorySink(10)
        self.server_plane.open_receiving(1, sink, 10)
        self.assert_misbehaved("of 10")
        self.assertEqual(sink.written, 0)

    def say_pieces(self, count: int) -> None:
        """Single bytes with holes between them."""
        for offset in range(0, 2 * count, 2):
            self.say(b"x", offset)
            if offset % 1000 == 0:
                self.network.run_for(0.02)
        self.network.run_for(0.1)

    def test_single_bytes_with_holes_take_little_memory(self) -> None:
        gc.collect()
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        early, receiver = EarlyData(), Receiver(SpanSet())
        receiver.open_channel(1, window=EARLY)
        early.write(EARLY - 1, [b"x"])
        for offset in range(0, 2 * (MAX_EARLY_PIECES - 1), 2):
            receiver.data_received(1, offset, 1, 0.0)
            early.write(offset, [b"x"])
        self.assertLess(tracemalloc.get_traced_memory()[0], 250_000)

    def test_they_are_taken_up_to_a_bound_that_no_honest_end_comes_near(self) -> None:
        self.say_pieces(MAX_EARLY_PIECES)
        self.assertEqual(self.there.ends, [])
        self.say(b"x", EARLY - 1)
        self.assert_misbehaved("in 1024 pieces")
