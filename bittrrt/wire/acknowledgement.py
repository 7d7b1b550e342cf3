"""The acknowledgement: what arrived, how long it waited, and how much more may be sent.

    0           4            12             20            21         22
    | delay u32 | credit u64 | received u64 | channels u8 | spans u8 |

    then for each channel, ascending      | channel u32 | credit u64 |
    then, if there are spans, the newest  | last u64 | length u32 |
    and for each older one                | missing u32 | length u32 |                 big-endian, at most 718 bytes

`length` is `last - first`; `missing` counts the sequences between a span and the newer one before it. It travels as the
payload of a datagram with the flags `FLOW_CONTROL | BINARY`, on the port that carried the data.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import chain
from typing import Final

from ..errors import MalformedAcknowledgement

MAX_SPANS: Final = 64  # at 5 % loss the last 1280 datagrams: an acknowledgement that is lost is made up for many times
MAX_CHANNELS: Final = 16
MAX_DELAY: Final = 2**32 - 1  # microseconds

_HEAD: Final = struct.Struct(">IQQBB")
_CHANNEL: Final = struct.Struct(">IQ")
_NEWEST: Final = struct.Struct(">QI")
_OLDER: Final = 8  # bytes
_MAX_LENGTH: Final = 2**32 - 1
_MAX_CHANNEL: Final = 2**24 - 1


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """One acknowledgement. Spans are `(first, last)` of sequences, both inclusive, the newest first."""

    delay: int
    """Microseconds from the arrival of the newest data to this being sent."""
    credit: int
    """Bytes of all channels together that the peer may have sent for the first time since the session began."""
    received: int
    """Bytes of all channels together that have arrived, each counted once."""
    channel_credits: tuple[tuple[int, int], ...]
    """`(channel, offset)`: up to where in a channel's stream the peer may send; those that moved lately."""
    spans: tuple[tuple[int, int], ...]
    """Sequences that have arrived, at most `MAX_SPANS`."""


def pack_acknowledgement(acknowledgement: Acknowledgement) -> bytes:
    """The bytes of the frame.

    A span longer than 32 bits can say is cut at its old end, and what lies beyond it or beyond such a gap is left out:
    that was acknowledged long ago. Raises `ValueError` for too many spans or channels.
    """
    spans, credits_ = acknowledgement.spans, acknowledgement.channel_credits
    if len(spans) > MAX_SPANS or len(credits_) > MAX_CHANNELS:
        raise ValueError(f"{len(spans)} spans and {len(credits_)} channels do not fit")
    numbers: list[int] = []
    before = None
    for first, last in spans:
        if before is not None:
            missing = before - last - 1
            if missing > _MAX_LENGTH:
                break
            numbers.append(missing)
        numbers.append(min(last - first, _MAX_LENGTH))
        if last - first > _MAX_LENGTH:
            break
        before = first
    count = (len(numbers) + 1) // 2
    delay = min(acknowledgement.delay, MAX_DELAY)
    head = _HEAD.pack(delay, acknowledgement.credit, acknowledgement.received, len(credits_), count)
    if credits_:
        head += struct.pack(">" + "IQ" * len(credits_), *chain.from_iterable(credits_))
    if not spans:
        return head
    return head + struct.pack(f">Q{len(numbers)}I", spans[0][1], *numbers)


def parse_acknowledgement_untrusted(payload: bytes) -> Acknowledgement:
    """What the frame says. Raises `MalformedAcknowledgement`, and nothing else, for bytes that are no such frame."""
    if len(payload) < _HEAD.size:
        raise MalformedAcknowledgement(f"{len(payload)} bytes are too few")
    delay, credit, received, channel_count, span_count = _HEAD.unpack_from(payload)
    if channel_count > MAX_CHANNELS or span_count > MAX_SPANS:
        raise MalformedAcknowledgement(f"{channel_count} channels and {span_count} spans are too many")
    spans_at = _HEAD.size + channel_count * _CHANNEL.size
    size = spans_at + (_NEWEST.size + (span_count - 1) * _OLDER if span_count else 0)
    if len(payload) != size:
        raise MalformedAcknowledgement(f"{len(payload)} bytes where {size} were announced")
    channel_credits = tuple(_CHANNEL.iter_unpack(payload[_HEAD.size : spans_at])) if channel_count else ()
    before = -1
    for channel, _ in channel_credits:
        if not before < channel <= _MAX_CHANNEL:
            raise MalformedAcknowledgement(f"channel {channel} after {before}")
        before = channel
    spans = _parse_spans(payload, spans_at, span_count) if span_count else ()
    return Acknowledgement(delay, credit, received, channel_credits, spans)


def _parse_spans(payload: bytes, at: int, count: int) -> tuple[tuple[int, int], ...]:
    last, length, *older = struct.unpack_from(f">Q{2 * count - 1}I", payload, at)
    first = last - length
    spans = [(first, last)]
    for missing, length in zip(older[::2], older[1::2], strict=True):
        if not missing:
            raise MalformedAcknowledgement("two spans touch")
        last = first - missing - 1
        first = last - length
        spans.append((first, last))
    if first < 0:
        raise MalformedAcknowledgement("a span begins below sequence 0")
    return tuple(spans)
