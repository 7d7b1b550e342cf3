"""Control messages: netstrings on the reliable, ordered stream of channel 0.

    send_control(b"{...}")  ->  5:{...},  ->  bytes of the stream, kept until acknowledged   Outgoing
    control_received        <-  5:{...},  <-  bytes in any order, put in order               Incoming

What is kept is bounded at both ends: by `MAX_BACKLOG` here, and by the credit that the peer is given there.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from twisted.internet.defer import Deferred

from ..errors import ControlOverflow, MalformedMessage
from ..link.send_channel import SendChannel
from ..wire.messages import MAX_MESSAGE
from .written_bytes import WrittenBytes

CONTROL_WINDOW: Final = 256 * 1024  # bytes that the peer may have sent ahead of what was handed on
MAX_BACKLOG: Final = 4 * 1024 * 1024  # bytes
_MAX_DIGITS: Final = len(str(MAX_MESSAGE))


class Outgoing(WrittenBytes):
    """The messages that the peer has not acknowledged yet."""

    def __init__(self, channel: SendChannel) -> None:
        super().__init__()
        self.channel = channel
        """What it is sent on."""
        self._awaited: deque[tuple[int, Deferred[None]]] = deque()  # each with the offset that it waits for

    @property
    def backlog(self) -> int:
        """Bytes that are not acknowledged."""
        return self.end - self.begin

    def put(self, message: bytes) -> None:
        """One more message. Raises `ValueError` for one that is too long, `ControlOverflow` for one too many."""
        if len(message) > MAX_MESSAGE:
            raise ValueError(f"a control message of {len(message)} bytes; {MAX_MESSAGE} are the most")
        if self.backlog + len(message) > MAX_BACKLOG:
            raise ControlOverflow(f"the other end has not taken {self.backlog} bytes of control messages")
        self.append(b"%d:%b," % (len(message), message))
        self.channel.supply(self.end)

    def trim(self) -> None:
        """Forget what is acknowledged."""
        if self.backlog:
            self.forget_before(max(self.begin, self.channel.acknowledged.gap_at(0)[0]))

    def arrived(self) -> Deferred[None]:
        """Fires, at once or by `tell_arrived`, when all messages put until now are acknowledged."""
        arrived: Deferred[None] = Deferred()
        self._awaited.append((self.end, arrived))
        self.tell_arrived()
        return arrived

    def tell_arrived(self) -> None:
        """Tell who waits for what is acknowledged by now; they may do anything then."""
        while self._awaited and self._awaited[0][0] <= self.begin:
            self._awaited.popleft()[1].callback(None)


class Incoming:
    """Puts the stream in order and cuts it into messages."""

    def __init__(self) -> None:
        self._early: dict[int, bytes] = {}  # by offset; pieces neither overlap nor are any missing in the end
        self._next = 0
        self._unread = bytearray()

    def put_untrusted(self, offset: int, data: bytes) -> list[bytes]:
        """Bytes that are new, at their offset. Returns the messages that are complete now.

        Raises `MalformedMessage`, and nothing else, for what is no netstring of at most 8192 bytes.
        """
        self._early[offset] = data
        while (piece := self._early.pop(self._next, None)) is not None:
            self._unread += piece
            self._next += len(piece)
        messages: list[bytes] = []
        at = 0
        while (found := self._message_at(at)) is not None:
            at, message = found
            messages.append(message)
        del self._unread[:at]
        return messages

    @property
    def taken(self) -> int:
        """Bytes from the stream's beginning that were put in order; less than a message of them waits for more."""
        return self._next

    def _message_at(self, at: int) -> tuple[int, bytes] | None:
        """Where the message at `at` ends, and the message; None if it is not complete."""
        colon = self._unread.find(b":", at, at + _MAX_DIGITS + 1)
        digits = bytes(self._unread[at : colon if colon >= 0 else at + _MAX_DIGITS + 1])
        if digits and (not digits.isdigit() or len(digits) > _MAX_DIGITS or (digits[0] == 0x30 and len(digits) > 1)):
            raise MalformedMessage(f"no netstring begins with {digits!r}")
        if colon < 0:
            return None
        if not digits or int(digits) > MAX_MESSAGE:
            raise MalformedMessage(f"a netstring of {digits.decode() or 'no'} bytes")
        end = colon + 1 + int(digits)
        if len(self._unread) <= end:
            return None
        if self._unread[end] != 0x2C:
            raise MalformedMessage("a netstring does not end with a comma")
        return end + 1, bytes(self._unread[colon + 1 : end])
