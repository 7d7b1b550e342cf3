"""Sessions of programs: messages and streams at both ends, on the simulated network."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol
from twisted.protocols.basic import FileSender
from zope.interface import implementer

from bittrrt.errors import ControlOverflow, LinkError, NotBittrRt, PeerMisbehaved
from bittrrt.net.client import Client
from bittrrt.net.session import MAX_STREAMS, Session, SessionProtocol
from bittrrt.net.session_opening import HELLO_WAIT, open_session, serve_sessions
from bittrrt.net.stream_transport import StreamTransport
from bittrrt.net.stream_window import FIRST_WINDOW
from bittrrt.wire.session_messages import Kind

from .simulated_link import SimulatedLinkTestCase

SOME = bytes(range(256)) * 4096  # 1 MiB


class RecordingProtocol(Protocol):
    """Keeps what its stream brings."""

    transport: StreamTransport

    def __init__(self) -> None:
        self.data = bytearray()
        self.ends: list[type[BaseException]] = []

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Any = None) -> None:
        self.ends.append(reason.type)


class EchoProtocol(RecordingProtocol):
    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)


class FailingProtocol(RecordingProtocol):
    def dataReceived(self, data: bytes) -> None:
        raise RuntimeError("no use for this")


@implementer(IHalfCloseableProtocol)
class HalfProtocol(RecordingProtocol):
    """Reads to the end, and answers then."""

    def readConnectionLost(self) -> None:
        self.transport.write(b"%d bytes" % len(self.data))
        self.transport.loseWriteConnection()

    def writeConnectionLost(self) -> None:
        pass


@implementer(IPushProducer)
class Writer:
    """Writes as fast as it may, up to `size` bytes."""

    def __init__(self, network: Any, transport: StreamTransport, size: int) -> None:
        self.left = size
        self.paused = self.stopped = False
        self.most = 0
        self._network, self._transport = network, transport
        transport.registerProducer(self, True)
        network.callLater(0, self.write)

    def write(self) -> None:
        while self.left and not self.paused and not self.stopped:
            count = min(self.left, 65536)
            self.left -= count
            self._transport.write(bytes(count))
            self.most = max(self.most, self._transport._written.end - self._transport._written.begin)
        if not self.left and not self.stopped:
            self._transport.unregisterProducer()
            self._transport.loseConnection()

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False
        self._network.callLater(0, self.write)

    def stopProducing(self) -> None:
        self.stopped = True


class RecordingSession(SessionProtocol):
    """Keeps what it is told, and accepts streams with `accepts`."""

    def __init__(self) -> None:
        self.messages: list[tuple[int, bytes]] = []
        self.streams: dict[int, Any] = {}
        self.ends: list[LinkError] = []
        self.accepts: Any = RecordingProtocol

    def message_received(self, channel: int, data: bytes) -> None:
        self.messages.append((channel, data))

    def stream_opened(self, channel: int) -> Any:
        if self.accepts is None:
            return None
        self.streams[channel] = self.accepts()
        return self.streams[channel]

    def session_closed(self, why: LinkError) -> None:
        self.ends.append(why)


class SessionTestCase(SimulatedLinkTestCase):
    """A session that is open at both ends."""

    delay = (0.010, 0.010)  # seconds

    def set_up_network(self, seed: int) -> None:
        super().set_up_network(seed)
        self.network.gathering = 0.0005
        self.network.delay = self.delay
        self.here, self.there = RecordingSession(), RecordingSession()
        serve_sessions(self.server, self.make_there)
        self.listen_for_clients()
        opening = Deferred.fromCoroutine(open_session(self.opener(), self.here, mtu=1452))
        self.network.run_until(lambda: opening.called, within=5)
        self.opened: Session = self.successResultOf(opening)

    def make_there(self, client: Client) -> SessionProtocol:
        self.clients = [client.name]
        return self.there

    def open_stream(self, protocol: Any = None, session: Session | None = None) -> tuple[Any, Any]:
        """Both ends of a stream: the client's, unless another session is given, and what accepted it."""
        session = session or self.opened
        near = protocol or RecordingProtocol()
        stream = session.open_stream(session.new_channel(), near)
        other = self.there if session is self.opened else self.here
        self.network.run_until(lambda: stream.channel in other.streams, within=5)
        return near, other.streams[stream.channel]

    def close(self) -> None:
        closing = Deferred.fromCoroutine(self.opened.close())
        self.network.run_for(1)
        self.successResultOf(closing)
        self.assert_nothing_left()


