"""A stream of a session as a Twisted transport: bytes both ways, in order, with back pressure all the way.

write --> kept until acknowledged (a window, then the producer pauses) ==> put in order --> dataReceived
                                  credit <== a window beyond what dataReceived took <-- pauseProducing, resumeProducing

A reader that pauses takes no more bytes; when the window is full there is no credit for the writer, what it has written
stays with it, and its producer is paused. Either end keeps about 1 MiB a stream and direction, and up to 32 MiB more
for all of a session's together where the path takes more: see `stream_window`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IAddress, IConsumer, IHalfCloseableProtocol, IPushProducer, ITransport
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ..errors import CreditExceeded
from ..wire.session_messages import Kind
from ..wire.spans import SpanSet
from .clock import Clock
from .data_plane import DataPlane
from .stream_window import StreamWindow, WindowRoom
from .written_bytes import WrittenBytes

PIECE: Final = 64 * 1024  # bytes at most that a reader gets at a time, as of TCP


class StreamOwner(Protocol):
    """What a stream needs of its session."""

    plane: DataPlane
    reactor: Any
    clock: Clock
    write_room: WindowRoom
    """What the windows of this end's writers may grow by."""
    read_room: WindowRoom
    """What those of its readers may."""

    def say(self, kind: Kind, channel: int, size: int = 0) -> None:
        """Tell the other end."""

    def stream_over(self, channel: int) -> None:
        """The stream is closed at this end."""


@implementer(IAddress)
@dataclass(frozen=True, slots=True)
class StreamAddress:
    """A stream's: its channel in the session."""

    channel: int


class _InOrder:
    """Puts what comes in order. It is the stream's sink; memory is bounded by the window, however small the pieces."""

    def __init__(self, ready: Callable[[], None]) -> None:
        self.unread = bytearray()
        self.next = 0
        """The offset up to which everything has come."""
        self._early = bytearray()  # from `next` on, with holes
        self._have = SpanSet()
        self._ready = ready

    def write(self, offset: int, chunks: list[bytes | memoryview]) -> int:
        """See `StreamSink`."""
        data = b"".join(chunks)
        if offset == self.next and not self._early:
            self.unread += data
            self.next += len(data)
            self._ready()
            return len(data)
        at = offset - self.next
        if len(self._early) < at + len(data):
            self._early.extend(bytes(at + len(data) - len(self._early)))
        self._early[at : at + len(data)] = data
        self._have.add_span(offset, offset + len(data) - 1)
        if not at:
            count = self._have.gap_at(offset)[0] - offset
            self.unread += self._early[:count]
            del self._early[:count]
            self.next += count
            self._ready()
        return len(data)

    def clear(self) -> None:
        self.unread.clear()
        self._early.clear()


