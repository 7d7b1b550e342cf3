"""Files over one session: the two roles, and who hears which control message.

data plane --control_received--> offers ------> Acceptor
                                 answers -----> Offerer
                                 questions ---> the server's, see `server_transfers`
                                 their answers -> the client's, see `client_transfers`
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.logger import Logger

from ..errors import LinkError, MalformedMessage
from ..wire.transfer_messages import (
    Answer,
    FromAcceptor,
    FromOfferer,
    Question,
    TransferMessage,
    encode_transfer_message,
    parse_transfer_message_untrusted,
)
from .acceptor import Acceptor, Destination
from .clock import Clock
from .offerer import Offerer
from .takers import Takers
from .transfer_plane import OpenPlane
from .turns import InThread

TICK: Final = 0.25  # seconds; how late a checkpoint may come
LAST_WORDS: Final = 3.0  # seconds; what was lost is sent again several times within that, over 600 ms too
MAX_UNREAD: Final = 2 * 1024 * 1024  # bytes of control messages; an end that lets so many wait reads none


class Transfers(ABC):
    """One end of one session. It listens to the data plane."""

    log = Logger()

    def __init__(
        self,
        open_plane: OpenPlane,
        destination: Destination,
        *,
        in_thread: InThread,
        reactor: Any,
        clock: Clock,
        first_channel: int,
        violated: Callable[[str], None],
        owner: str = "",
        takers: Takers | None = None,
    ) -> None:
        """`first_channel`: 1 at the client, 2 at the server. `violated` is told why the peer is not to be trusted."""
        self.in_thread = in_thread
        self.reactor = reactor
        self.clock = clock
        self.first_channel = first_channel
        self.unexpected = 0
        """Lossy messages that came, though nobody here waits for any."""
        self.stopped = False
        self._violated = violated
        self._timer: Any = None
        self._closed = False
        self._awaiting_close: list[Deferred[None]] = []
        self._last_words: set[Deferred[None]] = set()
        self.plane = open_plane(self)
        self.offerer = Offerer(self.plane, self.send, in_thread)
        self.acceptor = Acceptor(self.plane, self.send, in_thread, destination, owner=owner, takers=takers)

    def send(self, message: TransferMessage) -> int:
        """Say something, in so many bytes. Raises `NameRefused` for a name that is too long to be said."""
        data = encode_transfer_message(message)
        if self.stopped:
            return 0
        self.plane.send_control(data)
        if self.plane.control_backlog > MAX_UNREAD:
            self.violate("the other end reads no control messages")
        return len(data)

    def heard(self) -> Deferred[None]:
        """Fires when the other end has all that was said until now; at the latest in `LAST_WORDS`, or with the session.

        For what is not answered: a goodbye, which is no control message, must not overtake it.
        """
        if self.stopped:
            return succeed(None)
        heard = self.plane.control_arrived().addTimeout(LAST_WORDS, self.reactor)
        self._last_words.add(heard)
        return heard.addBoth(lambda _: self._last_words.discard(heard))

    def violate(self, why: str) -> None:
        """The peer does what no honest one would: the session ends."""
        if not self.stopped:
            self.log.warn("{why}", why=why)
            self.stop()
            self._violated(why)

    # --- DataPlaneListener -------------------------------------------------------------------------------------------

    def control_received(self, message: bytes) -> None:
        """One message about files."""
        if self.stopped:
            return
        try:
            self._route(parse_transfer_message_untrusted(message))
        except MalformedMessage as error:
            self.violate(f"the other end sent a message about files that makes no sense: {error}")
        except Exception:
            self.log.failure("a message about files could not be handled")
        self._arm()

    def message_received(self, channel: int, data: bytes) -> None:
        """A lossy message, which transfers do not use."""
        self.unexpected += 1

    def stream_received(self, channel: int) -> None:
        """All of a file's bytes are written."""
        self.acceptor.stream_received(channel)

    def stream_failed(self, channel: int, error: Exception) -> None:
        """A file could not be read, or written."""
        if channel % 2 == self.first_channel % 2:
            self.offerer.stream_failed(channel, error)
        else:
            self.acceptor.stream_failed(channel, error)

    def data_plane_failed(self, why: LinkError) -> None:
        """The session is about to be over."""
        self.stop()

    def data_plane_closed(self) -> None:
        """The session is over."""
        self.stop()

    # --- the rest ----------------------------------------------------------------------------------------------------

    def _route(self, message: TransferMessage) -> None:
        if isinstance(message, FromOfferer):
            if message.channel % 2 == self.first_channel % 2:
                raise MalformedMessage(f"channel {message.channel} is this end's")
            self.acceptor.offered_untrusted(message)
        elif isinstance(message, FromAcceptor):
            self.offerer.answered_untrusted(message)
        elif isinstance(message, Question):
            self.asked_untrusted(message)
        else:
            self.told_untrusted(message)

    @abstractmethod
    def asked_untrusted(self, message: Question) -> None:
        """The client asks. Raises `MalformedMessage` where that makes no sense."""

    @abstractmethod
    def told_untrusted(self, message: Answer) -> None:
        """The server answers. Raises `MalformedMessage` where that makes no sense."""

    def tick(self) -> None:
        """Do what is due. Called four times a second while there is a transfer."""
        self.acceptor.tick(self.clock.monotonic())
        self.offerer.pump()

    def _arm(self) -> None:
        if self._timer is None and not self.stopped:
            self._timer = self.reactor.callLater(TICK, self._ticked)

    def _ticked(self) -> None:
        self._timer = None
        if self.stopped:
            return
        self.tick()
        if self.acceptor.busy or self.offerer.busy:
            self._arm()

    def stop(self) -> Deferred[None]:
        """The session is over. Fires when every file of it is closed, and what can be kept is kept."""
        if not self.stopped:
            self.stopped = True
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            ends = [self.offerer.stop(), self.acceptor.stop()]
            DeferredList(ends).addCallback(lambda _: self._all_closed())
            for heard in list(self._last_words):
                heard.cancel()
        closed: Deferred[None] = Deferred()
        if self._closed:
            closed.callback(None)
        else:
            self._awaiting_close.append(closed)
        return closed

    def _all_closed(self) -> None:
        self._closed = True
        for closed in self._awaiting_close:
            closed.callback(None)
