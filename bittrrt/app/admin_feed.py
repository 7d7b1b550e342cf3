"""What the page is sent of a thousand sessions: first everything, then once a second what changed.

    Server, Watch --sweep: so many sessions a second--> Feed --tick--> Delta     the same bytes for every page
                                                             --------> Snapshot  for a page that opens
                                                             --------> Look      one session in full, for those who look

A session is *facts*, which hardly ever change, and a *row* of figures. Reading one costs about ten microseconds, and a
row on the wire about 45 bytes, so the number that is read in a second is what bounds both, however many sessions there
are: up to `ROWS_A_SECOND` of them each is read every second, at 1,000 every three.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from statistics import median
from typing import Final

import msgspec
from msgspec import Raw, Struct

from ..link.path import SILENT_HEARTBEATS
from ..net.client import Client
from ..net.server import Server
from ..net.server_observer import ServerObserver
from ..wire.datagram import PortType
from ..wire.messages import CloseReason
from .admin_points import Points
from .views import Event, ServerView, SessionView
from .watch import Watch, shown_address

ROWS_A_SECOND: Final = 300
ROWS_AT_ONCE: Final = 200  # read in one go for the first page that opens: 2 ms
TOLD_EVENTS: Final = 200  # in a snapshot
TOLD_EVENTS_A_TICK: Final = 40

_Figure = int | float | str | None
_encode = msgspec.json.Encoder().encode


class SessionFacts(Struct, frozen=True, kw_only=True):
    """What hardly ever changes of a session."""

    key: int
    """Names it in rows."""
    link: str
    name: str
    fingerprint: str
    address: str
    """Where the client is, HOST:PORT; empty before it was heard."""
    opened_ms: int
    ports: list[int]
    """The server's UDP ports: ctrl, up, dn."""


class OverFacts(SessionFacts, frozen=True, kw_only=True):
    """A session that was over when the page opened; its key is 0, no row comes of it."""

    closed_ms: int
    why: str


class Ended(Struct, frozen=True, kw_only=True):
    """A session that is over since the last tick."""

    key: int
    closed_ms: int
    why: str


class Snapshot(Struct, frozen=True, kw_only=True):
    """Everything, for a page that opens."""

    run: str
    """Names this start of the server: ticks of another one count from elsewhere."""
    tick: int
    now_ms: int
    server: ServerView
    facts: list[Raw]
    rows: list[Raw]
    """See `Feed.read`."""
    closed: list[OverFacts]
    events: list[Event]


