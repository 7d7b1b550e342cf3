"""A session with a data plane at both ends, on the simulated network, and what sends and receives there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from bittrrt.errors import LinkError
from bittrrt.link.pacer import Pacer
from bittrrt.net.client import Client
from bittrrt.net.data_plane import DataPlane

from .simulated_link import SimulatedLinkTestCase


class RecordingDataListener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.controls: list[bytes] = []
        self.messages: list[tuple[int, bytes]] = []
        self.received: list[int] = []
        self.failed: list[tuple[int, Exception]] = []
        self.ends: list[LinkError] = []
        self.closed = False
        self.on_control: Callable[[bytes], object] = lambda message: None

    def control_received(self, message: bytes) -> None:
        self.controls.append(message)
        self.on_control(message)

    def message_received(self, channel: int, data: bytes) -> None:
        self.messages.append((channel, data))

    def stream_received(self, channel: int) -> None:
        self.received.append(channel)

    def stream_failed(self, channel: int, error: Exception) -> None:
        self.failed.append((channel, error))

    def data_plane_failed(self, why: LinkError) -> None:
        self.ends.append(why)

    def data_plane_closed(self) -> None:
        self.closed = True


class MemorySource:
    """Bytes that are sent."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.fails_at: int | None = None

    def read(self, offset: int, length: int) -> bytes:
        if self.fails_at is not None and offset + length > self.fails_at:
            raise OSError("no such sector")
        return self.data[offset : offset + length]


class MemorySink:
    """Keeps what is written, and how often each byte was."""

    def __init__(self, size: int) -> None:
        self.data = bytearray(size)
        self.times = bytearray(size)
        self.written = 0
        self.fails_after: int | None = None

    def write(self, offset: int, chunks: list[bytes | memoryview]) -> int:
        if self.fails_after is not None and self.written >= self.fails_after:
            raise OSError("no space left")
        joined = b"".join(chunks)
        self.data[offset : offset + len(joined)] = joined
        for at in range(offset, offset + len(joined)):
            self.times[at] += 1
        self.written += len(joined)
        return len(joined)


class SimulatedDataTestCase(SimulatedLinkTestCase):
    """A client that has opened a session, and data planes at both ends."""

    mtu: int | None = 1452

    def set_up_network(self, seed: int) -> None:
        super().set_up_network(seed)
        self.network.gathering = 0.0005
        self.there = RecordingDataListener()
        self.here = RecordingDataListener()
        self.server.accept_data = self._accept
        self.connection = self.open()
        self.network.run_for(0.1)
        self.client_plane = self.connection.open_data_plane(self.here, mtu=self.mtu)
        self.client_plane.send_control(b"hello")
        self.network.run_until(lambda: self.there.controls, 30)
        del self.there.controls[:]

    def _accept(self, client: Client) -> RecordingDataListener:
        return self.there

    @property
    def server_plane(self) -> DataPlane:
        plane = self.session.conn.data_plane
        assert plane is not None
        return plane

    def send(
        self, data: bytes, channel: int | None = None, *, down: bool = False, **options: Any
    ) -> tuple[int, MemorySink, list[object]]:
        """Send a stream from one end to the other: its channel, its sink, and a list that gets its outcome."""
        sender, receiver = self.client_plane, self.server_plane
        if down:
            sender, receiver = receiver, sender
        number = sender.new_channel() if channel is None else channel
        if "limit" in options:
            clock = self.server.clock if down else self.client_clock
            options["limit"] = Pacer(options["limit"], clock.monotonic())
        sink = MemorySink(len(data))
        receiver.open_receiving(number, sink, len(data))
        return number, sink, outcome_of(sender.open_sending(number, MemorySource(data), len(data), **options))

    def assert_whole(self, data: bytes, sink: MemorySink) -> None:
        """Every byte is there, and was written once."""
        self.assertEqual(bytes(sink.data), data)
        self.assertEqual(sink.times.count(1), len(data))


def outcome_of(finished: Deferred[None]) -> list[object]:
    """A list that gets None when it fires, or its error."""
    outcomes: list[object] = []

    def failed(failure: Failure) -> None:
        outcomes.append(failure.value)

    finished.addCallbacks(outcomes.append, failed)
    return outcomes
