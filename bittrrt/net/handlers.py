"""The three UDP ports of a session, at both ends: where a datagram comes in, and where its answer leaves.

    LinkPort.doRead -> datagramReceived -> Link.open_untrusted -> PeerAddress.heard
                          -> handle_heartbeat -> send -> LinkPort.write
                          -> listener.message_received
    LinkPort.doRead -> reads_received -> Link.open_reads_untrusted -> the same, a run at a time

Nothing that `open_untrusted` did not let through is answered, logged, or counted as a sign of life.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, cast

from twisted.internet.protocol import DatagramProtocol

from ..errors import MalformedHeartbeat
from ..link.counters import Counters
from ..link.encryptor import CommEncryptor
from ..link.full_burst import full_burst
from ..link.heartbeats import ClientCountdown, RoundTripSample, ServerCountdown
from ..link.link import Link
from ..link.pacer import MAX_TOKENS
from ..link.path import PathStatistics
from ..link.peer_address import Address, PeerAddress
from ..link.read_buffer import LARGE, ReadBuffer, Reads
from ..settings import Settings, as_settings
from ..wire.datagram import HEARTBEAT, HEARTBEAT_FLAGS, OVERHEAD, Opened, PortType, Run
from ..wire.heartbeat import Heartbeat, answer_heartbeat, first_heartbeat, parse_heartbeat_untrusted
from .clock import SYSTEM_CLOCK, Clock
from .port import Buffer, PortCounters


class PortListener(Protocol):
    """Who is told what a port heard: the session that the port is part of."""

    def message_received(self, handler: PortHandler, opened: Opened) -> None:
        """An authentic datagram that is no heartbeat."""

    def burst_received(self, handler: PortHandler, runs: list[Run], now: float) -> None:
        """Authentic datagrams of one burst that are no heartbeats. `now`: when they came, seconds."""

    def plain_received(self, handler: PortHandler, datagram: bytes, address: Address) -> None:
        """Without an encryptor: any datagram."""

    def peer_found(self, handler: PortHandler) -> None:
        """The peer has proved that it is at `handler.peer.address`, where it was not before."""


class HeartbeatWatcher(Protocol):
    """Who is told what the heartbeats of a server's port show."""

    def heartbeat_measured(self, handler: PortHandler, round_trip: float) -> None:
        """An answer came back after `round_trip` seconds."""

    def heartbeats_lost(self, handler: PortHandler, count: int) -> None:
        """So many answers did not come back."""


class BurstWriter(Protocol):
    """What data needs of its transport besides; see `LinkPort`."""

    counters: PortCounters

    @property
    def can_write_batch(self) -> bool: ...

    def write_segments(self, payload: Buffer, segment_size: int, addr: Address) -> bool: ...

    def prepare_for_bulk(self) -> None: ...

    def probe_path_mtu(self) -> bool: ...


class DatagramWriter(Protocol):
    """What a port needs of its transport. False says that the datagram was not sent; `udp.Port` itself says nothing."""

    def write(self, datagram: bytes, addr: Address) -> object:
        """Send one datagram."""


