"""The picture of a server: its sessions, one of them in full, its transfers, and what happened last.

    SHA256:q2T5Hr...  up 3:02:11  12 sessions  ports 252 free, 36 used, 0 resting
    name         address         age     ctrl     up     dn   jit  loss  ms
  > anna         192.0.2.9       0:12    20.1   20.3   20.2   0.1  0.0%  ▁▁▂▁▁▃▁
    ...
    anna  SHA256:...  link 63470ddf                               the one that was chosen, port by port
    put  video.mkv  ████████░░░░  62 %  93.1 Mbit/s  path         files on their way
    20:31:04  roamed  anna's up moved from ... to ...             events

Names are what their owners chose: they are shown as text.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from rich.text import Text

from ..wire.endpoint import parse_host_port
from .admin_client import ServerState
from .plain_text import plain
from .progress import bits
from .terminal import fit
from .terminal_plots import RecentHeartbeats, bar, sparkline
from .views import PortView, SessionView, TransferView

KEPT_POINTS: Final = 240  # of a port's round trips; as wide as any terminal
MOST_TRANSFERS: Final = 4  # lines, at most; and a quarter of the screen
FEWEST_EVENTS: Final = 3

_NAME, _ADDRESS, _AGE, _TIME, _JITTER, _LOSS, _BAR = 12, 15, 7, 6, 5, 6, 16  # cells
_FIXED_LINES: Final = 9  # title, help, heading, four of the chosen session, two blank ones


def _trouble(session: SessionView) -> tuple[int, float]:
    silent = sum(port.state != "alive" for port in session.ports)
    return -silent, -max(port.loss for port in session.ports)


def _round_trip(session: SessionView) -> float:
    return -max(port.smoothed_ms or 0.0 for port in session.ports)


ORDERS: Final[dict[str, Callable[[SessionView], object]]] = {
    "trouble": lambda session: (_trouble(session), session.name),
    "name": lambda session: session.name,
    "age": lambda session: session.opened_ms,
    "round trip": _round_trip,
}
"""By what sessions can be sorted."""


class ServerPicture:
    """What has been seen of a server, and which of it is looked at."""

    def __init__(self) -> None:
        self.trouble = ""
        """Why the state is old; empty if it is not."""
        self._state: ServerState | None = None
        self._now_ms = 0
        self._recent: dict[tuple[str, str], RecentHeartbeats] = {}
        self._counted: dict[tuple[str, str], tuple[int, int]] = {}
        self._chosen = ""  # a link
        self._order = 0

    def update(self, state: ServerState, now_ms: int) -> None:
        """A new state, at that time of day."""
        self._state, self._now_ms, self.trouble = state, now_ms, ""
        live = {(session.link, port.port): port for session in state.sessions for port in session.ports}
        for key in self._recent.keys() - live.keys():
            del self._recent[key], self._counted[key]
        for key, port in live.items():
            recent = self._recent.setdefault(key, RecentHeartbeats(KEPT_POINTS))
            answered, lost = self._counted.get(key, (port.answered - 1, port.lost))
            self._counted[key] = port.answered, port.lost
            if port.lost > lost:
                recent.add(None)
            if port.answered > answered and port.last_ms is not None:
                recent.add(port.last_ms)

    def press(self, key: str, height: int) -> bool:
        """A key, on a terminal of so many lines; False if it is to end."""
        sessions = self._sessions()
        links = [session.link for session in sessions]
        at = links.index(self._chosen) if self._chosen in links else 0
        move = {"up": -1, "k": -1, "down": 1, "j": 1, "page up": -height // 2, "page down": height // 2}.get(key, 0)
        if links:
            self._chosen = links[min(max(at + move, 0), len(links) - 1)]
        if key == "s":
            self._order = (self._order + 1) % len(ORDERS)
        return key not in ("q", "Q")

    def lines(self, width: int, height: int) -> list[Text]:
        """The picture, in at most that many cells and lines."""
        state = self._state
        if state is None:
            return [Text(self.trouble)]
        sessions = self._sessions()
        transfers = [(session, transfer) for session in sessions for transfer in session.transfers]
        room = max(height - _FIXED_LINES, 0)
        of_transfers = min(len(transfers), MOST_TRANSFERS, room // 4)
        of_sessions = max(min(len(sessions), room - of_transfers - FEWEST_EVENTS - 1), 1)
        lines = [self._title(state), self._help(), _heading(width)]
        lines += self._rows(sessions, width, of_sessions)
        lines += self._chosen_lines(sessions, width)
        if of_transfers:
            lines += [Text(), *[_transfer_line(*each, width) for each in transfers[:of_transfers]]]
        lines.append(Text())
        left = height - len(lines)
        lines += [
            _event_line(event.at_ms, event.kind, event.text, width)
            for event in reversed(state.events[max(len(state.events) - left, 0) :])
        ]
        for line in lines:
            line.truncate(width)
        return lines[:height]

    def _sessions(self) -> list[SessionView]:
        order = list(ORDERS.values())[self._order]
        return [] if self._state is None else sorted(self._state.sessions, key=order)  # type: ignore[arg-type]

    def _title(self, state: ServerState) -> Text:
        server = state.server
        return Text(
            f"{server.fingerprint[:13]}...  up {_duration(self._now_ms - server.started_ms)}  {server.sessions}"
            f" {'session' if server.sessions == 1 else 'sessions'}  ports {server.ports_free} free,"
            f" {server.ports_used} used, {server.ports_resting} resting",
            style="bold",
        )

    def _help(self) -> Text:
        if self.trouble:
            return Text(self.trouble, style="bold red")
        return Text(f"q ends, up and down choose, s sorts: by {list(ORDERS)[self._order]}", style="dim")

    def _rows(self, sessions: Sequence[SessionView], width: int, count: int) -> list[Text]:
        """`count` sessions, the chosen one among them."""
        if not sessions:
            return [Text("no session is open", style="dim")]
        links = [session.link for session in sessions]
        if self._chosen not in links:
            self._chosen = links[0]
        first = min(max(links.index(self._chosen) - count // 2, 0), max(len(sessions) - count, 0))
        return [self._row(session, width) for session in sessions[first : first + count]]

    def _row(self, session: SessionView, width: int) -> Text:
        chosen = session.link == self._chosen
        line = Text("> " if chosen else "  ", style="bold" if chosen else "")
        line.append(f"{fit(plain(session.name), _NAME)} {fit(_host(session.ports), _ADDRESS)} ")
        line.append(f"{fit(_duration(self._now_ms - session.opened_ms), _AGE, right=True)} ")
        for port in session.ports:
            text = "silent" if port.state == "silent" else _ms(port.smoothed_ms)
            line.append(f"{fit(text, _TIME, right=True)} ", style="bold red" if port.state == "silent" else "")
        loss = max(port.loss for port in session.ports)
        line.append(f"{fit(_ms(max(port.jitter_ms for port in session.ports)), _JITTER, right=True)} ")
        line.append(f"{fit(f'{loss * 100:.1f}%', _LOSS, right=True)}  ", style="yellow" if loss else "")
        line.append(self._spark(session.link, session.ports[0], width - line.cell_len), style="cyan")
        return line

    def _chosen_lines(self, sessions: Sequence[SessionView], width: int) -> list[Text]:
        session = next((session for session in sessions if session.link == self._chosen), None)
        if session is None:
            return []
        lines = [Text(), Text(fit(f"{plain(session.name)}  {session.fingerprint}  link {session.link[:8]}", width))]
        for port in session.ports:
            line = Text(f"  {port.port:<4} {port.number:>5} ")
            line.append(fit(port.state, 8), style="" if port.state == "alive" else "bold red")
            line.append(
                f"least {fit(_ms(port.minimum_ms), _TIME)} now {fit(_ms(port.last_ms), _TIME)}"
                f" jitter {fit(_ms(port.jitter_ms), _JITTER)} loss {fit(f'{port.loss * 100:.1f}%', _LOSS)} "
            )
            line.append(self._spark(session.link, port, width - line.cell_len), style="cyan")
            lines.append(line)
        return lines

    def _spark(self, link: str, port: PortView, width: int) -> str:
        return sparkline(list(self._recent[link, port.port].points), width)


def _heading(width: int) -> Text:
    cells = [fit("name", _NAME), fit("address", _ADDRESS), fit("age", _AGE, right=True)]
    cells += [fit(name, _TIME, right=True) for name in ("ctrl", "up", "dn")]
    cells += [fit("jit", _JITTER, right=True), fit("loss", _LOSS, right=True), " ms"]
    return Text(fit("  " + " ".join(cells), width), style="reverse")


def _transfer_line(session: SessionView, transfer: TransferView, width: int) -> Text:
    share = transfer.moved / transfer.size if transfer.size else 1.0
    end = f"  {share * 100:3.0f} %  {bits(transfer.rate):>11}  {transfer.limited_by or ''}"
    start = f"{transfer.direction}  {fit(plain(session.name), _NAME)} "
    room = max(width - len(start) - len(end) - _BAR - 1, 8)
    return Text.assemble(f"{start}{fit(plain(transfer.name), room)} ", (bar(share, _BAR), "green"), end)


def _event_line(at_ms: int, kind: str, text: str, width: int) -> Text:
    when = time.strftime("%H:%M:%S", time.localtime(at_ms / 1000))
    return Text.assemble((f"{when}  ", "dim"), f"{kind:<9}{fit(plain(text), max(width - 19, 1))}".rstrip())


def _host(ports: Sequence[PortView]) -> str:
    """Where the client is, by the first port on which it was heard."""
    address = next((port.address for port in ports if port.address), "")
    return parse_host_port(address)[0] if address else "-"


def _ms(milliseconds: float | None) -> str:
    if milliseconds is None:
        return "-"
    return f"{milliseconds:.1f}" if milliseconds < 1000 else f"{milliseconds:.0f}"


def _duration(milliseconds: int) -> str:
    minutes, seconds = divmod(max(milliseconds, 0) // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 100:
        return f"{hours // 24} d"
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
