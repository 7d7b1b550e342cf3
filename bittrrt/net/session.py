"""A session for programs: messages and streams between two ends, whoever opened it, and files for the client.

    client                                             server
    session = await open_session(opener, Mine())       serve_sessions(server, lambda client: Yours())
    session.send_message(7, b"...", urgent=True) ----> Yours.message_received(7, b"...")
    session.open_stream(session.new_channel(), Here()) ----> Yours.stream_opened(1) gives There()
    await session.put([Path("photos")], "archive/") -------> the server's files, with the rights of this client

Both ends have a `Session`, and tell a `SessionProtocol` what comes. All calls are from the reactor's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IProtocol
from twisted.logger import Logger

from ..errors import (
    ControlOverflow,
    LinkClosed,
    LinkError,
    MalformedMessage,
    NotBittrRt,
    PeerMisbehaved,
    PermissionRefused,
    Rejected,
)
from ..wire.session_messages import (
    VERSION,
    Kind,
    SessionMessage,
    Topic,
    pack_session_message,
    parse_session_message_untrusted,
)
from .client_transfers import ClientTransfers
from .data_plane_owner import DataPlaneOwner
from .put_get import Progress, get_job
from .session_files import SessionFiles
from .stream_transport import StreamTransport
from .stream_window import WindowRoom
from .switchboard import OpenDataPlane
from .tally import Tally
from .transfer_jobs import Put

MAX_STREAMS: Final = 64  # that the other end may have open: at 1 MiB a direction each, and 32 MiB more, 192 MiB
MAX_BACKLOG: Final = 2**20  # bytes of reliable messages that are not acknowledged; half of what ends files' sessions


class SessionProtocol:
    """What a program does with a session: override what it needs."""

    session: Session

    def session_opened(self) -> None:
        """The other end is there, and hears messages."""

    def message_received(self, channel: int, data: bytes) -> None:
        """A message. Lossy ones come at most once, and never after a newer one of their channel."""

    def stream_opened(self, channel: int) -> Any:
        """The other end opens a stream: return the Twisted protocol for it, or None to refuse it."""

    def session_closed(self, why: LinkError) -> None:
        """The session is over, and every stream of it is closed."""


class Session:
    """One end of a session."""

    log = Logger()

    def __init__(
        self,
        owner: DataPlaneOwner,
        protocol: SessionProtocol,
        close: Callable[[], Deferred[Any]],
        open_plane: OpenDataPlane,
        files: SessionFiles | None = None,
    ) -> None:
        """`close` ends the session that `owner` is the connection of; `files`: what a client puts and gets by.

        Made by `open_session` and `serve_sessions`.
        """
        self.protocol = protocol
        self.reactor = owner.reactor
        self.clock = owner.clock
        self.write_room, self.read_room = WindowRoom(), WindowRoom()
        self.opened: Deferred[Session] = Deferred()
        """Fires when the other end has answered; fails with a `LinkError` if it does not."""
        self.closed: Deferred[None] = Deferred()
        """Fires when the session is over."""
        self.why: LinkError = LinkClosed("the session is closed")
        """Why it is over."""
        self.streams: dict[int, StreamTransport] = {}
        self._owner = owner
        self._close = close
        self._over = False
        self._introduced = False
        protocol.session = self
        self._files = files
        self.plane = open_plane(self)
        self.say(Kind.HELLO, VERSION)

    # --- what a program calls ----------------------------------------------------------------------------------------

    @property
    def max_message(self) -> int:
        """Bytes that a lossy message may have now; a reliable one may have 8188."""
        return self.plane.max_message

    def send_message(self, channel: int, data: bytes, *, urgent: bool = False, reliable: bool = False) -> bool:
        """Send a message; False if it was dropped here, as the path is full: a lossy one is sent at once or not at all.

        `urgent` lossy messages may go a little further beyond what the path takes. A `reliable` one arrives, in order
        with all other reliable ones, or the session ends: they are for control, and streams are for bulk. Raises
        `ValueError` for a message too long or a channel that is none, or when the session is closed; and
        `ControlOverflow` when 1 MiB of reliable messages have not arrived yet.
        """
        if not reliable:
            return self.plane.send_message(channel, data, urgent=urgent)
        if self.plane.control_backlog > MAX_BACKLOG:
            raise ControlOverflow("1 MiB of reliable messages have not arrived yet; try again later")
        self.plane.send_control(pack_session_message(SessionMessage(Kind.MESSAGE, channel, data)))
        return True

    def new_channel(self) -> int:
        """A number for a stream that this end opens."""
        return self.plane.new_channel()

    def open_stream(self, channel: int, protocol: IProtocol) -> StreamTransport:
        """Open a stream on a channel of this end's (see `new_channel`), and connect `protocol` to it, at once.

        What is written goes when the other end has accepted it; `protocol.connectionLost` if it does not. Raises
        `ValueError` for a channel that was used already or is the other end's, or if too many are open.
        """
        if channel % 2 == self._owner.is_server:
            raise ValueError(f"channel {channel} is the other end's: this end's are {'even' if channel % 2 else 'odd'}")
        if self.plane.used(channel):
            raise ValueError(f"channel {channel} was used already in this session")
        stream = StreamTransport(self, channel, protocol)
        self.streams[channel] = stream
        self.say(Kind.OPEN, channel)
        protocol.makeConnection(stream)
        return stream

    async def put(
        self,
        paths: Sequence[Path],
        target: str = "",
        *,
        recursive: bool = False,
        overwrite: bool = False,
        checksum: bool = False,
        limit: float | None = None,
        progress: Progress | None = None,
        tally: Tally | None = None,
    ) -> Tally:
        """Send files to the server, while messages and streams go on. See `put_get.put` for what it takes.

        When the session is lost it fails with the `LinkError` that says why; what has arrived is kept. To stop it,
        cancel its Deferred. Raises `ValueError` at the server's end.
        """

        def make_job(files: ClientTransfers) -> Put:
            return Put(
                paths, target, files.in_thread, tally or Tally(),
                recursive=recursive, overwrite=overwrite, checksum=checksum, limit=limit,
            )  # fmt: skip

        return await self._client_files().run(make_job, progress)

    async def get(
        self,
        sources: Sequence[str],
        folder: Path,
        *,
        recursive: bool = False,
        overwrite: bool = False,
        checksum: bool = False,
        limit: float | None = None,
        progress: Progress | None = None,
        tally: Tally | None = None,
    ) -> Tally:
        """Get files of the server into a folder that is there. The rest is as with `put`."""
        job = get_job(sources, folder, tally, recursive=recursive, overwrite=overwrite, checksum=checksum, limit=limit)
        return await self._client_files().run(lambda _: job, progress)

    def _client_files(self) -> SessionFiles:
        if self._files is None:
            raise ValueError("only the client puts and gets files: the server has them already")
        return self._files

    async def close(self) -> None:
        """Say goodbye and end the session, with all its streams."""
        await self._close()
        await self.closed

    # --- for its streams ---------------------------------------------------------------------------------------------

    def say(self, kind: Kind, channel: int, size: int = 0) -> None:
        """See `StreamOwner`."""
        if self._over:
            return
        try:
            self.plane.send_control(pack_session_message(SessionMessage(kind, channel, size=size)))
        except ControlOverflow as error:
            self._misbehaved(error)

    def stream_over(self, channel: int) -> None:
        """See `StreamOwner`."""
        self.streams.pop(channel, None)
        self.plane.close_stream(channel)

    # --- what the other end says -------------------------------------------------------------------------------------

    def control_received(self, message: bytes) -> None:
        """See `DataPlaneListener`."""
        try:
            self._take(parse_session_message_untrusted(message))
        except Rejected as error:
            self._misbehaved(error)

    def _misbehaved(self, error: Exception) -> None:
        self.why = PeerMisbehaved(f"the other end broke the rules of a session: {error}")
        self._owner.peer_misbehaved(self.why)

    def _take(self, message: SessionMessage) -> None:
        kind, channel, data, size = message
        stream = self.streams.get(channel)
        if kind is Kind.HELLO:
            self._take_hello(channel)
        elif kind is Kind.REFUSE:
            self._take_refusal(channel)
        elif not self._introduced:
            raise MalformedMessage(f"{kind.name} before HELLO")
        elif kind is Kind.MESSAGE:
            self.protocol.message_received(channel, data)
        elif kind is Kind.OPEN:
            self._take_open(channel)
        elif stream is None:
            return  # it was closed here before the other end knew
        elif kind is Kind.ACCEPT:
            stream.begin()
        elif kind is Kind.END:
            stream.peer_ended(size)
        elif kind is Kind.CLOSE:
            stream.peer_closed()

    def _take_refusal(self, topic: int) -> None:
        """The other end has no use for messages on a topic."""
        if topic == Topic.FILES and self._files is not None:
            self._files.fail(PermissionRefused("the server serves no files"))
        elif topic == Topic.PROGRAM and not self._introduced:
            self.why = NotBittrRt("the server serves no sessions of programs, only files")
            self._close()

    def _take_hello(self, version: int) -> None:
        if version != VERSION:
            raise MalformedMessage(f"its version is {version}, and this one's is {VERSION}")
        if not self._introduced:
            self._introduced = True
            self.opened.callback(self)
            self.protocol.session_opened()

    def _take_open(self, channel: int) -> None:
        own = channel % 2 != self._owner.is_server
        theirs = sum(number % 2 == channel % 2 for number in self.streams)
        protocol = None
        try:
            if not own and theirs < MAX_STREAMS:
                protocol = self.protocol.stream_opened(channel)
        except Exception:
            self.log.failure("stream_opened failed")
        if protocol is None:
            self.say(Kind.CLOSE, channel)
            return
        try:
            stream = StreamTransport(self, channel, protocol)
        except ValueError:  # the channel was used before
            self.say(Kind.CLOSE, channel)
            return
        self.streams[channel] = stream
        self.say(Kind.ACCEPT, channel)
        protocol.makeConnection(stream)
        if stream.connected:
            stream.begin()

    def message_received(self, channel: int, data: bytes) -> None:
        """See `DataPlaneListener`."""
        self.protocol.message_received(channel, data)

    def stream_received(self, channel: int) -> None:
        """See `DataPlaneListener`: the stream itself knows."""

    def stream_failed(self, channel: int, error: Exception) -> None:
        """See `DataPlaneListener`."""
        if channel in self.streams:
            self.streams[channel].lost(error)

    def data_plane_failed(self, why: LinkError) -> None:
        """See `DataPlaneListener`."""
        self.why = why

    def data_plane_closed(self) -> None:
        """See `DataPlaneListener`."""
        self._over = True
        for stream in list(self.streams.values()):
            stream.lost(ConnectionLost("the session is over"))
        self.reactor.callLater(0, self._ended)  # until then it becomes known why

    def _ended(self) -> None:
        if self._files is not None:
            self._files.fail(self.why)
        if not self._introduced:
            self.opened.errback(self.why)
        else:
            try:
                self.protocol.session_closed(self.why)
            except Exception:
                self.log.failure("session_closed failed")
        self.closed.callback(None)
