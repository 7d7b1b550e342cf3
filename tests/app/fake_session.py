"""A session for programs that watch one, with no network: it is what a test says it is."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock

from bittrrt.errors import LinkError
from bittrrt.files.known_servers import KnownServer
from bittrrt.link.clock_offset import Offset
from bittrrt.link.loss_direction import DirectionReport
from bittrrt.link.path import PathReport
from bittrrt.net.client_connection import HeartbeatRound, PortReport
from bittrrt.settings import Settings
from bittrrt.wire.datagram import PortType

LINK_ID = "63470ddf" * 4


def path_report(round_trip: float | None = 0.0201, *, silent: float | None = 0.0, lost: int = 0) -> PathReport:
    """A path on which nothing is wrong, unless told otherwise."""
    offset = Offset(-1.25, 11.0) if round_trip is not None else None
    return PathReport(
        round_trip, round_trip, round_trip, jitter=0.0001, answered=3, lost=lost, loss=0.0, offset=offset, silent=silent
    )


def port_report(
    number: int, path: PathReport, *, there: float = 0.0, back: float = 0.0, seen_as: str | None = "192.0.2.9:50000"
) -> PortReport:
    """What is known of one port."""
    return PortReport(number, path, DirectionReport(there, back), seen_as)


class FakeConnection:
    """What `ClientConnection` shows to its watchers."""

    def __init__(self) -> None:
        self.settings = Settings(heartbeat=1000)
        self.ports = {port_type: 6712 + i for i, port_type in enumerate(PortType)}
        self.reports = {port_type: port_report(number, path_report()) for port_type, number in self.ports.items()}
        self.link_id = LINK_ID
        self.ended = False
        self.suspected = False
        self.closed = 0

    def report(self, port_type: PortType) -> PortReport:
        return self.reports[port_type]

    def last_heard(self) -> float:
        return 0.0

    async def close(self, *_reason: Any) -> None:
        self.ended = True
        self.closed += 1


class FakeOpener:
    """What `SessionOpener` is to `LinkKeeper`: opens the connection that it has, or raises the error that it has."""

    def __init__(self, error: LinkError | None = None) -> None:
        self.server = KnownServer("far.example", 6711, "SHA256:" + "A" * 43, 1)
        self.reactor = Clock()
        self.connection = FakeConnection()
        self.error = error
        self.opened = 0

    async def open(self, observer: Any, replaces: str = "") -> Any:
        self.opened += 1
        self.observer = observer
        if self.error is not None:
            raise self.error
        return self.connection


class FakeReactor(Clock):
    """A clock that remembers who wants to be asked before the end."""

    def __init__(self) -> None:
        super().__init__()
        self.before_shutdown: list[Any] = []

    def addSystemEventTrigger(self, phase: str, event: str, called: Any) -> None:
        assert (phase, event) == ("before", "shutdown")
        self.before_shutdown.append(called)


def complete_round(number: int, round_trip: float = 0.02, missing: tuple[PortType, ...] = ()) -> HeartbeatRound:
    """A heartbeat that came back on every port that is not missing."""
    answers = {port_type: round_trip for port_type in PortType if port_type not in missing}
    return HeartbeatRound(number, 1_700_000_000_000 + number, 0.0, dict(answers), dict(answers))