class Delta(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What changed since the last tick; what did not is left out."""

    tick: int
    now_ms: int
    server: ServerView | None = None
    facts: list[Raw] = []
    rows: list[Raw] = []
    ended: list[Ended] = []
    events: list[Event] = []


class Look(Struct, frozen=True, kw_only=True):
    """One session in full; `session` is null for one that is not known."""

    link: str
    session: SessionView | None
    points: dict[str, list[int]]
    """By port: time and round trip in turns, ms since 1970 and microseconds; -1 where no answer came."""


@dataclass(slots=True)
class _Entry:
    client: Client
    key: int
    address: str | None = None
    facts: Raw = field(default_factory=Raw)
    row: bytes = b""


class Feed(ServerObserver):
    """Knows what was sent of each session, so that only what changed is sent."""

    def __init__(self, server: Server, watch: Watch, points: Points) -> None:
        """Begins to observe `server`; `watch` and `points` observe it before."""
        self._server = server
        self._clock = server.clock
        self._watch = watch
        self._points = points
        self.run = f"{server.clock.wall_ms():x}"
        self.tick = 0
        self._entries: OrderedDict[str, _Entry] = OrderedDict()  # by link, who is read next first
        self._awake = False  # somebody looks: else nothing is read, and nothing collected
        self._keys = 0
        self._facts: dict[int, Raw] = {}  # by key, as all that changed since the last tick
        self._rows: dict[int, Raw] = {}
        self._ended: list[Ended] = []
        self._told_event = 0
        self._told_server: ServerView | None = None
        self._snapshot = b""
        server.observers.append(self)

    def __len__(self) -> int:
        """Sessions that are live."""
        return len(self._entries)

    def wake(self) -> None:
        """Begin after nobody has looked for a while: what was known is old."""
        self._awake = True
        for entry in self._entries.values():
            entry.row = b""
        self.sweep(ROWS_AT_ONCE)
        self.close_tick()  # a snapshot has it all

    def rest(self) -> None:
        """Nobody looks any more."""
        self._awake = False
        self.close_tick()

    def sweep(self, count: int) -> None:
        """Read the next sessions, so many, each at most once."""
        for _ in range(min(count, len(self._entries))):
            link, entry = next(iter(self._entries.items()))
            self._entries.move_to_end(link)
            self._read(entry)

    def close_tick(self) -> bytes:
        """What has changed since this was called last, as JSON."""
        self.tick += 1
        server = self._watch.server()
        events = [event for event in self._watch.events if event.number > self._told_event][-TOLD_EVENTS_A_TICK:]
        delta = Delta(
            tick=self.tick,
            now_ms=self._clock.wall_ms(),
            server=None if server == self._told_server else server,
            facts=list(self._facts.values()),
            rows=list(self._rows.values()),
            ended=self._ended,
            events=events,
        )
        if events:
            self._told_event = events[-1].number
        self._told_server = server
        self._facts, self._rows, self._ended, self._snapshot = {}, {}, [], b""
        return _encode(delta)

    def snapshot(self) -> bytes:
        """Everything as it was read last, as JSON; the same bytes for all who ask in one tick."""
        if not self._snapshot:
            known = [entry for entry in self._entries.values() if entry.row]
            snapshot = Snapshot(
                run=self.run,
                tick=self.tick,
                now_ms=self._clock.wall_ms(),
                server=self._watch.server(),
                facts=[entry.facts for entry in known],
                rows=[Raw(entry.row) for entry in known],
                closed=[_over(view) for view in self._watch.closed_sessions()],
                events=list(self._watch.events)[-TOLD_EVENTS:],
            )
            self._snapshot = _encode(snapshot)
        return self._snapshot

    def look(self, link: str, seen: tuple[int, ...]) -> tuple[bytes, tuple[int, ...], bool]:
        """One session in full, with the heartbeats after the first `seen` of each port, as JSON; how many these are
        now; and whether that was the last look, since it is over.
        """
        rings = self._points.of(link)
        points = {port.value: ring.since(number) for (port, ring), number in zip(rings.items(), seen, strict=False)}
        session = self._watch.session(link)
        totals = tuple([ring.total for ring in rings.values()]) or seen
        last = session is None or session.closed_ms is not None
        return _encode(Look(link=link, session=session, points=points)), totals, last

    def _read(self, entry: _Entry) -> None:
        """Read one session, and remember what changed.

        A row is [key, ports' states, round trip, jitter, loss, files, their rate]: a letter a port (w: waiting, a:
        alive, s: silent), the middle one of the three ports' smoothed round trips and the worst of their jitters, ms,
        the worst loss, 0 to 1, and bytes a second.
        """
        client, now = entry.client, self._clock.monotonic()
        limit = SILENT_HEARTBEATS * client.config.heartbeat_seconds
        states, round_trips, jitter, loss = "", [], 0.0, 0.0
        for handler in client.conn.handlers:
            path = handler.path
            heard = path.last_heard
            states += "w" if heard is None else "s" if now - heard > limit else "a"
            if path.round_trip.latest is not None:
                round_trips.append(path.round_trip.smoothed)
            jitter, loss = max(jitter, path.jitter), max(loss, path.loss)
        transfers = self._watch.transfers(client)
        row: list[_Figure] = [
            entry.key, states, round(median(round_trips) * 1000, 2) if round_trips else None,
            round(jitter * 1000, 2), round(loss, 3), len(transfers), round(sum(each.rate for each in transfers)),
        ]  # fmt: skip
        encoded = _encode(row)
        if encoded != entry.row:
            entry.row = encoded
            self._rows[entry.key] = Raw(encoded)
        peer = client.conn.handlers[0].peer.address
        address = "" if peer is None else shown_address(peer)
        if address != entry.address:
            entry.address = address
            entry.facts = self._facts[entry.key] = Raw(_encode(_facts(entry)))

    # --- ServerObserver ----------------------------------------------------------------------------------------------

    def session_opened(self, client: Client) -> None:
        """See `ServerObserver`."""
        self._keys += 1
        self._entries[client.link_id] = entry = _Entry(client, self._keys)
        if self._awake:
            self._read(entry)

    def session_ended(self, client: Client, reason: CloseReason) -> None:
        """See `ServerObserver`."""
        entry = self._entries.pop(client.link_id, None)
        if entry is None or not self._awake:
            return
        self._rows.pop(entry.key, None)
        view = self._watch.closed_sessions()[-1]
        self._ended.append(Ended(key=entry.key, closed_ms=view.closed_ms or 0, why=view.why or ""))


def _facts(entry: _Entry) -> SessionFacts:
    client = entry.client
    return SessionFacts(
        key=entry.key,
        link=client.link_id,
        name=client.name,
        fingerprint=client.fingerprint,
        address=entry.address or "",
        opened_ms=client.opened_ms,
        ports=[client.conn.ports.get(port_type, 0) for port_type in PortType],
    )


def _over(view: SessionView) -> OverFacts:
    return OverFacts(
        key=0,
        link=view.link,
        name=view.name,
        fingerprint=view.fingerprint,
        address=view.ports[0].address,
        opened_ms=view.opened_ms,
        ports=[port.number for port in view.ports],
        closed_ms=view.closed_ms or 0,
        why=view.why or "",
    )
