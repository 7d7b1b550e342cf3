"""The server as a Twisted service: the rendezvous' TCP port, the sessions, and the clock that sweeps them."""

from __future__ import annotations

from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ..files.authorized_clients import AuthorizedClients
from ..files.home import Home
from ..files.identity import Identity
from ..files.invites import Invites
from ..files.share import Shares
from ..net.client import Client
from ..net.rendezvous_server import RendezvousFactory
from ..net.server import Server
from ..net.server_transfers import FileService, serve_files
from ..net.streams import DataPlaneListener
from ..net.takers import Takers
from ..net.tls import ConnectionCreator
from ..net.turns import in_thread_of
from ..settings import Settings
from .loop_delay import LoopDelay
from .metrics import Metrics
from .systemd import notify
from .watch import Watch

SWEEP_INTERVAL: Final = 1.0  # seconds, or a heartbeat if that is less: how late staleness and revocation are noticed


class ServerService(Service):
    """`twistd bittrrt`."""

    log = Logger()

    def __init__(self, settings: Settings, identity: Identity, home: Home, reactor: Any) -> None:
        self.settings = settings
        self.server = Server(settings, identity.fingerprint, AuthorizedClients(home), Invites(home), reactor=reactor)
        self.watch = Watch(self.server)
        self._files = FileService(Shares(settings.root), Takers(), in_thread_of(reactor), reactor, self.server.clock)
        self.server.accept_data = self._accept_data
        self._factory = RendezvousFactory(self.server, ConnectionCreator(identity), reactor)
        self._loop_delay = LoopDelay(reactor, self.server.clock.monotonic)
        self.metrics = Metrics(self.server, self.watch, self._factory, self._loop_delay.delays)
        self._reactor = reactor
        self._port: Any = None
        self._sweeping = LoopingCall(self.server.sweep)
        self._sweeping.clock = reactor

    def privilegedStartService(self) -> None:
        """Bind the port while there may still be rights to."""
        try:
            self._port = self._reactor.listenTCP(self.settings.port, self._factory, interface=self.settings.interface)
        except CannotListenError as error:
            raise SystemExit(cannot_listen(self.settings, error.socketError)) from None

    def startService(self) -> None:
        """Begin to sweep, and say that we are ready."""
        super().startService()  # type: ignore[no-untyped-call]
        if self._port is None:
            self.privilegedStartService()
        for problem in self.server.authorized.problems():
            self.log.warn("{problem}", problem=problem)
        self._start_sweeping()
        self._loop_delay.start()
        self._reactor.callWhenRunning(self._ready)

    def _ready(self) -> None:
        """Only now does a signal end the service in order."""
        if not self.running:
            return
        self.log.info(
            "BittrRt serves on {interface} port {port}, sessions on UDP {ranges}; its key is {fingerprint}",
            interface=self.settings.interface,
            port=self.settings.port,
            ranges=self.settings.port_ranges,
            fingerprint=self.server.fingerprint,
        )
        notify("READY=1")

    @property
    def port(self) -> int:
        """The TCP port on which it listens; another one than in the settings if that is 0."""
        return int(self._port.getHost().port)

    def _accept_data(self, client: Client) -> DataPlaneListener:
        """A client begins to ask for files, or to put some: with the rights that its line gives it now."""
        known = self.server.authorized.lookup(client.fingerprint)
        share = self._files.shares.of(known.options if known is not None else {})
        return serve_files(client, self._files, share)

    def _start_sweeping(self) -> None:
        def start_again(failure: Any) -> None:
            self.log.failure("a sweep failed", failure)
            if self.running:
                self._sweeping.start(interval, now=False).addErrback(start_again)

        interval = min(SWEEP_INTERVAL, self.settings.heartbeat_seconds)
        self._sweeping.start(interval).addErrback(start_again)

    @inlineCallbacks
    def stopService(self) -> Any:
        """Let nobody in any more, say goodbye to everybody, close every socket: in this order."""
        notify("STOPPING=1")
        super().stopService()  # type: ignore[no-untyped-call]
        if self._sweeping.running:
            self._sweeping.stop()
        self._loop_delay.stop()
        port, self._port = self._port, None
        if port is not None:
            yield maybeDeferred(port.stopListening)
        closing: Deferred[Any] = self.server.close()
        yield closing


def cannot_listen(settings: Settings, error: OSError) -> str:
    """The line for whom the port is refused."""
    where = f"{settings.interface or '*'} port {settings.port}"
    return f"bittrrt: cannot listen on {where}: {error.strerror or error}. Choose another with --port or --interface"
