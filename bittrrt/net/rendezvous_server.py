"""The server's end of the rendezvous: one TLS connection, one message, one answer.

    TCP accept -> admission -> TLS handshake -> one netstring in -> Server.join, Server.open -> one netstring out

Until a client has said who it is it costs little and not for long: `MAX_CONNECTIONS` at a time, `MAX_PER_ADDRESS` from
one address, each for `TIME_LIMIT`.
"""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_address, ip_network
from typing import Any, Final

from twisted.internet.interfaces import IAddress, IHandshakeListener
from twisted.internet.protocol import Factory, Protocol, ServerFactory
from twisted.logger import Logger
from twisted.protocols.basic import NetstringReceiver
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from ..errors import MalformedMessage, NotBittrRt
from ..wire.messages import (
    MAX_MESSAGE,
    ClientMessage,
    Join,
    RefusalReason,
    Refused,
    ServerMessage,
    encode_message,
    parse_client_message_untrusted,
)
from .server import Server
from .tls import ConnectionCreator, exporter, peer_fingerprint

TIME_LIMIT: Final = 5.0  # seconds for the handshake and the first message, and again for the answer to be taken
MAX_CONNECTIONS: Final = 64
MAX_PER_ADDRESS: Final = 4


@implementer(IHandshakeListener)
class RendezvousServer(NetstringReceiver):
    """One client's connection."""

    MAX_LENGTH = MAX_MESSAGE
    log = Logger()

    def __init__(self, factory: RendezvousFactory, host: str) -> None:
        self._rendezvous = factory
        self._host = host
        self._fingerprint = ""
        self._deadline: Any = None
        self._left = False
        self._answered = False

    def connectionMade(self) -> None:
        """TCP is up, TLS is not."""
        self._set_deadline()

    def handshakeCompleted(self) -> None:
        """The client has proved which key it holds. Whether that key is let in is asked with its message."""
        try:
            self._fingerprint = peer_fingerprint(self._tls().getHandle())
        except NotBittrRt:
            self._tls().abortConnection()

    def stringReceived(self, string: bytes) -> None:
        """The one message."""
        if not self._fingerprint:
            return
        try:
            answer = self._answer(parse_client_message_untrusted(string))
        except MalformedMessage:
            answer = self._rendezvous.refuse(RefusalReason.MALFORMED)
        except Exception:
            self.log.failure("a client's message could not be answered")
            answer = self._rendezvous.refuse(RefusalReason.BUSY)
        self._answered = True
        self._fingerprint = ""  # one message is all
        if not isinstance(answer, Refused):
            self._leave()
        self._set_deadline()
        self.sendString(encode_message(answer))  # type: ignore[no-untyped-call]
        self._tls().loseConnection()

    def _answer(self, message: ClientMessage) -> ServerMessage:
        server, binding = self._rendezvous.server, exporter(self._tls().getHandle())
        if isinstance(message, Join):
            return server.join(message, self._fingerprint, binding)
        return server.open(message, self._fingerprint, binding)

    def connectionLost(self, reason: Any = None) -> None:
        """Over."""
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        if not self._answered:
            self._rendezvous.unfinished += 1
        self._leave()

    def _leave(self) -> None:
        """Known, or gone: no longer one of those that are limited."""
        if not self._left:
            self._left = True
            self._rendezvous.left(self._host)

    def _set_deadline(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = self._rendezvous.reactor.callLater(TIME_LIMIT, self._tls().abortConnection)

    def _tls(self) -> Any:
        return self.transport


class RendezvousFactory(ServerFactory):
    """Lets connections in, within limits, before anything is spent on TLS."""

    noisy = False

    def __init__(self, server: Server, creator: ConnectionCreator, reactor: Any) -> None:
        self.server = server
        self.reactor = reactor
        self.turned_away = 0
        """Connections closed at once, since too many were open."""
        self.unfinished = 0
        """Connections that ended before they had asked anything: no TLS as ours, no message, not in time."""
        self.refusals: Counter[RefusalReason] = Counter()
        """Messages refused here; `Server.refusals` has those that it refused."""
        self._open: Counter[str] = Counter()
        inner = _HostFactory(self)
        self._tls_factory = TLSMemoryBIOFactory(creator, isClient=False, wrappedFactory=inner, clock=reactor)
        self._tls_factory.noisy = inner.noisy = False

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """A protocol, or None: then the reactor closes the connection."""
        host = who_counts(str(getattr(addr, "host", "")))
        if self._open.total() >= MAX_CONNECTIONS or self._open[host] >= MAX_PER_ADDRESS:
            self.turned_away += 1
            return None
        self._open[host] += 1
        return self._tls_factory.buildProtocol(addr)

    def refuse(self, reason: RefusalReason) -> Refused:
        """The answer to a message that the server is not even asked about."""
        self.refusals[reason] += 1
        return Refused(reason)

    def left(self, host: str) -> None:
        """A connection from `host` is over."""
        host = who_counts(host)
        self._open[host] -= 1
        if self._open[host] <= 0:
            del self._open[host]


def who_counts(host: str) -> str:
    """Of whom connections are counted together: one IPv4 address, or a /64 of IPv6, which is what one machine gets."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if address.version == 6 and address.ipv4_mapped is None:
        return str(ip_network((address, 64), strict=False))
    return host


class _HostFactory(Factory):
    """Makes the protocol inside TLS."""

    def __init__(self, rendezvous: RendezvousFactory) -> None:
        self._rendezvous = rendezvous

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        return RendezvousServer(self._rendezvous, str(getattr(addr, "host", "")))
