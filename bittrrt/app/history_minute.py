"""What happened in one minute, on its way to become rows of history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ..files.history import Batch, EventRow, MinuteRow, Peer, TransferRow
from ..link.clock_offset import Offset
from ..link.quantiles import Quantiles
from ..wire.datagram import PortType

NAMED_FILE: Final = 1_000_000  # bytes; smaller files have no row of their own: ten thousand of them are one
MAX_NAMED: Final = 60  # large files of a session that have rows of their own; more are counted with the small ones
MAX_EVENTS: Final = 600  # a minute; whoever is refused can make as many as it likes
AT_A_TIME: Final = 10  # sessions whose rows are made in a row: 0.4 ms
MAX_TEXT: Final = 500  # characters of an event or of a file's name

_FRACTIONS: Final = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


@dataclass(slots=True)
class PortMinute:
    """One port of a session."""

    round_trips: Quantiles = field(default_factory=Quantiles)
    """Seconds."""
    answered: int = 0
    lost: int = 0
    offset: Offset | None = None


@dataclass(slots=True)
class FilesMinute:
    """Files of a session in one direction."""

    small: int = 0
    """Files without a row of their own."""
    size: int = 0
    """Bytes of these."""
    failed: int = 0
    named: list[tuple[int, str, int, float | None]] = field(default_factory=list)
    """When they had arrived, in ms since 1970, their names, bytes, and the seconds that they took."""


@dataclass(slots=True)
class SessionMinute:
    """One session."""

    peer: Peer
    link: str
    ports: dict[PortType, PortMinute] = field(default_factory=dict)
    files: dict[str, FilesMinute] = field(default_factory=dict)
    """By direction."""

    def port(self, port_type: PortType) -> PortMinute:
        """What is counted of that port."""
        counted = self.ports.get(port_type)
        if counted is None:
            counted = self.ports[port_type] = PortMinute()
        return counted

    def files_of(self, direction: str) -> FilesMinute:
        """What is counted of files in that direction."""
        return self.files.setdefault(direction, FilesMinute())

    def arrived(self, direction: str, name: str, size: int, at_ms: int, seconds: float | None) -> None:
        """A file arrived whole."""
        files = self.files_of(direction)
        if size >= NAMED_FILE and len(files.named) < MAX_NAMED:
            files.named.append((at_ms, name[:MAX_TEXT], size, seconds))
        else:
            files.small += 1
            files.size += size


class Minute:
    """One minute. Bounded, whatever the other ends do."""

    def __init__(self, at_ms: int, sessions_a_peer: int) -> None:
        """`at_ms`: any time in it, ms since 1970. More than so many sessions with one peer are not recorded."""
        self.at_ms = at_ms // 60_000 * 60_000
        """When it began."""
        self._left_out: dict[Peer, int] = {}  # how much was not counted as its sessions are too many
        self._sessions: dict[str, SessionMinute] = {}
        self._of_peer: dict[Peer, int] = {}
        self._sessions_a_peer = sessions_a_peer
        self._events: list[EventRow] = []
        self._more_events = 0

    @property
    def rows(self) -> int:
        """How many rows it makes, about."""
        return len(PortType) * len(self._sessions) + len(self._events)

    def session(self, link: str) -> SessionMinute | None:
        """What is counted of that session, if it has been seen in this minute."""
        return self._sessions.get(link)

    def add_session(self, peer: Peer, link: str) -> SessionMinute | None:
        """Begin to count a session; None if its peer has too many."""
        count = self._of_peer.get(peer, 0)
        if count >= self._sessions_a_peer:
            self._left_out[peer] = self._left_out.get(peer, 0) + 1
            return None
        self._of_peer[peer] = count + 1
        session = self._sessions[link] = SessionMinute(peer, link)
        return session

    def add_event(self, event: EventRow) -> None:
        """Something happened."""
        if len(self._events) < MAX_EVENTS:
            self._events.append(event)
        else:
            self._more_events += 1

    def batch(self, pause: Callable[[], object]) -> Batch:
        """Its rows. Called once it is over, in any thread; `pause` lets others have their turn now and then."""
        minutes: list[MinuteRow] = []
        transfers: list[TransferRow] = []
        for number, session in enumerate(self._sessions.values(), 1):
            minutes += [_minute_row(session, port_type, port, self.at_ms) for port_type, port in session.ports.items()]
            transfers += self._transfer_rows(session)
            if not number % AT_A_TIME:
                pause()
        return Batch(minutes, transfers, [*self._events, *self._left_out_events()])

    def _left_out_events(self) -> list[EventRow]:
        """What there was too much of."""
        events = []
        if self._more_events:
            last, text = self._events[-1], f"and {self._more_events} more in this minute"
            events.append(EventRow(at_ms=last.at_ms, role=last.role, name="", link="", kind="more", text=text))
        for peer, count in self._left_out.items():
            text = f"{peer.name} has too many sessions in a minute: {count} heartbeats or files are not counted"
            events.append(EventRow(at_ms=self.at_ms, role=peer.role, name=peer.name, link="", kind="more", text=text))
        return events

    def _transfer_rows(self, session: SessionMinute) -> list[TransferRow]:
        rows = []
        for direction, files in session.files.items():
            rows += [
                TransferRow(
                    peer=session.peer, link=session.link, at_ms=at_ms, direction=direction, name=name, files=1,
                    bytes=size, failed=0, seconds=seconds,
                )
                for at_ms, name, size, seconds in files.named
            ]  # fmt: skip
            if files.small or files.failed:
                rows.append(
                    TransferRow(
                        peer=session.peer, link=session.link, at_ms=self.at_ms, direction=direction, name="",
                        files=files.small, bytes=files.size, failed=files.failed, seconds=None,
                    )
                )  # fmt: skip
        return rows


def _minute_row(session: SessionMinute, port_type: PortType, port: PortMinute, at_ms: int) -> MinuteRow:
    times, offset = port.round_trips, port.offset
    found: list[float | None] = [None] * (len(_FRACTIONS) + 2)
    if times.count:
        found = [round(time * 1000, 3) for time in (times.minimum, *times.quantiles(_FRACTIONS), times.maximum)]
    least, p5, p25, median, p75, p95, p99, most = found
    return MinuteRow(
        peer=session.peer, link=session.link, port=port_type.value, at_ms=at_ms, answered=port.answered,
        lost=port.lost, min_ms=least, p5_ms=p5, p25_ms=p25, median_ms=median, p75_ms=p75, p95_ms=p95, p99_ms=p99,
        max_ms=most,
        clock_offset_ms=None if offset is None else round(offset.offset_ms, 3),
        clock_error_ms=None if offset is None else round(offset.error_ms, 3),
    )  # fmt: skip
