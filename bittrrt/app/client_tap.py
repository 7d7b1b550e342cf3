"""`twistd bittrrt-client HOST`: a service that keeps a link up for good."""

from __future__ import annotations

from typing import Any, Final, cast

from twisted.application.service import IService, Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python import usage

from ..errors import LinkError
from ..files.home import Home
from ..files.known_servers import KnownServer, KnownServers
from ..net.client_connection import ClientConnection, HeartbeatRound
from ..net.link_keeper import LinkKeeper
from ..net.session_opener import SessionOpener
from ..settings import Settings, read_config_file, settings_from_options
from .link_recorder import LinkRecorder
from .opening import known_identity
from .systemd import notify

HOPELESS_RETRY: Final = 60.0  # seconds; what only a person can mend, a person may mend


class Options(usage.Options):
    """Options of `twistd bittrrt-client`."""

    synopsis = "[options] HOST[:PORT]"
    longdesc = "Keeps a link with a server up for good. Join the server first: bittrrt join LINK."
    optParameters = [
        ["config", "c", None, "A TOML file with any of these options, e.g. heartbeat = 1000."],
        ["home", None, None, "Directory of keys and servers. [default: $BITTRRT_HOME or ~/.bittrrt]"],
        ["heartbeat", None, None, "Milliseconds from one heartbeat to the next. [default: as the server says]"],
        ["history-days", None, None, "Days that the link's history is kept; 0 for none. [default: 30]"],
    ]

    settings: Settings
    heartbeat: int | None
    """Milliseconds; None for the server's."""

    def parseArgs(self, host: str) -> None:  # type: ignore[override]
        """The one argument."""
        self["host"] = host

    def postOptions(self) -> None:
        """Check everything before anything is done. Ends the program with one line if it does not fit."""
        try:
            named = {"home": self["home"], "heartbeat": self["heartbeat"], "history_days": self["history-days"]}
            self.settings = settings_from_options(named, self["config"])
            in_file = read_config_file(self["config"]) if self["config"] else {}
        except LinkError as error:
            raise SystemExit(f"bittrrt-client: {error}") from None
        told = self["heartbeat"] is not None or "heartbeat" in in_file
        self.heartbeat = self.settings.heartbeat if told else None


def makeService(options: Options) -> IService:
    """The service."""
    from twisted.internet import reactor  # noqa: PLC0415  twistd has chosen which by now

    settings = options.settings
    try:
        home = Home(settings.home)
        server = KnownServers(home).resolve(options["host"])
        opener = SessionOpener(reactor, settings, known_identity(home), server, heartbeat=options.heartbeat)
    except LinkError as error:
        raise SystemExit(f"bittrrt-client: {error}") from None
    days = settings.history_days
    return ClientService(opener, LinkRecorder(home, server, reactor, _warn, days=days) if days else None)


def _warn(text: str) -> None:
    """Log a line, from any thread."""
    from twisted.internet import reactor  # noqa: PLC0415  twistd has chosen which by now

    cast("Any", reactor).callFromThread(ClientService.log.warn, "{text}", text=text)


class ClientService(Service):
    """Keeps one link up. Logs when it comes and goes."""

    log = Logger()

    def __init__(self, opener: SessionOpener, history: LinkRecorder | None = None) -> None:
        self._opener = opener
        self._history = history
        self._observer = self if history is None else history.observing(self)
        self._keeper = LinkKeeper(opener, self._observer)
        self._pause: Deferred[None] | None = None

    @property
    def server(self) -> KnownServer:
        """The other end."""
        return self._opener.server

    def startService(self) -> None:
        """Open the link."""
        super().startService()  # type: ignore[no-untyped-call]
        if self._history is not None:
            self._history.start()
        Deferred.fromCoroutine(self._keep()).addErrback(lambda f: self.log.failure("the link's keeper failed", f))
        self._opener.reactor.callWhenRunning(notify, "READY=1")  # only then does a signal end it in order

    async def stopService(self) -> None:
        """Say goodbye."""
        super().stopService()  # type: ignore[no-untyped-call]
        if self._pause is not None:
            self._pause.cancel()
        await self._keeper.stop()
        if self._history is not None:
            self._history.stop()

    async def _keep(self) -> None:
        while self.running:
            try:
                await self._keeper.run()
            except LinkError as error:
                self.log.error("{error}; trying again in {pause:.0f} s", error=error, pause=HOPELESS_RETRY)
                self._pause = deferLater(self._opener.reactor, HOPELESS_RETRY)
                try:
                    await self._pause
                except CancelledError:
                    return
                self._keeper = LinkKeeper(self._opener, self._observer)

    def link_up(self, connection: ClientConnection) -> None:
        """See `KeeperObserver`."""
        self.log.info("link {link} with {host} is up", link=connection.link_id[:8], host=self.server.host)

    def link_down(self, why: LinkError) -> None:
        """See `KeeperObserver`."""
        self.log.warn("{why}", why=why)

    def heartbeat_finished(self, connection: ClientConnection, beat: HeartbeatRound) -> None:
        """See `SessionObserver`."""

    def session_suspected(self, connection: ClientConnection) -> None:
        """See `SessionObserver`."""
        self.log.warn("link {link} is not answered; opening a new one", link=connection.link_id[:8])

    def session_revived(self, connection: ClientConnection) -> None:
        """See `SessionObserver`."""
        self.log.info("link {link} is heard again", link=connection.link_id[:8])

    def session_ended(self, connection: ClientConnection, why: LinkError) -> None:
        """See `SessionObserver`."""
        self.log.warn("link {link} ended: {why}", link=connection.link_id[:8], why=why)
