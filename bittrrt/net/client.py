"""The server's record of one client's session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from ..link.encryptor import CommEncryptor
from ..link.peer_address import Address
from ..settings import Settings, as_settings
from ..wire.datagram import PortType
from ..wire.messages import CloseReason
from .clock import SYSTEM_CLOCK, Clock
from .connection import CommConnection
from .port import LinkPort
from .port_manager import PortManager


class ClientListener(Protocol):
    """Who keeps the records: the server."""

    def client_said_goodbye(self, client: Client) -> None:
        """The client ends its session."""

    def client_moved(self, client: Client, port_type: PortType, before: Address, after: Address) -> None:
        """The client's address on one port is another one now."""


class Client:
    """One client's session: whose it is, its keys, and its connection."""

    def __init__(
        self,
        config: Settings | Mapping[str, Any] | None,
        port_manager: PortManager,
        public_key: bytes,
        *,
        salt: bytes = b"",
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
        self.opened_at = clock.monotonic()
        self.ce = CommEncryptor()
        self.ce.derive_shared_secret(public_key, salt=salt)
        self.conn = CommConnection(
            self.config, port_manager, self.ce, listener=self, reactor=reactor, clock=clock, port_class=port_class
        )

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
        return self.conn.close(reason)

    def connection_closed_by_peer(self, reason: CloseReason) -> None:
        """See `ConnectionListener`."""
        if self.listener is not None:
            self.listener.client_said_goodbye(self)

    def connection_moved(self, port_type: PortType, before: Address, after: Address) -> None:
        """See `ConnectionListener`."""
        if self.listener is not None:
            self.listener.client_moved(self, port_type, before, after)
