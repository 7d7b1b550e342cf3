"""Two data planes in memory, and two ends of files on them, on a fake clock: what is sent arrives after a delay."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.errors import FileError
from bittrrt.files.root import Root
from bittrrt.files.share import Shares
from bittrrt.link.pacer import Pacer
from bittrrt.link.transfer_statistics import TransferStatistics
from bittrrt.net.client_transfers import ClientTransfers, Wanted
from bittrrt.net.clock import Clock as MonotonicClock
from bittrrt.net.server_transfers import FileService, ServerTransfers
from bittrrt.net.streams import EARLY, DataPlaneListener, StreamSink, StreamSource
from bittrrt.net.takers import Takers
from bittrrt.net.tally import FileProgress, Tally
from bittrrt.net.transfer_jobs import Get, Put, TransferJob
from bittrrt.wire.spans import SpanSet
from bittrrt.wire.transfer_messages import TransferMessage, parse_transfer_message_untrusted

CHUNK = 60_000  # bytes that arrive together
STEP = 0.01  # seconds
MAX_STEPS = 20_000


class FakeStream:
    """A stream that is being sent."""

    def __init__(self, source: StreamSource, size: int, skip: SpanSet) -> None:
        self.source = source
        self.size = size
        self.skip = skip
        self.end = size
        """How far it may go now."""
        self.at = 0
        self.acknowledged = 0
        self.finished: Deferred[None] = Deferred()


class FakePlane:
    """One end. `listener` and `peer` are set when both exist."""

    def __init__(self, clock: Clock, delay: float, first_channel: int) -> None:
        self.clock = clock
        self.delay = delay
        self.listener: DataPlaneListener
        self.peer: FakePlane
        self.control_backlog = 0
        self.closed = False
        self.control_sent = 0
        self.bytes_sent = 0
        self.sending: dict[int, FakeStream] = {}
        self.receiving: dict[int, tuple[StreamSink, int, SpanSet]] = {}
        self.early: dict[int, list[tuple[int, bytes]]] = {}
        self._used: set[int] = set()
        self._next_channel = first_channel

    def open(self, listener: DataPlaneListener) -> FakePlane:
        self.listener = listener
        return self

    def new_channel(self) -> int:
        self._next_channel += 2
        return self._next_channel - 2

    def choose_sending(self, congestion: str, mtu: int | None) -> None:
        self.chosen = congestion, mtu

    def send_control(self, message: bytes) -> None:
        if self.closed:
            raise ValueError("the data plane is closed")
        assert len(message) <= 8192
        self.control_sent += 1
        self.control_backlog += len(message)
        self.clock.callLater(self.delay, self._control_arrived, message)

    def control_arrived(self) -> Deferred[None]:
        arrived: Deferred[None] = Deferred()
        self.clock.callLater(2 * self.delay, arrived.callback, None)
        return arrived

    def _control_arrived(self, message: bytes) -> None:
        self.control_backlog -= len(message)
        if not self.closed and not self.peer.closed:
            self.peer.listener.control_received(message)

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
        stream = self.sending[channel] = FakeStream(source, size, skip or SpanSet())
        if early:
            stream.end = min(size, EARLY)
        self.clock.callLater(0, self._send, channel)
        return stream.finished

    def send_rest(self, channel: int, size: int, *, skip: SpanSet) -> None:
        stream = self.sending[channel]
        stream.end, stream.skip = size, skip
        self.clock.callLater(0, self._send, channel)

    def _send(self, channel: int) -> None:
        stream = self.sending.get(channel)
        if stream is None or self.closed:
            return
        first, last = stream.skip.gap_at(stream.at)
        if first >= stream.end:
            if stream.end == stream.size:
                self.clock.callLater(self.delay, self._all_arrived, channel)
            return
        length = min(CHUNK, last + 1 - first, stream.end - first)
        try:
            data = stream.source.read(first, length)
        except FileError as error:
            self._source_failed(channel, error)
            return
        stream.at = first + length
        self.bytes_sent += length
        self.clock.callLater(self.delay, self.peer.arrived, channel, first, data)
        self.clock.callLater(0.001, self._send, channel)

    def _source_failed(self, channel: int, error: Exception) -> None:
        stream = self.sending.pop(channel)
        stream.finished.errback(error)
        self.listener.stream_failed(channel, error)

    def _all_arrived(self, channel: int) -> None:
        stream = self.sending.get(channel)
        if stream is not None and not stream.finished.called:
            stream.finished.callback(None)
            self.sending.pop(channel, None)

    def arrived(self, channel: int, offset: int, data: bytes) -> None:
        if channel not in self._used and not self.closed:
            self.early.setdefault(channel, []).append((offset, data))
        if channel not in self.receiving or self.closed:
            return
        sink, size, received = self.receiving[channel]
        sender = self.peer.sending.get(channel)
        if sender is not None:
            sender.acknowledged += len(data)
        try:
            sink.write(offset, [data[:1000], data[1000:]])
        except FileError as error:
            del self.receiving[channel]
            self.listener.stream_failed(channel, error)
            return
        received.add_span(offset, offset + len(data) - 1)
        if received.count() == size:
            self.listener.stream_received(channel)
            self.receiving.pop(channel, None)

    def open_receiving(self, channel: int, sink: StreamSink, size: int, *, have: SpanSet | None = None) -> None:
        assert size
        self._used.add(channel)
        self.receiving[channel] = sink, size, SpanSet(have.get_spans() if have else ())
        for offset, data in self.early.pop(channel, []):
            self.clock.callLater(0, self.arrived, channel, offset, data)

    def close_stream(self, channel: int) -> None:
        self._used.add(channel)
        self.early.pop(channel, None)
        self.receiving.pop(channel, None)
        stream = self.sending.pop(channel, None)
        if stream is not None and not stream.finished.called:
            stream.finished.errback(CancelledError())

    def statistics(self, channel: int) -> TransferStatistics:
        stream = self.sending[channel]
        return TransferStatistics(
            0.0, stream.acknowledged, stream.at, 0, 0, 0, 0, 0.0, self.delay, self.delay, 1452, "path"
        )  # fmt: skip

    def close(self) -> None:
        self.closed = True
        for channel in [*self.sending, *self.receiving]:
            self.close_stream(channel)
        self.listener.data_plane_closed()


def heard_from(plane: FakePlane) -> list[TransferMessage]:
    """What an end says from now on."""
    heard: list[TransferMessage] = []
    send = plane.send_control

    def sending(message: bytes) -> None:
        heard.append(parse_transfer_message_untrusted(message))
        send(message)

    plane.send_control = sending  # type: ignore[method-assign]
    return heard


class Session:
    """A client's and a server's end of the same session."""

    def __init__(self, case: TransferTestCase, owner: str, options: dict[str, str]) -> None:
        clock = case.clock
        self.violations: list[str] = []
        self.client_plane, self.server_plane = FakePlane(clock, case.delay, 1), FakePlane(clock, case.delay, 2)
        self.client_plane.peer, self.server_plane.peer = self.server_plane, self.client_plane
        self.client = ClientTransfers(
            self.client_plane.open,
            in_thread=case.in_thread,
            reactor=clock,
            clock=case.time,
            violated=self.violations.append,
        )
        self.server = ServerTransfers(
            self.server_plane.open, case.service, case.shares.of(options), owner=owner, violated=self.violations.append
        )

    def lose(self) -> None:
        """Both ends notice that the session is over."""
        self.client_plane.close()
        self.server_plane.close()


class TransferTestCase(SynchronousTestCase):
    """A server's root, a client's folder, and sessions between them."""

    delay = 0.05  # seconds, each way
    shared = True

    def setUp(self) -> None:
        self.clock = Clock()
        self.time = MonotonicClock(lambda: float(self.clock.seconds()), lambda: 1_700_000_000_000)
        base = Path(self.enterContext(TemporaryDirectory()))  # `mktemp` would leave it in the checkout under pytest
        self.there, self.here = base / "there", base / "here"
        self.there.mkdir(parents=True)
        self.here.mkdir()
        self.shares = Shares(self.there if self.shared else None)
        self.service = FileService(self.shares, Takers(), self.in_thread, self.clock, self.time)
        self.problems: list[str] = []
        self.events: list[tuple[str, str]] = []
        self.sessions: list[Session] = []
        self.roots: list[Root] = []
        self.descriptors = open_descriptors()

    def tearDown(self) -> None:
        """No test leaves a file open."""
        for session in self.sessions:
            session.lose()
        self.clock.pump([STEP] * 100)
        for root in self.roots:
            root.close()
        self.assertEqual(open_descriptors(), self.descriptors)

    def in_thread(self, work: Callable[[], Any]) -> Deferred[Any]:
        """What takes a thread a while, without a thread."""
        done: Deferred[Any] = Deferred()

        def call() -> None:
            try:
                done.callback(work())
            except Exception as error:
                done.errback(error)

        self.clock.callLater(0.001, call)
        return done

    def connect(self, owner: str = "SHA256:client", **options: str) -> Session:
        session = Session(self, owner, options)
        self.sessions.append(session)
        return session

    def tally(self) -> Tally:
        def happened(what: str, progress: FileProgress) -> None:
            self.events.append((what, progress.name))

        return Tally(on_problem=lambda error: self.problems.append(str(error)), on_file=happened)

    def put(self, *names: str, to: str = "", recursive: bool = True, overwrite: bool = False, checksum: bool = False,
            limit: float | None = None) -> Put:  # fmt: skip
        paths = [self.here / name for name in names]
        return Put(paths, to, self.in_thread, self.tally(), recursive=recursive, overwrite=overwrite,
                   checksum=checksum, limit=limit)  # fmt: skip

    def get(self, *paths: str, name: str = "", recursive: bool = True, overwrite: bool = False,
            checksum: bool = False) -> Get:  # fmt: skip
        root = Root(self.here)
        self.roots.append(root)
        return Get([Wanted(path, root, name, recursive, overwrite, checksum) for path in paths], self.tally())

    def finish(self, job: TransferJob, session: Session | None = None) -> Tally:
        """Run it to its end, in a session of its own unless told otherwise."""
        if session is None:
            session = self.connect()
        job.begin(session.client)
        self.wait_for(lambda: job.finished.called)
        self.successResultOf(job.finished)
        return job.tally

    def wait_for(self, happened: Callable[[], bool]) -> None:
        for _ in range(MAX_STEPS):
            if happened():
                return
            self.clock.advance(STEP)
        self.fail(f"it did not happen; problems: {self.problems}")

    def lose(self, session: Session, job: TransferJob) -> None:
        """As the link's keeper does: both ends end, and what was on its way goes back."""
        closed = session.client.stop()
        session.lose()
        job.session_lost()
        self.wait_for(lambda: closed.called)


def open_descriptors() -> int:
    """How many files this process has open; walks that nobody finishes are closed first."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))
