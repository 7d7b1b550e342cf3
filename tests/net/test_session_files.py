"""Files in a program's session: beside its messages and streams, stopped alone, and failed with the session."""

from __future__ import annotations

from collections.abc import Coroutine
from random import Random
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost

from bittrrt.errors import LinkError, LinkLost, NotBittrRt, PeerMisbehaved, PermissionRefused
from bittrrt.net.client_connection import ClientConnection
from bittrrt.net.session import Session
from bittrrt.net.session_opening import open_session, serve_sessions
from bittrrt.net.tally import Tally
from bittrrt.wire.datagram import STREAM_FLAGS, PortType
from bittrrt.wire.transfer_messages import Offer, encode_transfer_message

from .simulated_transfers import SimulatedTransfersTestCase
from .test_session import SOME, RecordingProtocol, RecordingSession

BIG = Random(1).randbytes(3_000_000)
LIMIT = 500_000.0  # bytes a second


class SessionFilesTests(SimulatedTransfersTestCase):
    def set_up_network(self, seed: int) -> None:
        super().set_up_network(seed)
        self.mine, self.yours = RecordingSession(), RecordingSession()
        serve_sessions(self.server, lambda client: self.yours)

    def open_session(self) -> Session:
        opening = Deferred.fromCoroutine(open_session(self.opener(), self.mine, in_thread=self.in_thread))
        self.network.run_until(lambda: opening.called, within=10 + 5)
        return self.successResultOf(opening)

    def begin_transfer(self, transfer: Coroutine[Any, Any, Tally]) -> Deferred[Tally]:
        return Deferred.fromCoroutine(transfer)

    def wait_for(self, transfer: Deferred[Tally]) -> Tally:
        self.network.run_until(lambda: transfer.called, within=60)
        return self.successResultOf(transfer)

    def test_a_session_puts_and_gets_while_its_messages_and_streams_go_on(self) -> None:
        session = self.open_session()
        (self.here / "big").write_bytes(BIG)
        (self.there / "other").write_bytes(BIG[::-1])
        told: list[int] = []
        near = RecordingProtocol()
        stream = session.open_stream(session.new_channel(), near)
        putting = self.begin_transfer(session.put([self.here / "big"], progress=lambda t: told.append(t.moved())))
        getting = self.begin_transfer(session.get(["other"], self.here))
        stream.write(BIG)
        session.send_message(7, b"meanwhile", reliable=True)
        self.assertEqual((self.wait_for(putting).files, self.wait_for(getting).files), (1, 1))
        self.network.run_until(lambda: len(self.yours.streams[stream.channel].data) == len(BIG), within=30)
        self.assertEqual((self.there / "big").read_bytes(), BIG)
        self.assertEqual((self.here / "other").read_bytes(), BIG[::-1])
        self.assertEqual(self.yours.messages, [(7, b"meanwhile")])
        self.assertEqual(told[-1], len(BIG))
        self.assertEqual((self.mine.ends, self.yours.ends), ([], []))

    def test_a_put_that_is_cancelled_stops_alone_and_goes_on_at_the_next_call(self) -> None:
        session = self.open_session()
        (self.here / "tree").mkdir()
        (self.here / "tree" / "big").write_bytes(BIG)
        putting = self.begin_transfer(session.put([self.here / "tree"], recursive=True, limit=LIMIT))
        self.network.run_for(3)
        putting.cancel()
        self.failureResultOf(putting, CancelledError)
        self.network.run_for(1)
        self.assertFalse((self.there / "tree" / "big").exists())
        tally = self.wait_for(self.begin_transfer(session.put([self.here / "tree"], recursive=True)))
        self.assertGreater(tally.resumed, 2.5 * LIMIT)
        self.assertEqual((self.there / "tree" / "big").read_bytes(), BIG)

    def test_a_get_that_is_cancelled_stops_alone_and_goes_on_at_the_next_call(self) -> None:
        session = self.open_session()
        (self.there / "tree").mkdir()
        (self.there / "tree" / "big").write_bytes(BIG)
        getting = self.begin_transfer(session.get(["tree"], self.here, recursive=True, limit=LIMIT))
        self.network.run_for(3)
        getting.cancel()
        self.failureResultOf(getting, CancelledError)
        self.network.run_for(1)
        arrived = self.session.conn.dn_handler.counters.bytes_sent
        self.network.run_for(3)
        self.assertLess(self.session.conn.dn_handler.counters.bytes_sent - arrived, 10_000)
        tally = self.wait_for(self.begin_transfer(session.get(["tree"], self.here, recursive=True)))
        self.assertGreater(tally.resumed, 2.5 * LIMIT)
        self.assertEqual((self.here / "tree" / "big").read_bytes(), BIG)

    def test_what_is_on_its_way_fails_with_the_session_and_is_kept(self) -> None:
        session = self.open_session()
        (self.there / "big").write_bytes(BIG)
        getting = self.begin_transfer(session.get(["big"], self.here, limit=LIMIT))
        self.network.run_for(3)
        self.network.cut = True
        self.network.run_for(30)
        self.failureResultOf(getting, LinkLost)
        self.failureResultOf(self.begin_transfer(session.get(["big"], self.here)), LinkLost)
        self.network.cut = False
        tally = self.wait_for(self.begin_transfer(self.open_session().get(["big"], self.here)))
        self.assertGreater(tally.resumed, 2.5 * LIMIT)
        self.assertEqual((self.here / "big").read_bytes(), BIG)

    def say_early(self, session: Session, channel: int, payload: bytes) -> None:
        """This end's link says what its data plane would not: the beginning of a stream that is not offered."""
        connection = session._owner
        assert isinstance(connection, ClientConnection)
        assert connection.link is not None
        connection.handlers[PortType.UP].transmit(connection.link.seal(payload, STREAM_FLAGS, channel))
        self.network.run_for(0.1)

    def test_the_beginning_of_a_programs_stream_may_come_early_too(self) -> None:
        session = self.open_session()
        self.say_early(session, 5, SOME[:1000])
        session.open_stream(5, RecordingProtocol()).write(SOME[:3000])
        self.network.run_for(1)
        self.assertEqual(self.yours.streams[5].data, SOME[:3000])
        self.assertEqual(self.mine.ends, [])

    def test_of_programs_and_files_together_one_stream_a_session_comes_early(self) -> None:
        session = self.open_session()
        self.say_early(session, 5, SOME[:1000])  # and is never opened
        (self.here / "big").write_bytes(BIG)
        self.assertEqual(self.wait_for(self.begin_transfer(session.put([self.here / "big"]))).files, 1)
        self.say_early(session, 7, SOME[:1000])
        self.assertEqual([type(end) for end in self.mine.ends], [PeerMisbehaved])
        self.assertEqual(self.server.sessions, {})

    def test_a_file_that_is_offered_on_the_channel_of_a_stream_closes_that_stream_in_order(self) -> None:
        session = self.open_session()
        near = RecordingProtocol()
        session.open_stream(5, near)
        self.network.run_for(0.1)
        offer = Offer(5, 1, "a", 10, 0, 0o644, bytes(16))
        session.plane.send_control(encode_transfer_message(offer))
        self.network.run_for(0.1)
        there = self.yours.streams[5]
        there.transport.write(b"to nobody")
        self.assertEqual(there.ends, [ConnectionLost])
        self.assertEqual((near.data, self.mine.ends), (b"", []))
        (self.here / "big").write_bytes(BIG)
        self.assertEqual(self.wait_for(self.begin_transfer(session.put([self.here / "big"]))).files, 1)

    def test_a_stream_on_the_channel_of_a_file_is_refused_and_the_file_arrives(self) -> None:
        session = self.open_session()
        (self.here / "big").write_bytes(BIG)
        putting = self.begin_transfer(session.put([self.here / "big"], limit=LIMIT * 2))
        self.network.run_for(0.5)
        self.assertRaises(ValueError, session.open_stream, 1, RecordingProtocol())
        self.assertEqual(self.wait_for(putting).files, 1)

    def test_channels_that_a_program_chose_are_passed_over(self) -> None:
        session = self.open_session()
        for channel in (1, 3):
            session.open_stream(channel, RecordingProtocol())
        (self.here / "big").write_bytes(BIG)
        self.assertEqual(self.wait_for(self.begin_transfer(session.put([self.here / "big"]))).files, 1)
        self.assertEqual(self.mine.ends, [])

    def test_the_client_alone_puts_and_gets(self) -> None:
        self.open_session()
        self.failureResultOf(self.begin_transfer(self.yours.session.put([self.here])), ValueError)
        self.failureResultOf(self.begin_transfer(self.yours.session.get(["a"], self.here)), ValueError)

    def test_a_program_that_serves_no_files_says_so_and_the_session_goes_on(self) -> None:
        self.server.services.files = None
        session = self.open_session()
        getting = self.begin_transfer(session.get(["big"], self.here))
        self.network.run_for(1)
        self.failureResultOf(getting, PermissionRefused)
        session.send_message(7, b"still here", reliable=True)
        self.network.run_for(1)
        self.assertEqual(self.yours.messages, [(7, b"still here")])

    def test_a_server_of_files_alone_says_so_at_once(self) -> None:
        self.server.services.programs = None
        opening = Deferred.fromCoroutine(open_session(self.opener(), self.mine, in_thread=self.in_thread))
        self.network.run_for(2)
        error: LinkError = self.failureResultOf(opening, NotBittrRt).value
        self.assertIn("only files", str(error))
