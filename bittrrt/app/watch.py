"""What a server's sessions are and were: kept for the page, the terminal and whoever else looks.

Server --ServerObserver--> Watch: closed sessions, events
Server.sessions <---read--- Watch.session, whenever somebody looks
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from .. import __version__
from ..errors import FileError
from ..link.path import SILENT_HEARTBEATS
from ..link.peer_address import Address
from ..link.transfer_statistics import RateMeter
from ..net.client import Client
from ..net.connection import shown_host
from ..net.handlers import PortHandler
from ..net.server import Server
from ..net.server_observer import Direction, ServerObserver
from ..net.tally import FileProgress
from ..wire.datagram import PortType
from ..wire.endpoint import show_host_port
from ..wire.messages import CloseReason, RefusalReason
from .views import Event, EventKind, PortState, PortView, ServerView, SessionView, TransferView

KEPT_EVENTS: Final = 500
KEPT_SESSIONS: Final = 200  # that are over
KEPT_SECONDS: Final = 600.0  # for so long
TOLD_FILE: Final = 1_000_000  # bytes; the arrival of smaller files is no event: ten thousand would push all others out

WHY_OVER: Final = {
    CloseReason.GOODBYE: "said goodbye",
    CloseReason.SHUTDOWN: "the server shut down",
    CloseReason.STALE: "nothing was heard for too long",
    CloseReason.REVOKED: "its key was revoked",
    CloseReason.REPLACED: "a new session took its place",
    CloseReason.MISBEHAVED: "it broke the rules of the link",
}
"""Why a session is over, in words."""

_KINDS: Final[dict[CloseReason, EventKind]] = {CloseReason.STALE: "stale", CloseReason.REVOKED: "revoked"}

_Meters = dict[tuple[str, Direction, int], RateMeter]


class Watch(ServerObserver):
    """Remembers what is over, and reads what is live when asked. Bounded, whatever clients do."""

    def __init__(self, server: Server) -> None:
        """Begins to observe `server`."""
        self._server = server
        self._clock = server.clock
        self._started_ms = server.clock.wall_ms()
        self._closed: deque[tuple[float, SessionView]] = deque(maxlen=KEPT_SESSIONS)
        self._meters: dict[str, _Meters] = {}  # by session
        self._ending = ""
        self._count = 0
        self.events: deque[Event] = deque(maxlen=KEPT_EVENTS)
        """The last ones, oldest first."""
        self.listeners: list[Callable[[Event], None]] = []
        """Told every event as it happens."""
        server.observers.append(self)

    def server(self) -> ServerView:
        """The server itself, now."""
        server = self._server
        return ServerView(
            fingerprint=server.fingerprint,
            version=__version__,
            started_ms=self._started_ms,
            heartbeat_ms=server.settings.heartbeat,
            sessions=len(server.sessions),
            ports_free=server.port_manager.get_available_port_count(),
            ports_used=len(PortType) * len(server.sessions),
            ports_resting=server.port_manager.get_resting_port_count(),
            refusals={reason.value: count for reason, count in server.refusals.items()},
        )

    def session(self, link: str) -> SessionView | None:
        """The session with that id, live or over; None if there is none, or none any more."""
        client = self._server.sessions.get(link)
        if client is not None:
            return self._look_at(client)
        return next((view for view in self.closed_sessions() if view.link == link), None)

    def transfers(self, client: Client) -> list[TransferView]:
        """What one session moves now; cheap where that is nothing."""
        return self._look_at(client).transfers if client.files is not None and client.files.under_way() else []

    def closed_sessions(self) -> list[SessionView]:
        """Those that ended in the last ten minutes, the oldest first."""
        forgotten = self._clock.monotonic() - KEPT_SECONDS
        while self._closed and self._closed[0][0] < forgotten:
            self._closed.popleft()
        return [view for _, view in self._closed]

    def end_session(self, link: str) -> bool:
        """End the session with that id, as the server's owner wants it; False if there is none."""
        client = self._server.sessions.get(link)
        if client is None:
            return False
        self._ending = "the server's owner ended it"
        self._server.close_session(client, CloseReason.GOODBYE)
        self._ending = ""
        return True

    def _look_at(self, client: Client) -> SessionView:
        """One live session; the meters of what it moves no longer are forgotten."""
        link = client.link_id
        meters = self._meters.setdefault(link, {})
        view = view_session(client, self._clock.monotonic(), meters)
        under_way = {transfer.id for transfer in view.transfers}
        for key in [key for key in meters if _transfer_id(*key) not in under_way]:
            del meters[key]
        if not meters:
            del self._meters[link]
        return view

    def _happened(self, kind: EventKind, text: str, *, link: str = "", name: str = "") -> None:
        self._count += 1
        event = Event(number=self._count, at_ms=self._clock.wall_ms(), kind=kind, link=link, name=name, text=text)
        self.events.append(event)
        for listener in list(self.listeners):
            listener(event)

    # --- ServerObserver ----------------------------------------------------------------------------------------------

    def client_joined(self, name: str, fingerprint: str) -> None:
        """See `ServerObserver`."""
        self._happened("joined", f"{name} has joined with key {fingerprint}", name=name)

    def client_refused(self, reason: RefusalReason, fingerprint: str, name: str) -> None:
        """See `ServerObserver`."""
        self._happened("refused", f"{name or fingerprint} was refused: {reason.value}", name=name)

    def session_opened(self, client: Client) -> None:
        """See `ServerObserver`."""
        ports = ", ".join([str(number) for number in sorted(client.conn.ports.values())])
        self._happened(
            "opened", f"{client.name} opened a session on ports {ports}", link=client.link_id, name=client.name
        )

    def session_ended(self, client: Client, reason: CloseReason) -> None:
        """See `ServerObserver`."""
        now = self._clock.monotonic()
        self._meters.pop(client.link_id, None)
        why = self._ending or WHY_OVER[reason]
        self._closed.append((now, view_session(client, now, {}, closed_ms=self._clock.wall_ms(), why=why)))
        text = f"{client.name}'s session ended: {why}"
        self._happened(_KINDS.get(reason, "ended"), text, link=client.link_id, name=client.name)
        if reason is not CloseReason.REPLACED:  # then they are used on
            ports = ", ".join([str(number) for number in sorted(client.conn.ports.values())])
            rest = self._server.settings.port_quarantine_seconds
            self._happened("recycled", f"ports {ports} are free again in {rest:.0f} s", link=client.link_id)

    def session_moved(self, client: Client, port_type: PortType, before: Address, after: Address) -> None:
        """See `ServerObserver`."""
        text = f"{client.name}'s {port_type.value} moved from {shown_address(before)} to {shown_address(after)}"
        self._happened("roamed", text, link=client.link_id, name=client.name)

    def file_done(self, client: Client, direction: Direction, progress: FileProgress) -> None:
        """See `ServerObserver`."""
        if progress.size >= TOLD_FILE:
            how = "put" if direction == "put" else "fetched"
            text = f"{client.name} {how} {progress.name}, {progress.size:,} bytes"
            self._happened("file", text, link=client.link_id, name=client.name)

    def file_failed(self, client: Client, direction: Direction, error: FileError) -> None:
        """See `ServerObserver`."""
        self._happened("failed", f"{client.name}, {direction}: {error}", link=client.link_id, name=client.name)


