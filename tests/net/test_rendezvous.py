"""The rendezvous as its client sees it: TLS in memory, on a fake clock; and twice over loopback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import TestCase

from bittrrt.errors import (
    ClientRejected,
    InviteExpired,
    InviteRejected,
    InviteUsed,
    NotBittrRt,
    PortsExhausted,
    ServerBusy,
    ServerKeyChanged,
    Unreachable,
)
from bittrrt.net.rendezvous_client import Answer, rendezvous
from bittrrt.net.rendezvous_server import RendezvousFactory
from bittrrt.net.session_opener import check_against
from bittrrt.net.tls import ConnectionCreator
from bittrrt.wire.messages import (
    Join,
    Joined,
    RefusalReason,
    Refused,
    Welcome,
)

from .simulated_network import SERVER_HOST
from .simulated_rendezvous import OPEN, RendezvousTestCase


class AgreementTests(RendezvousTestCase):
    """What both ends have when it went well."""

    def test_a_session_is_opened_and_both_ends_export_the_same(self) -> None:
        seen: list[Any] = []
        opened = self.server.open

        def watched(*arguments: Any) -> Any:
            seen.append(arguments)
            return opened(*arguments)

        self.patch(self.server, "open", watched)
        asked = self.ask_by_tls()
        self.network.run_for(1)
        answer = self.successResultOf(asked)
        ((message, fingerprint, exporter),) = seen
        self.assertEqual((message, fingerprint), (OPEN, self.client_identity.fingerprint))
        self.assertEqual((answer.exporter, len(exporter)), (exporter, 32))
        self.assertEqual(answer.server_address, SERVER_HOST)
        self.assertIsInstance(answer.message, Welcome)
        self.assert_nothing_open()

    def test_two_sessions_export_different_bytes(self) -> None:
        first, second = self.ask_by_tls(), self.ask_by_tls()
        self.network.run_for(1)
        self.assertNotEqual(self.successResultOf(first).exporter, self.successResultOf(second).exporter)

    def test_a_client_joins(self) -> None:
        self.server_says(Joined("box"))
        asked = self.ask_by_tls(Join("verifier", b"proof", "me"))
        self.network.run_for(1)
        self.assertEqual(self.successResultOf(asked).message, Joined("box"))


class RefusalTests(RendezvousTestCase):
    """What a person reads."""

    def test_every_reason_of_the_server_has_its_line_and_its_class(self) -> None:
        classes = {
            RefusalReason.UNKNOWN_CLIENT: ClientRejected,
            RefusalReason.REVOKED_CLIENT: ClientRejected,
            RefusalReason.INVITE_UNKNOWN: InviteRejected,
            RefusalReason.INVITE_USED: InviteUsed,
            RefusalReason.INVITE_EXPIRED: InviteExpired,
            RefusalReason.NO_PORTS: PortsExhausted,
            RefusalReason.TOO_MANY_SESSIONS: ServerBusy,
            RefusalReason.BUSY: ServerBusy,
            RefusalReason.MALFORMED: NotBittrRt,
        }
        lines = set()
        for reason in RefusalReason:
            self.server_says(Refused(reason))
            error = self.error()
            self.assertIs(type(error), classes[reason])
            self.assertNotIn("{", str(error))
            lines.add(str(error))
        self.assertEqual(len(lines), len(RefusalReason))

    def test_another_key_of_the_server_is_refused_and_nothing_is_sent_to_it(self) -> None:
        self.server_says(Joined("never asked"))
        seen: list[bytes] = []
        pinned = self.opener(pinned=self.client_identity).server
        error = self.error(check_key=check_against(pinned), make_message=seen.append)
        self.assertIs(type(error), ServerKeyChanged)
        self.assertIn(self.server_identity.fingerprint, str(error))
        self.assertIn("confirm", str(error))
        self.assertEqual(seen, [])

    def test_a_refused_connection(self) -> None:
        self.network.tcp_factories.clear()
        error = self.error()
        self.assertIs(type(error), Unreachable)
        self.assertEqual(
            str(error),
            "server.example:6711 refuses TCP connections: start the server there (twistd bittrrt), or check the port",
        )

    def test_a_connection_that_is_not_even_refused(self) -> None:
        self.network.tcp_ignored = True
        error = self.error(within=11)
        self.assertIs(type(error), Unreachable)
        self.assertEqual(
            str(error),
            "server.example:6711 does not answer: check the address, and that the firewall there lets TCP port 6711 in",
        )

    def test_a_name_without_an_address(self) -> None:
        for name in ("nowhere.example", "a_b.example"):
            error = self.error(host=name)
            self.assertIs(type(error), Unreachable)
            self.assertEqual(str(error), f"no address is known for the name {name}: check the spelling, or your DNS")

    def serve(self, protocol: type[Protocol], creator: Any = None) -> None:
        """Something else listens in the server's place, behind TLS if a creator is given."""
        factory: Any = Factory.forProtocol(protocol)
        if creator is not None:
            factory = TLSMemoryBIOFactory(creator, isClient=False, wrappedFactory=factory, clock=self.network)
        self.network.tcp_factories[SERVER_HOST, self.settings.port] = factory

    def test_a_server_that_accepts_and_says_nothing(self) -> None:
        self.serve(Protocol)
        error = self.error(within=11)
        self.assertIs(type(error), Unreachable)
        self.assertIn("does not answer", str(error))

    def test_a_server_that_agrees_on_tls_and_says_nothing(self) -> None:
        self.serve(Protocol, ConnectionCreator(self.server_identity))
        error = self.error(within=11)
        self.assertIn("does not answer", str(error))

    def test_a_server_that_closes_at_once_is_tried_again(self) -> None:
        class Closing(Protocol):
            def connectionMade(self) -> None:
                self.transport.loseConnection()  # type: ignore[union-attr]

        self.serve(Closing)
        error = self.error()
        self.assertIs(type(error), Unreachable)
        self.assertTrue(error.retry)
        self.assertIn("closed the connection", str(error))

    def test_a_server_that_speaks_something_else(self) -> None:
        class Ssh(Protocol):
            def connectionMade(self) -> None:
                self.transport.write(b"SSH-2.0-OpenSSH_9.6\r\n")  # type: ignore[union-attr]

        self.serve(Ssh)
        error = self.error()
        self.assertIs(type(error), NotBittrRt)
        self.assertIn("does not speak BittrRt's TLS", str(error))

    def test_a_server_whose_answer_makes_no_sense(self) -> None:
        for answer in (b"2:{},", b"5:hello,", b"x" * 50, b"9999999:", b'35:{"type":"joined","name":"x","y":12},'):

            class Nonsense(Protocol):
                said = answer

                def dataReceived(self, data: bytes) -> None:
                    self.transport.write(self.said)  # type: ignore[union-attr]

            self.serve(Nonsense, ConnectionCreator(self.server_identity))
            error = self.error(within=11)
            self.assertIsInstance(error, (NotBittrRt, Unreachable))
            self.assertIn("server.example:6711", str(error))

    def test_cancelled_at_any_moment_it_leaves_nothing(self) -> None:
        for step in range(20):
            asked = self.ask_by_tls()
            self.network.run_for(step * 0.005)
            if asked.called:
                self.successResultOf(asked)
                break
            asked.cancel()
            self.failureResultOf(asked)
            self.network.run_for(1)
            self.assert_nothing_open()
        self.assertGreater(step, 5)
        self.network.run_for(1)
        self.assert_nothing_open()


