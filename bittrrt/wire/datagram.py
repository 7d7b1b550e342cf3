"""The datagram, and the names of what is in it.

    0        12                                              len-16      len
    | nonce  | encrypted: header 20 bytes | payload ...      | tag 16    |
    | e4 c8  |                                               |           |

    nonce    epoch u32 | counter u64                         big-endian, as is all that follows
    header   flags u8 | channel u24 | sequence u64 | offset u64

The header travels inside the encryption: a watcher sees the epoch, a counter and a length, nothing else.
"""

from __future__ import annotations

import struct
from enum import Enum
from typing import Final, NamedTuple

NONCE_SIZE: Final = 12
HEADER_SIZE: Final = 20
TAG_SIZE: Final = 16
OVERHEAD: Final = NONCE_SIZE + HEADER_SIZE + TAG_SIZE  # 48

MIN_MTU: Final = 1200  # bytes of UDP payload; RFC 8899 section 5.1.2: what every path takes
MAX_MTU: Final = 65_487  # what the longest IP packet leaves, over IPv6

EPOCH_SIZE: Final = 4
MAX_EPOCH: Final = 2**32 - 1

_HEADER: Final = struct.Struct(">IQQ")  # flags and channel share the first word
pack_numbers: Final = _HEADER.pack
"""The header of `flags << 24 | channel`, sequence and offset, for loops that have checked them."""


class MsgFlags(Enum):
    """Bit positions in the header's flags byte; a flag's mask is `1 << flag.value`."""

    URGENT = 0
    """Goes ahead of everything queued."""
    HEARTBEAT = 1
    """The payload is a heartbeat's text."""
    FLOW_CONTROL = 2
    """Acknowledgements and credit."""
    UNLOSSY = 3
    """To be delivered for certain, in order of offset; without it: a message that may be lost."""
    BINARY = 4
    """The payload is bytes; without it: UTF-8 text."""
    DATA = 5
    """Bytes of a channel."""


URGENT: Final = 1 << MsgFlags.URGENT.value
HEARTBEAT: Final = 1 << MsgFlags.HEARTBEAT.value
FLOW_CONTROL: Final = 1 << MsgFlags.FLOW_CONTROL.value
UNLOSSY: Final = 1 << MsgFlags.UNLOSSY.value
BINARY: Final = 1 << MsgFlags.BINARY.value
DATA: Final = 1 << MsgFlags.DATA.value

HEARTBEAT_FLAGS: Final = URGENT | HEARTBEAT
LINK_MESSAGE_FLAGS: Final = URGENT | DATA
STREAM_FLAGS: Final = DATA | UNLOSSY | BINARY
"""Bytes of a stream; `URGENT` may be added, as for a message."""
MESSAGE_FLAGS: Final = DATA | BINARY
"""A message that may be lost."""
ACKNOWLEDGEMENT_FLAGS: Final = FLOW_CONTROL | BINARY
PROBE_FLAGS: Final = FLOW_CONTROL
"""Padding, to try a size of datagrams: its sequence is acknowledged, and what is in it means nothing."""
LINK_CHANNEL: Final = 0  # the link itself; client-opened channels are odd, server-opened ones even


class PortType(Enum):
    """The three UDP ports of a session."""

    CTRL = "ctrl"
    """Messages about the data."""
    UP = "up"
    """Data from client to server."""
    DN = "dn"
    """Data from server to client."""


class Opened(NamedTuple):
    """What an authentic datagram said, in the order of the seed's tuple."""

    flags: int
    channel: int
    sequence: int
    offset: int
    payload: bytes


class Run(NamedTuple):
    """Authentic datagrams of one burst: one alone, or of a stream several that follow one another.

    Then each has the sequence after the one before it, and begins at the offset where that one ended.
    """

    flags: int
    channel: int
    sequence: int
    """Of the first."""
    offset: int
    """Of the first."""
    payloads: list[bytes | memoryview]
    """Their payloads, joined as it was cheapest; views are good until who gets the run returns."""
    datagrams: int = 1
    """How many."""

    @property
    def length(self) -> int:
        """Bytes of payload in all."""
        return sum(map(len, self.payloads))

    @property
    def payload(self) -> bytes:
        """All of it, to keep."""
        return b"".join(self.payloads)


def pack_header(flags: int, channel: int, sequence: int, offset: int) -> bytes:
    """The 20 bytes of header. Raises `ValueError` for a number that does not fit its field: never masks it."""
    if flags >> 8 or channel >> 24 or sequence >> 64 or offset >> 64:  # a negative number stays -1 however far shifted
        raise ValueError(f"out of range: {flags=} (8 bits), {channel=} (24), {sequence=} (64), {offset=} (64)")
    return _HEADER.pack(flags << 24 | channel, sequence, offset)


def unpack(header_and_payload: bytes) -> Opened:
    """What `pack_header(...) + payload` was made of. The bytes are authentic, so at least 20."""
    word, sequence, offset = _HEADER.unpack_from(header_and_payload)
    return Opened(word >> 24, word & 0xFFFFFF, sequence, offset, header_and_payload[HEADER_SIZE:])
