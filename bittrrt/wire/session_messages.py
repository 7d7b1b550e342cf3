"""Messages of a library's session, on the reliable control stream: one netstring each.

kind u8 | channel u24 | data          data: of `MESSAGE` the message, of `END` the size u64, of the others nothing

opener                                 other end
HELLO, channel = version  ------------>
                   <------------------ HELLO
OPEN   ------------------------------->            it receives from now on, as the opener does already
       <------------------------------ ACCEPT      or CLOSE: nobody there takes it
bytes  <==============================>            either way, as long as there is credit
END    <------------------------------>            so many bytes this way, and no more
CLOSE  <------------------------------>            no more bytes are read here, and none are sent

REFUSE <------------------------------             instead of anything else: this end has no use for the topic
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from ..errors import MalformedMessage
from .messages import MAX_MESSAGE

VERSION: Final = 1
OVERHEAD: Final = 4  # bytes
MAX_DATA: Final = MAX_MESSAGE - OVERHEAD
_SIZE: Final = 8  # bytes
_MAX_SIZE: Final = 2**63 - 1


class Kind(IntEnum):
    """What a message is about."""

    HELLO = 1
    MESSAGE = 2
    OPEN = 3
    ACCEPT = 4
    END = 5
    CLOSE = 6
    REFUSE = 7
    """Its channel is the `Topic`."""


class Topic(IntEnum):
    """What a control message of a session may be about."""

    PROGRAM = 1
    """A message of this kind."""
    FILES = 2
    """A message about files, see `transfer_messages`."""


def topic_of(message: bytes) -> Topic:
    """Whose message it is, whatever it says: those about files are JSON objects, and no kind here begins like one."""
    return Topic.FILES if message.startswith(b"{") else Topic.PROGRAM


class SessionMessage(NamedTuple):
    """One message."""

    kind: Kind
    channel: int
    data: bytes = b""
    size: int = 0
    """Of `END`: bytes of the whole stream."""


def pack_session_message(message: SessionMessage) -> bytes:
    """The bytes of a message. Raises `ValueError` for a channel or a size that does not fit, or too much data."""
    kind, channel, data, size = message
    if not 0 < channel < 1 << 24 or not 0 <= size <= _MAX_SIZE or len(data) > MAX_DATA:
        raise ValueError(f"a message of {len(data)} bytes (at most {MAX_DATA}), {channel=} (1 to {(1 << 24) - 1})")
    head = (kind << 24 | channel).to_bytes(OVERHEAD, "big")
    return head + (size.to_bytes(_SIZE, "big") if kind is Kind.END else data)


def parse_session_message_untrusted(message: bytes) -> SessionMessage:
    """What `pack_session_message` packed. Raises `MalformedMessage`, and nothing else, for anything else."""
    word = int.from_bytes(message[:OVERHEAD], "big")
    data = message[OVERHEAD:]
    try:
        kind, channel = Kind(word >> 24), word & 0xFFFFFF
    except ValueError:
        raise MalformedMessage(f"a session's message does not begin with {message[:OVERHEAD]!r}") from None
    if len(message) < OVERHEAD or not channel:
        raise MalformedMessage("a session's message without a channel")
    if kind is Kind.MESSAGE:
        return SessionMessage(kind, channel, data)
    if len(data) != (_SIZE if kind is Kind.END else 0):
        raise MalformedMessage(f"{len(data)} bytes with {kind.name}")
    size = int.from_bytes(data, "big")
    if size > _MAX_SIZE:
        raise MalformedMessage(f"a stream of {size} bytes")
    return SessionMessage(kind, channel, size=size)
