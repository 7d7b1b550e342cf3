"""The picture of a link of one's own: each port's round trips as they come, with smoke and what was lost.

far.example: 120 heartbeats, link 63470ddf is up
ctrl 6712  now 20.1 min 20.0 med 20.3 p99 24.0 lost 0.0% there 0.0% back 0.0%
  24.00   ░░░░░
          ░•••░•••
  20.02   •    •
"""

from __future__ import annotations

from textwrap import wrap
from typing import Final

from rich.text import Text

from ..link.clock_offset import surest
from ..link.quantiles import Quantiles
from ..net.client_connection import ClientConnection, HeartbeatRound, PortReport
from ..wire.datagram import PortType
from .port_trouble import port_troubles
from .terminal_plots import RecentHeartbeats, smoke

KEPT: Final = 400  # heartbeats; as wide as any terminal
_FOOT: Final = 4  # lines below the plots: the clocks, and a trouble
_LOW, _HIGH = 2, 9  # lines of a plot


class LinkPicture:
    """What has been seen of one link, whatever became of its sessions."""

    def __init__(self, host: str) -> None:
        self._host = host
        self.says = "connecting"
        """What becomes of the link."""
        self.heartbeats = 0
        self._connection: ClientConnection | None = None
        self._recent = {port_type: RecentHeartbeats(KEPT) for port_type in PortType}
        self._times = {port_type: Quantiles() for port_type in PortType}
        self._answered = dict.fromkeys(PortType, 0)

    def up(self, connection: ClientConnection) -> None:
        """A session is open."""
        self._connection = connection
        self.says = f"link {connection.link_id[:8]} is up"

    def beat(self, beat: HeartbeatRound) -> None:
        """A heartbeat is over."""
        self.heartbeats += 1
        for port_type, recent in self._recent.items():
            first, second = beat.first.get(port_type), beat.second.get(port_type)
            recent.add(first, () if second is None else (second,))
            self._answered[port_type] += first is not None
            for round_trip in (first, second):
                if round_trip is not None:
                    self._times[port_type].add(round_trip)

    def lines(self, width: int, height: int) -> list[Text]:
        """The picture, in at most that many cells and lines."""
        lines = _wrapped(f"{self._host}: {self.heartbeats} heartbeats, {self.says}  (q ends)", width, "bold")
        connection = self._connection
        if connection is None:
            return lines
        rows = (height - len(lines) - _FOOT) // len(PortType) - 1
        for port_type in PortType:
            lines.append(self._figures(port_type, connection.report(port_type)))
            lines += smoke(self._recent[port_type], width, min(max(rows, _LOW), _HIGH))
        offset = surest(connection.report(port_type).path.offset for port_type in PortType)
        if offset is not None:
            lines += _wrapped(f"the server's clock is {offset}", width, "")
        if not connection.ended:
            for trouble in port_troubles(connection):
                lines += _wrapped(trouble, width, "bold red")
        for line in lines:
            line.truncate(width)
        return lines[:height]

    def _figures(self, port_type: PortType, report: PortReport) -> Text:
        times = self._times[port_type]
        lost = 1 - self._answered[port_type] / self.heartbeats if self.heartbeats else 0.0
        text = Text(f"{port_type.value} {report.number} ", style="bold")
        text.append(
            f" now {_ms(report.path.last)} min {_ms(times.minimum if times.count else None)}"
            f" med {_ms(times.quantile(0.5))} p99 {_ms(times.quantile(0.99))} lost {_percent(lost)}"
            f" there {_percent(report.direction.to_peer)} back {_percent(report.direction.from_peer)}",
            style="not bold",
        )
        return text


def _wrapped(text: str, width: int, style: str) -> list[Text]:
    """Whole sentences: the last words are what to do."""
    return [Text(line, style=style) for line in wrap(text, max(width, 1))]


def _percent(share: float) -> str:
    return f"{share * 100:.1f}%" if share < 0.1 else f"{share * 100:.0f}%"


def _ms(seconds: float | None) -> str:
    """At most four characters, up to ten seconds, so that a line has room in 80 columns."""
    if seconds is None:
        return "-"
    milliseconds = seconds * 1000
    return f"{milliseconds:.{2 if milliseconds < 9.995 else 1 if milliseconds < 99.95 else 0}f}"
