"""The server's end of one session: three handlers, three ports, what they say of the link."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from bittrrt.errors import KeyAgreementError, PeerMisbehaved, PortsExhausted, ServerBusy
from bittrrt.link.encryptor import CommEncryptor
from bittrrt.link.peer_address import Address
from bittrrt.net.client import Client
from bittrrt.net.connection import CommConnection, shown_host
from bittrrt.net.handlers import CtrlHandler, DnHandler, UpHandler
from bittrrt.net.port_manager import PortManager
from bittrrt.wire.datagram import BINARY, DATA, LINK_MESSAGE_FLAGS, STREAM_FLAGS, PortType, Run
from bittrrt.wire.messages import Close, CloseReason, Observed, encode_message

from .simulated_link import SimulatedLinkTestCase, clock_on
from .simulated_network import SERVER_HOST, SimulatedPort

CLIENT = ("198.51.100.7", 40_001)


class FakeConnectionListener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.reasons: list[CloseReason] = []
        self.moves: list[tuple[PortType, Address, Address]] = []

    def connection_closed_by_peer(self, reason: CloseReason) -> None:
        self.reasons.append(reason)

    def connection_moved(self, port_type: PortType, before: Address, after: Address) -> None:
        self.moves.append((port_type, before, after))

    def data_wanted(self) -> None:
        return None

    def connection_misused(self, why: PeerMisbehaved) -> None:
        self.misused = why


class CommConnectionTests(SimulatedLinkTestCase):
    def set_up_network(self, seed: int) -> None:
        super().set_up_network(seed)
        self.manager = PortManager(self.settings)
        self.client = CommEncryptor()
        self.listener = FakeConnectionListener()
        self.connection = self.make()
        self.sequence = 0

    def make(self) -> CommConnection:
        encryptor = CommEncryptor()
        encryptor.derive_shared_secret(self.client.get_public_key())
        if not self.client.link_id:
            self.client.derive_shared_secret(encryptor.get_public_key())
        return CommConnection(
            self.settings, self.manager, encryptor,
            listener=self.listener, reactor=self.network, clock=clock_on(self.network), port_class=SimulatedPort,
        )  # fmt: skip

    def say(self, payload: bytes, flags: int = LINK_MESSAGE_FLAGS, channel: int = 0, port: int = 6712) -> None:
        """As the client."""
        datagram = self.client.encrypt(payload, b"", flags, channel, self.sequence)
        self.sequence += 1
        self.network.inject(datagram, CLIENT, (SERVER_HOST, port))
        self.network.run_for(0.1)

    def test_as_the_seed_makes_it(self) -> None:
        encryptor = CommEncryptor()
        encryptor.derive_shared_secret(CommEncryptor().get_public_key())
        for config in ({}, {"port_ranges": "1-9"}, None):
            connection = CommConnection(config, PortManager({"port_ranges": "8000-8001,9000"}), encryptor)
            self.assertEqual([type(h) for h in connection.handlers], [CtrlHandler, UpHandler, DnHandler])
            self.assertTrue(all(handler.comm_encryptor is encryptor for handler in connection.handlers))
            self.assertTrue(all(handler.link is connection.link for handler in connection.handlers))
        self.assertIsNone(CommConnection({}, self.manager).ctrl_handler.comm_encryptor)

    def test_a_client_owns_the_encryptor_of_its_connection(self) -> None:
        client = Client({}, self.manager, CommEncryptor().get_public_key())
        self.assertIs(client.conn.comm_encryptor, client.ce)
        self.assertEqual(len(client.link_id), 32)
        self.assertRaises(KeyAgreementError, Client, {}, self.manager, bytes(32))

    def test_it_listens_on_three_ports_and_gives_them_back(self) -> None:
        self.connection.listen()
        self.assertEqual(list(self.connection.ports.values()), [6712, 6713, 6714])
        self.assertEqual(self.manager.get_available_port_count(), 27)
        closed: Deferred[None] = self.connection.stop_listening()
        self.assertNoResult(closed)
        self.assertEqual(self.manager.get_available_port_count(), 27)
        self.network.run_for(0)
        self.successResultOf(closed)
        self.assertEqual((self.network.sockets, self.manager.get_spans()), ({}, [(6712, 6741)]))

    def test_without_an_encryptor_it_listens_and_says_nothing(self) -> None:
        connection = CommConnection(self.settings, self.manager, reactor=self.network, port_class=SimulatedPort)
        connection.listen()
        self.network.inject(b"client_ts3=1 echo=2", CLIENT, (SERVER_HOST, 6712))
        self.network.run_for(0.1)
        self.assertEqual((connection.ctrl_handler.counters.received, self.network.sent), (1, []))
        connection.close(CloseReason.SHUTDOWN)
        self.network.run_for(0.1)
        self.assertEqual((self.network.sockets, self.network.sent), ({}, []))

    def test_with_too_few_ports_nothing_is_held(self) -> None:
        self.manager = PortManager(port_ranges="7000-7001")
        self.assertRaises(PortsExhausted, self.make().listen)
        self.network.run_for(0)
        self.assertEqual((self.network.sockets, self.manager.get_spans()), ({}, [(7000, 7001)]))

    def test_with_too_few_descriptors_nothing_is_held(self) -> None:
        self.network.socket_limit = 2
        self.assertRaises(ServerBusy, self.connection.listen)
        self.network.run_for(0)
        self.assertEqual((self.network.sockets, self.manager.get_spans()), ({}, [(6712, 6741)]))

    def test_the_clients_goodbye_is_told(self) -> None:
        self.connection.listen()
        self.say(encode_message(Close(CloseReason.REPLACED)))
        self.assertEqual(self.listener.reasons, [CloseReason.REPLACED])
        self.assertEqual(self.network.sent, [])

    def test_what_is_no_message_of_the_link_is_counted_and_not_answered(self) -> None:
        self.connection.listen()
        counters = self.connection.ctrl_handler.counters
        goodbye = encode_message(Close(CloseReason.GOODBYE))
        self.say(goodbye, flags=DATA | BINARY)
        self.say(goodbye, channel=1)
        self.say(encode_message(Observed(PortType.UP, "192.0.2.9", 1)))
        self.assertEqual((counters.unexpected, counters.malformed), (3, 0))
        for text in (b"", b"{}", b"\xff", b'{"type":"close"}', b'{"type":"close","reason":"goodbye","more":1}'):
            self.say(text)
        self.assertEqual((counters.unexpected, counters.malformed), (3, 5))
        self.assertEqual((self.listener.reasons, self.network.sent), ([], []))

    def test_a_goodbye_is_said_on_every_port_whose_peer_is_known(self) -> None:
        self.connection.listen()
        self.say(b"client_ts3=1 echo=2", flags=3, port=6713)
        self.network.sent.clear()
        self.connection.close(CloseReason.SHUTDOWN)
        (sent,) = self.network.sent
        self.assertEqual((sent.source, sent.destination), ((SERVER_HOST, 6713), CLIENT))
        self.assertEqual(self.client.decrypt(sent.data)[4], b'{"type":"close","reason":"shutdown"}')

    def test_a_session_counts_as_heard_from_when_it_was_made(self) -> None:
        self.network.run_for(5)
        connection = self.make()
        self.network.run_for(5)
        self.assertEqual((connection.last_heard(), self.connection.last_heard()), (5.0, 0.0))

    def test_another_connection_takes_the_ports_over(self) -> None:
        self.connection.listen()
        self.client = CommEncryptor()
        after = self.make()
        after.take_over(self.connection)
        self.assertEqual(list(after.ports.values()), [6712, 6713, 6714])
        self.assertEqual(self.connection.ports, {})
        self.say(b"client_ts3=1 echo=2", flags=3, port=6714)
        self.assertEqual(self.client.decrypt(self.network.sent[0].data)[4].split()[:2], [b"client_ts3=1", b"echo=1"])
        self.assertEqual(self.connection.dn_handler.counters.as_dict(), type(after.dn_handler.counters)().as_dict())
        self.connection.stop_listening()
        self.assertEqual(len(self.network.sockets), 3)
        after.stop_listening()
        self.network.run_for(0)
        self.assertEqual((self.network.sockets, self.manager.get_spans()), ({}, [(6712, 6741)]))

    def test_data_that_comes_with_the_goodbye_opens_nothing(self) -> None:
        self.connection.listen()
        handler = self.connection.ctrl_handler
        asked: list[str] = []

        def data_wanted() -> None:
            asked.append("data")

        def closed_by_peer(reason: CloseReason) -> None:
            self.connection.stop_listening()

        self.listener.data_wanted = data_wanted  # type: ignore[method-assign]
        self.listener.connection_closed_by_peer = closed_by_peer  # type: ignore[method-assign]
        goodbye = Run(LINK_MESSAGE_FLAGS, 0, 0, 0, [encode_message(Close(CloseReason.GOODBYE))])
        data = Run(STREAM_FLAGS, 0, 1, 0, [b"{}"])
        self.connection.burst_received(handler, [data, goodbye], 1.0)
        self.connection.burst_received(handler, [data], 1.0)
        self.assertEqual((asked, self.connection.data_plane), ([], None))
        self.assertEqual(handler.counters.unexpected, 2)

    def test_a_move_is_told_once_it_is_proved(self) -> None:
        self.open()
        self.network.run_for(1.5)
        self.session.conn.listener = self.listener
        self.network.move("203.0.113.5", 5)
        self.network.run_for(2)
        self.assertEqual([move[0] for move in self.listener.moves], list(PortType))
        for _, before, after in self.listener.moves:
            self.assertEqual(after, ("203.0.113.5", before[1] + 5))

    def test_an_address_is_told_as_its_owner_knows_it(self) -> None:
        for host in ("192.0.2.7", "2001:db8::7"):
            self.assertEqual(shown_host(host), host)
        self.assertEqual(shown_host("::ffff:192.0.2.7"), "192.0.2.7")
