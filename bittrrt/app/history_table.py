"""History as a person reads it in a terminal."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..files.history import EventRow, Peer, TransferRow
from .history_summary import PortSummary, Slot
from .progress import show_size

SPARKS: Final = 30  # slots of a line; what is left beside the figures in 80 columns
SHOWN_EVENTS: Final = 20
HIGH_LOSS: Final = 0.05  # from here on it is red, and yellow below

_LEVELS: Final = "▁▂▃▄▅▆▇█"
_PLAIN_LEVELS: Final = "_.-=+*%#"  # where the terminal has no such signs
_ALL_LOST: Final = "x"


class HistoryTable:
    """Prints history, peer by peer."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._levels = _LEVELS if console.encoding.lower().startswith("utf") else _PLAIN_LEVELS

    def show_peer(self, peer: Peer, first: int, last: int, ports: dict[str, PortSummary]) -> None:
        """A table with a line a port."""
        what = "a client of this server" if peer.role == "client" else "a server"
        self._print(Text(printable(peer.name), "bold"), f" {what}, {time_span(first, last)}")
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for heading in ("port", "beats", "median", "p95", "max", "lost", "median over time"):
            left = heading in ("port", "median over time")
            table.add_column(heading, justify="left" if left else "right", no_wrap=True)
        for port, summary in ports.items():
            whole = summary.whole
            table.add_row(
                port,
                str(whole.answered + whole.lost),
                show_ms(whole.round_trips.quantile(0.5)),
                show_ms(whole.round_trips.quantile(0.95)),
                show_ms(whole.maximum),
                show_loss(whole.loss),
                self.sparkline(summary.slots),
            )
        self._console.print(table)

    def show_transfers(self, transfers: Iterable[TransferRow]) -> None:
        """A line of what went each way, if anything did."""
        sums: dict[str, list[int]] = {}
        for row in transfers:
            one = sums.setdefault(row.direction, [0, 0, 0])
            for number, count in enumerate((row.files, row.bytes, row.failed)):
                one[number] += count
        for direction, (files, size, failed) in sorted(sums.items()):
            more = f", {failed} failed" if failed else ""
            self._print(f"{direction}: {files} file{'' if files == 1 else 's'}, {show_size(size)}{more}")

    def show_events(self, events: Iterable[EventRow]) -> None:
        """The last ones, oldest first."""
        last: deque[EventRow] = deque(maxlen=SHOWN_EVENTS)
        count = 0
        for event in events:
            last.append(event)
            count += 1
        if count > len(last):
            self._print(f"{count - len(last)} earlier events: --json shows all")
        for event in last:
            self._print(f"{local_time(event.at_ms / 1000):%Y-%m-%d %H:%M:%S}  {printable(event.text)}")

    def blank_line(self) -> None:
        """Between two parts."""
        self._console.print()

    def sparkline(self, slots: list[Slot]) -> Text:
        """A sign a slot: how high its median is among all, and in colour what was lost."""
        medians = [slot.round_trips.quantile(0.5) for slot in slots]
        known = [median for median in medians if median is not None]
        low, high = min(known, default=0.0), max(known, default=0.0)
        line = Text()
        for slot, median in zip(slots, medians, strict=True):
            loss = slot.loss or 0.0
            sign = " " if not slot.lost else _ALL_LOST
            if median is not None:
                height = (median - low) / (high - low) if high > low else 0.0
                sign = self._levels[min(int(height * len(self._levels)), len(self._levels) - 1)]
            line.append(sign, "" if not loss else "red" if loss >= HIGH_LOSS else "yellow")
        return line

    def _print(self, *parts: str | Text) -> None:
        self._console.print(Text.assemble(*parts), soft_wrap=True)


def show_ms(milliseconds: float | None) -> str:
    """At most seven characters, up to a day."""
    if milliseconds is None:
        return "-"
    return f"{milliseconds:.2f}" if milliseconds < 1000 else f"{milliseconds:.0f}"


def show_loss(share: float | None) -> str:
    """In percent."""
    return "-" if share is None else f"{share:.1%}"


def local_time(seconds: float) -> datetime:
    """Seconds since 1970 on this machine's clock on the wall."""
    return datetime.fromtimestamp(seconds).astimezone()


def time_span(first: int, last: int) -> str:
    """`2026-11-22 14:05 to 15:10`, in local time; the end's date too if it is another."""
    begin, end = local_time(first), local_time(last)
    until = f"{end:%H:%M}" if begin.date() == end.date() else f"{end:%Y-%m-%d %H:%M}"
    return f"{begin:%Y-%m-%d %H:%M} to {until}"


def printable(text: str) -> str:
    """What others have named, without what would move the cursor."""
    return "".join([sign if sign.isprintable() else "?" for sign in text])