class LoopbackTests(TestCase):
    """The same over real sockets."""

    def setUp(self) -> None:
        from twisted.internet import reactor

        class Case(RendezvousTestCase):
            def runTest(self) -> None: ...

        self.reactor: Any = reactor
        self.case = Case()
        self.case.setUp()
        self.addCleanup(self.case.doCleanups)
        creator = ConnectionCreator(self.case.server_identity)
        self.factory = RendezvousFactory(self.case.server, creator, reactor)
        listen: Callable[..., Any] = reactor.listenTCP
        self.port = listen(0, self.factory, interface="127.0.0.1")
        self.number: int = self.port.getHost().port
        self.addCleanup(lambda: maybeDeferred(self.port.stopListening))

    async def ask(self) -> Answer:
        return await rendezvous(
            self.reactor,
            ConnectionCreator(self.case.client_identity),
            "127.0.0.1",
            self.number,
            check_against(self.case.opener().server),
            lambda exporter: OPEN,
        )

    async def test_a_session_is_opened(self) -> None:
        answer = await self.ask()
        self.assertIsInstance(answer.message, Welcome)
        self.assertEqual(answer.server_address, "127.0.0.1")

    async def test_nobody_listens(self) -> None:
        await maybeDeferred(self.port.stopListening)
        error = await self.assertFailure(Deferred.fromCoroutine(self.ask()), Unreachable)
        self.assertEqual(
            str(error),
            f"127.0.0.1:{self.number} refuses TCP connections: start the server there (twistd bittrrt), or check the"
            " port",
        )
