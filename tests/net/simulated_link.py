"""A server and its clients on a simulated network, with or without the rendezvous between them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from twisted.internet.task import LoopingCall
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.errors import LinkError
from bittrrt.files.authorized_clients import AuthorizedClients
from bittrrt.files.home import Home
from bittrrt.files.identity import Identity, load_or_create_identity
from bittrrt.files.invites import Invites
from bittrrt.files.known_servers import KnownServer
from bittrrt.link.encryptor import CommEncryptor
from bittrrt.net.client import Client
from bittrrt.net.client_connection import ClientConnection, HeartbeatRound
from bittrrt.net.clock import Clock
from bittrrt.net.rendezvous_server import RendezvousFactory
from bittrrt.net.server import Server
from bittrrt.net.session_opener import SessionOpener
from bittrrt.net.tls import ConnectionCreator
from bittrrt.settings import Settings
from bittrrt.wire.datagram import PortType
from bittrrt.wire.messages import Open, Refused, Welcome

from .simulated_network import SERVER_HOST, SimulatedNetwork, SimulatedPort

EXPORTER = b"exporter" * 4
NOW_MS = 1_700_000_000_000  # the server's wall clock at the beginning
CLIENT_AHEAD_MS = 5_000


def clock_on(network: SimulatedNetwork, *, origin: float = 0.0, ahead_ms: int = 0) -> Clock:
    """The clocks of one machine: `origin` is where its monotonic one began."""
    return Clock(lambda: origin + network.seconds(), lambda: NOW_MS + ahead_ms + round(network.seconds() * 1000))


class RecordingObserver:
    """Watches sessions and links, and keeps what it saw."""

    def __init__(self) -> None:
        self.beats: list[HeartbeatRound] = []
        self.ends: list[LinkError] = []
        self.events: list[str] = []
        self.downs: list[LinkError] = []
        self.on_beat: Callable[[ClientConnection], object] = lambda connection: None

    def heartbeat_finished(self, connection: ClientConnection, beat: HeartbeatRound) -> None:
        self.beats.append(beat)
        self.on_beat(connection)

    def session_suspected(self, connection: ClientConnection) -> None:
        self.events.append("suspected")

    def session_revived(self, connection: ClientConnection) -> None:
        self.events.append("revived")

    def session_ended(self, connection: ClientConnection, why: LinkError) -> None:
        self.events.append("ended")
        self.ends.append(why)

    def link_up(self, connection: ClientConnection) -> None:
        self.events.append("up")

    def link_down(self, why: LinkError) -> None:
        self.events.append("down")
        self.downs.append(why)


class SimulatedLinkTestCase(SynchronousTestCase):
    """A server with one client's key let in, on a network without faults."""

    settings = Settings(interface=SERVER_HOST, port_ranges="6712-6741", heartbeat=1000, port_quarantine=10_000)

    def setUp(self) -> None:
        self.set_up_network(0)

    def set_up_network(self, seed: int) -> None:
        """Begin anew on another network."""
        self.network = SimulatedNetwork(seed)
        self.server_home = Home(Path(self.enterContext(TemporaryDirectory())) / "home")
        self.server_identity = _new_identity(self.server_home)
        self.client_identity = _new_identity(Home(Path(self.enterContext(TemporaryDirectory())) / "home"))
        self.authorized = AuthorizedClients(self.server_home)
        self.authorized.authorize(self.client_identity.fingerprint, "anna")
        self.observer = RecordingObserver()
        self.client_clock = clock_on(self.network, origin=5000.0, ahead_ms=CLIENT_AHEAD_MS)
        self.start_server()

    # --- the server ---

    def start_server(self, settings: Settings | None = None) -> None:
        """A server process, without what it listens for clients with."""
        self.invites = Invites(self.server_home)
        self.server = Server(
            settings or self.settings, self.server_identity.fingerprint, AuthorizedClients(self.server_home),
            self.invites, reactor=self.network, clock=clock_on(self.network), port_class=SimulatedPort,
        )  # fmt: skip
        self.sweeping = LoopingCall(self.server.sweep)
        self.sweeping.clock = self.network
        self.sweeping.start(1.0)

    def listen_for_clients(self) -> RendezvousFactory:
        """Let the server have its rendezvous on TCP."""
        factory = RendezvousFactory(self.server, ConnectionCreator(self.server_identity), self.network)
        self.network.tcp_factories[SERVER_HOST, self.settings.port] = factory
        return factory

    def kill_server(self) -> None:
        """End its process, as SIGKILL does: without a word, and the kernel closes its sockets."""
        self.sweeping.stop()
        self.network.tcp_factories.clear()
        for stream in [s for s in self.network.streams if s.getHost().host == SERVER_HOST]:
            stream.abortConnection()
        for own in [own for own in self.network.sockets if own[0] == SERVER_HOST]:
            del self.network.sockets[own]
        self.network.readers = {port for port in self.network.readers if port.interface != SERVER_HOST}

    def stop_server(self) -> None:
        """End it in order."""
        self.network.tcp_factories.clear()
        self.sweeping.stop()
        self.server.close()

    @property
    def session(self) -> Client:
        """The server's one session."""
        (session,) = self.server.sessions.values()
        return session

    # --- clients ---

    def open(self, heartbeat: int | None = None) -> ClientConnection:
        """A session with its heart beating, without a rendezvous. `heartbeat` in ms; None for the server's."""
        encryptor = CommEncryptor()
        answer = self.ask(Open(encryptor.get_public_key()))
        assert isinstance(answer, Welcome), answer
        encryptor.derive_shared_secret(answer.public_key, salt=EXPORTER)
        settings = Settings(heartbeat=heartbeat or answer.heartbeat)
        connection = ClientConnection(
            settings, encryptor, (SERVER_HOST,), {port_type: answer.port(port_type) for port_type in PortType},
            observer=self.observer, reactor=self.network, stale_after=answer.stale_after / 1000,
            clock=self.client_clock, port_class=SimulatedPort,
        )  # fmt: skip
        connection.start()
        return connection

    def ask(self, message: Open) -> Welcome | Refused:
        """What the server says to this client."""
        return self.server.open(message, self.client_identity.fingerprint, EXPORTER)

    def opener(self, pinned: Identity | None = None, host: str = "server.example") -> SessionOpener:
        """What opens sessions by the whole rendezvous. `pinned` in the server's place, if given."""
        fingerprint = (pinned or self.server_identity).fingerprint
        return SessionOpener(
            self.network, self.settings, self.client_identity, KnownServer(host, self.settings.port, fingerprint, 1),
            clock=self.client_clock, port_class=SimulatedPort,
        )  # fmt: skip

    # --- checks ---

    def assert_nothing_left(self) -> None:
        """Stop the server's sweeping; then no session, port, socket or timer may be left."""
        if self.sweeping.running:
            self.sweeping.stop()
        self.network.run_for(3 * self.network.delay[1])
        self.assertEqual(self.server.sessions, {})
        self.assertEqual(self.network.sockets, {})
        self.assertEqual(self.network.readers, set())
        self.assertEqual(self.network.streams, set())
        self.assertEqual(self.network.getDelayedCalls(), [])
        self.network.run_for(self.settings.port_quarantine_seconds + 1)
        self.assertEqual(self.server.port_manager.get_resting_port_count(), 0)
        self.assertEqual(self.server.port_manager.get_spans(), [(6712, 6741)])


def _new_identity(home: Home) -> Identity:
    return load_or_create_identity(home)[0]


_TestCase = TypeVar("_TestCase", bound=SimulatedLinkTestCase)


def with_seeds(*seeds: int) -> Callable[[Callable[[_TestCase], None]], Callable[[_TestCase], None]]:
    """Run the test on a network of each seed. A failure names the seed."""

    def decorate(test: Callable[[_TestCase], None]) -> Callable[[_TestCase], None]:
        @functools.wraps(test)
        def run(case: Any) -> None:
            for seed in seeds:
                case.set_up_network(seed)
                try:
                    test(case)
                except Exception as error:
                    raise case.failureException(f"with seed {seed}: {type(error).__name__}: {error}") from error

        return run

    return decorate
