"""The last heartbeats of every session, one by one: what the page's plots begin with when somebody opens them.

    heartbeat_measured, heartbeats_lost  -->  PointRing, one a port  --since(total)-->  the plots

A ring is two arrays, 12 bytes a heartbeat: nine kilobytes a session, however long it lasts.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from typing import Final

from ..net.client import Client
from ..net.clock import Clock
from ..net.server_observer import ServerObserver
from ..wire.datagram import PortType
from ..wire.messages import CloseReason
from .watch import KEPT_SESSIONS

KEPT_POINTS: Final = 240  # a port: 20 minutes of heartbeats every 5 s
LOST: Final = -1
"""In the place of a round trip: the heartbeat's answer did not come."""

_LARGEST: Final = 2**31 - 1  # microseconds, of a signed 32-bit integer: 35 minutes


class PointRing:
    """The last heartbeats of one port."""

    __slots__ = ("_times", "_values", "total")

    def __init__(self) -> None:
        self.total = 0
        """Heartbeats so far, those that are forgotten too."""
        self._times = array("Q")
        self._values = array("i")

    def add(self, at_ms: int, value: int) -> None:
        """One more: ms since 1970, and microseconds or `LOST`."""
        if self.total < KEPT_POINTS:
            self._times.append(at_ms)
            self._values.append(value)
        else:
            at = self.total % KEPT_POINTS
            self._times[at] = at_ms
            self._values[at] = value
        self.total += 1

    def since(self, number: int) -> list[int]:
        """Time and value in turns of those that came after the first `number`, as far as they are remembered."""
        first = max(number, self.total - KEPT_POINTS)
        points: list[int] = []
        for each in range(first, self.total):
            at = each % KEPT_POINTS
            points += (self._times[at], self._values[at])
        return points


class Points(ServerObserver):
    """Rings of all sessions, and of those that ended lately."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._live: dict[Client, dict[PortType, PointRing]] = {}
        self._by_link: OrderedDict[str, dict[PortType, PointRing]] = OrderedDict()
        self._over: OrderedDict[str, None] = OrderedDict()

    def of(self, link: str) -> dict[PortType, PointRing]:
        """The rings of one session; none if it is not known."""
        return self._by_link.get(link, {})

    def session_opened(self, client: Client) -> None:
        """See `ServerObserver`."""
        rings = {port_type: PointRing() for port_type in PortType}
        self._live[client] = self._by_link[client.link_id] = rings

    def session_ended(self, client: Client, reason: CloseReason) -> None:
        """See `ServerObserver`."""
        if self._live.pop(client, None) is not None:
            self._over[client.link_id] = None
            if len(self._over) > KEPT_SESSIONS:
                del self._by_link[self._over.popitem(last=False)[0]]

    def heartbeat_measured(self, client: Client, port_type: PortType, round_trip: float) -> None:
        """See `ServerObserver`."""
        rings = self._live.get(client)
        if rings is not None:
            rings[port_type].add(self._clock.wall_ms(), min(round(round_trip * 1e6), _LARGEST))

    def heartbeats_lost(self, client: Client, port_type: PortType, count: int) -> None:
        """See `ServerObserver`."""
        rings = self._live.get(client)
        if rings is not None:
            at_ms = self._clock.wall_ms()
            for _ in range(min(count, KEPT_POINTS)):
                rings[port_type].add(at_ms, LOST)
