"""How sessions of programs begin: a client opens one, and a server has its end of it made.

open_session --> rendezvous --> Switchboard --HELLO--> Switchboard --> serve_sessions' make_protocol
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from twisted.internet.defer import Deferred, maybeDeferred

from ..errors import LinkError, NotBittrRt, PeerMisbehaved
from ..wire.messages import CloseReason
from ..wire.session_messages import Topic
from ..wire.transfer_messages import CongestionName
from .client import Client
from .client_connection import ClientConnection, HeartbeatRound
from .client_transfers import ClientTransfers
from .server import Server
from .session import Session, SessionProtocol
from .session_files import SessionFiles
from .session_opener import SessionOpener
from .switchboard import OpenDataPlane, Switchboard
from .turns import InThread, in_thread_of

HELLO_WAIT: Final = 10.0  # seconds


class _EndObserver:
    """Watches a client's connection, and tells its session why it ended."""

    session: Session | None = None
    why: LinkError | None = None

    def heartbeat_finished(self, connection: ClientConnection, beat: HeartbeatRound) -> None:
        """See `SessionObserver`."""

    def session_suspected(self, connection: ClientConnection) -> None:
        """See `SessionObserver`: it may revive; if it does not, it ends."""

    def session_revived(self, connection: ClientConnection) -> None:
        """See `SessionObserver`."""

    def session_ended(self, connection: ClientConnection, why: LinkError) -> None:
        """See `SessionObserver`."""
        if self.session is not None and not isinstance(self.session.why, PeerMisbehaved):
            self.session.why = why


async def open_session(
    opener: SessionOpener,
    protocol: SessionProtocol,
    *,
    congestion: CongestionName = "model",
    mtu: int | None = None,
    in_thread: InThread | None = None,
) -> Session:
    """Open a session with a server that serves them. `congestion`: `model` or `cubic`; `mtu`: bytes of a datagram.

    `in_thread` does what may block of files, None for the threads of the opener's reactor. A session that is lost does
    not come back by itself: open another then. Raises `LinkError`.
    """
    observer = _EndObserver()
    connection = await opener.open(observer)

    def violated(why: str) -> None:
        connection.peer_misbehaved(PeerMisbehaved(why))

    def make_files(open_plane: OpenDataPlane) -> ClientTransfers:
        return ClientTransfers(
            open_plane, in_thread=in_thread or in_thread_of(opener.reactor), reactor=opener.reactor,
            clock=opener.clock, violated=violated, congestion=congestion, mtu=mtu,
        )  # fmt: skip

    def make_session(open_plane: OpenDataPlane) -> Session:
        files = SessionFiles(lambda: cast("ClientTransfers", board.part(Topic.FILES)), opener.reactor)
        return Session(connection, protocol, connection.close, open_plane, files)

    board = Switchboard(
        lambda listener: connection.open_data_plane(listener, congestion=congestion, mtu=mtu),
        {Topic.FILES: make_files, Topic.PROGRAM: make_session},
    )
    session = observer.session = cast("Session", board.part(Topic.PROGRAM))

    def give_up() -> None:
        session.why = NotBittrRt("the server does not answer to a session; does it serve them?")
        connection.close()

    waiting = opener.reactor.callLater(HELLO_WAIT, give_up)
    try:
        return await session.opened
    except Exception:  # cancelled, too; not when this is only forgotten: then nothing is to be resumed
        connection.close()
        raise
    finally:
        if waiting.active():
            waiting.cancel()


def serve_sessions(server: Server, make_protocol: Callable[[Client], SessionProtocol]) -> None:
    """Let every client of `server` have sessions: `make_protocol` is called for each. Files are served as before.

    Which client it is, by its key, is in `Client.fingerprint` and `Client.name`.
    """

    def accept(client: Client, open_plane: OpenDataPlane) -> Session:
        def close() -> Deferred[Any]:
            return maybeDeferred(server.close_session, client, CloseReason.GOODBYE)

        session = Session(client.conn, make_protocol(client), close, open_plane)
        session.opened.addErrback(lambda _: None)  # a client that is none of a session's: the server has logged it
        return session

    server.services.programs = accept
