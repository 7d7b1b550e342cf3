"""What acknowledgements tell of a path besides: how large its datagrams may be, and that the peer is where it seems.

Both rest on the same thing: an acknowledgement names sequences, and it is known where each was sent and how large.
"""

from __future__ import annotations

from typing import Final

from ..link.link import Link
from ..link.peer_address import Address
from ..link.sender import Sender
from ..wire.datagram import OVERHEAD, PROBE_FLAGS
from .handlers import PortHandler

PROBE_DELAY: Final = 0.05  # seconds beyond the round trip that a probe's acknowledgement may take

Spans = tuple[tuple[int, int], ...]


def names(spans: Spans, sequence: int) -> bool:
    """Whether `sequence` is in one of the spans."""
    return any(first <= sequence <= last for first, last in spans)


class PathProber:
    """Sends the probes of path MTU discovery: datagrams of padding, which are acknowledged as every other one."""

    def __init__(self, link: Link, sender: Sender, handler: PortHandler) -> None:
        self._link = link
        self._sender = sender
        self._handler = handler
        self._searching = False
        self._begun = False
        self._wanted = False
        self._sequence: int | None = None  # of the probe on its way
        self._size = 0

    def begin(self) -> None:
        """Data is about to be sent. Where the kernel would cut datagrams to pieces, nothing is searched."""
        if not self._begun:
            self._begun = True
            self._searching = self._sender.path_mtu.next_timeout() is not None and self._handler.probe_path_mtu()

    def search(self) -> bool:
        """Search now, whether or not data is about to be sent. False: what the path takes cannot be found out here."""
        self._wanted = True
        self.begin()
        return self._searching

    def settled(self, now: float) -> bool:
        """Whether what is known of the path's size is all there is to know for now."""
        return not self._active or self._sender.path_mtu.settled(now)

    def next_timeout(self) -> float | None:
        """When `send` may have something to do."""
        return self._sender.path_mtu.next_timeout() if self._active else None

    @property
    def _active(self) -> bool:
        """Whether somebody wants to know, or there is data, besides control messages, for which it is worth it."""
        return self._searching and (self._wanted or len(self._sender.channels) > 1)

    def send(self, now: float) -> None:
        """Send a probe if one is due."""
        if not self._active:
            return
        path_mtu = self._sender.path_mtu
        size = path_mtu.next_probe(now)
        if size is None or size > self._handler.room_for_burst():
            return
        sequence, too_long = self._link.next_sequence, self._handler.too_long
        if self._handler.send(bytes(size - OVERHEAD), PROBE_FLAGS) is None:
            if self._handler.too_long > too_long:
                path_mtu.probe_refused(size, now)
            return
        self._sequence, self._size = sequence, size
        path_mtu.probe_sent(size, now, self._sender.round_trip.probe_timeout() + PROBE_DELAY)

    def acknowledged(self, spans: Spans, now: float) -> None:
        """An acknowledgement came."""
        if self._sequence is not None and names(spans, self._sequence):
            self._sequence = None
            before = self._sender.path_mtu.size
            self._sender.path_mtu.probe_answered(self._size, now)
            if self._sender.path_mtu.size != before:
                self._sender.datagram_size_changed()


class AddressProofs:
    """Proves a peer's new address by what was sent there: an acknowledgement of it is as good as a heartbeat's."""

    def __init__(self) -> None:
        self._sent: dict[PortHandler, tuple[Address, int, float]] = {}

    def sending(self, handler: PortHandler, sequence: int, now: float) -> None:
        """A datagram with this sequence is about to leave by `handler`."""
        peer = handler.peer
        if peer.validated or peer.address is None:
            return
        before = self._sent.get(handler)
        if before is None or before[0] != peer.address or before[2] < peer.moved_at:
            self._sent[handler] = peer.address, sequence, now

    def acknowledged(self, handler: PortHandler, spans: Spans) -> None:
        """An acknowledgement came on `handler`."""
        if not handler.peer.validated and handler in self._sent:
            address, sequence, sent_at = self._sent[handler]
            if names(spans, sequence):
                handler.address_proved(address, sent_at)
