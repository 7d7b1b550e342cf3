"""What the data plane asks of those who use it, and what it keeps of a stream that is open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

from twisted.internet.defer import Deferred

from ..errors import CreditExceeded, LinkError
from ..link.receiver import ReceiveChannel
from ..link.send_channel import SendChannel
from ..link.transfer_statistics import RateMeter
from ..wire.spans import SpanSet

INITIAL_CREDIT: Final = 2**20  # bytes of a channel that go before the peer has said anything: the first rounds' worth
EARLY: Final = 64 * 1024  # bytes that go before the peer has agreed; the first window has no more than 38,400
MAX_EARLY_PIECES: Final = 1024  # an honest end sends 64, and holes between its bytes take more memory than they do
NO_LIMIT: Final = 2**62  # bytes of all channels together: each has its window, and a channel is opened by both ends


class StreamSource(Protocol):
    """What a sending stream reads; called in the reactor's thread."""

    def read(self, offset: int, length: int) -> bytes:
        """The `length` bytes at `offset`; the same bytes again if asked again. What it raises ends the stream."""


class StreamSink(Protocol):
    """What a receiving stream writes to; called in the reactor's thread."""

    def write(self, offset: int, chunks: list[bytes | memoryview]) -> int:
        """Write the chunks, joined, at `offset`; how many bytes were new. What it raises ends the stream.

        Views are good until it returns.
        """


class DataPlaneListener(Protocol):
    """Who uses a data plane."""

    def control_received(self, message: bytes) -> None:
        """A whole control message; in order, none is missing."""

    def message_received(self, channel: int, data: bytes) -> None:
        """A message that might have been lost. Each comes at most once, and none after a newer one of its channel."""

    def stream_received(self, channel: int) -> None:
        """Every byte of a receiving stream is written. It is closed when this returns."""

    def stream_failed(self, channel: int, error: Exception) -> None:
        """The stream's source or sink raised `error`; the stream is closed."""

    def data_plane_failed(self, why: LinkError) -> None:
        """The peer broke the rules: the data plane is closed, and the session is about to be."""

    def data_plane_closed(self) -> None:
        """The session is over, or is about to be; every stream is closed."""


class SendingStream:
    """A stream that is being sent."""

    __slots__ = ("channel", "finished", "flags", "grows", "source")

    def __init__(
        self, channel: SendChannel, source: StreamSource, flags: int, finished: Deferred[None], *, grows: bool
    ) -> None:
        self.channel = channel
        self.source = source
        self.flags = flags
        self.finished = finished
        """Fires when everything is acknowledged."""
        self.grows = grows
        """Whether it was opened without a size: then the peer's reader may wait for as long as it likes."""


class EarlyData:
    """What has come of a stream before this end has opened it: its sink until then.

    The credit holds it to `EARLY`, and `MAX_EARLY_PIECES` what it takes besides: some 200 KB in all, once a session.
    """

    __slots__ = ("_data", "_have", "count")

    def __init__(self) -> None:
        self.count = 0
        """Bytes that have come."""
        self._data = bytearray()
        self._have = SpanSet()

    def write(self, offset: int, chunks: list[bytes | memoryview]) -> int:
        """See `StreamSink`. Raises `CreditExceeded` for too many pieces that do not touch."""
        if self._have.span_count >= MAX_EARLY_PIECES:
            raise CreditExceeded(f"{self.count} bytes came early in {MAX_EARLY_PIECES} pieces")
        data = b"".join(chunks)
        end = offset + len(data)
        self._data.extend(bytes(max(end - len(self._data), 0)))
        self._data[offset:end] = data
        self._have.add_span(offset, end - 1)
        self.count += len(data)
        return len(data)

    def forget(self, first: int, last: int) -> None:
        """The bytes `first` to `last` were there before."""
        self._have.remove_span(first, last)

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """What there is to write, each piece with its offset."""
        for first, last in self._have.get_spans():
            yield first, bytes(self._data[first : last + 1])


class ReceivingStream:
    """A stream that is being received."""

    __slots__ = ("channel", "early", "meter", "paced", "sink")

    def __init__(self, channel: ReceiveChannel, sink: StreamSink, now: float, *, paced: bool) -> None:
        self.channel = channel
        self.sink = sink
        self.early: EarlyData | None = None
        """What has come before it was opened and is not with the sink yet."""
        self.meter = RateMeter(now)
        self.paced = paced
        """Whether the sink's owner says by itself what has left memory."""


class ChannelNumbers:
    """Numbers of channels that were used, each of which is used only once in a session and direction."""

    __slots__ = ("_used",)

    def __init__(self) -> None:
        self._used = SpanSet()  # odd ones, then even ones, so that those of one end are neighbours: one span

    def take(self, number: int) -> None:
        """Use `number`. Raises `ValueError` if it is none, or was used."""
        if not 0 < number < 1 << 24:
            raise ValueError(f"channels have numbers from 1 to {(1 << 24) - 1}, not {number}")
        if not self._used.add(self._place(number)):
            raise ValueError(f"channel {number} was used already in this session")

    def retire(self, number: int) -> None:
        """Whether `number` was used or not, it is not used again."""
        self._used.add(self._place(number))

    def __contains__(self, number: int) -> bool:
        return self._place(number) in self._used

    @staticmethod
    def _place(number: int) -> int:
        return number >> 1 | (number & 1) << 23
