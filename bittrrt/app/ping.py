"""`bittrrt ping`: heartbeats, live, and what they say of the path of each port."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any, TextIO

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..files.home import Home
from ..link.clock_offset import surest
from ..link.quantiles import Quantiles
from ..net.client_connection import ClientConnection, HeartbeatRound, PortReport
from ..net.session_opener import SessionOpener
from ..wire.datagram import PortType
from .begun_session import BegunSession
from .kept_link import KeptLink
from .link_recorder import LinkRecorder
from .opening import session_opener
from .output import Output
from .plain_text import plain
from .port_trouble import port_troubles
from .running import run_command


@dataclass(slots=True)
class PortTally:
    """One port over the whole run, whatever became of sessions."""

    round_trips: Quantiles = field(default_factory=Quantiles)
    answered: int = 0
    """Heartbeats whose first answer came."""
    complete: int = 0
    """Heartbeats whose whole countdown came back."""


class Ping(KeptLink):
    """Watches a link and shows it. One of three ways: live, a line a heartbeat, or JSON."""

    def __init__(
        self,
        opener: SessionOpener,
        count: int | None,
        *,
        json: bool,
        out: TextIO | None = None,
        history: LinkRecorder | None = None,
    ) -> None:
        super().__init__(opener, None if history is None else history.observing(self))
        self._output = Output(out)
        self._output.on_unwritable = self._fail
        self._console = Console(file=self._output.file, highlight=False)
        self._json = json
        self._count = count
        self._host = opener.server.host
        self._history = history
        self._live: Live | None = None
        self._state = "connecting"
        self._connection: ClientConnection | None = None
        self._last_reports: dict[PortType, PortReport] = {}
        self.tallies = {port_type: PortTally() for port_type in PortType}
        self._told: list[str] = []
        self.heartbeats = 0
        """Heartbeats that are finished, for better or worse."""

    async def run(self, reactor: Any) -> int:
        """Ping until the count is reached or Ctrl-C; the exit status.

        Raises `LinkError` if no session opens, or if none can be opened any more, and `OSError` once nobody takes the
        output.
        """
        if self._history is not None:
            self._history.start()
        try:
            await self._keep_up(reactor)
        finally:
            if self._history is not None:
                self._history.stop()
        return 0 if all(tally.complete for tally in self.tallies.values()) else 1

    # --- KeeperObserver ---

    def link_up(self, connection: ClientConnection) -> None:
        """See `KeeperObserver`."""
        first = self._connection is None
        self._connection = connection
        self._state = f"link {connection.link_id[:8]} is up"
        if self._live is None and not self._json and self._console.is_terminal:
            self._live = Live(console=self._console, get_renderable=self._table, refresh_per_second=4)
            self._live.start()
        elif not first:
            self._say("a new session is open")

    def heartbeat_finished(self, connection: ClientConnection, beat: HeartbeatRound) -> None:
        """See `SessionObserver`."""
        if self._finished.called:
            return
        self.heartbeats += 1
        for port_type, tally in self.tallies.items():
            for answers in (beat.first, beat.second):
                if port_type in answers:
                    tally.round_trips.add(answers[port_type])
            tally.answered += port_type in beat.first
            tally.complete += port_type in beat.second
        self._last_reports = {port_type: connection.report(port_type) for port_type in PortType}
        if self._json:
            self._output.write_json(**self._as_dict(beat))
        elif self._live is None:
            self._output.write(self._as_line(beat) + "\n")
            self._tell_troubles(connection)
        if self._count is not None and self.heartbeats >= self._count:
            self._finish()

    def _tell_troubles(self, connection: ClientConnection) -> None:
        """Each once, when it shows first."""
        troubles = port_troubles(connection)
        for line in troubles:
            if line not in self._told:
                sys.stderr.write(f"{line}\n")
        self._told = troubles

    # --- what is shown ---

    def _say(self, what: str) -> None:
        self._state = what
        if self._live is None:
            sys.stderr.write(f"{what}\n")

    def _as_line(self, beat: HeartbeatRound) -> str:
        shown = [
            f"{port_type.value} {_ms(beat.first[port_type]) + ' ms' if port_type in beat.first else 'lost'}"
            for port_type in PortType
        ]
        return f"heartbeat {self.heartbeats}: " + "  ".join(shown)

    def _table(self) -> Group:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for heading in ("port", "last", "min", "median", "p99", "jitter", "lost", "there", "back"):
            table.add_column(heading, justify="left" if heading == "port" else "right", no_wrap=True)
        connection = self._connection
        alive = connection is not None and not connection.ended
        for port_type in PortType:
            if connection is not None and alive:
                self._last_reports[port_type] = connection.report(port_type)
            table.add_row(*self._row(port_type))
        troubles = port_troubles(connection) if connection is not None and alive else []
        return Group(
            Text(f"{self._host}: {self.heartbeats} heartbeats, {self._state}", style="bold"),
            table,
            *[Text(line) for line in self._footer()],
            *[Text(line, style="bold red") for line in troubles],
        )

    def _row(self, port_type: PortType) -> list[str]:
        report = self._last_reports.get(port_type)
        if report is None:
            return [port_type.value]
        times = self.tallies[port_type].round_trips
        return [
            f"{port_type.value} {report.number}",
            _ms(report.path.last),
            _ms(times.minimum if times.count else None),
            _ms(times.quantile(0.5)),
            _ms(times.quantile(0.99)),
            _ms(report.path.jitter),
            _percent(self._loss(port_type)),
            _percent(report.direction.to_peer),
            _percent(report.direction.from_peer),
        ]

    def _footer(self) -> list[str]:
        """The server's clock, by the port that knows it best, and where the server sees us."""
        offset = surest(report.path.offset for report in self._last_reports.values())
        seen = [(t.value, *r.seen_as.rpartition(":")[::2]) for t, r in self._last_reports.items() if r.seen_as]
        lines = []
        if offset is not None:
            lines.append(f"the server's clock is {offset}")
        hosts = {host for _, host, _ in seen}
        for host in sorted(hosts):
            numbers = ", ".join([f"{name} {number}" for name, at, number in seen if at == host])
            lines.append(f"the server sees us at {plain(host)}, {numbers}")
        return lines

    def _loss(self, port_type: PortType) -> float:
        return 1 - self.tallies[port_type].answered / self.heartbeats if self.heartbeats else 0.0

    def _show_end(self) -> None:
        if self._live is not None:
            self._live.stop()
        elif self._json:
            if self.heartbeats:
                self._output.write_json(**self._summary())
        elif self.heartbeats:
            with self._console.capture() as table:
                self._console.print(self._table(), soft_wrap=True)
            self._output.write(table.get())

    def _as_dict(self, beat: HeartbeatRound) -> dict[str, Any]:
        """One heartbeat. Times in milliseconds; null where no answer came."""
        return {
            "heartbeat": self.heartbeats,
            "client_ts3": beat.client_ms,
            "complete": beat.complete,
            "ports": {
                port_type.value: {
                    "port": self._last_reports[port_type].number,
                    "round_trip_ms": _round(beat.first.get(port_type)),
                    "second_round_trip_ms": _round(beat.second.get(port_type)),
                    "jitter_ms": _round(self._last_reports[port_type].path.jitter),
                    "seen_as": self._last_reports[port_type].seen_as,
                }
                for port_type in PortType
            },
        }

    def _summary(self) -> dict[str, Any]:
        """The whole run."""
        ports = {}
        for port_type, tally in self.tallies.items():
            report = self._last_reports[port_type]
            times, offset = tally.round_trips, report.path.offset
            ports[port_type.value] = {
                "port": report.number,
                "answered": tally.answered,
                "complete": tally.complete,
                "loss": round(self._loss(port_type), 4),
                "loss_to_server": round(report.direction.to_peer, 4),
                "loss_from_server": round(report.direction.from_peer, 4),
                "min_ms": _round(times.minimum if times.count else None),
                "median_ms": _round(times.quantile(0.5)),
                "p99_ms": _round(times.quantile(0.99)),
                "max_ms": _round(times.maximum if times.count else None),
                "jitter_ms": _round(report.path.jitter),
                "clock_offset_ms": round(offset.offset_ms, 3) if offset else None,
                "clock_error_ms": round(offset.error_ms, 3) if offset else None,
                "seen_as": report.seen_as,
            }
        connection = self._connection
        troubles = port_troubles(connection) if connection is not None else []
        return {
            "summary": True,
            "host": self._host,
            "heartbeats": self.heartbeats,
            "ports": ports,
            "troubles": troubles,
        }


def _ms(seconds: float | None) -> str:
    """At most seven characters, up to a day, so that a table has room in 80 columns."""
    if seconds is None:
        return "-"
    return f"{seconds * 1000:.2f}" if seconds < 1 else f"{seconds * 1000:.0f}"


def _round(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 4)


def _percent(share: float) -> str:
    return f"{share * 100:.1f}%"


def run_ping(begun: BegunSession, *, count: int | None, interval: int | None, as_json: bool, no_history: bool) -> None:
    """Ping, and end the program. `count`: None to go on; `interval` in milliseconds, None for the server's."""
    opener = session_opener(begun, heartbeat=interval)
    home = Home(begun.settings.home)

    def warn(text: str) -> None:
        click.echo(text, err=True)

    history = None if no_history else LinkRecorder(home, opener.server, opener.reactor, warn)
    run_command(Ping(opener, count, json=as_json, history=history).run)