class PortHandler(DatagramProtocol, ABC):
    """One UDP port of the server's end. Works alone, with only a transport and an encryptor.

    Without an encryptor it falls back to the seed's legacy behaviour: datagrams are taken as they are, counted and
    handed on, and never answered.
    """

    noisy = False
    transport: DatagramWriter | None  # type: ignore[assignment]  # less than Twisted's interface asks, so that fakes do

    def __init__(
        self,
        config: Settings | Mapping[str, Any] | None,
        comm_encryptor: CommEncryptor | None = None,
        *,
        link: Link | None = None,
        listener: PortListener | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """`link` is shared by the three ports of a session; a handler that works alone makes its own."""
        self.config = as_settings(config)
        self.comm_encryptor = comm_encryptor
        self.link = Link(comm_encryptor) if link is None and comm_encryptor is not None else link
        self.listener = listener
        self.watcher: HeartbeatWatcher | None = None
        self.clock = clock
        self.counters = Counters()
        self.path = PathStatistics()
        self.peer = PeerAddress()
        self._countdown = ServerCountdown()

    @property
    @abstractmethod
    def port_type(self) -> PortType:
        """Which of the three ports this is."""

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        """A datagram came in from anybody."""
        if self.link is None:
            self.counters.received += 1
            self.counters.bytes_received += len(datagram)
            if self.listener is not None:
                self.listener.plain_received(self, datagram, addr)
            return
        now = self.clock.monotonic()  # first: what follows is our time, not the path's
        opened = self.link.open_untrusted(datagram, self.counters)
        if opened is None:
            return
        flags, channel, sequence, offset, payload = opened
        self.path.last_heard = now
        self._heard_from(addr, sequence, len(datagram), now)
        if flags & HEARTBEAT:
            self.handle_heartbeat(payload, addr, flags, channel, sequence, offset)
        elif self.listener is not None:
            self.listener.message_received(self, opened)
        else:
            self.counters.unexpected += 1

    def burst_received(self, datagrams: list[bytes], addr: Address) -> None:
        """Datagrams of one address came in together."""
        if self.link is None or len(datagrams) == 1:
            for datagram in datagrams:
                self.datagramReceived(datagram, addr)
            return
        now = self.clock.monotonic()
        self._runs_received(self.link.open_burst_untrusted(datagrams, self.counters), addr, now)

    def reads_received(self, buffer: ReadBuffer, reads: Reads, addr: Address) -> None:
        """Datagrams of one address came in one turn of reading."""
        lengths = reads.lengths
        if self.link is None or (len(lengths) == 1 and lengths == reads.sizes and lengths[0] < LARGE):
            self.burst_received(buffer.all_datagrams(reads), addr)
            return
        now = self.clock.monotonic()
        self._runs_received(self.link.open_reads_untrusted(buffer, reads, self.counters), addr, now)

    def _runs_received(self, runs: list[Run], addr: Address, now: float) -> None:
        if not runs:
            return
        self.path.last_heard = now
        others: list[Run] = []
        for run in runs:
            flags, channel, sequence, offset, _, count = run
            self._heard_from(addr, sequence + count - 1, run.length + OVERHEAD * count, now)
            if flags & HEARTBEAT:
                self.handle_heartbeat(run.payload, addr, flags, channel, sequence, offset)
            else:
                others.append(run)
        if others and self.listener is not None:
            self.listener.burst_received(self, others, now)
        elif others:
            self.counters.unexpected += sum(run.datagrams for run in others)

    def handle_heartbeat(
        self, payload: bytes, addr: Address, flags: int, channel: int, sequence: int, offset: int
    ) -> None:
        """Answer a heartbeat whose `echo` is above 0, on the channel where it was asked.

        The answer goes to the peer's address, which `addr` is unless a newer datagram came from elsewhere. A program
        that opened the datagram by itself may call this too: then `addr` is believed, and it came now.
        """
        if self.link is None:
            return
        if self.path.last_heard is None:  # nothing has come by `datagramReceived`: called by such a program
            self.peer = PeerAddress(addr)
        heartbeat = self._parse(payload)
        if heartbeat is None or heartbeat.echo == 0:
            return
        now = self._came_at()
        sample = None
        if heartbeat.echo == 1:
            sample = self._countdown.returned(heartbeat, now)
            if sample is not None:
                self.address_proved(addr, sample.sent_at)
        server_ms = self.clock.wall_ms()
        sent_at = self.send(answer_heartbeat(heartbeat, server_ms), HEARTBEAT_FLAGS, channel)
        # The answer is on its way; the rest may take its time.
        if heartbeat.echo == 2:
            if sent_at is not None:
                self._countdown.answered(heartbeat.client_ts3, server_ms, sent_at)
            self._lost(self._countdown.give_up(now - self.path.patience()))
        if sample is None:
            return
        self.path.count_answered()
        if heartbeat.server_ts2 is not None:
            # The client read its clock, then we ours, then the return took a round trip: the client's was read about
            # half of one before ours.
            offset_ms = heartbeat.client_ts3 + sample.round_trip * 500 - heartbeat.server_ts2
            self.path.offset.add(offset_ms, sample.round_trip, now)
        self._measured(sample, now)
        if self.watcher is not None:
            self.watcher.heartbeat_measured(self, sample.round_trip)

    def _lost(self, count: int) -> None:
        self.path.count_lost(count)
        if count and self.watcher is not None:
            self.watcher.heartbeats_lost(self, count)

    def send(self, payload: bytes, flags: int, channel: int = 0) -> float | None:
        """Seal and send one datagram to the peer. Returns when it left, or None if it could or may not be sent now."""
        datagram = self.seal(payload, flags, channel)
        return None if datagram is None else self.transmit(datagram)

    def seal(self, payload: bytes, flags: int, channel: int = 0) -> bytes | None:
        """The datagram that carries `payload` to the peer; None if nothing may be sent there now."""
        if self.link is None or self.peer.address is None:
            return None
        if not self.peer.may_send(len(payload) + OVERHEAD):
            self.counters.withheld += 1
            return None
        return self.link.seal(payload, flags, channel)

    def transmit(self, datagram: bytes) -> float | None:
        """Send what `seal` made. Returns when it left, by the monotonic clock, or None if it could not be sent."""
        if self.transport is None or self.peer.address is None:
            return None
        sent_at = self.clock.monotonic()
        if self.transport.write(datagram, self.peer.address) is False:
            self.counters.unsent += 1
            return None
        self.counters.sent += 1
        self.counters.bytes_sent += len(datagram)
        return sent_at

    def room_for_burst(self) -> float:
        """Bytes that a burst may have now; 0 while the port is full, or nothing may be sent to the peer.

        The port may fill with the burst's own writes: see `send_burst`.
        """
        port = self._burst_port()
        if port is None or self.peer.address is None or not port.can_write_batch:
            return 0
        return min(self.peer.room, MAX_TOKENS)

    def send_burst(self, payload: bytes, chunk_size: int, flags: int, channel: int, offset: int) -> int:
        """Seal `payload` in datagrams of `chunk_size` bytes each and send them, as many at once as a write takes.

        `room_for_burst` has room for them. Returns how many bytes of it have left: all of them, or so many writes that
        the port is full now. The rest was not sealed, and took no sequence.
        """
        port, counters = self._burst_port(), self.counters
        if self.link is None or port is None or self.peer.address is None:
            return 0
        written, full = 0, full_burst(chunk_size) * chunk_size
        rest = memoryview(payload)
        while True:
            part, rest = rest[:full], rest[full:]
            sealed = self.link.seal_burst(part, chunk_size, flags, channel, offset + written)
            self.peer.may_send(len(sealed))
            port.write_segments(sealed, chunk_size + OVERHEAD, self.peer.address)
            counters.sent += -(-len(part) // chunk_size) or 1
            counters.bytes_sent += len(sealed)
            written += len(part)
            if not rest or not port.can_write_batch:
                return written

    def prepare_for_bulk(self) -> None:
        """Data will come and go here."""
        port = self._burst_port()
        if port is not None:
            port.prepare_for_bulk()

    def probe_path_mtu(self) -> bool:
        """Whether datagrams of any size can be tried here."""
        port = self._burst_port()
        return port is not None and port.probe_path_mtu()

    @property
    def too_long(self) -> int:
        """Datagrams that were not sent as they are longer than this machine sends."""
        port = self._burst_port()
        return 0 if port is None else port.counters.unsent.get("EMSGSIZE", 0)

    def address_proved(self, address: Address, sent_at: float) -> None:
        """The peer has shown that it got what was sent to `address` at `sent_at`."""
        if self.peer.answered(address, sent_at) and self.listener is not None:
            self.listener.peer_found(self)

    def _burst_port(self) -> BurstWriter | None:
        """The transport, if it takes bursts and has not lost its socket."""
        return cast("BurstWriter | None", self.transport)

    def _came_at(self) -> float:
        """When the datagram came that is being handled."""
        return self.clock.monotonic() if self.path.last_heard is None else self.path.last_heard

    def _heard_from(self, addr: Address, sequence: int, size: int, now: float) -> None:
        self.peer.heard(addr, sequence, size, now)

    def _parse(self, payload: bytes) -> Heartbeat | None:
        try:
            return parse_heartbeat_untrusted(payload)
        except MalformedHeartbeat:
            self.counters.malformed += 1
            return None

    def _measured(self, sample: RoundTripSample, now: float) -> None:
        self.path.add_round_trip(sample, now)
        if self.link is not None:
            self.link.encryptor.answer_heard(sample.sent_at, now)


class CtrlHandler(PortHandler):
    """The port of messages about the data."""

    port_type = PortType.CTRL


class UpHandler(PortHandler):
    """The port of data from client to server."""

    port_type = PortType.UP


class DnHandler(PortHandler):
    """The port of data from server to client."""

    port_type = PortType.DN


class ClientPortListener(PortListener, Protocol):
    """A client's session, which is also told how its heartbeats do."""

    def heartbeat_answered(self, handler: ClientPortHandler, heartbeat: Heartbeat, round_trip: float) -> None:
        """An answer to a heartbeat came: the first, with `echo=1`, or the second, with which the countdown ends."""


class ClientPortHandler(PortHandler):
    """The client's counterpart of one of the server's ports: it begins heartbeats and returns what has `echo` left."""

    port_type = PortType.CTRL  # of an instance: as given

    def __init__(
        self,
        config: Settings | Mapping[str, Any] | None,
        comm_encryptor: CommEncryptor,
        port_type: PortType,
        server: Address,
        *,
        link: Link,
        listener: ClientPortListener,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(config, comm_encryptor, link=link, listener=listener, clock=clock)
        self.port_type = port_type
        self.peer = PeerAddress(server)
        self._client_listener = listener
        self._begun = ClientCountdown()

    def seal_heartbeat(self, client_ms: int) -> bytes | None:
        """The datagram that says `client_ts3=<client_ms> echo=2`."""
        return self.seal(first_heartbeat(client_ms), HEARTBEAT_FLAGS)

    def begin_heartbeat(self, client_ms: int, sealed: bytes) -> None:
        """Send that datagram, and await its answer."""
        sent_at = self.transmit(sealed)
        if sent_at is not None:
            self._begun.begun(client_ms, sent_at)

    def forget_heartbeat(self, client_ms: int) -> None:
        """Await nothing more of that heartbeat."""
        self._begun.forget(client_ms)

    def handle_heartbeat(
        self, payload: bytes, addr: Address, flags: int, channel: int, sequence: int, offset: int
    ) -> None:
        """Return a first answer unchanged, and measure."""
        heartbeat = self._parse(payload)
        if heartbeat is None:
            return
        now = self._came_at()
        sample = self._begun.answered(heartbeat, now)
        if sample is None:
            self.counters.unmatched += 1
            return
        if heartbeat.echo == 1:
            sent_at = self.send(payload, HEARTBEAT_FLAGS, channel)
            if sent_at is not None:
                self._begun.returned(heartbeat.client_ts3, sent_at)
            self.path.count_answered()
            if heartbeat.server_ts2 is not None:
                # The server read its clock about half of a round trip after we ours.
                offset_ms = heartbeat.server_ts2 - heartbeat.client_ts3 - sample.round_trip * 500
                self.path.offset.add(offset_ms, sample.round_trip, now)
        self._measured(sample, now)
        self._client_listener.heartbeat_answered(self, heartbeat, sample.round_trip)

    def _heard_from(self, addr: Address, sequence: int, size: int, now: float) -> None:
        """It is the client that roams: the server stays where the rendezvous found it."""


def last_heard(handlers: Iterable[PortHandler]) -> float | None:
    """When anything authentic was heard last on any of these ports; None if nothing ever was."""
    return max((h.path.last_heard for h in handlers if h.path.last_heard is not None), default=None)
