"""The sending half of a data plane: streams with their sources, control messages, and lossy messages on their way out.

next_burst --> source.read --> handler.send_burst --> burst_sent           by Ctrl for channel 0, else Up or Dn, while
                                                                           these are not silent: see `port_choice`
acknowledgement --> Sender.acknowledged --> a stream is done: its Deferred fires
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Final

from twisted.internet.defer import CancelledError, Deferred, succeed

from ..errors import SourceChanged
from ..link.burst import Burst
from ..link.congestion import Congestion
from ..link.cubic import Cubic
from ..link.link import Link
from ..link.model import Model
from ..link.pacer import WRITES_A_TURN, Pacer
from ..link.path_mtu import PathMtu
from ..link.round_trip import RoundTrip
from ..link.sender import Sender
from ..link.transfer_statistics import SentTotals, TransferStatistics
from ..wire.acknowledgement import Acknowledgement
from ..wire.datagram import LINK_CHANNEL, MESSAGE_FLAGS, OVERHEAD, STREAM_FLAGS, URGENT
from ..wire.spans import SpanSet
from .clock import Clock
from .control_stream import CONTROL_WINDOW, Outgoing
from .handlers import PortHandler, last_heard
from .neglect import NeglectWatch
from .path_prober import AddressProofs, PathProber
from .port_choice import PortChoice
from .streams import EARLY, INITIAL_CREDIT, NO_LIMIT, ChannelNumbers, SendingStream, StreamSource

MESSAGES_AHEAD: Final = 8  # datagrams of messages beyond the window, so that bulk that fills it does not silence them
URGENT_AHEAD: Final = 16


class Sending:
    """Everything that one end of a session sends, but for acknowledgements."""

    def __init__(
        self,
        link: Link,
        ctrl: PortHandler,
        out: PortHandler,
        spare: PortHandler,
        *,
        clock: Clock,
        congestion: str,
        mtu: int | None,
        random: Random,
        failed: Callable[[int, Exception], None],
        expected_round_trip: float | None = None,
    ) -> None:
        """`out`: the port of this end's data, `spare`: of the other end's. See `DataPlane` for the rest.

        `failed` is told of a stream whose source failed.
        """
        now = clock.monotonic()
        self._link = link
        self._ctrl = ctrl
        self._out = out
        self._clock = clock
        self._failed = failed
        self._random = random
        self._chosen = congestion, mtu
        round_trip = _measured_round_trip((out, ctrl), now, expected_round_trip)
        self._sender = Sender(
            now,
            congestion=make_congestion(congestion, now, round_trip, random),
            round_trip=round_trip,
            path_mtu=PathMtu(now, fixed=mtu),
            credit=NO_LIMIT,
        )
        control = self._sender.open_channel(LINK_CHANNEL, now, credit=CONTROL_WINDOW, urgent=True)
        self.control = Outgoing(control)
        self.streams: dict[int, SendingStream] = {}
        self._all_sent: dict[int, SendingStream] = {}  # those of which every byte has left at least once
        self._trims: dict[int, tuple[SendingStream, Callable[[int], None]]] = {}
        self._numbers = ChannelNumbers()
        self._handlers = ctrl, out, spare
        self._ports = PortChoice(self._handlers, round_trip)
        self._neglect = NeglectWatch(now)
        self._proofs = AddressProofs()
        self._prober = PathProber(link, self._sender, out)
        self.withheld = False
        """Whether the last turn ended as an address that has not proved itself had had its share."""

    def choose(self, congestion: str, mtu: int | None) -> None:
        """See `DataPlane.choose_sending`."""
        if self.streams or (congestion, mtu) == self._chosen:
            return
        now, sender = self._clock.monotonic(), self._sender
        path_mtu = PathMtu(now, fixed=mtu)
        sender.congestion = make_congestion(congestion, now, sender.round_trip, self._random)
        sender.path_mtu = path_mtu
        sender.datagram_size_changed()
        self._prober = PathProber(self._link, sender, self._out)
        self._chosen = congestion, mtu

    # --- streams and messages ----------------------------------------------------------------------------------------

    def open(
        self,
        channel: int,
        source: StreamSource,
        size: int | None,
        skip: SpanSet | None,
        limit: Pacer | None,
        urgent: bool,
        trim: Callable[[int], None] | None,
        early: bool,
    ) -> Deferred[None]:
        """See `DataPlane.open_sending`."""
        self._numbers.take(channel)
        skipped = SpanSet(skip.get_spans()) if skip else SpanSet()
        if skipped.count() == size:
            return succeed(None)
        now, credit = self._clock.monotonic(), INITIAL_CREDIT + skipped.count()
        opened = self._sender.open_channel(channel, now, credit=credit, urgent=urgent, limit=limit)
        for first, last in skipped.get_spans():
            opened.skip(first, last)
        if size is not None:
            opened.supply(min(size, EARLY) if early else size, finished=not early)
        finished: Deferred[None] = Deferred(lambda _: self.close(channel))
        flags = STREAM_FLAGS | URGENT if urgent else STREAM_FLAGS
        self.streams[channel] = stream = SendingStream(opened, source, flags, finished, grows=size is None)
        if trim is not None:
            self._trims[channel] = stream, trim
        self._prober.begin()
        return finished

    def used(self, channel: int) -> bool:
        """Whether the channel was ever sent on."""
        return channel in self._numbers

    def supply(self, channel: int, end: int, finished: bool) -> None:
        """See `DataPlane.supply`."""
        stream = self.streams[channel]
        stream.channel.supply(end, finished=finished)
        self._finish_if_done(channel, stream)

    def send_rest(self, channel: int, size: int, skip: SpanSet) -> None:
        """See `DataPlane.send_rest`."""
        sending = self.streams[channel].channel
        for first, last in skip.get_spans():
            sending.skip(first, last)
        sending.credit = max(sending.credit, INITIAL_CREDIT + skip.count())
        self.supply(channel, size, finished=True)

    def _finish_if_done(self, channel: int, stream: SendingStream) -> None:
        if stream.channel.done and not stream.finished.called:
            stream.finished.callback(None)
            self._drop(channel)

    def close(self, channel: int) -> None:
        """Send nothing more of it, nor again."""
        stream = self._drop(channel)
        if stream is not None and not stream.finished.called:
            stream.finished.errback(CancelledError())

    def _drop(self, channel: int) -> SendingStream | None:
        stream = self.streams.pop(channel, None)
        if stream is not None:
            self._all_sent.pop(channel, None)
            self._trims.pop(channel, None)
            self._sender.close_channel(channel)
        return stream

    @property
    def max_message(self) -> int:
        """Bytes that a message may have now."""
        return self._sender.path_mtu.size - OVERHEAD

    def send_message(self, channel: int, data: bytes, urgent: bool) -> bool:
        """See `DataPlane.send_message`."""
        if not 0 < channel < 1 << 24 or len(data) > self.max_message:
            raise ValueError(f"a message of {len(data)} bytes on channel {channel}; {self.max_message} are the most")
        ahead = (URGENT_AHEAD if urgent else MESSAGES_AHEAD) * self._sender.path_mtu.size
        size = len(data) + OVERHEAD
        if self._sender.in_flight + size > self._sender.congestion.window + ahead:
            return False
        sequence = self._link.next_sequence
        own, flags = (self._ctrl, MESSAGE_FLAGS | URGENT) if urgent else (self._out, MESSAGE_FLAGS)
        handler = self._ports.choose(own, self._clock.monotonic())
        sent_at = handler.send(data, flags, channel)
        if sent_at is None:
            return False
        self._ports.sent(handler, sequence, sequence, sent_at)
        self._sender.datagram_sent(sequence, size, sent_at)
        return True

    # --- the path's size ---------------------------------------------------------------------------------------------

    def search_path_mtu(self) -> bool:
        """See `DataPlane.search_path_mtu`."""
        return self._prober.search()

    def found_path_mtu(self, now: float) -> int | None:
        """See `DataPlane.found_path_mtu`."""
        return self._sender.path_mtu.size if self._prober.settled(now) else None

    # --- turns -------------------------------------------------------------------------------------------------------

    def send_due(self, now: float) -> bool:
        """Send what is due, but for more than the bytes of four writes; whether more may be due when it ended."""
        sender = self._sender
        self.withheld = False
        writes = 0
        if not sender.resting:
            sender.on_timeout(now)
        while writes < WRITES_A_TURN and not sender.resting:
            burst = sender.next_burst(now, WRITES_A_TURN - writes)
            taken = 0 if burst is None else self._send_burst(burst)
            if not taken:
                break
            writes += taken
        self._prober.send(now)
        return writes >= WRITES_A_TURN

    def next_timeout(self) -> float | None:
        """When `send_due` may have something to do."""
        times = [time for time in (self._sender.next_timeout(), self._prober.next_timeout()) if time is not None]
        return min(times, default=None)

    def neglected(self, now: float) -> bool:
        """Whether the peer is there, and takes nothing: see `neglect`. To be asked as often as something is due."""
        if not self._neglect.due(now):
            return False
        return self._neglect.neglects(self._taken(), last_heard(self._handlers) or 0.0, now)

    def _taken(self) -> tuple[int, int] | None:
        """What changes whenever the peer takes something; None if there is nothing that it does not take."""
        channels = [self.control.channel, *(stream.channel for stream in self.streams.values() if not stream.grows)]
        held = [channel.credit for channel in channels if channel.held_back]
        if held:
            return len(held), sum(held)
        return (0, self._sender.delivered) if self._sender.in_flight else None

    def _send_burst(self, burst: Burst) -> int:
        """How many writes the burst has taken, one if its stream has failed; 0: nothing may leave now.

        Where the port has no room for all of it, it is its beginning that leaves, and that the sender is told of.
        """
        channel = burst.channel
        own, flags = self._ctrl, STREAM_FLAGS | URGENT
        source: StreamSource = self.control
        if channel != LINK_CHANNEL:
            stream = self.streams[channel]
            own, flags, source = self._out, stream.flags, stream.source
        handler = self._ports.choose(own, self._clock.monotonic())
        room = handler.room_for_burst()
        if room < burst.length + burst.datagrams * OVERHEAD:
            datagrams = int(room) // (burst.chunk_size + OVERHEAD)
            if not datagrams:
                self.withheld = not handler.peer.validated
                return 0
            burst = burst._replace(length=min(burst.length, datagrams * burst.chunk_size))
        try:
            payload = source.read(burst.offset, burst.length) if burst.length else b""
            if len(payload) != burst.length:
                raise SourceChanged(f"{burst.length - len(payload)} bytes are missing at {burst.offset}")
        except Exception as error:
            if channel == LINK_CHANNEL:
                raise
            self._source_failed(channel, error)
            return 1
        now = self._clock.monotonic()
        sequence = self._link.next_sequence
        self._proofs.sending(handler, sequence, now)
        left = handler.send_burst(payload, burst.chunk_size, flags, channel, burst.offset)
        self._ports.sent(handler, sequence, self._link.next_sequence - 1, now)
        if left < burst.length:
            burst = burst._replace(length=left)
        self._sender.burst_sent(burst, sequence, now)
        if channel != LINK_CHANNEL and stream.channel.next_offset >= stream.channel.available:
            self._all_sent[channel] = stream
        return burst.writes

    def _source_failed(self, channel: int, error: Exception) -> None:
        stream = self._drop(channel)
        if stream is not None:
            stream.finished.errback(error)
            self._failed(channel, error)

    def acknowledged(self, handler: PortHandler, acknowledgement: Acknowledgement, now: float) -> None:
        """The peer has said on `handler` what has arrived. Raises `AcknowledgedUnsent` if that cannot be."""
        self._sender.acknowledged(acknowledgement, now, sequences_used=self._link.next_sequence)
        self.control.trim()
        self._prober.acknowledged(acknowledgement.spans, now)
        self._proofs.acknowledged(handler, acknowledgement.spans)
        self._ports.acknowledged(acknowledgement.spans)
        for channel, stream in list(self._all_sent.items()):
            self._finish_if_done(channel, stream)
        for stream, trim in list(self._trims.values()):
            trim(stream.channel.acknowledged.gap_at(0)[0])
        self.control.tell_arrived()

    # --- for people --------------------------------------------------------------------------------------------------

    @property
    def active(self) -> bool:
        """Whether anything is on its way, or is to go."""
        return bool(self.streams or self.control.backlog or self._sender.in_flight)

    @property
    def round_trip(self) -> RoundTrip:
        """The path's, as data sees it."""
        return self._sender.round_trip

    @property
    def totals(self) -> SentTotals:
        """What was sent in all."""
        return self._sender.totals

    def statistics(self, channel: int) -> TransferStatistics:
        """What a channel does right now; channel 0 for the path alone."""
        statistics = self._sender.statistics(channel, self._clock.monotonic())
        if statistics.limited_by == "window" and statistics.in_flight * 2 < INITIAL_CREDIT:
            return replace(statistics, limited_by="peer's disk")  # its credit is not on its way: it waits there
        return statistics


def make_congestion(name: str, now: float, round_trip: RoundTrip, random: Random) -> Congestion:
    """The congestion control of that name. Raises `ValueError` for a name that is none."""
    if name == Model.name:
        return Model(now, round_trip=round_trip, random=random)
    if name == Cubic.name:
        return Cubic(round_trip=round_trip)
    raise ValueError(f"no congestion control is named {name}: choose {Model.name} or {Cubic.name}")


def _measured_round_trip(handlers: tuple[PortHandler, ...], now: float, expected: float | None) -> RoundTrip:
    """The path's, as heartbeats know it: a copy, since what data adds is not what an idle link has.

    `expected`: what to go by before the first of them has come back.
    """
    round_trip = RoundTrip(expected)
    for handler in handlers:
        known = handler.path.round_trip
        if known.latest is not None:
            round_trip.add(known.minimum, now)
            break
    return round_trip
