"""The client's end of the rendezvous: connect, look at the server's key, say one thing, hear the answer.

Nothing is sent to a server whose key is not the pinned one. A client is in only when it has the server's answer: in
TLS 1.3 its own handshake completes before the server has judged it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from twisted.internet import defer
from twisted.internet import error as failures
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory
from twisted.protocols.basic import NetstringReceiver
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from ..errors import (
    ClientRejected,
    InviteExpired,
    InviteRejected,
    InviteUsed,
    LinkError,
    MalformedMessage,
    NotBittrRt,
    PortsExhausted,
    ServerBusy,
    Unreachable,
)
from ..wire.endpoint import show_host_port
from ..wire.messages import (
    MAX_MESSAGE,
    ClientMessage,
    RefusalReason,
    Refused,
    ServerMessage,
    encode_message,
    parse_server_message_untrusted,
)
from .begun_connection import BegunConnection
from .clock import SYSTEM_CLOCK, Clock
from .connecting import connect
from .rendezvous_watcher import RendezvousWatcher, WatchedReactor
from .tls import ConnectionCreator, exporter, peer_fingerprint, terms_of

ANSWER_TIME_LIMIT: Final = 10.0  # seconds for the handshake and the answer

_NEW_LINK: Final = "ask the server's owner for a new link (bittrrt invite) and run: bittrrt join LINK"
_REFUSALS: Final[dict[RefusalReason, LinkError]] = {
    RefusalReason.UNKNOWN_CLIENT: ClientRejected(f"{{host}} does not know this client's key: {_NEW_LINK}"),
    RefusalReason.REVOKED_CLIENT: ClientRejected(f"{{host}} has revoked this client's key: {_NEW_LINK}"),
    RefusalReason.INVITE_UNKNOWN: InviteRejected(f"{{host}} never made this link: {_NEW_LINK}"),
    RefusalReason.INVITE_USED: InviteUsed(f"this link was used before, and works only once: {_NEW_LINK}"),
    RefusalReason.INVITE_EXPIRED: InviteExpired(f"this link has expired: {_NEW_LINK}"),
    RefusalReason.NO_PORTS: PortsExhausted(
        "{host} has no three UDP ports free now: try again in some minutes, or ask its owner for more (--port-ranges)"
    ),
    RefusalReason.TOO_MANY_SESSIONS: ServerBusy(
        "{host} holds as many sessions of this client as it allows: end one, or ask its owner (--max-sessions-per-key)"
    ),
    RefusalReason.BUSY: ServerBusy("{host} cannot open a session now: its log says why; try again later"),
    RefusalReason.MALFORMED: NotBittrRt("{host} did not understand: use the same version of BittrRt at both ends"),
}


class Answer(NamedTuple):
    """What came of a rendezvous."""

    message: ServerMessage
    exporter: bytes
    """What binds the link to the TLS session."""
    server_address: str
    """The IP address that answered."""
    round_trip: float
    """Seconds from the question to the answer, the server's work included."""


@implementer(IHandshakeListener)
class RendezvousClient(NetstringReceiver):
    """One connection to a server."""

    MAX_LENGTH = MAX_MESSAGE

    def __init__(
        self,
        check_key: Callable[[str], None],
        make_message: Callable[[bytes], ClientMessage],
        result: Deferred[Answer],
        clock: Clock,
        watcher: RendezvousWatcher | None = None,
    ) -> None:
        """`check_key` raises for a fingerprint that is not the pinned one; `make_message` is given the exporter."""
        self._watcher = watcher
        self._check_key = check_key
        self._make_message = make_message
        self._result: Deferred[Answer] | None = result
        self._exporter = b""
        self._clock = clock
        self._asked_at = 0.0

    def connectionMade(self) -> None:
        """TCP is up, TLS is not."""
        if self._watcher is not None:
            self._watcher.connected(self._tls().getHost().host, self._tls().getPeer().host)

    def handshakeCompleted(self) -> None:
        """The server has proved which key it holds."""
        connection = self._tls().getHandle()
        try:
            shown = peer_fingerprint(connection)
            if self._watcher is not None:
                self._watcher.secured(terms_of(connection), shown)
            self._check_key(shown)
            self._exporter = exporter(connection)
            self._asked_at = self._clock.monotonic()
            self.sendString(encode_message(self._make_message(self._exporter)))  # type: ignore[no-untyped-call]
        except LinkError:
            self._finish(Failure())  # type: ignore[no-untyped-call]

    def stringReceived(self, string: bytes) -> None:
        """The one answer."""
        try:
            message = parse_server_message_untrusted(string)
        except MalformedMessage as error:
            self._finish(Failure(NotBittrRt(f"its answer makes no sense: {error}")))  # type: ignore[no-untyped-call]
        else:
            took = self._clock.monotonic() - self._asked_at
            self._finish(Answer(message, self._exporter, self._tls().getPeer().host, took))

    def abandon(self) -> None:
        """Nobody waits for the answer any more."""
        self._result = None
        self._tls().abortConnection()

    def connectionLost(self, reason: Any = None) -> None:
        """Over; too early, if no answer came."""
        self._finish(reason)

    def _finish(self, outcome: Answer | Failure) -> None:
        result, self._result = self._result, None
        if result is not None:
            self._tls().abortConnection()
            if isinstance(outcome, Failure):
                result.errback(outcome)
            else:
                result.callback(outcome)

    def _tls(self) -> Any:
        return self.transport


