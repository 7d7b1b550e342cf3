"""What a transfer needs of a session's data plane: streams by number, and control messages. All sizes are bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred

from ..link.pacer import Pacer
from ..link.transfer_statistics import TransferStatistics
from ..wire.spans import SpanSet
from .streams import DataPlaneListener, StreamSink, StreamSource


class TransferPlane(Protocol):
    """The data plane of one session, as `DataPlane` is."""

    def new_channel(self) -> int:
        """A number for a channel that this end opens: odd ones are the client's, even ones the server's."""

    def choose_sending(self, congestion: str, mtu: int | None) -> None:
        """Send by that congestion control, in datagrams of `mtu` bytes or of what the path takes, unless it is busy."""

    def send_control(self, message: bytes) -> None:
        """Send one message, in order and for certain."""

    @property
    def control_backlog(self) -> int:
        """Bytes of control messages that have not arrived yet."""

    def control_arrived(self) -> Deferred[None]:
        """Fires when every control message sent until now has arrived; never, if the session ends before."""

    def open_sending(
        self,
        channel: int,
        source: StreamSource,
        size: int,
        *,
        skip: SpanSet | None = None,
        limit: Pacer | None = None,
        urgent: bool = False,
        early: bool = False,
    ) -> Deferred[None]:
        """Send a stream, but for the bytes in `skip`; fires when all of it has arrived.

        `early`: only its beginning, until `send_rest` is said; once a session.
        """

    def send_rest(self, channel: int, size: int, *, skip: SpanSet) -> None:
        """The other end takes the stream: send all of it but for the bytes in `skip`."""

    def open_receiving(self, channel: int, sink: StreamSink, size: int, *, have: SpanSet | None = None) -> None:
        """Take a stream, of which the bytes in `have` are there. Raises `ValueError` if too many are open."""

    def close_stream(self, channel: int) -> None:
        """Send or take no more of it, nor anything, of one that was offered and is not going to be opened."""

    def statistics(self, channel: int) -> TransferStatistics:
        """What a stream that is sent does right now."""


OpenPlane = Callable[[DataPlaneListener], TransferPlane]
"""Opens a session's data plane for whom it is to tell what comes."""
