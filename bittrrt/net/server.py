"""The server's sessions: who may have one, which exist, and when they end."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger

from ..errors import (
    InviteExpired,
    InviteRejected,
    InviteUsed,
    KeyAgreementError,
    LinkError,
    PeerMisbehaved,
    PortsExhausted,
    ServerBusy,
    SettingsError,
)
from ..files.authorized_clients import AuthorizedClients, valid_name
from ..files.invites import Invites
from ..link.cipher import agreed_cipher, preferred_cipher
from ..link.peer_address import Address
from ..settings import Settings
from ..wire.datagram import PortType
from ..wire.invite import proof_holds
from ..wire.messages import CloseReason, Join, Joined, Open, RefusalReason, Refused, Welcome
from .client import Client
from .clock import SYSTEM_CLOCK, Clock
from .port import LinkPort
from .port_manager import PortManager
from .server_observer import ServerObserver
from .streams import DataPlaneListener
from .switchboard import Services

QUIET: Final = 0.55
"""A session that was silent for this share of `stale_after` may be given up for a new one of the same key: its client
was killed, most likely, since the slowest heartbeat that a client may have is half of it."""

_REFUSALS: Final[dict[type[LinkError], RefusalReason]] = {
    InviteUsed: RefusalReason.INVITE_USED,
    InviteExpired: RefusalReason.INVITE_EXPIRED,
    InviteRejected: RefusalReason.INVITE_UNKNOWN,
    PortsExhausted: RefusalReason.NO_PORTS,
    ServerBusy: RefusalReason.BUSY,
    SettingsError: RefusalReason.BUSY,
}


class Server:
    """Opens, keeps and ends sessions. Knows nothing of TLS, and no socket but those of its sessions."""

    log = Logger()

    def __init__(
        self,
        settings: Settings,
        fingerprint: str,
        authorized: AuthorizedClients,
        invites: Invites,
        *,
        reactor: Any = None,
        clock: Clock = SYSTEM_CLOCK,
        port_class: type[LinkPort] = LinkPort,
    ) -> None:
        self.settings = settings
        self.fingerprint = fingerprint
        self.authorized = authorized
        self.invites = invites
        self.clock = clock
        self.port_manager = PortManager(settings, quarantine=settings.port_quarantine_seconds, now=clock.monotonic)
        self.sessions: dict[str, Client] = {}
        self.services = Services()
        self.accept_data: Callable[[Client], DataPlaneListener | None] = self.services.accept
        """Who takes what clients send; see `Client.accept_data`."""
        self.refusals: Counter[RefusalReason] = Counter()
        self.observers: list[ServerObserver] = []
        self._reactor = reactor
        self._port_class = port_class
        self._cipher = preferred_cipher(clock.monotonic)
        self._stale_at: list[tuple[float, str]] = []  # a heap of (time, link id); when it comes, it is looked at again

    def join(self, message: Join, fingerprint: str, exporter: bytes) -> Joined | Refused:
        """Let the client with this key in, if it proves that it holds an invite's token."""
        if not proof_holds(message.verifier, message.proof, exporter, self.fingerprint, fingerprint):
            return self._refused(RefusalReason.INVITE_UNKNOWN, fingerprint)
        own_name = message.name if valid_name(message.name) else "client"

        def let_in(name: str) -> None:
            self.authorized.authorize(fingerprint, name or own_name)

        try:
            name = self.invites.redeem(message.verifier, self.clock.wall_ms() / 1000, let_in) or own_name
        except (InviteRejected, SettingsError) as error:
            self._look_at_authorized()  # it may know of a client that never got onto the disk
            self.log.warn("{fingerprint} was not let in: {error}", fingerprint=fingerprint, error=error)
            return self._refused(_REFUSALS[type(error)], fingerprint)
        self.log.info("{name} ({fingerprint}) has joined", name=name, fingerprint=fingerprint)
        self.tell(lambda observer: observer.client_joined(name, fingerprint))
        return Joined(name)

    def open(self, message: Open, fingerprint: str, exporter: bytes) -> Welcome | Refused:
        """Open a session for the client with this key. No socket is opened before it is known to be let in."""
        self._look_at_authorized()
        known = self.authorized.lookup(fingerprint)
        if known is None:
            return self._refused(RefusalReason.UNKNOWN_CLIENT, fingerprint)
        if known.revoked:
            return self._refused(RefusalReason.REVOKED_CLIENT, fingerprint, known.name)
        before = self.sessions.get(message.replaces)
        if before is not None and before.fingerprint != fingerprint:
            before = None
        if before is None and not self._room_for(fingerprint):
            return self._refused(RefusalReason.TOO_MANY_SESSIONS, fingerprint, known.name)
        cipher = agreed_cipher(self._cipher, message.cipher)
        try:
            client = Client(
                self.settings, self.port_manager, message.public_key, salt=exporter, cipher=cipher,
                fingerprint=fingerprint, name=known.name, listener=self, reactor=self._reactor, clock=self.clock,
                port_class=self._port_class,
            )  # fmt: skip
            if before is None:
                client.conn.listen()
            else:
                self.tell(partial(_ended, before, CloseReason.REPLACED))
                client.conn.take_over(before.conn)
                del self.sessions[before.link_id]
        except KeyAgreementError:
            return self._refused(RefusalReason.MALFORMED, fingerprint, known.name)
        except (PortsExhausted, ServerBusy) as error:
            self.log.warn("no session for {name}: {error}", name=known.name, error=error)
            return self._refused(_REFUSALS[type(error)], fingerprint, known.name)
        client.accept_data = self.accept_data
        self.sessions[client.link_id] = client
        self._watch(client)
        self.log.info(
            "{name} opened link {link} on ports {ports}",
            name=client.name, link=client.link_id[:8], ports=sorted(client.conn.ports.values()),
        )  # fmt: skip
        self.tell(lambda observer: observer.session_opened(client))
        ports = client.conn.ports
        return Welcome(
            public_key=client.ce.get_public_key(),
            ctrl=ports[PortType.CTRL],
            up=ports[PortType.UP],
            dn=ports[PortType.DN],
            heartbeat=self.settings.heartbeat,
            stale_after=round(self.settings.stale_after_seconds * 1000),
            cipher=cipher,
        )

    def close_session(self, client: Client, reason: CloseReason) -> Deferred[Any]:
        """End one session."""
        if self.sessions.pop(client.link_id, None) is not None:
            self.tell(partial(_ended, client, reason))
        self.log.info("{name}: link {link} ended: {why}", name=client.name, link=client.link_id[:8], why=reason.value)
        return client.close(reason)

    def close(self) -> Deferred[Any]:
        """End all sessions in order, saying goodbye. Fires when every socket is closed."""
        return DeferredList([self.close_session(c, CloseReason.SHUTDOWN) for c in list(self.sessions.values())])

    def sweep(self) -> None:
        """End what has gone stale, and what belongs to a key that is no longer let in. Called about once a second."""
        now = self.clock.monotonic()
        while self._stale_at and self._stale_at[0][0] <= now:
            client = self.sessions.get(heapq.heappop(self._stale_at)[1])
            if client is None:
                continue
            if client.last_heard() + self.settings.stale_after_seconds <= now:
                self.close_session(client, CloseReason.STALE)
            else:
                self._watch(client)
        if self._look_at_authorized():
            for client in list(self.sessions.values()):
                known = self.authorized.lookup(client.fingerprint)
                if known is None or known.revoked:
                    self.close_session(client, CloseReason.REVOKED)

    def client_said_goodbye(self, client: Client) -> None:
        """See `ClientListener`."""
        if client.link_id in self.sessions:
            self.close_session(client, CloseReason.GOODBYE)

    def client_misbehaved(self, client: Client, why: PeerMisbehaved) -> None:
        """See `ClientListener`."""
        self.log.warn("{name}: {why}", name=client.name, why=why)
        if client.link_id in self.sessions:
            self.close_session(client, CloseReason.MISBEHAVED)

    def client_moved(self, client: Client, port_type: PortType, before: Address, after: Address) -> None:
        """See `ClientListener`."""
        self.log.info(
            "{name}: {port} moved from {before} to {after}",
            name=client.name, port=port_type.value, before=before[:2], after=after[:2],
        )  # fmt: skip
        self.tell(lambda observer: observer.session_moved(client, port_type, before, after))

    def tell(self, tell: Callable[[ServerObserver], None]) -> None:
        """See `ClientListener`: whoever looks at the server cannot disturb it."""
        for observer in self.observers:
            try:
                tell(observer)
            except Exception:
                self.log.failure("{observer!r} could not be told", observer=observer)

    def _look_at_authorized(self) -> bool:
        """Whether `authorized_clients` has changed. If it cannot be read, what was known before still holds."""
        try:
            return self.authorized.refresh()
        except SettingsError as error:
            self.log.error("{error}", error=error)
            return False

    def _watch(self, client: Client) -> None:
        due = client.last_heard() + self.settings.stale_after_seconds
        heapq.heappush(self._stale_at, (due, client.link_id))

    def _room_for(self, fingerprint: str) -> bool:
        """Whether the key may have one more session; a quiet one of it is given up for that."""
        held = [client for client in self.sessions.values() if client.fingerprint == fingerprint]
        if len(held) < self.settings.max_sessions_per_key:
            return True
        quietest = min(held, key=Client.last_heard)
        if self.clock.monotonic() - quietest.last_heard() < QUIET * self.settings.stale_after_seconds:
            return False
        self.close_session(quietest, CloseReason.STALE)
        return True

    def _refused(self, reason: RefusalReason, fingerprint: str, name: str = "") -> Refused:
        self.refusals[reason] += 1
        self.tell(lambda observer: observer.client_refused(reason, fingerprint, name))
        self.log.info("refused {fingerprint}: {reason}", fingerprint=fingerprint, reason=reason.value)
        return Refused(reason)


def _ended(client: Client, reason: CloseReason, observer: ServerObserver) -> None:
    observer.session_ended(client, reason)