def view_session(
    client: Client, now: float, meters: _Meters, *, closed_ms: int | None = None, why: str | None = None
) -> SessionView:
    """One session at the time `now`. `meters` know the rates of its transfers since they were looked at last."""
    silent_after = SILENT_HEARTBEATS * client.config.heartbeat_seconds
    files = client.files.under_way() if client.files is not None else []
    return SessionView(
        link=client.link_id,
        name=client.name,
        fingerprint=client.fingerprint,
        opened_ms=client.opened_ms,
        closed_ms=closed_ms,
        why=why,
        ports=[
            view_port(handler, client.conn.ports.get(handler.port_type, 0), now, silent_after)
            for handler in client.conn.handlers
        ],
        transfers=[
            view_transfer((client.link_id, direction, channel), progress, now, meters)
            for direction, channel, progress in files
        ],
    )


def view_port(handler: PortHandler, number: int, now: float, silent_after: float) -> PortView:
    """One port at the time `now`; it is `silent` after so many seconds."""
    report = handler.path.report(now)
    state: PortState = "alive"
    if report.silent is None:
        state = "waiting"
    elif report.silent > silent_after:
        state = "silent"
    offset, counters, address = report.offset, handler.counters, handler.peer.address
    return PortView(
        port=handler.port_type.value,
        number=number,
        address="" if address is None else shown_address(address),
        state=state,
        last_ms=_ms(report.last),
        smoothed_ms=_ms(report.smoothed),
        minimum_ms=_ms(report.minimum),
        jitter_ms=round(report.jitter * 1000, 3),
        answered=report.answered,
        lost=report.lost,
        loss=round(report.loss, 4),
        clock_offset_ms=None if offset is None else round(offset.offset_ms, 3),
        clock_error_ms=None if offset is None else round(offset.error_ms, 3),
        silent_s=None if report.silent is None else round(report.silent, 1),
        received=counters.received,
        bytes_received=counters.bytes_received,
        sent=counters.sent,
        bytes_sent=counters.bytes_sent,
        dropped=counters.dropped,
    )


def view_transfer(key: tuple[str, Direction, int], progress: FileProgress, now: float, meters: _Meters) -> TransferView:
    """One file at the time `now`. Its rate is that since it was looked at last, a quarter of a second ago or more."""
    statistics = progress.statistics()
    moved = progress.moved()
    meter = meters.get(key)
    if meter is None:
        meter = meters[key] = RateMeter(now)
        meter.total = moved
    meter.add(max(moved - meter.total, 0), now)
    return TransferView(
        id=_transfer_id(*key),
        direction=key[1],
        name=progress.name,
        size=progress.size,
        moved=moved,
        already=progress.already,
        rate=round(meter.rate if statistics is None else statistics.rate),
        in_flight=None if statistics is None else statistics.in_flight,
        window=None if statistics is None else statistics.window,
        round_trip_ms=None if statistics is None else _ms(statistics.round_trip),
        retransmitted=None if statistics is None else statistics.retransmitted,
        path_mtu=None if statistics is None else statistics.path_mtu,
        limited_by=None if statistics is None else statistics.limited_by,
    )


def _transfer_id(link: str, direction: Direction, channel: int) -> str:
    return f"{link[:16]}-{direction}-{channel}"


def shown_address(address: Address) -> str:
    """`HOST:PORT`, for people."""
    return show_host_port(shown_host(address[0]), int(address[1]))


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
