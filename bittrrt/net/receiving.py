"""The receiving half of a data plane: streams with their sinks, control messages and lossy messages that come in.

run --> Receiver.data_received --> sink.write --> consumed --> acknowledgement, on the port that the run came by
    --> Incoming.put_untrusted --> control messages
    --> MessageOrder.is_newest --> a message

Early data: an end that offers a stream may send the first `EARLY` bytes of it, once a session, before the other end has
agreed. RFC 8446 and 9001 call 0-RTT what is sent before the handshake is done, with weaker keys, and may be replayed;
this is sent with the session's own keys, like all data, and comes once: what it is early for is this end's sink. It is
held, and acknowledged, until that is opened, which may be before or after the offer itself has come; or dropped when
the stream is closed without that. A number that was opened or closed once is never early again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..errors import CreditExceeded, Rejected
from ..link.link import Link
from ..link.receiver import ReceiveChannel, Receiver
from ..link.transfer_statistics import LimitedBy, ReceivedTotals, TransferStatistics
from ..wire.acknowledgement import pack_acknowledgement
from ..wire.datagram import ACKNOWLEDGEMENT_FLAGS, LINK_CHANNEL, Run
from ..wire.spans import SpanSet
from .control_stream import CONTROL_WINDOW, Incoming
from .handlers import PortHandler
from .lossy_messages import MessageOrder
from .streams import (
    EARLY,
    INITIAL_CREDIT,
    NO_LIMIT,
    ChannelNumbers,
    DataPlaneListener,
    EarlyData,
    ReceivingStream,
    StreamSink,
)

NEARLY: Final = 0.7  # of a window a round trip: credit is told in quarters, so that a whole one is never reached

Tell = Callable[..., None]
"""Calls a method of the listener with the arguments that follow it; what it raises goes no further."""


class Receiving:
    """Everything that one end of a session receives, but for acknowledgements."""

    def __init__(
        self, link: Link, ctrl: PortHandler, listener: DataPlaneListener, tell: Tell, now: float, *, is_server: bool
    ) -> None:
        self.streams: dict[int, ReceivingStream] = {}
        self.unexpected = 0
        self.messages_late = 0
        self.data_at = now
        """When data of a stream came last, seconds."""
        self._listener: Final = listener
        self._tell: Final = tell
        self._link = link
        self._acknowledge_by = ctrl
        self._receiver = Receiver(link.replay.received, window=NO_LIMIT)
        self._receiver.open_channel(LINK_CHANNEL, window=CONTROL_WINDOW)
        self._incoming = Incoming()
        self._numbers = ChannelNumbers()
        self._order = MessageOrder(link.replay)
        self._closed = False
        self._parity = 1 if is_server else 0  # of the numbers that the peer opens
        self._had_early = False

    def open(
        self, channel: int, sink: StreamSink, size: int | None, have: SpanSet | None, window: int, paced: bool
    ) -> bool:
        """See `DataPlane.open_receiving`. Whether `take_early` is to be called, in a turn of its own."""
        self._numbers.take(channel)
        window = max(window, INITIAL_CREDIT)
        stream = self.streams.get(channel)
        if stream is None:
            opened = self._receiver.open_channel(channel, size=size, window=window)
            stream = self.streams[channel] = ReceivingStream(opened, sink, self.data_at, paced=paced)
        else:
            self._receiver.agree(channel, size=size, window=window)
            stream.sink, stream.paced = sink, paced
        for first, last in have.get_spans() if have else ():
            self._receiver.already_has(channel, first, last)
            if stream.early is not None:
                stream.early.forget(first, last)
        return stream.channel.done or stream.early is not None

    def take_early(self, channel: int) -> None:
        """Write what came before the stream was opened; it may be everything.

        Raises `CreditExceeded` if it was more, and what a sink says of bytes that no honest peer sends.
        """
        stream = self.streams.get(channel)
        if stream is None:
            return
        highest, size = stream.channel.received.highest, stream.channel.size
        if size is not None and highest is not None and highest >= size:
            raise CreditExceeded(f"byte {highest} came early on channel {channel}, of {size}")
        early, stream.early = stream.early, None
        if early is not None:
            try:
                for offset, data in early.pieces():
                    stream.sink.write(offset, [data])
            except Rejected:
                raise
            except Exception as error:
                self._sink_failed(channel, error)
                return
            if not stream.paced:
                self._receiver.consumed(channel, early.count)
        self._end_if_done(channel, stream)

    def used(self, channel: int) -> bool:
        """Whether the channel was ever received on."""
        return channel in self._numbers

    def end(self, channel: int, size: int) -> None:
        """See `DataPlane.end_receiving`."""
        stream = self.streams.get(channel)
        if stream is None:
            return
        highest = stream.channel.received.highest
        if stream.channel.size is not None or (highest is not None and highest >= size):
            raise CreditExceeded(f"channel {channel} ends at {size}, with {highest} received")
        stream.channel.size = size
        self._end_if_done(channel, stream)

    def close(self, channel: int) -> None:
        """Write nothing more of it, or nothing at all, of one that was never opened."""
        self._numbers.retire(channel)
        if self.streams.pop(channel, None) is not None:
            self._receiver.close_channel(channel)

    def close_all(self) -> None:
        """Take nothing any more."""
        self._closed = True
        for channel in list(self.streams):
            self.close(channel)

    def consumed(self, channel: int, count: int) -> None:
        """See `DataPlane.stream_consumed`."""
        if channel in self.streams:
            self._receiver.consumed(channel, count)

    def widen(self, channel: int, window: int) -> None:
        """See `DataPlane.widen_receiving`."""
        if channel in self.streams:
            self._receiver.widen(channel, window)

    def received_all(self, channel: int) -> None:
        """Everything of the stream is there: say so, and close it."""
        if channel in self.streams:
            self._tell(self._listener.stream_received, channel)
            self.close(channel)

    # --- what comes --------------------------------------------------------------------------------------------------

    def take_control(self, handler: PortHandler, run: Run, now: float) -> None:
        """Bytes of channel 0. Raises `CreditExceeded` or `MalformedMessage`."""
        self._acknowledge_by = handler
        before = self._incoming.taken
        for first, last in self._receiver.data_received(LINK_CHANNEL, run.offset, run.length, now):
            data = run.payload[first - run.offset : last + 1 - run.offset]
            for message in self._incoming.put_untrusted(first, data):
                if self._closed:
                    return
                self._tell(self._listener.control_received, message)
        self._receiver.consumed(LINK_CHANNEL, self._incoming.taken - before)

    def take_probe(self, handler: PortHandler, now: float) -> None:
        """A datagram that tries whether its size gets here."""
        self._acknowledge_by = handler
        self._receiver.datagram_received(0, now, at_once=True)

    def take_message(self, handler: PortHandler, run: Run, now: float) -> None:
        """A message that might have been lost."""
        self._acknowledge_by = handler
        self._receiver.datagram_received(run.length, now)
        if self._order.is_newest(run.channel, run.sequence):
            self._tell(self._listener.message_received, run.channel, run.payload)
        else:
            self.messages_late += 1

    def take_data(self, handler: PortHandler, run: Run, now: float) -> None:
        """Bytes of a stream. Raises `CreditExceeded`, or what a sink says of bytes that no honest peer sends."""
        self._acknowledge_by = handler
        channel, offset, payloads = run.channel, run.offset, run.payloads
        stream = self.streams.get(channel)
        if stream is None:
            if channel in self._numbers:
                self._take_late(handler, run, now)
                return
            stream = self._begin_early(channel)
        self.data_at = now
        length = run.length
        try:
            for first, last in self._receiver.data_received(channel, offset, length, now):
                count, chunks = last - first + 1, payloads
                if count != length:
                    chunks = [run.payload[first - offset : last + 1 - offset]]
                stream.sink.write(first, chunks)
                stream.meter.add(count, now)
                if not stream.paced:
                    self._receiver.consumed(channel, count)
        except Rejected:
            raise
        except Exception as error:
            self._sink_failed(channel, error)
            return
        if stream.channel.received.span_count == 1:
            self._end_if_done(channel, stream)

    def _sink_failed(self, channel: int, error: Exception) -> None:
        self.close(channel)
        self._tell(self._listener.stream_failed, channel, error)

    def _end_if_done(self, channel: int, stream: ReceivingStream) -> None:
        if stream.channel.done and stream.early is None:
            self.received_all(channel)

    def _begin_early(self, channel: int) -> ReceivingStream:
        """Hold what the peer sends before this end has agreed. Raises `CreditExceeded` where it may not do so."""
        if channel % 2 != self._parity or self._had_early:
            raise CreditExceeded(f"data on channel {channel}, which is not open")
        try:
            opened = self._receiver.open_channel(channel, window=EARLY)
        except ValueError as error:
            raise CreditExceeded(str(error)) from None
        self._had_early = True
        early = EarlyData()
        stream = self.streams[channel] = ReceivingStream(opened, early, self.data_at, paced=True)
        stream.early = early
        return stream

    def _take_late(self, handler: PortHandler, run: Run, now: float) -> None:
        """Data of a stream that is closed is acknowledged, so that it is not sent again."""
        handler.counters.unexpected += run.datagrams
        self.unexpected += run.datagrams
        self._receiver.datagram_received(run.length, now)

    # --- what is said of it ------------------------------------------------------------------------------------------

    def next_timeout(self) -> float | None:
        """When an acknowledgement is due."""
        return self._receiver.next_timeout()

    def acknowledge(self, now: float) -> None:
        """Send an acknowledgement if it is due."""
        acknowledgement = self._receiver.acknowledgement(now)
        if acknowledgement is not None:
            self._acknowledge_by.send(pack_acknowledgement(acknowledgement), ACKNOWLEDGEMENT_FLAGS)

    @property
    def totals(self) -> ReceivedTotals:
        """What was received in all."""
        return ReceivedTotals(self._receiver.received, self._receiver.duplicates, self.messages_late)

    def statistics(self, channel: int, path: TransferStatistics, now: float) -> TransferStatistics:
        """What a stream does right now, on a path that `path` tells of. Raises `KeyError` if it is not open."""
        stream = self.streams[channel]
        rate = stream.meter.read(now)
        return TransferStatistics(
            rate=rate,
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
            limited_by=_limit_of(stream.channel, rate * path.round_trip),
        )


def _limit_of(channel: ReceiveChannel, in_round_trip: float) -> LimitedBy:
    """What holds a stream's sender back, as far as this end can tell: its own reader, or the window that it gave.

    `in_round_trip`: bytes that arrive in one.
    """
    if channel.unread * 2 >= channel.window:
        return "own disk"
    if in_round_trip > NEARLY * channel.window:
        return "window"
    return "path or sender"
