"""What a client records of its own link, and that who watches it is told all the same."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.task import Clock as FakeReactor
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.app.link_recorder import LinkRecorder
from bittrrt.errors import LinkClosed, LinkLost, ServerBusy
from bittrrt.files.history import Peer
from bittrrt.files.known_servers import KnownServer
from bittrrt.net.client_connection import ClientConnection
from bittrrt.net.clock import Clock
from bittrrt.wire.datagram import PortType
from tests.files.history_rows import NOW
from tests.net.simulated_link import RecordingObserver

from .fake_session import LINK_ID, FakeConnection, complete_round
from .fake_writer import FakeWriter

SERVER = KnownServer("2001:db8::1", 6711, "SHA256:" + "A" * 43, 1)


class LinkRecorderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = FakeReactor()
        clock = Clock(self.reactor.seconds, lambda: NOW * 1000 + round(self.reactor.seconds() * 1000))

        def make_writer(*args: Any, **more: Any) -> Any:
            self.writer = FakeWriter(*args, **more)
            return self.writer

        home: Any = None
        self.recorder = LinkRecorder(home, SERVER, self.reactor, print, clock=clock, make_writer=make_writer)
        self.watching = RecordingObserver()
        self.observer = self.recorder.observing(self.watching)
        self.connection = cast("ClientConnection", FakeConnection())
        self.recorder.start()

    def test_a_heartbeat_counts_both_of_its_round_trips_and_what_is_missing(self) -> None:
        self.observer.heartbeat_finished(self.connection, complete_round(1, 0.020))
        beat = complete_round(2, 0.030)
        beat.second.clear()
        self.observer.heartbeat_finished(self.connection, beat)
        self.observer.heartbeat_finished(self.connection, complete_round(3, 0.040, missing=(PortType.UP,)))
        self.reactor.advance(61)
        rows = {row.port: row for row in self.writer.minutes()}
        self.assertEqual((rows["up"].answered, rows["up"].lost, rows["up"].max_ms), (2, 1, 30.0))
        self.assertEqual((rows["dn"].answered, rows["dn"].lost, rows["dn"].max_ms), (3, 0, 40.0))
        self.assertEqual((rows["dn"].clock_offset_ms, rows["dn"].clock_error_ms), (-1.25, 11.0))
        self.assertEqual(rows["dn"].peer, Peer("server", "[2001:db8::1]:6711", SERVER.fingerprint))
        self.assertEqual((rows["dn"].link, rows["dn"].at_ms), (LINK_ID, NOW * 1000))
        self.assertEqual(len(self.watching.beats), 3)

    def test_what_happens_to_the_link_is_an_event_and_is_passed_on(self) -> None:
        self.observer.link_up(self.connection)
        self.observer.session_suspected(self.connection)
        self.observer.session_revived(self.connection)
        self.observer.session_ended(self.connection, LinkClosed("the server ended the session"))
        self.observer.link_down(ServerBusy("busy"))
        self.recorder.stop()
        kinds = [event.kind for event in self.writer.events()]
        self.assertEqual(kinds, ["opened", "suspected", "revived", "ended", "down"])
        self.assertEqual(self.watching.events, ["up", "suspected", "revived", "ended", "down"])
        self.assertEqual(self.writer.events()[3].text, "the server ended the session")
        self.assertEqual({event.name for event in self.writer.events()}, {"[2001:db8::1]:6711"})

    def test_a_server_that_is_away_for_hours_is_one_event(self) -> None:
        for _ in range(100):
            self.observer.link_down(LinkLost("lost"))
        self.observer.link_up(self.connection)
        self.observer.link_down(LinkLost("lost"))
        self.recorder.stop()
        self.assertEqual([event.kind for event in self.writer.events()], ["down", "opened", "down"])

    def test_nothing_is_left_when_it_stops(self) -> None:
        self.recorder.stop()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual((self.writer.calls, self.writer.batches), (["start", "close"], []))