@implementer(ITransport, IConsumer, IPushProducer)
class StreamTransport:
    """One stream, at one end. `Session.open_stream` makes it, or the other end's."""

    log = Logger()

    def __init__(self, owner: StreamOwner, channel: int, protocol: Any) -> None:
        """Receives from now on. Raises `ValueError` for a channel that was used already, or one too many."""
        self.channel = channel
        self.protocol = protocol
        self.connected = True
        self.disconnecting = False
        """Whether it closes as soon as everything has been sent."""
        self._owner = owner
        self._written = WrittenBytes()
        self._in_order = _InOrder(self._deliver)
        self._producer: Any = None
        self._streaming = True
        self._producer_paused = False
        self._reading = True
        self._delivering = False
        self._accepted = False
        self._ending = False  # no more is to be written
        self._ended = False  # the other end was told so
        self._all_arrived = False  # all that was written has
        self._peer_end: int | None = None  # bytes in all that come
        self._read_all = False
        self._turn: Any = None
        now = owner.clock.monotonic()
        self._write_window = StreamWindow(owner.write_room, now)
        self._read_window = StreamWindow(owner.read_room, now)
        owner.plane.open_receiving(channel, self._in_order, None, window=self._read_window.size, paced=True)

    # --- writing: ITransport, IConsumer ------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send bytes. Who writes without being a producer has nobody to tell it to stop: see `registerProducer`."""
        if not self.connected or self._ended or self._all_arrived or not data:
            return
        self._written.append(data)
        if self._accepted:
            self._owner.plane.supply(self.channel, self._written.end)
        if self._full and self._streaming and self._producer is not None and not self._producer_paused:
            self._producer_paused = True
            self._producer.pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """See `ITransport`."""
        self.write(b"".join(data))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """`producer` writes from now on: it is paused while a window's worth waits. See `IConsumer`."""
        if self._producer is not None:
            raise RuntimeError(f"{self._producer} has not finished, and {producer} cannot begin")
        if not self.connected:
            producer.stopProducing()
            return
        self._producer, self._streaming, self._producer_paused = producer, streaming, False
        if not streaming:
            self._soon()

    def unregisterProducer(self) -> None:
        """See `IConsumer`."""
        self._producer = None
        self._end_when_written()

    def loseConnection(self) -> None:
        """Read nothing more; close when everything written has arrived, and the producer has finished."""
        if self.connected:
            self.disconnecting = True
            self._soon()
            self.loseWriteConnection()

    def loseWriteConnection(self) -> None:
        """Write nothing more, and go on reading. The other end is told when everything written before is on its way."""
        self._ending = True
        self._end_when_written()

    def abortConnection(self) -> None:
        """Close now; what was written and has not arrived is dropped."""
        self.lost(ConnectionAborted())

    def getPeer(self) -> StreamAddress:
        """See `ITransport`."""
        return StreamAddress(self.channel)

    def getHost(self) -> StreamAddress:
        """See `ITransport`."""
        return StreamAddress(self.channel)

    @property
    def _full(self) -> bool:
        return self._unacknowledged >= self._write_window.size

    @property
    def _half_empty(self) -> bool:
        return self._unacknowledged * 2 < self._write_window.size

    @property
    def _unacknowledged(self) -> int:
        return self._written.end - self._written.begin

    def _end_when_written(self) -> None:
        if self._ending and self._producer is None and self.connected and not self._ended:
            self._ended = True
            self._owner.say(Kind.END, self.channel, self._written.end)
            if self._accepted and self.connected:
                self._owner.plane.supply(self.channel, self._written.end, finished=True)

    def _trim(self, offset: int) -> None:
        """Everything before `offset` has arrived."""
        if offset == self._written.begin:
            return
        self._grown(self._write_window, offset - self._written.begin)
        self._written.forget_before(offset)
        if self._half_empty and (self._producer_paused or not self._streaming):
            self._soon()

    def _ask_for_more(self) -> None:
        if self._producer is None:
            return
        if self._producer_paused and self._half_empty:
            self._producer_paused = False
            self._producer.resumeProducing()
        before = -1
        while self._producer is not None and not self._streaming and not self._full and self._written.end != before:
            before = self._written.end
            self._producer.resumeProducing()

    # --- reading: IPushProducer --------------------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        """Hand on no more bytes. The other end's writer stops when the window is full."""
        self._reading = False

    def resumeProducing(self) -> None:
        """Go on."""
        if not self._reading and self.connected:
            self._reading = True
            self._soon()

    def stopProducing(self) -> None:
        """See `IPushProducer`."""
        self.loseConnection()

    def _deliver(self) -> None:
        unread = self._in_order.unread
        if self._delivering:
            return
        self._delivering = True
        try:
            while unread and self.connected and (self._reading or self.disconnecting):
                piece = bytes(unread[:PIECE])
                del unread[:PIECE]
                if not self.disconnecting:
                    self._call(self.protocol.dataReceived, piece)
                self._owner.plane.stream_consumed(self.channel, len(piece))
                if self._grown(self._read_window, len(piece)):
                    self._owner.plane.widen_receiving(self.channel, self._read_window.size)
        finally:
            self._delivering = False
        if not self._read_all and self._in_order.next == self._peer_end and not unread:
            self._soon()

    def _grown(self, window: StreamWindow, count: int) -> bool:
        """`count` bytes have left memory: whether the window is larger for it."""
        owner = self._owner
        return self.connected and window.moved(count, owner.plane.round_trip, owner.clock.monotonic())

    # --- what the session says ---------------------------------------------------------------------------------------

    def begin(self) -> None:
        """The other end takes what is sent."""
        if self._accepted:
            return
        self._accepted = True
        sent = self._owner.plane.open_sending(self.channel, self._written, None, trim=self._trim)
        sent.addCallbacks(self._sent, self._not_sent)
        self._owner.plane.supply(self.channel, self._written.end, finished=self._ended)

    def _sent(self, _: None) -> None:
        self._all_arrived = True
        self._soon()

    def _not_sent(self, failure: Failure) -> None:
        """Closed by `lost` or `peer_closed`; if not, under our feet: a peer that offers a file on the same channel."""
        if failure.check(CancelledError) and not self._all_arrived:  # type: ignore[no-untyped-call]
            self.lost(ConnectionLost("the stream was closed"), tell=False)

    def peer_ended(self, size: int) -> None:
        """The other end sends `size` bytes in all. Raises `CreditExceeded` if that cannot be."""
        if self._peer_end is not None:
            raise CreditExceeded(f"channel {self.channel} ends at {self._peer_end}, and at {size}")
        self._owner.plane.end_receiving(self.channel, size)
        self._peer_end = size
        self._soon()

    def peer_closed(self) -> None:
        """The other end reads nothing more, and all that it sends has arrived, or never will."""
        if self._peer_end is None or self._in_order.next != self._peer_end:
            self.lost(ConnectionLost("the other end closed the stream"), tell=False)
            return
        self._ended = self._all_arrived = True
        self._written.clear()
        self._owner.plane.close_stream(self.channel)
        self._stop_producer()
        self._soon()

    def lost(self, why: Exception, *, tell: bool = True) -> None:
        """Close now. `tell`: the other end does not know yet."""
        if not self.connected:
            return
        self.connected = False
        self._write_window.close()
        self._read_window.close()
        if self._turn is not None and self._turn.active():
            self._turn.cancel()
        self._owner.stream_over(self.channel)
        if tell:
            self._owner.say(Kind.CLOSE, self.channel)
        self._written.clear()
        self._in_order.clear()
        self._stop_producer()
        self._call(self.protocol.connectionLost, Failure(why))  # type: ignore[no-untyped-call]

    def _stop_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            self._call(producer.stopProducing)

    # --- one thing after the other -----------------------------------------------------------------------------------

    def _soon(self) -> None:
        """Look at what is to be done, when the caller is done."""
        if self.connected and (self._turn is None or not self._turn.active()):
            self._turn = self._owner.reactor.callLater(0, self._take_turn)

    def _take_turn(self) -> None:
        self._call(self._ask_for_more)
        self._deliver()
        if not self._read_all and self._in_order.next == self._peer_end and not self._in_order.unread:
            self._read_all = True
            if IHalfCloseableProtocol.providedBy(self.protocol):
                self._call(self.protocol.readConnectionLost)
            else:
                self.loseConnection()
        if self._all_arrived and (self._read_all or self.disconnecting):
            self.lost(ConnectionDone(), tell=not self._read_all)

    def _call(self, method: Callable[..., object], *arguments: object) -> None:
        """What a protocol or a producer raises closes its stream, as it closes a TCP connection."""
        try:
            method(*arguments)
        except Exception as error:
            self.log.failure("{method} failed", method=method)
            self.lost(error)
