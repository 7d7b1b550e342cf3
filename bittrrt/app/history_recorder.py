"""Records what a server's links are like, minute by minute.

heartbeats, files, events --> Minute --each full minute--> HistoryWriter's thread --> history.db
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ..errors import FileError
from ..files.history import EventRow, Peer, Role
from ..files.home import Home
from ..net.client import Client
from ..net.clock import Clock
from ..net.server import Server
from ..net.server_observer import Direction, ServerObserver
from ..net.tally import FileProgress
from ..wire.datagram import PortType
from ..wire.messages import CloseReason
from .history_minute import MAX_TEXT, NAMED_FILE, Minute, SessionMinute
from .history_writer import HistoryWriter
from .views import Event
from .watch import Watch

LATE: Final = 0.05  # seconds after a minute's end, so that no timer that is early ends it twice
SESSIONS_A_PEER: Final = 4  # in a minute, for each that it may hold at a time: every one new four times
MAX_BEGUN: Final = 256  # files of one session whose beginning is remembered


class Recorder:
    """Gathers a minute, hands it to the writer, and begins the next."""

    def __init__(self, writer: HistoryWriter, clock: Clock, reactor: Any, *, role: Role, sessions_a_peer: int) -> None:
        """`role`: what the other ends are."""
        self._writer = writer
        self._clock = clock
        self._reactor = reactor
        self._role = role
        self._sessions_a_peer = sessions_a_peer
        self._minute = Minute(clock.wall_ms(), sessions_a_peer)
        self._timer: Any = None

    def start(self) -> None:
        """Begin to write."""
        self._writer.start()
        self._arm()

    def stop(self) -> None:
        """Write the minute as far as it went, and end."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._hand_over()
        self._writer.close()

    def event(self, kind: str, text: str, *, name: str, link: str = "", at_ms: int | None = None) -> None:
        """Something happened, now unless told otherwise."""
        at_ms = self._clock.wall_ms() if at_ms is None else at_ms
        self._minute.add_event(
            EventRow(at_ms=at_ms, role=self._role, name=name, link=link, kind=kind, text=text[:MAX_TEXT])
        )

    def session(self, link: str, peer: Callable[[], Peer]) -> SessionMinute | None:
        """What is counted of that session; None if it is one too many. `peer` is called once a minute."""
        return self._minute.session(link) or self._minute.add_session(peer(), link)

    def _arm(self) -> None:
        left = 60.0 - self._clock.wall_ms() % 60_000 / 1000
        self._timer = self._reactor.callLater(left + LATE, self._minute_over)

    def _minute_over(self) -> None:
        self._arm()
        if self._clock.wall_ms() // 60_000 * 60_000 != self._minute.at_ms:  # not where the clock was set back a little
            self._hand_over()

    def _hand_over(self) -> None:
        minute, self._minute = self._minute, Minute(self._clock.wall_ms(), self._sessions_a_peer)
        if minute.rows:
            self._writer.put(minute.rows, minute.batch)


class ServerRecorder(ServerObserver):
    """Records a server's sessions, their files, and what `Watch` tells of them."""

    def __init__(
        self, server: Server, watch: Watch, home: Home, reactor: Any, say: Callable[[str], None],
        make_writer: Callable[..., HistoryWriter] = HistoryWriter,
    ) -> None:  # fmt: skip
        """Begins to observe `server`. `say` is told, in another thread, when history is not kept."""
        settings, self._clock = server.settings, server.clock
        writer = make_writer(home, lambda: server.clock.wall_ms() / 1000, say, days=settings.history_days)
        self._recorder = Recorder(
            writer, server.clock, reactor, role="client",
            sessions_a_peer=SESSIONS_A_PEER * settings.max_sessions_per_key,
        )  # fmt: skip
        self._begun: dict[str, dict[tuple[Direction, str], float]] = {}  # of large files, by link
        self.start, self.stop = self._recorder.start, self._recorder.stop
        server.observers.append(self)
        watch.listeners.append(self._happened)

    def _happened(self, event: Event) -> None:
        self._recorder.event(event.kind, event.text, name=event.name, link=event.link, at_ms=event.at_ms)

    def _session(self, client: Client) -> SessionMinute | None:
        return self._recorder.session(client.link_id, lambda: Peer("client", client.name, client.fingerprint))

    # --- ServerObserver ----------------------------------------------------------------------------------------------

    def heartbeat_measured(self, client: Client, port_type: PortType, round_trip: float) -> None:
        """See `ServerObserver`."""
        session = self._session(client)
        if session is None:
            return
        port = session.port(port_type)
        port.round_trips.add(round_trip)
        port.answered += 1
        if port.offset is None:
            path = next(handler.path for handler in client.conn.handlers if handler.port_type is port_type)
            port.offset = path.offset.estimate(self._clock.monotonic())

    def heartbeats_lost(self, client: Client, port_type: PortType, count: int) -> None:
        """See `ServerObserver`."""
        session = self._session(client)
        if session is not None:
            session.port(port_type).lost += count

    def session_ended(self, client: Client, reason: CloseReason) -> None:
        """See `ServerObserver`."""
        self._begun.pop(client.link_id, None)

    def file_begun(self, client: Client, direction: Direction, progress: FileProgress) -> None:
        """See `ServerObserver`."""
        if progress.size >= NAMED_FILE:
            begun = self._begun.setdefault(client.link_id, {})
            begun[direction, progress.name] = self._clock.monotonic()
            if len(begun) > MAX_BEGUN:
                del begun[next(iter(begun))]

    def file_done(self, client: Client, direction: Direction, progress: FileProgress) -> None:
        """See `ServerObserver`."""
        session = self._session(client)
        if session is not None:
            begun = self._begun.get(client.link_id, {}).pop((direction, progress.name), None)
            seconds = None if begun is None else round(self._clock.monotonic() - begun, 3)
            session.arrived(direction, progress.name, progress.size, self._clock.wall_ms(), seconds)

    def file_failed(self, client: Client, direction: Direction, error: FileError) -> None:
        """See `ServerObserver`."""
        session = self._session(client)
        if session is not None:
            session.files_of(direction).failed += 1
