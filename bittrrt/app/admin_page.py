"""Where the page is served: its endpoint, its secret, and the file by which programs of this machine find it.

    --admin tcp:6780:interface=127.0.0.1     any endpoint string of Twisted's: ssl:..., unix:PATH, systemd:...
    HOME/admin.json, 0600                    {"url": "http://127.0.0.1:6780/", "secret": "..."}, while the server runs

A person gets the secret in the fragment of a link, which browsers send to nobody: no log, proxy or referrer has it.
"""

from __future__ import annotations

import sys
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import quote

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource

from ..errors import SettingsError
from ..files.home import Home
from ..files.identity import Identity
from ..net.server import Server
from ..settings import DEFAULT_ADMIN, Settings
from ..wire.endpoint import show_host_port
from .admin_actions import Actions
from .admin_feed import Feed
from .admin_file import AdminAddress, remove_admin_address, write_admin_address
from .admin_guard import Guard, new_secret
from .admin_points import Points
from .admin_site import AdminRoot, AdminSite
from .admin_state import StateReader
from .admin_stream import Hub
from .invitation import ip_address_is_wildcard, own_address
from .tcp_probe import refusal_to_listen
from .watch import Watch

NO_PAGE: Final = "none"


class AdminPage:
    """The page of one server. `listen` while there may be rights to, `close` at the end."""

    log = Logger()

    def __init__(
        self,
        settings: Settings,
        server: Server,
        watch: Watch,
        home: Home,
        identity: Identity,
        reactor: Any,
        *,
        metrics: Resource | None = None,
    ) -> None:
        """`metrics` is served at /metrics."""
        self._settings = settings
        self._home = home
        self._reactor = reactor
        self._metrics = metrics
        points = Points(server.clock)
        server.observers.append(points)
        self.hub = Hub(Feed(server, watch, points), reactor)
        self._state = StateReader(server, watch, reactor)
        self._actions = Actions(server, watch, home, identity, settings)
        self._secret = new_secret()
        self._port: Any = None
        self.url = ""
        """Where it is, once it is there."""

    def listen(self) -> None:
        """Bind the endpoint. Raises `SettingsError` if that fails and somebody asked for this very one; where it is
        only the default that is taken, the server works without a page, and says so.
        """
        description = endpoint_of(self._settings)
        failures: list[Failure] = []
        site = AdminSite(Resource(), self._reactor)
        listening: Deferred[Any] = serverFromString(self._reactor, description).listen(site)
        listening.addCallbacks(lambda port: self._listening(site, port), failures.append)
        for failure in failures:
            line = cannot_serve(description, failure.value)
            if self._settings.admin is not None:
                raise SettingsError(line) from None
            self.log.warn("no page: {line}", line=line)

    def _listening(self, site: AdminSite, port: Any) -> None:
        self._port = port
        description = endpoint_of(self._settings)
        address = port.getHost()
        host, number = getattr(address, "host", ""), getattr(address, "port", 0)
        self.url = page_url(description, host, number)
        guard = Guard(self._secret, open_to_look=bool(host) and ip_address(host).is_loopback, port=number)
        site.resource = AdminRoot(guard, self.hub, self._state, self._actions, self._metrics)

    def announce(self) -> None:
        """Tell programs of this machine where the page is, and the person too: with the secret only on a terminal,
        since a log has other readers.
        """
        if self._port is None:
            return
        address = AdminAddress(self.url, self._secret)
        write_admin_address(self._home, address)
        self.log.info("The page is at {url}, and 'bittrrt page' prints the link that lets you act", url=self.url)
        terminal = sys.__stdout__  # Twisted's log has the other one
        if terminal is not None and terminal.isatty():
            print(f"The page: {address.link}", file=terminal, flush=True)

    def close(self) -> Deferred[Any]:
        """End every page. Fires when nobody can connect any more."""
        port, self._port = self._port, None
        if port is None:
            return succeed(None)
        remove_admin_address(self._home)
        self.hub.close()
        return maybeDeferred(port.stopListening)


def endpoint_of(settings: Settings) -> str:
    """The endpoint string of the page that is to be."""
    return DEFAULT_ADMIN if settings.admin is None else settings.admin


def page_url(description: str, host: str, number: int) -> str:
    """What a browser of this machine opens; for a Unix socket, the path where a host would stand."""
    if not host:
        kind, _, rest = description.partition(":")
        return f"http+{kind}://{quote(rest.partition(':')[0], safe='')}/"
    scheme = "https" if description.startswith("ssl:") else "http"
    shown = own_address(host) if ip_address_is_wildcard(host) else host
    return f"{scheme}://{show_host_port(shown, number)}/"


class _TcpAsked:
    """In a reactor's place, finds out on what an endpoint would listen."""

    def __init__(self) -> None:
        self.at: tuple[str, int] | None = None

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> None:
        """See `IReactorTCP`."""
        self.at = interface, port

    def listenSSL(self, port: int, factory: Any, context: Any, backlog: int = 50, interface: str = "") -> None:
        """See `IReactorSSL`."""
        self.at = interface, port

    def listenUNIX(self, *args: Any, **options: Any) -> None:
        """See `IReactorUNIX`: whether that can be is seen when it is tried."""


def check_admin(settings: Settings) -> None:
    """Refuse an endpoint that is none, or is taken, while a person still sees it. Raises `SettingsError`.

    The default may be taken: then there is no page, which the log says.
    """
    description = endpoint_of(settings)
    if settings.admin is None or description == NO_PAGE:
        return
    asked = _TcpAsked()
    try:
        serverFromString(asked, description).listen(Factory()).addErrback(lambda _: None)
    except Exception as error:  # whatever a plugin's parser raises
        raise SettingsError(f"admin: {description!r} is no endpoint, as in {DEFAULT_ADMIN}: {error}") from None
    if asked.at is None:
        return
    refusal = refusal_to_listen(*asked.at)
    if refusal is not None:
        raise SettingsError(cannot_serve(description, refusal))


def cannot_serve(description: str, error: Any) -> str:
    """The line for whom the page's endpoint is refused."""
    cause = error.socketError if isinstance(error, CannotListenError) else error
    why = getattr(cause, "strerror", None) or cause
    return f"cannot serve the page on {description}: {why}. Choose another with --admin, or {NO_PAGE}"
