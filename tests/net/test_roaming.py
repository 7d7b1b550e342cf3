"""The client's address changes in mid-session, or somebody pretends that it does."""

from __future__ import annotations

from bittrrt.wire.datagram import HEARTBEAT_FLAGS, PortType

from .simulated_link import SimulatedLinkTestCase
from .simulated_network import CLIENT_HOST, SERVER_HOST


class RoamingTests(SimulatedLinkTestCase):
    def test_the_session_goes_on_from_another_port_and_address_within_one_heartbeat(self) -> None:
        connection = self.open()
        self.network.run_for(2.5)
        server_end = self.session
        for host, shift in [(CLIENT_HOST, 1000), ("203.0.113.5", 0), ("203.0.113.6", 7)]:
            self.network.move(host, shift)
            self.network.run_for(1.0)
            beat = self.observer.beats[-1]
            self.assertTrue(beat.complete)
            for port_type in PortType:
                own = connection.handlers[port_type].transport.getHost()  # type: ignore[union-attr]
                self.assertEqual(connection.report(port_type).seen_as, f"{host}:{own.port + shift}")
        self.assertIs(self.session, server_end)
        self.assertEqual(self.observer.events, [])
        self.assertTrue(all(beat.complete for beat in self.observer.beats))

    def test_an_old_datagram_from_elsewhere_moves_nothing(self) -> None:
        self.open()
        self.network.run_for(2.5)
        before = [handler.peer.address for handler in self.session.conn.handlers]
        recorded = [sent for sent in self.network.sent if sent.destination[0] == SERVER_HOST]
        self.network.sent.clear()
        for sent in recorded:
            self.network.inject(sent.data, ("203.0.113.66", 666), sent.destination)
        self.network.run_for(0.1)
        self.assertEqual(self.network.sent, [])
        self.assertEqual([handler.peer.address for handler in self.session.conn.handlers], before)
        self.assertEqual(sum(handler.counters.replayed for handler in self.session.conn.handlers), len(recorded))

    def test_a_datagram_that_was_held_back_and_sent_from_elsewhere_moves_nothing(self) -> None:
        connection = self.open()
        self.network.run_for(2.5)
        number = connection.ports[PortType.UP]
        self.network.blocked_to = {number}
        self.network.sent.clear()
        self.network.run_for(1.0)
        held = [sent for sent in self.network.sent if sent.destination == (SERVER_HOST, number)]
        self.network.blocked_to.clear()
        self.network.run_for(1.0)
        before = self.session.conn.up_handler.peer.address
        for sent in held:
            self.network.inject(sent.data, ("203.0.113.66", 666), sent.destination)
        self.network.run_for(0.1)
        self.assertEqual(self.session.conn.up_handler.peer.address, before)
        self.assertTrue(held)

    def test_a_new_datagram_from_a_false_address_gets_little_and_the_next_heartbeat_mends_it(self) -> None:
        connection = self.open()
        self.network.run_for(2.5)
        number, handler = connection.ports[PortType.UP], self.session.conn.up_handler
        true_address, false_address = handler.peer.address, ("203.0.113.66", 666)
        self.network.blocked_to = {number}
        self.network.sent.clear()
        self.network.run_for(1.0)  # what the attacker took off the wire
        (taken, *_) = [sent for sent in self.network.sent if sent.destination == (SERVER_HOST, number)]
        self.network.blocked_to.clear()
        self.network.inject(taken.data, false_address, taken.destination)
        self.network.run_for(0.2)
        self.assertEqual(handler.peer.address, false_address)
        for _ in range(10):
            handler.send(b"x" * 40, HEARTBEAT_FLAGS)
        got = sum(len(sent.data) for sent in self.network.sent if sent.destination == false_address)
        self.assertGreater(got, 0)
        self.assertLessEqual(got, 3 * len(taken.data))
        self.assertGreater(handler.counters.withheld, 0)
        self.network.run_for(1.0)
        self.assertEqual(handler.peer.address, true_address)
        self.assertTrue(handler.peer.validated)
        self.assertTrue(self.observer.beats[-1].complete)
        self.assertEqual(self.observer.events, [])
