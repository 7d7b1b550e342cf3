"""Records what a client's own link is like, minute by minute, as `history_recorder` does for a server's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import LinkError
from ..files.history import Peer
from ..files.home import Home
from ..files.known_servers import KnownServer
from ..net.client_connection import ClientConnection, HeartbeatRound
from ..net.clock import SYSTEM_CLOCK, Clock
from ..net.link_keeper import KeeperObserver
from ..wire.datagram import PortType
from ..wire.endpoint import show_host_port
from .history_recorder import Recorder
from .history_writer import HistoryWriter

SESSIONS_A_MINUTE = 60  # a client opens a new one at most once a second


class LinkRecorder:
    """Records one link, of which a `LinkKeeper` tells; `observing` is who is told besides."""

    def __init__(
        self, home: Home, server: KnownServer, reactor: Any, say: Callable[[str], None], *, days: int | None = None,
        clock: Clock = SYSTEM_CLOCK, make_writer: Callable[..., HistoryWriter] = HistoryWriter,
    ) -> None:  # fmt: skip
        """`say` is told, in another thread, when history is not kept. `days` to keep; None for as long as before."""
        writer = make_writer(home, lambda: clock.wall_ms() / 1000, say, days=days)
        self._recorder = Recorder(writer, clock, reactor, role="server", sessions_a_peer=SESSIONS_A_MINUTE)
        self._peer = Peer("server", show_host_port(server.host, server.port), server.fingerprint)
        self._told = ""
        self.start, self.stop = self._recorder.start, self._recorder.stop

    def observing(self, observer: KeeperObserver) -> KeeperObserver:
        """Who records, and passes everything on to `observer`."""
        return _RecordedLink(self, observer)

    def heartbeat_finished(self, connection: ClientConnection, beat: HeartbeatRound) -> None:
        """Count it on every port."""
        session = self._recorder.session(connection.link_id, lambda: self._peer)
        if session is None:
            return
        for port_type in PortType:
            port = session.port(port_type)
            for answers in (beat.first, beat.second):
                if port_type in answers:
                    port.round_trips.add(answers[port_type])
            port.answered += port_type in beat.first
            port.lost += port_type not in beat.first
            if port.offset is None:
                port.offset = connection.report(port_type).path.offset

    def happened(self, kind: str, text: str, link: str = "") -> None:
        """Something happened; if it is what happened last, as while a server is away, it is recorded once."""
        if text != self._told:
            self._told = text
            self._recorder.event(kind, text, name=self._peer.name, link=link)


class _RecordedLink:
    """A `KeeperObserver` between a keeper and its observer."""

    def __init__(self, recorder: LinkRecorder, observer: KeeperObserver) -> None:
        self._recorder = recorder
        self._observer = observer

    def link_up(self, connection: ClientConnection) -> None:
        self._recorder.happened("opened", f"link {connection.link_id[:8]} is open", connection.link_id)
        self._observer.link_up(connection)

    def link_down(self, why: LinkError) -> None:
        self._recorder.happened("down", str(why))
        self._observer.link_down(why)

    def heartbeat_finished(self, connection: ClientConnection, beat: HeartbeatRound) -> None:
        self._recorder.heartbeat_finished(connection, beat)
        self._observer.heartbeat_finished(connection, beat)

    def session_suspected(self, connection: ClientConnection) -> None:
        link = connection.link_id
        self._recorder.happened("suspected", f"link {link[:8]} is not answered on any port", link)
        self._observer.session_suspected(connection)

    def session_revived(self, connection: ClientConnection) -> None:
        link = connection.link_id
        self._recorder.happened("revived", f"link {link[:8]} is heard again", link)
        self._observer.session_revived(connection)

    def session_ended(self, connection: ClientConnection, why: LinkError) -> None:
        self._recorder.happened("ended", str(why), connection.link_id)
        self._observer.session_ended(connection, why)