class MessageTests(SessionTestCase):
    def test_lossy_and_reliable_messages_go_both_ways(self) -> None:
        self.assertEqual(self.clients, ["anna"])
        self.assertTrue(self.opened.send_message(7, b"lossy"))
        self.assertTrue(self.opened.send_message(8, b"urgent", urgent=True))
        self.assertTrue(self.opened.send_message(9, b"reliable", reliable=True))
        self.there.session.send_message(7, b"back")
        self.network.run_for(1)
        self.assertEqual(sorted(self.there.messages), [(7, b"lossy"), (8, b"urgent"), (9, b"reliable")])
        self.assertEqual(self.here.messages, [(7, b"back")])
        self.close()

    def test_reliable_messages_arrive_in_order_on_a_path_that_loses_a_fifth(self) -> None:
        self.network.loss = 0.2
        for number in range(100):
            self.opened.send_message(5, b"%d" % number, reliable=True)
        self.network.run_until(lambda: len(self.there.messages) == 100, within=60)
        self.assertEqual(self.there.messages, [(5, b"%d" % number) for number in range(100)])

    def test_a_lossy_message_that_finds_the_path_full_is_told_to_be_dropped(self) -> None:
        outcomes = [self.opened.send_message(7, bytes(1000)) for _ in range(200)]
        self.assertTrue(outcomes[0])
        self.assertFalse(outcomes[-1])
        self.network.run_for(1)
        self.assertEqual(len(self.there.messages), sum(outcomes))

    def test_what_does_not_fit_is_refused(self) -> None:
        with self.assertRaises(ValueError):
            self.opened.send_message(7, bytes(8189), reliable=True)
        with self.assertRaises(ValueError):
            self.opened.send_message(0, b"", reliable=True)
        with self.assertRaises(ValueError):
            self.opened.send_message(7, bytes(self.opened.max_message + 1))
        with self.assertRaises(ControlOverflow):
            for _ in range(1000):
                self.opened.send_message(7, bytes(8000), reliable=True)

    def test_both_ends_are_told_of_the_end(self) -> None:
        near, far = self.open_stream()
        self.close()
        self.assertEqual((len(self.here.ends), len(self.there.ends)), (1, 1))
        self.assertEqual((near.ends, far.ends), ([ConnectionLost], [ConnectionLost]))
        with self.assertRaises(ValueError):
            self.opened.send_message(7, b"late")

    def test_a_session_that_goes_silent_ends_with_the_reason(self) -> None:
        self.network.cut = True
        self.network.run_for(30)
        self.assertIn("nothing was heard", str(self.here.ends[0]))

    def test_a_server_that_serves_no_sessions_is_given_up(self) -> None:
        self.close()
        SimulatedLinkTestCase.set_up_network(self, 1)
        self.listen_for_clients()
        opening = Deferred.fromCoroutine(open_session(self.opener(), RecordingSession()))
        self.network.run_for(HELLO_WAIT + 1)
        self.failureResultOf(opening, NotBittrRt)
        self.network.run_for(10)
        self.assert_nothing_left()

    def test_a_peer_that_breaks_the_rules_is_cut_off(self) -> None:
        self.opened.plane.send_control(b"nonsense")
        self.network.run_for(1)
        self.assertIsInstance(self.there.ends[0], PeerMisbehaved)
        self.assertIsInstance(self.here.ends[0], PeerMisbehaved)


