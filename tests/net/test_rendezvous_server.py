"""The server's end of the rendezvous, before whoever connects: strangers, the mistaken, the hostile."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec_key
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from OpenSSL import SSL, crypto
from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.files.identity import Identity
from bittrrt.net.rendezvous_server import MAX_CONNECTIONS, MAX_PER_ADDRESS, who_counts
from bittrrt.net.tls import ConnectionCreator
from bittrrt.wire.messages import (
    ALPN,
    MAX_MESSAGE,
    Joined,
    RefusalReason,
    Refused,
    encode_message,
)

from .simulated_network import SERVER_HOST, SimulatedStream
from .simulated_rendezvous import OPEN, RendezvousTestCase


class RawClient(Protocol):
    """Says over TLS what it is told to, and keeps what it hears."""

    def __init__(self, says: bytes) -> None:
        self._says = says
        self.heard = b""
        self.lost: Any = None

    def connectionMade(self) -> None:
        if self._says:
            self.transport.write(self._says)  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = reason


class FreeCreator(ConnectionCreator):
    """TLS as a hostile or mistaken client may speak it: with any context."""

    def __init__(self, context: SSL.Context) -> None:
        self._context = context


def context_of(identity: Identity | None, protocols: list[bytes] | None = None) -> SSL.Context:
    """A context that checks nothing, with the identity and the protocols to offer, if any."""
    context = SSL.Context(SSL.TLS_METHOD)
    if identity is not None:
        context.use_privatekey(identity.private_key)
        context.use_certificate(identity.certificate)
    if protocols is not None:
        context.set_alpn_protos(protocols)
    return context


def certificate_for(key: Any, algorithm: Any) -> x509.Certificate:
    """A self-signed certificate of another kind of key."""
    like = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bittrrt")])
    builder = x509.CertificateBuilder().subject_name(like).issuer_name(like).public_key(key.public_key())
    begin, end = (datetime(year, 1, 1, tzinfo=UTC) for year in (2020, 2090))
    return builder.serial_number(1).not_valid_before(begin).not_valid_after(end).sign(key, algorithm)


class ServerSideTests(RendezvousTestCase):
    """Whoever connects: the server says little, logs no traceback, and forgets them."""

    def connect(self, says: bytes = b"", creator: Any = None, *, tls: bool = True) -> RawClient:
        client = RawClient(says)
        factory: Any = Factory.forProtocol(lambda: client)
        if tls:
            creator = creator or ConnectionCreator(self.client_identity)
            factory = TLSMemoryBIOFactory(creator, isClient=True, wrappedFactory=factory, clock=self.network)
        factory.startedConnecting = lambda connector: None
        self.network.connectTCP(SERVER_HOST, self.settings.port, factory)
        return client

    def netstring(self, data: bytes) -> bytes:
        return b"%d:%s," % (len(data), data)

    def assert_turned_away(self, client: RawClient, within: float = 1.0) -> None:
        """Its connection ends soon, it heard nothing, and nothing is left."""
        self.network.run_until(lambda: client.lost is not None, within)
        self.assertEqual(client.heard, b"")
        self.network.run_for(1)
        self.assert_nothing_open()

    def assert_refused(self, context: SSL.Context) -> None:
        """Who opens a session in that way is turned away."""
        self.assert_turned_away(self.connect(self.netstring(encode_message(OPEN)), FreeCreator(context)))
        self.assertEqual(self.server.sessions, {})

    def test_such_a_context_is_good_enough_if_nothing_is_wrong_with_it(self) -> None:
        creator = FreeCreator(context_of(self.client_identity, [b"h2", ALPN]))
        self.connect(self.netstring(encode_message(OPEN)), creator)
        self.network.run_for(1)
        self.assertEqual(len(self.server.sessions), 1)

    def test_tls_1_2_is_refused(self) -> None:
        context = context_of(self.client_identity, [ALPN])
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        self.assert_refused(context)

    def test_without_a_certificate_it_is_refused(self) -> None:
        self.assert_refused(context_of(None, [ALPN]))

    def test_another_kind_of_key_is_refused(self) -> None:
        for key, algorithm in ((generate_ec_key(SECP256R1()), SHA256()), (Ed448PrivateKey.generate(), None)):
            context = context_of(None, [ALPN])
            context.use_privatekey(key)
            context.use_certificate(certificate_for(key, algorithm))
            self.assert_refused(context)

    def test_a_certificate_that_cannot_be_read_is_refused(self) -> None:
        der = self.client_identity.certificate.public_bytes(Encoding.DER)
        version = b"\xa0\x03\x02\x01\x02"
        self.assertIn(version, der)
        context = context_of(None, [ALPN])
        context.use_privatekey(self.client_identity.private_key)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the class to use instead would not read it
            certificate = crypto.load_certificate(crypto.FILETYPE_ASN1, der.replace(version, b"\xa0\x03\x02\x01\x07"))
            context.use_certificate(certificate)
        self.assert_refused(context)

    def test_another_protocol_or_none_is_refused(self) -> None:
        self.assert_refused(context_of(self.client_identity, [b"h2"]))
        self.assert_refused(context_of(self.client_identity))

    def test_who_speaks_no_tls_is_turned_away(self) -> None:
        for says in (b"GET / HTTP/1.1\r\n\r\n", bytes(200), b"\x16\x03\x01\xff\xff" + bytes(70_000)):
            client = self.connect(says, tls=False)
            self.network.run_for(6)
            self.assertIsNotNone(client.lost)
            self.assert_nothing_open()
        self.assertEqual((self.factory.unfinished, self.factory.refusals.total()), (3, 0))

    def test_who_says_nothing_is_turned_away_after_five_seconds(self) -> None:
        for tls in (True, False):
            client = self.connect(tls=tls)
            self.network.run_for(4.9)
            self.assertIsNone(client.lost)
            self.network.run_for(0.5)
            self.assertIsNotNone(client.lost)
            self.assert_nothing_open()

    def test_who_does_not_take_the_answer_is_cut_off_five_seconds_later(self) -> None:
        client = self.connect(self.netstring(encode_message(OPEN)))
        self.network.run_for(0.05)
        (there,) = [stream for stream in self.network.streams if stream.getHost().host == SERVER_HOST]
        self.patch(SimulatedStream, "loseConnection", lambda stream: None)  # its end of the connection never comes
        self.network.run_for(4.5)
        self.assertIn(there, self.network.streams)
        self.network.run_for(6)
        self.assertNotIn(there, self.network.streams)
        self.assertIsNotNone(client.lost)

    def test_what_is_no_message_is_answered_with_malformed_once(self) -> None:
        texts = [b"", b"{}", b"\xff\xfe", b'{"type":"open"}', b"[" * 8000, b'{"type":"open","public_key":"","x":1}']
        texts += [encode_message(OPEN)[:-1] + b',"more":1}', encode_message(Joined("x")), b"9" * 5000]
        for text in texts:
            client = self.connect(self.netstring(text))
            self.network.run_for(1)
            self.assertEqual(client.heard, self.netstring(encode_message(Refused(RefusalReason.MALFORMED))))
            self.assertIsNotNone(client.lost)
            self.assert_nothing_open()
        self.assertEqual(self.factory.refusals, {RefusalReason.MALFORMED: len(texts)})
        self.assertEqual(self.factory.unfinished, 0)

    def test_what_is_no_netstring_or_too_long_ends_the_connection(self) -> None:
        for says in (b"%d:" % (MAX_MESSAGE + 1) + b"x" * 100, b"hello", b"-1:,", b"01:x,", b"1:xy", b"9" * 100):
            self.assert_turned_away(self.connect(says), within=5.5)

    def test_a_second_message_is_ignored(self) -> None:
        self.connect(2 * self.netstring(encode_message(OPEN)))
        self.network.run_for(1)
        self.assertEqual(len(self.server.sessions), 1)

    def test_a_bug_of_ours_is_logged_and_the_client_told_that_we_are_busy(self) -> None:
        self.patch(self.server, "open", lambda *_: 1 // 0)
        client = self.connect(self.netstring(encode_message(OPEN)))
        self.network.run_for(1)
        self.assertEqual(client.heard, self.netstring(encode_message(Refused(RefusalReason.BUSY))))
        self.assertEqual(self.factory.refusals, {RefusalReason.BUSY: 1})
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_no_more_than_four_connections_from_one_address_and_their_places_are_given_back(self) -> None:
        clients = [self.connect(tls=False) for _ in range(MAX_PER_ADDRESS + 2)]
        self.network.run_for(1)
        self.assertEqual([client.lost is None for client in clients], [True] * 4 + [False] * 2)
        self.assertEqual(self.factory.turned_away, 2)
        clients[0].transport.loseConnection()  # type: ignore[union-attr]
        self.network.run_for(1)
        clients = [self.connect(tls=False) for _ in range(2)]
        self.network.run_for(1)
        self.assertEqual([client.lost is None for client in clients], [True, False])
        self.network.run_for(6)
        self.assert_nothing_open()

    def test_no_more_than_sixty_four_connections_in_all(self) -> None:
        addresses = [IPv4Address("TCP", f"192.0.2.{n}", n) for n in range(1, 70)]
        protocols = [self.factory.buildProtocol(address) for address in addresses]
        self.assertEqual(sum(protocol is not None for protocol in protocols), MAX_CONNECTIONS)
        self.assertEqual(self.factory.turned_away, len(addresses) - MAX_CONNECTIONS)
        for n in range(1, 70):
            self.factory.left(f"192.0.2.{n}")
        self.assertEqual(self.factory._open.total(), 0)


class CountingTests(SynchronousTestCase):
    def test_one_ipv4_address_or_one_network_of_ipv6_counts_as_one(self) -> None:
        for host, counted in {
            "192.0.2.7": "192.0.2.7",
            "::ffff:192.0.2.7": "::ffff:192.0.2.7",
            "2001:db8:0:1:2:3:4:5": "2001:db8:0:1::/64",
            "2001:db8:0:1::9": "2001:db8:0:1::/64",
            "2001:db8:0:2::9": "2001:db8:0:2::/64",
            "": "",
        }.items():
            self.assertEqual(who_counts(host), counted)
