"""The server's record of one client's session."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from ..errors import FileError, PeerMisbehaved
from ..link.encryptor import CommEncryptor
from ..link.peer_address import Address
from ..settings import Settings, as_settings
from ..wire.datagram import PortType
from ..wire.messages import CipherName, CloseReason
from .clock import SYSTEM_CLOCK, Clock
from .connection import CommConnection
from .handlers import PortHandler
from .port import LinkPort
from .port_manager import PortManager
from .server_observer import Direction, ServerObserver
from .streams import DataPlaneListener
from .tally import FileProgress


class ClientListener(Protocol):
    """Who keeps the records: the server."""

    def client_said_goodbye(self, client: Client) -> None:
        """The client ends its session."""

    def client_misbehaved(self, client: Client, why: PeerMisbehaved) -> None:
        """The client has broken the rules of the link: its session is to be closed."""

    def client_moved(self, client: Client, port_type: PortType, before: Address, after: Address) -> None:
        """The client's address on one port is another one now."""

    def tell(self, tell: Callable[[ServerObserver], None]) -> None:
        """Whoever looks at the server is to be told."""


class FilesUnderWay(Protocol):
    """Who moves a session's files."""

    def under_way(self) -> list[tuple[Direction, int, FileProgress]]:
        """The files that are on their way now, with their channels."""


class Client:
    """One client's session: whose it is, its keys, and its connection."""

    accept_data: Callable[[Client], DataPlaneListener | None] | None = None
    """Who takes what the client sends, once it sends control messages, if anybody does.

    `conn.data_plane` is made right after that, or by whom this returns.
    """
    files: FilesUnderWay | None = None
    """Who moves its files, once there are any."""

    def __init__(
        self,
        config: Settings | Mapping[str, Any] | None,
        port_manager: PortManager,
        public_key: bytes,
        *,
        salt: bytes = b"",
        cipher: CipherName = "chacha20-poly1305",
        fingerprint: str = "",
        name: str = "",
        listener: ClientListener | None = None,
        reactor: Any = None,
        clock: Clock = SYSTEM_CLOCK,
        port_class: type[LinkPort] = LinkPort,
    ) -> None:
        """Agree on keys with the client's X25519 `public_key`. Raises `KeyAgreementError` for one that is none."""
        self.config = as_settings(config)
        self.fingerprint = fingerprint
        self.name = name
        self.listener = listener
        self.ce = CommEncryptor()
        self.ce.derive_shared_secret(public_key, salt=salt, cipher=cipher)
        self.conn = CommConnection(
            self.config, port_manager, self.ce, listener=self, reactor=reactor, clock=clock, port_class=port_class
        )
        self.opened_ms = clock.wall_ms()
        """When the session began, ms since 1970."""
        for handler in self.conn.handlers:
            handler.watcher = self

    def __repr__(self) -> str:
        return f"<Client {self.name or self.fingerprint} link {self.link_id[:8]}>"

    @property
    def link_id(self) -> str:
        """What names the session at both ends, in hexadecimal."""
        return self.ce.link_id.hex()

    def last_heard(self) -> float:
        """When anything authentic was heard last; before that, when the session was opened."""
        return self.conn.last_heard()

    def close(self, reason: CloseReason) -> Deferred[Any]:
        """Say goodbye and give the ports back."""
        self.files = None
        return self.conn.close(reason)

    def connection_closed_by_peer(self, reason: CloseReason) -> None:
        """See `ConnectionListener`."""
        if self.listener is not None:
            self.listener.client_said_goodbye(self)

    def data_wanted(self) -> DataPlaneListener | None:
        """See `ConnectionListener`."""
        return None if self.accept_data is None else self.accept_data(self)

    def connection_misused(self, why: PeerMisbehaved) -> None:
        """See `ConnectionListener`."""
        if self.listener is not None:
            self.listener.client_misbehaved(self, why)

    def connection_moved(self, port_type: PortType, before: Address, after: Address) -> None:
        """See `ConnectionListener`."""
        if self.listener is not None:
            self.listener.client_moved(self, port_type, before, after)

    def heartbeat_measured(self, handler: PortHandler, round_trip: float) -> None:
        """See `HeartbeatWatcher`."""
        if self.listener is not None:
            self.listener.tell(lambda observer: observer.heartbeat_measured(self, handler.port_type, round_trip))

    def heartbeats_lost(self, handler: PortHandler, count: int) -> None:
        """See `HeartbeatWatcher`."""
        if self.listener is not None:
            self.listener.tell(lambda observer: observer.heartbeats_lost(self, handler.port_type, count))

    def file_begun(self, direction: Direction, progress: FileProgress) -> None:
        """One of its files is on its way."""
        if self.listener is not None:
            self.listener.tell(lambda observer: observer.file_begun(self, direction, progress))

    def file_done(self, direction: Direction, progress: FileProgress) -> None:
        """One of its files arrived whole."""
        if self.listener is not None:
            self.listener.tell(lambda observer: observer.file_done(self, direction, progress))

    def file_failed(self, direction: Direction, error: FileError) -> None:
        """One of its files did not arrive."""
        if self.listener is not None:
            self.listener.tell(lambda observer: observer.file_failed(self, direction, error))
