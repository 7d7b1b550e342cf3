"""The server as a Twisted service: the rendezvous' TCP port, the sessions, and the clock that sweeps them."""

from __future__ import annotations

from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ..errors import SettingsError
from ..files.authorized_clients import AuthorizedClients
from ..files.home import Home
from ..files.identity import Identity
from ..files.invites import Invites
from ..files.share import Shares
from ..net.client import Client
from ..net.looping import keep_looping
from ..net.rendezvous_server import RendezvousFactory
from ..net.server import Server
from ..net.server_transfers import FileService, serve_files
from ..net.streams import DataPlaneListener
from ..net.takers import Takers
from ..net.tls import ConnectionCreator
from ..net.transfer_plane import OpenPlane
from ..net.turns import in_thread_of
from ..settings import Settings
from .admin_page import NO_PAGE, AdminPage
from .history_recorder import ServerRecorder
from .loop_delay import LoopDelay
from .metrics import Metrics, MetricsResource
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
        self._history = (
            ServerRecorder(self.server, self.watch, home, reactor, self._warn) if settings.history_days else None
        )
        self._files = FileService(Shares(settings.root), Takers(), in_thread_of(reactor), reactor, self.server.clock)
        self.server.services.files = self._serve_files
        self._factory = RendezvousFactory(self.server, ConnectionCreator(identity), reactor)
        self._loop_delay = LoopDelay(reactor, self.server.clock.monotonic)
        metrics = Metrics(self.server, self.watch, self._factory, self._loop_delay.delays)
        self.page: AdminPage | None = None
        """What shows all this to people, if they want it."""
        if settings.admin != NO_PAGE:
            self.page = AdminPage(
                settings, self.server, self.watch, home, identity, reactor, metrics=MetricsResource(metrics)
            )
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
        if self.page is not None:
            try:
                self.page.listen()
            except SettingsError as error:
                raise SystemExit(f"bittrrt: {error}") from None

    def startService(self) -> None:
        """Begin to sweep, and say that we are ready."""
        super().startService()  # type: ignore[no-untyped-call]
        if self._port is None:
            self.privilegedStartService()
        for problem in self.server.authorized.problems():
            self.log.warn("{problem}", problem=problem)
        self._start_sweeping()
        self._loop_delay.start()
        if self._history is not None:
            self._history.start()
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
        if self.page is not None:
            self.page.announce()
        notify("READY=1")

    @property
    def port(self) -> int:
        """The TCP port on which it listens; another one than in the settings if that is 0."""
        return int(self._port.getHost().port)

    def _serve_files(self, client: Client, open_plane: OpenPlane) -> DataPlaneListener:
        """A client begins to ask for files, or to put some: with the rights that its line gives it now."""
        known = self.server.authorized.lookup(client.fingerprint)
        share = self._files.shares.of(known.options if known is not None else {})
        return serve_files(client, open_plane, self._files, share)

    def _warn(self, text: str) -> None:
        """Log a line, from any thread."""
        self._reactor.callFromThread(self.log.warn, "{text}", text=text)

    def _start_sweeping(self) -> None:
        interval = min(SWEEP_INTERVAL, self.settings.heartbeat_seconds)
        keep_looping(self._sweeping, interval, self.log, "a sweep failed", lambda: bool(self.running))

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
        if self.page is not None:
            yield self.page.close()
        closing: Deferred[Any] = self.server.close()
        yield closing
        if self._history is not None:
            self._history.stop()


def cannot_listen(settings: Settings, error: OSError) -> str:
    """The line for whom the port is refused."""
    where = f"{settings.interface or '*'} port {settings.port}"
    return f"bittrrt: cannot listen on {where}: {error.strerror or error}. Choose another with --port or --interface"