async def rendezvous(
    reactor: Any,
    creator: ConnectionCreator,
    host: str,
    port: int,
    check_key: Callable[[str], None],
    make_message: Callable[[bytes], ClientMessage],
    *,
    watcher: RendezvousWatcher | None = None,
    clock: Clock = SYSTEM_CLOCK,
    begun: BegunConnection | None = None,
    greeted: Callable[[], object] | None = None,
) -> Answer:
    """Say `make_message(exporter)` to the server at HOST:PORT and return what it answers.

    `begun`: a connection there, which is used if it can be. `greeted` is called when TLS's first message, the
    ClientHello, has left, and there is nothing to do until the server's comes.

    Raises a `LinkError` for everything that can go wrong, a refusal included; what `check_key` raises, as it is; and
    `CancelledError` when cancelled. The connection is closed then, as it always is.
    """
    where = show_host_port(host, port)
    result: Deferred[Answer] = Deferred(lambda _: connection.wrappedProtocol.abandon())
    network = reactor if watcher is None else WatchedReactor(reactor, watcher)
    inner = Factory.forProtocol(lambda: RendezvousClient(check_key, make_message, result, clock, watcher))
    factory = TLSMemoryBIOFactory(creator, isClient=True, wrappedFactory=inner, clock=reactor)
    factory.noisy = inner.noisy = False
    try:
        connection: Any = await connect(network, host, port, factory, None if begun is None else begun.take())
        if greeted is not None:  # TLS has its turn after us, and the reactor writes at the end of this turn or the next
            reactor.callLater(0, reactor.callLater, 0, greeted)
        answer = await result.addTimeout(ANSWER_TIME_LIMIT, reactor)
    except LinkError as error:
        raise type(error)(f"{where}: {error}") if isinstance(error, NotBittrRt) else error from None
    except (CancelledError, failures.ConnectingCancelledError):
        raise CancelledError from None
    except Exception as error:
        raise _explained(error, where) from None
    if isinstance(answer.message, Refused):
        refusal = _REFUSALS[answer.message.reason]
        raise type(refusal)(str(refusal).format(host=where))
    return answer


def _explained(error: Exception, where: str) -> LinkError:
    """The line for a person."""
    host = where.rpartition(":")[0]
    match error:
        case failures.DNSLookupError() | ValueError():  # ValueError: a name that DNS cannot have, such as one with a _
            return Unreachable(f"no address is known for the name {host}: check the spelling, or your DNS")
        case failures.ConnectionRefusedError():
            return Unreachable(
                f"{where} refuses TCP connections: start the server there (twistd bittrrt), or check the port"
            )
        case failures.TimeoutError() | defer.TimeoutError():  # of the connection, of the answer
            return Unreachable(
                f"{where} does not answer: check the address, and that the firewall there lets TCP port"
                f" {where.rpartition(':')[2]} in"
            )
        case failures.ConnectionClosed():
            return Unreachable(
                f"{where} closed the connection: too many are knocking there right now, or it is no BittrRt server"
            )
        case failures.ConnectError() | OSError():
            return Unreachable(f"{where} cannot be reached: {error}")
    return NotBittrRt(f"{where} does not speak BittrRt's TLS: check the port")
