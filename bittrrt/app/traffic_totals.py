"""What all of a server's sessions have counted together, those that are over too: sums that never go back.

live sessions  --read whenever somebody asks--+
                                              +--> totals by port, and of data
ended sessions --session_ended, once----------+

Nothing is spent on it while datagrams flow. A sum goes a counter at a time through all sessions, which keeps the loop
in C and makes no garbage; bench/scrape.py prints what that takes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

from ..link.counters import Counters
from ..link.path import PathStatistics
from ..link.transfer_statistics import ReceivedTotals, SentTotals
from ..net.client import Client
from ..net.port import PortCounters
from ..wire.datagram import PortType
from ..wire.messages import CloseReason

_GETTERS: Final = {name: attrgetter(name) for name in Counters.__slots__}
_OVERFLOWED: Final = attrgetter("overflowed")
_UNSENT: Final = attrgetter("unsent")
_UNREAD: Final = attrgetter("unread")


@dataclass(slots=True)
class PortTotals:
    """All ports of one type together."""

    datagrams: Counter[str] = field(default_factory=Counter)
    """By the names of `Counters`."""
    overflowed: int = 0
    """Datagrams that the kernel dropped, its receive buffer being full."""
    unsent: Counter[str] = field(default_factory=Counter)
    """Datagrams that the kernel did not send, by the name of its error."""
    unread: Counter[str] = field(default_factory=Counter)
    """Reads that failed, by the name of the kernel's error."""

    def add_datagrams(self, all_counters: Collection[Counters]) -> None:
        """Add what was counted of datagrams."""
        for name, getter in _GETTERS.items():
            self.datagrams[name] += sum(map(getter, all_counters))

    def add_kernel(self, all_counters: Collection[PortCounters]) -> None:
        """Add what went wrong below."""
        self.overflowed += sum(map(_OVERFLOWED, all_counters))
        for unsent in filter(None, map(_UNSENT, all_counters)):
            self.unsent.update(unsent)
        for unread in filter(None, map(_UNREAD, all_counters)):
            self.unread.update(unread)

    def copy(self) -> PortTotals:
        """One that can be added to."""
        return PortTotals(self.datagrams.copy(), self.overflowed, self.unsent.copy(), self.unread.copy())


@dataclass(frozen=True, slots=True)
class DataTotals:
    """The data planes of all sessions together, as this end sees them."""

    sent: SentTotals
    received: ReceivedTotals

    def plus(self, clients: Iterable[Client]) -> DataTotals:
        """These, and those of `clients`. Most sessions only beat, and have none."""
        planes = [client.conn.data_plane for client in clients]
        sent = [self.sent, *(plane.sent_totals for plane in planes if plane is not None)]
        received = [self.received, *(plane.received_totals for plane in planes if plane is not None)]
        return DataTotals(
            SentTotals(*map(sum, zip(*sent, strict=True))), ReceivedTotals(*map(sum, zip(*received, strict=True)))
        )


class LivePorts:
    """What counts at the ports of one type of all live sessions, by their links.

    Held here directly: from a session to its counters there are five objects, and at 5,000 sessions none of them is in
    the processor's cache.
    """

    __slots__ = ("datagrams", "kernel", "paths")

    def __init__(self) -> None:
        self.datagrams: dict[str, Counters] = {}
        self.kernel: dict[str, PortCounters] = {}
        self.paths: dict[str, PathStatistics] = {}


class TrafficTotals:
    """Sums over the sessions of one server."""

    def __init__(self, sessions: Mapping[str, Client]) -> None:
        """`sessions`: those that are live."""
        self.live = {port_type: LivePorts() for port_type in PortType}
        self._sessions = sessions
        self._ended_ports = {port_type: PortTotals() for port_type in PortType}
        self._ended_data = DataTotals(SentTotals(0, 0, 0, 0), ReceivedTotals(0, 0, 0))
        for client in sessions.values():
            self.session_opened(client)

    def session_opened(self, client: Client) -> None:
        """A session began; its ports listen."""
        for handler, socket in zip(client.conn.handlers, client.conn.sockets, strict=True):
            live = self.live[handler.port_type]
            live.datagrams[client.link_id] = handler.counters
            live.kernel[client.link_id] = socket.counters
            live.paths[client.link_id] = handler.path

    def session_ended(self, client: Client, reason: CloseReason) -> None:
        """Keep what a session has counted; it is about to close. The goodbyes that it says are in no total."""
        for port_type, live in self.live.items():
            ended = self._ended_ports[port_type]
            ended.add_datagrams([live.datagrams.pop(client.link_id)])
            kernel = live.kernel.pop(client.link_id)
            if reason is not CloseReason.REPLACED:  # then the next session has its sockets, which count on
                ended.add_kernel([kernel])
            del live.paths[client.link_id]
        self._ended_data = self._ended_data.plus([client])

    def ports(self) -> dict[PortType, PortTotals]:
        """The datagrams of all sessions, until now."""
        totals = {port_type: ended.copy() for port_type, ended in self._ended_ports.items()}
        for port_type, live in self.live.items():
            totals[port_type].add_datagrams(live.datagrams.values())
            totals[port_type].add_kernel(live.kernel.values())
        return totals

    def data(self) -> DataTotals:
        """The streams and messages of all sessions, until now."""
        return self._ended_data.plus(self._sessions.values())