class StreamTests(SessionTestCase):
    def test_bytes_arrive_whole_and_both_ends_are_told_of_the_end(self) -> None:
        near, far = self.open_stream()
        near.transport.write(SOME)
        near.transport.loseConnection()
        self.network.run_until(lambda: near.ends and far.ends, within=30)
        self.assertEqual(bytes(far.data), SOME)
        self.assertEqual((near.ends, far.ends), ([ConnectionDone], [ConnectionDone]))
        self.assertEqual((self.opened.streams, self.there.session.streams), ({}, {}))
        self.close()

    def test_the_server_opens_streams_too_and_echoes_come_back_over_a_bad_path(self) -> None:
        self.here.accepts = EchoProtocol
        self.network.loss = 0.05
        self.network.delay = (0.01, 0.03)
        near, _ = self.open_stream(session=self.there.session)
        for at in range(0, len(SOME), 10_000):
            near.transport.write(SOME[at : at + 10_000])
        self.network.run_until(lambda: len(near.data) == len(SOME), within=60)
        self.assertEqual(bytes(near.data), SOME)
        near.transport.loseConnection()
        self.network.run_until(lambda: near.ends, within=30)

    def test_one_end_finishes_writing_and_still_reads_the_answer(self) -> None:
        self.there.accepts = HalfProtocol
        near, far = self.open_stream()
        near.transport.write(SOME)
        near.transport.loseWriteConnection()
        self.network.run_until(lambda: near.ends and far.ends, within=30)
        self.assertEqual(near.data, b"%d bytes" % len(SOME))
        self.assertEqual((near.ends, far.ends), ([ConnectionDone], [ConnectionDone]))

    def test_an_empty_stream_ends_at_once(self) -> None:
        near, far = self.open_stream()
        near.transport.loseConnection()
        self.network.run_until(lambda: near.ends and far.ends, within=5)
        self.assertEqual((near.ends, far.ends), ([ConnectionDone], [ConnectionDone]))

    def test_a_reader_that_pauses_stops_the_writer_with_bounded_memory_at_both_ends(self) -> None:
        near, far = self.open_stream()
        far.transport.pauseProducing()
        size = 16 * FIRST_WINDOW
        writer = Writer(self.network, near.transport, size)
        self.network.run_for(20)
        self.assertTrue(writer.paused)
        self.assertEqual(len(far.data), 0)
        self.assertLessEqual(len(far.transport._in_order.unread), FIRST_WINDOW)
        self.assertLessEqual(size - writer.left, 2 * FIRST_WINDOW + 65536)
        far.transport.resumeProducing()
        self.network.run_until(lambda: near.ends and far.ends, within=120)
        self.assertEqual(len(far.data), size)

    def test_a_reader_that_was_paused_when_the_writer_left_still_gets_everything(self) -> None:
        near, far = self.open_stream()
        far.transport.pauseProducing()
        near.transport.write(SOME)
        near.transport.loseConnection()
        self.network.run_until(lambda: near.ends, within=10)
        self.network.run_for(1)
        self.assertEqual((far.data, far.ends), (b"", []))
        far.transport.resumeProducing()
        self.network.run_until(lambda: far.ends, within=1)
        self.assertEqual(far.data, SOME)
        self.assertEqual(far.ends, [ConnectionDone])
        self.close()

    def test_a_pull_producer_is_asked_as_far_as_memory_is_set_aside_for(self) -> None:
        near, far = self.open_stream()
        sent = FileSender().beginFileTransfer(BytesIO(SOME * 8), near.transport)
        self.network.run_until(lambda: sent.called, within=60)
        near.transport.loseConnection()
        self.network.run_until(lambda: far.ends, within=60)
        self.assertEqual(far.data, SOME * 8)

    def test_a_peer_that_ends_a_stream_twice_is_cut_off(self) -> None:
        near, _ = self.open_stream()
        self.opened.say(Kind.END, near.transport.channel, 10)
        self.opened.say(Kind.END, near.transport.channel, 20)
        self.network.run_for(1)
        self.assertIsInstance(self.there.ends[0], PeerMisbehaved)

    def test_a_stream_that_nobody_takes_is_closed(self) -> None:
        self.there.accepts = None
        near = RecordingProtocol()
        self.opened.open_stream(self.opened.new_channel(), near).write(b"hello?")
        self.network.run_until(lambda: near.ends, within=5)
        self.assertEqual(near.ends, [ConnectionLost])

    def test_channels_are_used_once_and_by_the_end_that_they_belong_to(self) -> None:
        near, _ = self.open_stream()
        for channel in (near.transport.channel, 2):
            with self.assertRaises(ValueError):
                self.opened.open_stream(channel, RecordingProtocol())
        self.opened.say(Kind.OPEN, 2)
        self.network.run_for(1)
        self.assertNotIn(2, self.there.streams)

    def test_no_more_streams_are_accepted_than_memory_is_set_aside_for(self) -> None:
        opened = [RecordingProtocol() for _ in range(MAX_STREAMS + 3)]
        for protocol in opened:
            self.opened.open_stream(self.opened.new_channel(), protocol)
        self.network.run_for(2)
        self.assertEqual(len(self.there.streams), MAX_STREAMS)
        self.assertEqual(sum(len(protocol.ends) for protocol in opened), 3)

    def test_a_protocol_that_raises_loses_its_stream_and_no_other(self) -> None:
        self.there.accepts = FailingProtocol
        near, far = self.open_stream()
        self.there.accepts = RecordingProtocol
        other, other_far = self.open_stream()
        near.transport.write(b"anything")
        other.transport.write(b"anything")
        self.network.run_for(2)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual((near.ends, far.ends), ([ConnectionLost], [RuntimeError]))
        self.assertEqual(other_far.data, b"anything")

    def test_an_aborted_stream_is_lost_at_the_other_end_and_its_producer_stops(self) -> None:
        near, far = self.open_stream()
        writer = Writer(self.network, near.transport, 400 * FIRST_WINDOW)
        self.network.run_for(0.1)
        far.transport.abortConnection()
        self.network.run_until(lambda: near.ends, within=5)
        self.assertEqual(near.ends, [ConnectionLost])
        self.assertTrue(writer.stopped)
        self.network.run_for(1)
        self.close()

    def test_a_peer_that_sends_beyond_the_end_that_it_named_is_cut_off(self) -> None:
        near, _ = self.open_stream()
        near.transport.write(SOME)
        self.network.run_for(1)
        self.opened.say(Kind.END, near.transport.channel, 10)
        self.network.run_for(1)
        self.assertIsInstance(self.there.ends[0], PeerMisbehaved)
