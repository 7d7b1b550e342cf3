"""Opens sessions with one server: the rendezvous first, then the link.

begin --> rendezvous ==ClientHello==> ...     a program imports meanwhile what only a session needs: it takes a moment
open  --------^--------------> ... answer --> ClientConnection, whose heart beats
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from twisted.internet.defer import Deferred

from ..errors import KeyAgreementError, LinkError, NotBittrRt
from ..files.identity import Identity
from ..files.known_servers import KnownServer, key_changed_error
from ..link.cipher import preferred_cipher
from ..link.encryptor import CommEncryptor
from ..settings import Settings
from ..wire.datagram import PortType
from ..wire.messages import Open, Welcome
from .begun_connection import BegunConnection
from .clock import SYSTEM_CLOCK, Clock
from .rendezvous_client import Answer, rendezvous
from .rendezvous_watcher import RendezvousWatcher
from .tls import ConnectionCreator

if TYPE_CHECKING:
    from .client_connection import ClientConnection, SessionObserver
    from .port import LinkPort


def check_against(server: KnownServer) -> Callable[[str], None]:
    """A check of the key that a server shows against the one pinned for it."""

    def check(shown: str) -> None:
        if shown != server.fingerprint:
            raise key_changed_error(server, shown)

    return check


class SessionOpener:
    """Everything it takes to open a session with one server."""

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        identity: Identity,
        server: KnownServer,
        *,
        heartbeat: int | None = None,
        clock: Clock = SYSTEM_CLOCK,
        port_class: type[LinkPort] | None = None,
        watcher: RendezvousWatcher | None = None,
        begun: BegunConnection | None = None,
    ) -> None:
        """`heartbeat` in milliseconds; None for the server's. `port_class`: None for that of every program.

        `begun`: a connection to the server, for the first rendezvous. It is its maker's to close.
        """
        self.reactor = reactor
        self.settings = settings
        self.server = server
        self.clock = clock
        self._heartbeat = heartbeat
        self._port_class = port_class
        self._watcher = watcher
        self._creator = ConnectionCreator(identity)
        self._cipher = preferred_cipher(clock.monotonic)
        self._begun = begun
        self._asked: Deferred[tuple[CommEncryptor, Answer]] | None = None

    def begin(self) -> Deferred[None]:
        """Begin the rendezvous of the first `open`. Fires when TLS's first message has left, or when it has ended."""
        left: Deferred[None] = Deferred()

        def fire() -> None:
            if not left.called:
                left.callback(None)

        async def ask() -> tuple[CommEncryptor, Answer]:
            try:
                return await self._ask("", fire)
            finally:
                fire()  # from in here: who calls `open` at once waits for how this ends

        self._asked = Deferred.fromCoroutine(ask())
        return left

    async def _ask(self, replaces: str, greeted: Callable[[], object] | None = None) -> tuple[CommEncryptor, Answer]:
        encryptor = CommEncryptor()
        answer = await rendezvous(
            self.reactor,
            self._creator,
            self.server.host,
            self.server.port,
            check_against(self.server),
            lambda _: Open(encryptor.get_public_key(), replaces, self._cipher),
            watcher=self._watcher,
            clock=self.clock,
            begun=self._begun,  # gives its connection away once
            greeted=greeted,
        )
        return encryptor, answer

    async def open(self, observer: SessionObserver, replaces: str = "") -> ClientConnection:
        """A session, with its heart beating. Raises `LinkError`."""
        asked, self._asked = self._asked or Deferred.fromCoroutine(self._ask(replaces)), None
        from .client_connection import ClientConnection  # noqa: PLC0415  while the rendezvous is on its way, if begun
        from .port import LinkPort  # noqa: PLC0415

        encryptor, answer = await asked
        welcome = answer.message
        if not isinstance(welcome, Welcome):
            raise NotBittrRt(f"{self.server.host} gave an answer to another question")
        try:
            encryptor.derive_shared_secret(welcome.public_key, salt=answer.exporter, cipher=welcome.cipher)
        except KeyAgreementError as error:
            raise NotBittrRt(f"{self.server.host} cannot agree on keys: {error}") from None
        heartbeat = welcome.heartbeat if self._heartbeat is None else self._heartbeat
        if heartbeat * 2 > welcome.stale_after:
            raise LinkError(
                f"a heartbeat every {heartbeat} ms is too slow for this server, which ends a session after"
                f" {welcome.stale_after} ms of silence: choose at most {welcome.stale_after // 2}"
            )
        connection = ClientConnection(
            msgspec.structs.replace(self.settings, heartbeat=heartbeat),
            encryptor,
            (answer.server_address,),
            {port_type: welcome.port(port_type) for port_type in PortType},
            observer=observer,
            reactor=self.reactor,
            stale_after=welcome.stale_after / 1000,
            clock=self.clock,
            port_class=self._port_class or LinkPort,
        )
        connection.expected_round_trip = answer.round_trip
        connection.start()
        return connection
