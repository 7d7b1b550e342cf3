"""What both ends of a session do about data: make the data plane when it is needed, and bring it what the ports hear.

A session that only beats has none, and pays nothing for it.
"""

from __future__ import annotations

from typing import Any

from ..errors import PeerMisbehaved
from ..link.link import Link
from ..wire.datagram import DATA, LINK_MESSAGE_FLAGS, UNLOSSY, Opened, PortType, Run
from .clock import Clock
from .data_plane import DataPlane
from .handlers import PortHandler
from .streams import DataPlaneListener


class DataPlaneOwner:
    """A session's connection, as far as it carries data."""

    clock: Clock
    link: Link | None
    data_plane: DataPlane | None = None
    """None until there was something to send or to receive."""
    is_server: bool
    expected_round_trip: float | None = None
    """Seconds that the rendezvous took for question and answer, at the end that asked."""

    def open_data_plane(
        self, listener: DataPlaneListener, *, congestion: str = "model", mtu: int | None = None
    ) -> DataPlane:
        """The session's data plane, made now. Raises `ValueError` if there is one, or none can be."""
        if self.data_plane is not None or self.link is None:
            raise ValueError("a session has one data plane, and without an encryptor none")
        self.data_plane = DataPlane(
            self.link,
            self.handlers_by_type,
            listener,
            is_server=self.is_server,
            reactor=self.reactor,
            clock=self.clock,
            congestion=congestion,
            mtu=mtu,
            failed=self.peer_misbehaved,
            beat=None if self.is_server else self._beat_for_data,
            expected_round_trip=self.expected_round_trip,
        )
        return self.data_plane

    def close_data_plane(self) -> None:
        """Close it, if there is one; the session is over."""
        plane, self.data_plane = self.data_plane, None
        if plane is not None:
            plane.close()

    @property
    def handlers_by_type(self) -> dict[PortType, PortHandler]:
        """The three ports."""
        raise NotImplementedError

    @property
    def reactor(self) -> Any:
        """What the connection's timers run on."""
        raise NotImplementedError

    def _wanted_by(self) -> DataPlaneListener | None:
        """Who takes the data that the peer begins to send; None if nobody does."""
        raise NotImplementedError

    def peer_misbehaved(self, why: PeerMisbehaved) -> None:
        """Close the session."""
        raise NotImplementedError

    def _beat_for_data(self) -> None:
        """Send a heartbeat on all ports, out of turn; only clients are asked to."""
        raise NotImplementedError

    def _link_message_received(self, handler: PortHandler, opened: Opened) -> None:
        """A datagram about the link itself has come."""
        raise NotImplementedError

    def message_received(self, handler: PortHandler, opened: Opened) -> None:
        """See `PortListener`."""
        if opened.flags == LINK_MESSAGE_FLAGS:
            self._link_message_received(handler, opened)
        else:
            flags, channel, sequence, offset, payload = opened
            now = handler.path.last_heard
            self._data_received(
                handler,
                [Run(flags, channel, sequence, offset, [payload])],
                self.clock.monotonic() if now is None else now,
            )

    def burst_received(self, handler: PortHandler, runs: list[Run], now: float) -> None:
        """See `PortListener`."""
        data: list[Run] = []
        for run in runs:
            if run.flags == LINK_MESSAGE_FLAGS:
                self._link_message_received(handler, Opened(*run[:4], run.payload))
            else:
                data.append(run)
        if data:
            self._data_received(handler, data, now)

    def _data_received(self, handler: PortHandler, runs: list[Run], now: float) -> None:
        plane = self.data_plane
        if plane is None and any(run.flags & DATA and run.flags & UNLOSSY for run in runs):
            listener = self._wanted_by()
            if listener is not None:
                plane = self.data_plane or self.open_data_plane(listener)  # the listener may have made it
        if plane is not None:
            plane.burst_received(handler, runs, now)
            return
        for run in runs:
            handler.counters.unexpected += run.datagrams
            if self.link is not None:  # it is not acknowledged when there is a data plane later
                self.link.replay.forget(run.sequence, run.sequence + run.datagrams - 1)
