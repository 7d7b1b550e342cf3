"""The data plane of one session, at either end: the shell that drives the transport core over the three UDP ports.

    send_control, open_sending --> Sender.next_burst --> source.read --> handler.send_burst --> Ctrl, Up or Dn
                                        ^
    burst_received --> acknowledgement -+--> done: the Deferred fires
                  +--> data --> Receiver.data_received --> sink.write --> consumed --> acknowledgement, on the same port
                  +--> message --> listener

After every input there is one pump: what is due is sent, acknowledgements first, then at most four bursts, and one
timer is armed. A client's data leaves by Up and a server's by Dn; acknowledgements go back by the port that it came by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.logger import Logger

from ..errors import PeerMisbehaved, Rejected, SourceChanged
from ..link.congestion import Congestion
from ..link.cubic import Cubic
from ..link.link import Link
from ..link.model import Model
from ..link.pacer import TICK
from ..link.path_mtu import PathMtu
from ..link.receiver import WINDOW, Receiver
from ..link.round_trip import RoundTrip
from ..link.sender import BURSTS_A_TURN, Burst, Sender
from ..link.transfer_statistics import TransferStatistics
from ..wire.acknowledgement import Acknowledgement, pack_acknowledgement, parse_acknowledgement_untrusted
from ..wire.datagram import (
    ACKNOWLEDGEMENT_FLAGS,
    BINARY,
    DATA,
    FLOW_CONTROL,
    LINK_CHANNEL,
    MESSAGE_FLAGS,
    OVERHEAD,
    STREAM_FLAGS,
    UNLOSSY,
    URGENT,
    PortType,
    Run,
)
from ..wire.spans import SpanSet
from .clock import SYSTEM_CLOCK, Clock
from .control_stream import CONTROL_WINDOW, Incoming, Outgoing
from .handlers import PortHandler
from .lossy_messages import MessageOrder
from .path_prober import AddressProofs, PathProber
from .streams import ChannelNumbers, DataPlaneListener, ReceivingStream, SendingStream, StreamSink, StreamSource

INITIAL_CREDIT: Final = 2**20  # bytes of a channel that go before the peer has said anything: the first rounds' worth
NO_LIMIT: Final = 2**62  # bytes of all channels together: each has its window, and a channel is opened by both ends
MESSAGES_AHEAD: Final = 8  # datagrams of messages beyond the window, so that bulk that fills it does not silence them
URGENT_AHEAD: Final = 16
WITHHELD_WAIT: Final = 0.02  # seconds until a port that is full, or an address that has had its share, is tried again
QUIET: Final = 0.3  # seconds; a client that hears no data that it waits for may have moved without knowing it
CLIENT_HEARTBEAT: Final = 1.0  # seconds, at least, while streams are open: it shows the server where the client is


class DataPlane:
    """Control messages, lossy messages and streams of one session. All calls are from the reactor's thread."""

    log = Logger()

    def __init__(
        self,
        link: Link,
        handlers: Mapping[PortType, PortHandler],
        listener: DataPlaneListener,
        *,
        is_server: bool,
        reactor: Any,
        clock: Clock = SYSTEM_CLOCK,
        congestion: str = "model",
        mtu: int | None = None,
        random: Random | None = None,
        failed: Callable[[PeerMisbehaved], None] | None = None,
        beat: Callable[[], None] | None = None,
    ) -> None:
        """`congestion`: `model` or `cubic`. `mtu`: bytes of UDP payload of every datagram, None to find out.

        `failed` is told after the listener when the peer has broken the rules. `beat`, of a client, sends a heartbeat.
        Raises `ValueError` for a `congestion` or `mtu` that is none.
        """
        self.listener = listener
        self.unexpected = 0
        """Datagrams of streams that were not open."""
        self.messages_late = 0
        """Messages that came after a newer one, and were dropped."""
        self._link = link
        self._is_server = is_server
        self._reactor = reactor
        self._clock = clock
        self._failed = failed
        self._beat = beat
        self._ctrl = handlers[PortType.CTRL]
        self._out = handlers[PortType.DN if is_server else PortType.UP]
        self._in = handlers[PortType.UP if is_server else PortType.DN]
        now = clock.monotonic()
        round_trip = self._measured_round_trip(now)
        self._path_mtu = PathMtu(now, fixed=mtu)
        self._sender = Sender(
            now,
            congestion=make_congestion(congestion, now, round_trip, random or Random()),  # noqa: S311  no secret
            round_trip=round_trip,
            path_mtu=self._path_mtu,
            credit=NO_LIMIT,
        )
        self._receiver = Receiver(link.replay.received, window=NO_LIMIT)
        self._receiver.open_channel(LINK_CHANNEL, window=CONTROL_WINDOW)
        control = self._sender.open_channel(LINK_CHANNEL, now, credit=CONTROL_WINDOW, urgent=True)
        self._outgoing = Outgoing(control)
        self._incoming = Incoming()
        self._sending: dict[int, SendingStream] = {}
        self._all_sent: dict[int, SendingStream] = {}  # those of which every byte has left at least once
        self._receiving: dict[int, ReceivingStream] = {}
        self._sent_numbers = ChannelNumbers()
        self._received_numbers = ChannelNumbers()
        self._next_number = 2 if is_server else 1
        self._order = MessageOrder(link.replay)
        self._proofs = AddressProofs()
        self._prober = PathProber(link, self._sender, self._out)
        self._acknowledge_by = self._ctrl
        self._bulk: set[PortHandler] = set()
        self._withheld = False
        self._beat_at = now
        self._data_at = now  # when data came last
        self._flowed = True
        self._closed = False
        self._pumping = False
        self._timer: Any = None
        self._timer_due = 0.0

    def _measured_round_trip(self, now: float) -> RoundTrip:
        """The path's, as heartbeats know it: a copy, as heartbeats are of the path and this is of the data."""
        round_trip = RoundTrip()
        for handler in (self._out, self._ctrl):
            known = handler.path.round_trip
            if known.latest is not None:
                round_trip.add(known.minimum, now)
                break
        return round_trip

    # --- control and messages ----------------------------------------------------------------------------------------

    def send_control(self, message: bytes) -> None:
        """Send a message of at most 8192 bytes, reliably and in order.

        Raises `ControlOverflow` when 4 MiB wait for the peer already; see `control_backlog`.
        """
        self._check_open()
        self._outgoing.put(message)
        self._pump_soon()

    @property
    def control_backlog(self) -> int:
        """Bytes of control messages that are not acknowledged."""
        return self._outgoing.backlog

    @property
    def max_message(self) -> int:
        """Bytes that a message may have now."""
        return self._path_mtu.size - OVERHEAD

    def send_message(self, channel: int, data: bytes, *, urgent: bool = False) -> bool:
        """Send a message that may be lost, at once or not at all; False if it was dropped here.

        Raises `ValueError` for a channel that is none, or more bytes than `max_message`.
        """
        self._check_open()
        if not 0 < channel < 1 << 24 or len(data) > self.max_message:
            raise ValueError(f"a message of {len(data)} bytes on channel {channel}; {self.max_message} are the most")
        ahead = (URGENT_AHEAD if urgent else MESSAGES_AHEAD) * self._path_mtu.size
        size = len(data) + OVERHEAD
        if self._sender.in_flight + size > self._sender.congestion.window + ahead:
            return False
        sequence = self._link.next_sequence
        handler, flags = (self._ctrl, MESSAGE_FLAGS | URGENT) if urgent else (self._out, MESSAGE_FLAGS)
        sent_at = handler.send(data, flags, channel)
        if sent_at is None:
            return False
        self._sender.datagram_sent(sequence, size, sent_at)
        self._arm()
        return True

    # --- streams -----------------------------------------------------------------------------------------------------

    def new_channel(self) -> int:
        """A number for a channel that this end opens: odd ones are the client's, even ones the server's."""
        number = self._next_number
        self._next_number += 2
        return number

    def open_sending(
        self,
        channel: int,
        source: StreamSource,
        size: int,
        *,
        skip: SpanSet | None = None,
        limit: float | None = None,
        urgent: bool = False,
    ) -> Deferred[None]:
        """Send the `size` bytes of `source`, but for the offsets in `skip`, which the peer has; `limit`: bytes/s.

        Fires when all is acknowledged, and the stream is closed then. Fails with `CancelledError` if it is closed
        before, and with the error of the source. Raises `ValueError` for a channel that was used already.
        """
        self._check_open()
        self._sent_numbers.take(channel)
        skipped = SpanSet(skip.get_spans()) if skip else SpanSet()
        if skipped.count() == size:
            return succeed(None)
        now = self._clock.monotonic()
        credit = INITIAL_CREDIT + skipped.count()
        opened = self._sender.open_channel(channel, now, credit=credit, urgent=urgent, limit=limit)
        for first, last in skipped.get_spans():
            opened.skip(first, last)
        opened.supply(size, finished=True)
        finished: Deferred[None] = Deferred(lambda _: self.close_stream(channel))
        flags = STREAM_FLAGS | URGENT if urgent else STREAM_FLAGS
        self._sending[channel] = SendingStream(opened, source, flags, finished)
        self._prepare_for_bulk(self._out)
        self._prober.begin()
        self._pump_soon()
        return finished

    def open_receiving(
        self,
        channel: int,
        sink: StreamSink,
        size: int,
        *,
        have: SpanSet | None = None,
        window: int = WINDOW,
        paced: bool = False,
    ) -> None:
        """Write a stream of `size` bytes to `sink`; the offsets in `have` are there already, and do not come.

        At most `window` bytes may be ahead of what has left memory. That is what `sink.write` took, unless `paced`:
        then say `stream_consumed`. Raises `ValueError` for a channel that was used already, or too many that are open.
        """
        self._check_open()
        self._received_numbers.take(channel)
        opened = self._receiver.open_channel(channel, size=size, window=max(window, INITIAL_CREDIT))
        for first, last in have.get_spans() if have else ():
            self._receiver.already_has(channel, first, last)
        self._receiving[channel] = ReceivingStream(opened, sink, self._clock.monotonic(), paced=paced)
        self._prepare_for_bulk(self._in)
        if opened.done:
            self._reactor.callLater(0, self._received_all, channel)
        self._pump_soon()

    def stream_consumed(self, channel: int, count: int) -> None:
        """`count` bytes of a paced receiving stream have left memory."""
        if channel in self._receiving:
            self._receiver.consumed(channel, count)
            self._pump_soon()

    def close_stream(self, channel: int) -> None:
        """Close it, either way; what still comes of it is counted and dropped. Again does nothing."""
        receiving = self._receiving.pop(channel, None)
        if receiving is not None:
            self._receiver.close_channel(channel)
        sending = self._drop_sending(channel)
        if sending is not None and not sending.finished.called:
            sending.finished.errback(CancelledError())

    def statistics(self, channel: int) -> TransferStatistics:
        """What a stream that is open does right now. Raises `KeyError` for one that is not."""
        now = self._clock.monotonic()
        if channel in self._sending:
            statistics = self._sender.statistics(channel, now)
            if statistics.limited_by == "window" and statistics.in_flight * 2 < INITIAL_CREDIT:
                return replace(statistics, limited_by="peer's disk")  # its credit is not on its way: it waits there
            return statistics
        stream = self._receiving[channel]
        path = self._sender.statistics(LINK_CHANNEL, now)
        return TransferStatistics(
            rate=stream.meter.read(now),
            acknowledged=stream.channel.received.count(),
            sent=0,
            retransmitted=0,
            lost_datagrams=0,
            in_flight=path.in_flight,
            window=path.window,
            pacing_rate=path.pacing_rate,
            round_trip=path.round_trip,
            minimum_round_trip=path.minimum_round_trip,
            path_mtu=path.path_mtu,
            limited_by="path",
        )

    @property
    def active(self) -> bool:
        """Whether anything but heartbeats is on its way, or expected."""
        return bool(self._sending or self._receiving or self._outgoing.backlog or self._sender.in_flight)

    def flowed(self) -> bool:
        """Whether anything flowed, or was about to, since this was asked last."""
        flowed, self._flowed = self._flowed or self.active, False
        return flowed

    def close(self) -> None:
        """Stop: every stream is closed, nothing is sent any more. Again does nothing."""
        if self._closed:
            return
        self._closed = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        for channel in [*self._sending, *self._receiving]:
            self.close_stream(channel)
        self._tell(self.listener.data_plane_closed)

    def _drop_sending(self, channel: int) -> SendingStream | None:
        stream = self._sending.pop(channel, None)
        if stream is not None:
            self._all_sent.pop(channel, None)
            self._sender.close_channel(channel)
        return stream

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError("the data plane is closed")

    def _prepare_for_bulk(self, handler: PortHandler) -> None:
        if handler not in self._bulk:
            self._bulk.add(handler)
            handler.prepare_for_bulk()

    # --- what comes --------------------------------------------------------------------------------------------------

    def burst_received(self, handler: PortHandler, runs: list[Run], now: float) -> None:
        """Authentic and new datagrams, none of them a heartbeat, came on a port at `now`."""
        self._flowed = True
        try:
            for run in runs:
                if self._closed:
                    return
                self._take(handler, run, now)
        except Rejected as error:
            self._fail(error)
            return
        self._pump()

    def _take(self, handler: PortHandler, run: Run, now: float) -> None:
        flags = run.flags
        if flags & UNLOSSY and flags & DATA:
            self._acknowledge_by = handler
            if run.channel == LINK_CHANNEL:
                self._take_control(run, now)
            else:
                self._take_data(handler, run, now)
        elif flags & FLOW_CONTROL and flags & BINARY:
            self._take_acknowledgement(handler, parse_acknowledgement_untrusted(run.payloads[0]), now)
        elif flags & FLOW_CONTROL:
            self._acknowledge_by = handler
            self._receiver.datagram_received(0, now, at_once=True)
        elif flags & DATA and run.channel != LINK_CHANNEL:
            self._acknowledge_by = handler
            self._receiver.datagram_received(run.length, now)
            if self._order.is_newest(run.channel, run.sequence):
                self._tell(self.listener.message_received, run.channel, run.payloads[0])
            else:
                self.messages_late += 1
        else:
            handler.counters.unexpected += 1

    def _take_control(self, run: Run, now: float) -> None:
        before = self._incoming.taken
        for first, last in self._receiver.data_received(LINK_CHANNEL, run.offset, run.length, now):
            data = b"".join(run.payloads)[first - run.offset : last + 1 - run.offset]
            for message in self._incoming.put_untrusted(first, data):
                self._tell(self.listener.control_received, message)
                if self._closed:
                    return
        self._receiver.consumed(LINK_CHANNEL, self._incoming.taken - before)

    def _take_data(self, handler: PortHandler, run: Run, now: float) -> None:
        channel, offset, payloads = run.channel, run.offset, run.payloads
        stream = self._receiving.get(channel)
        if stream is None:
            self._take_unexpected(handler, run, now)
            return
        length = run.length
        self._data_at = now
        new = self._receiver.data_received(channel, offset, length, now)
        try:
            for first, last in new:
                chunks = payloads
                if last - first + 1 != length:
                    chunks = [b"".join(payloads)[first - offset : last + 1 - offset]]
                stream.sink.write(first, chunks)
                stream.meter.add(last - first + 1, now)
                if not stream.paced:
                    self._receiver.consumed(channel, last - first + 1)
        except Rejected:
            raise
        except Exception as error:
            self.close_stream(channel)
            self._tell(self.listener.stream_failed, channel, error)
            return
        if stream.channel.received.span_count == 1 and stream.channel.done:
            self._received_all(channel)

    def _take_unexpected(self, handler: PortHandler, run: Run, now: float) -> None:
        """Data of a stream that is closed is acknowledged, so that it is not sent again; of one to come it is not."""
        count = len(run.payloads)
        handler.counters.unexpected += count
        self.unexpected += count
        if run.channel in self._received_numbers:
            self._receiver.datagram_received(run.length, now)
        else:
            self._link.replay.forget(run.sequence, run.sequence + count - 1)

    def _received_all(self, channel: int) -> None:
        if channel in self._receiving:
            self._tell(self.listener.stream_received, channel)
            self.close_stream(channel)

    def _take_acknowledgement(self, handler: PortHandler, acknowledgement: Acknowledgement, now: float) -> None:
        self._sender.acknowledged(acknowledgement, now, sequences_used=self._link.next_sequence)
        self._outgoing.trim()
        self._prober.acknowledged(acknowledgement.spans, now)
        self._proofs.acknowledged(handler, acknowledgement.spans)
        for channel, stream in list(self._all_sent.items()):
            if stream.channel.done and not stream.finished.called:
                stream.finished.callback(None)
                self._drop_sending(channel)

    def _tell(self, method: Callable[..., None], *arguments: object) -> None:
        """What the listener raises is its own fault: it is logged, and the link goes on."""
        try:
            method(*arguments)
        except Exception:
            self.log.failure("{method} failed", method=method)

    def _fail(self, error: Rejected) -> None:
        why = PeerMisbehaved(f"the other end broke the rules of the link ({type(error).__name__}: {error})")
        self.close()
        self._tell(self.listener.data_plane_failed, why)
        if self._failed is not None:
            self._failed(why)

    # --- what goes ---------------------------------------------------------------------------------------------------

    def _pump_soon(self) -> None:
        """Pump when the caller is done, so that what it does next goes with this."""
        self._arm_at(self._clock.monotonic(), 0.0)

    def _pump(self) -> None:
        """Send what is due, and arm the timer."""
        if self._closed or self._pumping:
            return
        self._pumping = True
        now = self._clock.monotonic()
        sender = self._sender
        self._send_acknowledgement(now)
        sender.on_timeout(now)
        self._withheld = False
        bursts = 0
        while bursts < BURSTS_A_TURN:
            burst = sender.next_burst(now)
            if burst is None or not self._send_burst(burst):
                break
            bursts += 1
        self._prober.send(now)
        self._pumping = False
        if not self._closed:
            self._arm(again=bursts == BURSTS_A_TURN)

    def _send_acknowledgement(self, now: float) -> None:
        acknowledgement = self._receiver.acknowledgement(now)
        if acknowledgement is not None:
            self._acknowledge_by.send(pack_acknowledgement(acknowledgement), ACKNOWLEDGEMENT_FLAGS)

    def _send_burst(self, burst: Burst) -> bool:
        """Whether the burst, or its beginning, is on its way, or its stream has failed; False: not now."""
        channel = burst.channel
        handler, flags = self._ctrl, STREAM_FLAGS | URGENT
        source: StreamSource = self._outgoing
        if channel != LINK_CHANNEL:
            stream = self._sending[channel]
            handler, flags, source = self._out, stream.flags, stream.source
        room = handler.room_for_burst()
        if room < burst.length + burst.datagrams * OVERHEAD:
            datagrams = int(room) // (burst.chunk_size + OVERHEAD)
            if not datagrams:
                self._withheld = True
                return False
            burst = burst._replace(length=min(burst.length, datagrams * burst.chunk_size), finished=False)
        if burst.length:
            try:
                payload = source.read(burst.offset, burst.length)
                if len(payload) != burst.length:
                    raise SourceChanged(f"{burst.length - len(payload)} bytes are missing at {burst.offset}")
            except Exception as error:
                self._source_failed(channel, error)
                return True
        else:
            payload = b""
        now = self._clock.monotonic()
        sequence = self._link.next_sequence
        self._proofs.sending(handler, sequence, now)
        handler.send_burst(payload, burst.chunk_size, flags, channel, burst.offset)
        self._sender.burst_sent(burst, sequence, now)
        if channel and stream.channel.next_offset >= stream.channel.available:
            self._all_sent[channel] = stream
        return True

    def _source_failed(self, channel: int, error: Exception) -> None:
        stream = self._drop_sending(channel)
        if stream is not None:
            stream.finished.errback(error)
            self._tell(self.listener.stream_failed, channel, error)

    # --- time --------------------------------------------------------------------------------------------------------

    def _arm(self, *, again: bool = False) -> None:
        """Arm the timer for what is due next. `again`: there may be more to send when others had their turn."""
        now = self._clock.monotonic()
        due = self._receiver.next_timeout()
        for time in (self._sender.next_timeout(), self._prober.next_timeout(), self._beat_due()):
            if time is not None and (due is None or time < due):
                due = time
        if due is None:
            return
        wait = due - now
        if self._withheld:
            wait = max(wait, WITHHELD_WAIT)
        elif not again or wait > 0:
            wait = max(wait, TICK)
        self._arm_at(now, max(wait, 0.0))

    def _arm_at(self, now: float, wait: float) -> None:
        if self._closed:
            return
        due = now + wait
        if self._timer is not None and self._timer.active():
            if self._timer_due <= due:
                return  # it will look again; moving a timer to sooner would search all of the reactor's
            self._timer.cancel()
        self._timer_due = due
        self._timer = self._reactor.callLater(wait, self._timed_out)

    def _timed_out(self) -> None:
        now = self._clock.monotonic()
        beat_due = self._beat_due()
        if beat_due is not None and now >= beat_due and self._beat is not None:
            self._beat_at = now
            self._beat()
        self._pump()

    def _beat_due(self) -> float | None:
        """When a client should send a heartbeat for the sake of its streams: it may have moved without knowing it."""
        if self._beat is None or not (self._sending or self._receiving):
            return None
        due = self._beat_at + CLIENT_HEARTBEAT
        if self._receiving and self._data_at > self._beat_at:
            due = min(due, self._data_at + max(QUIET, self._sender.round_trip.smoothed))
        return due


def make_congestion(name: str, now: float, round_trip: RoundTrip, random: Random) -> Congestion:
    """The congestion control of that name. Raises `ValueError` for a name that is none."""
    if name == Model.name:
        return Model(now, round_trip=round_trip, random=random)
    if name == Cubic.name:
        return Cubic(round_trip=round_trip)
    raise ValueError(f"no congestion control is named {name}: choose {Model.name} or {Cubic.name}")
