"""By which of the three ports something leaves: by its own, or by another one while its own is silent.

a client's data      Up      while that is silent: Ctrl, while that is silent too: Dn       all silent: its own
a server's data      Dn                            Ctrl                            Up
control messages     Ctrl                          the end's data port             the other one

A port falls silent when nothing of what left by it is acknowledged, though it was tried again. It is believed again
when a heartbeat went there and back on it, which clients send once a second while there are streams, or when something
of what left by it turns out to have arrived. Acknowledgements need no choice: they take the port by which data came.
"""

from __future__ import annotations

from typing import Final

from ..link.round_trip import RoundTrip
from .handlers import PortHandler
from .path_prober import Spans

PATIENCE: Final = 2.5  # probe timeouts: the first probe has had its time, and the second, after three, goes elsewhere
PEER_DELAY: Final = 0.025  # seconds that an acknowledgement may take besides
LEAST_BURSTS: Final = 2  # one alone may have been lost by chance
BURSTS_KEPT: Final = 16  # of which one has to arrive: at a loss of a half, all are lost once in 65,536 times


class _PortWatch:
    """Whether what leaves by one port arrives."""

    __slots__ = ("_answered", "_handler", "_silent", "_since", "_waiting")

    def __init__(self, handler: PortHandler) -> None:
        self._handler = handler
        self._waiting: list[tuple[int, int]] = []  # the sequences of the first bursts since something had arrived
        self._since = 0.0  # when the first of them left
        self._silent = False
        self._answered = 0  # heartbeats that had gone there and back when it fell silent

    def sent(self, first: int, last: int, now: float) -> None:
        """The sequences `first` to `last` have left by it."""
        if not self._waiting:
            self._since = now
        if len(self._waiting) < BURSTS_KEPT:
            self._waiting.append((first, last))

    def acknowledged(self, spans: Spans) -> None:
        """The spans, newest first, have arrived, by whatever port they left."""
        if not self._waiting:
            return
        oldest = self._waiting[0][0]
        for first, last in spans:
            if last < oldest:
                return
            if any(first <= end and begin <= last for begin, end in self._waiting):
                self._believe()
                return

    def silent(self, patience: float, now: float) -> bool:
        """Whether it is of no use now; `patience` in seconds."""
        answered = self._handler.path.answered
        if self._silent and answered != self._answered:
            self._believe()
        elif not self._silent and len(self._waiting) >= LEAST_BURSTS and now - self._since > patience:
            self._silent = True
            self._answered = answered
        return self._silent

    def _believe(self) -> None:
        self._silent = False
        self._waiting.clear()


class PortChoice:
    """The policy of one end of a session."""

    def __init__(self, handlers: tuple[PortHandler, ...], round_trip: RoundTrip) -> None:
        """`handlers`: all three, in the order in which they take each other's place. `round_trip`: the path's."""
        self._watches = {handler: _PortWatch(handler) for handler in handlers}
        self._round_trip = round_trip
        self._prepared: set[PortHandler] = set()

    def choose(self, own: PortHandler, now: float) -> PortHandler:
        """By which port something leaves whose own is `own`."""
        patience = PATIENCE * (self._round_trip.probe_timeout() + PEER_DELAY)
        if not self._watches[own].silent(patience, now):
            return own
        for handler, watch in self._watches.items():
            if handler is not own and not watch.silent(patience, now) and handler.room_for_burst():
                if handler not in self._prepared:
                    self._prepared.add(handler)
                    handler.prepare_for_bulk()
                    handler.probe_path_mtu()
                return handler
        return own

    def sent(self, handler: PortHandler, first: int, last: int, now: float) -> None:
        """The sequences `first` to `last` have left by `handler`, and are going to be acknowledged if they arrive."""
        self._watches[handler].sent(first, last, now)

    def acknowledged(self, spans: Spans) -> None:
        """An acknowledgement came, on any port."""
        for watch in self._watches.values():
            watch.acknowledged(spans)
