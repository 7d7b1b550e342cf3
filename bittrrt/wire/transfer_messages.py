"""Messages about files, on the reliable control stream of a session: JSON, one netstring each, `MAX_MESSAGE` bytes.

    offerer                                acceptor
    Offer  ------------------------------>            a file; OfferFolder, Settle too have a number
           <------------------------------ Accept     with what is there already; or Skip, Refuse
    bytes  ==============================>            on the channel, what is missing
    Finish ------------------------------>            the digest, where the offer had none
           <------------------------------ Done       or Failed; the offerer can Cancel instead of finishing

    client                                 server
    Fetch  ------------------------------>            then the server offers; Limited, Total, Problem on the way
    Withdraw ---------------------------->            no more of it, please
           <------------------------------ End
    List   ------------------------------>
           <------------------------------ Entries ... End
    Look   ------------------------------>
           <------------------------------ Found

Who has the data offers: the client on odd channels (put), the server on even ones (get). Many offers are under way at a
time, and nothing waits for the answer to another, but that a folder is made before what is in it. The first file of a
session does not even wait for its own: its first bytes come with the offer, see `net.receiving`. Reading is strict: an
unknown field or type is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Annotated, Final, Literal

import msgspec

from ..errors import (
    DigestMismatch,
    DiskFull,
    FileError,
    FileMissing,
    LeftOut,
    MalformedMessage,
    NameRefused,
    NotAFile,
    PermissionRefused,
    QuotaReached,
    ReadFailed,
    SourceChanged,
    TargetExists,
    TargetIsFolder,
    TransferBusy,
    WriteFailed,
)
from .datagram import MAX_MTU, MIN_MTU
from .messages import MAX_MESSAGE
from .spans import SpanSet

MAX_SPANS: Final = 128  # 128 spans of two 19-digit numbers are 5.3 KB of JSON
MAX_NAME: Final = 4095  # characters of a path
MAX_TEXT: Final = 400  # characters of a line for a person
MAX_ENTRIES: Final = 64  # of a folder in one message, if their names are short enough
_ROOM_FOR_ENTRIES: Final = MAX_MESSAGE - 100  # bytes: what is around the entries takes 60
_MAX_SIZE: Final = 2**63 - 1

CongestionName = Literal["model", "cubic"]
Channel = Annotated[int, msgspec.Meta(ge=1, le=2**24 - 1)]
Request = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
Size = Annotated[int, msgspec.Meta(ge=0, le=_MAX_SIZE)]
Time = Annotated[int, msgspec.Meta(ge=-_MAX_SIZE, le=_MAX_SIZE)]
Mode = Annotated[int, msgspec.Meta(ge=0, le=0o777)]
FileName = Annotated[str, msgspec.Meta(max_length=MAX_NAME)]
Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]
Digest = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Sample = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]


class Reason(Enum):
    """What a `FileError` is, as the other end is told."""

    NAME = "name"
    MISSING = "missing"
    NOT_A_FILE = "not-a-file"
    LEFT_OUT = "left-out"
    EXISTS = "exists"
    FOLDER = "folder"
    PERMISSION = "permission"
    DISK_FULL = "disk-full"
    QUOTA = "quota"
    READ = "read"
    WRITE = "write"
    CHANGED = "changed"
    DIGEST = "digest"
    BUSY = "busy"
    OTHER = "other"


_ERRORS: Final[dict[Reason, type[FileError]]] = {
    Reason.NAME: NameRefused,
    Reason.MISSING: FileMissing,
    Reason.NOT_A_FILE: NotAFile,
    Reason.LEFT_OUT: LeftOut,
    Reason.EXISTS: TargetExists,
    Reason.FOLDER: TargetIsFolder,
    Reason.PERMISSION: PermissionRefused,
    Reason.DISK_FULL: DiskFull,
    Reason.QUOTA: QuotaReached,
    Reason.READ: ReadFailed,
    Reason.WRITE: WriteFailed,
    Reason.CHANGED: SourceChanged,
    Reason.DIGEST: DigestMismatch,
    Reason.BUSY: TransferBusy,
    Reason.OTHER: FileError,
}
_REASONS: Final = {kind: reason for reason, kind in _ERRORS.items()}


class _Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag=str.lower):
    """A message; `type` in the JSON is the class's name in lower case."""


# --- the offerer -----------------------------------------------------------------------------------------------------


class Offer(_Message, frozen=True):
    """A file."""

    channel: Channel
    request: Request
    """The `Fetch` that it belongs to; of a put, the client's own number for it."""
    name: FileName
    """Where it is to go, below the destination."""
    size: Size
    mtime_ns: Time
    mode: Mode
    sample: Sample
    """See `files.version`."""
    digest: Digest | None = None
    """Of the whole, where it is known already: of small files, and with `checksum`."""
    checksum: bool = False
    """Whether the same file is known by its digest, or else by size and time."""
    overwrite: bool = False
    """Whether it may replace another file."""
    inside: FileName = ""
    """If there is a folder at `name`, the file goes into it, under this name; empty: it goes to `name` or nowhere."""


class OfferFolder(_Message, frozen=True):
    """A folder, to be made before what is in it."""

    channel: Channel
    request: Request
    name: FileName
    mode: Mode
    mtime_ns: Time
    keep: bool = False
    """Whether it is only to be there: one that is there already stays as it is, and none is settled."""


class Settle(_Message, frozen=True):
    """All of a request's files have arrived: its folders get their modes and times."""

    channel: Channel
    request: Request


class Finish(_Message, frozen=True):
    """All of a file was sent, and it is still what was offered."""

    channel: Channel
    digest: Digest


class Cancel(_Message, frozen=True):
    """What was offered is not going to arrive."""

    channel: Channel
    reason: Reason
    text: Text


class Limited(_Message, frozen=True):
    """What holds the sender back, for the person at the other end."""

    by: Annotated[str, msgspec.Meta(max_length=16)]


# --- the acceptor ----------------------------------------------------------------------------------------------------


class Accept(_Message, frozen=True):
    """Send it."""

    channel: Channel
    have: Annotated[tuple[tuple[Size, Size], ...], msgspec.Meta(max_length=MAX_SPANS)] = ()
    """Offsets `(first, last)` of bytes that are there already, ascending and disjoint."""
    inside: bool = False
    """Whether it goes into a folder, as the offer let the acceptor decide."""


class Skip(_Message, frozen=True):
    """It is there already."""

    channel: Channel
    inside: bool = False
    """As of `Accept`."""


class Refuse(_Message, frozen=True):
    """Don't send it."""

    channel: Channel
    reason: Reason
    text: Text


class Done(_Message, frozen=True):
    """It is whole, has its name, and is on the disk."""

    channel: Channel


class Failed(_Message, frozen=True):
    """It was accepted, and is not going to be whole."""

    channel: Channel
    reason: Reason
    text: Text


# --- the client asks, the server answers -----------------------------------------------------------------------------


class Fetch(_Message, frozen=True):
    """Offer me this file, or this folder and what is in it. Names begin with the last part of `path`."""

    request: Request
    path: FileName
    """Empty for all that there is; names then begin below it."""
    recursive: bool = False
    checksum: bool = False
    limit: Annotated[float, msgspec.Meta(ge=1)] | None = None
    """Bytes a second, of all that is fetched at the same time with the same `transfer` together."""
    transfer: Request = 0
    congestion: CongestionName = "model"
    """What decides how much the server has on its way."""
    mtu: Annotated[int, msgspec.Meta(ge=MIN_MTU, le=MAX_MTU)] | None = None
    """Bytes of UDP payload in the server's datagrams; None to find out."""


class Withdraw(_Message, frozen=True):
    """Offer and send no more of this `Fetch`; it ends as every one does."""

    request: Request


class List(_Message, frozen=True):
    """What is in this folder; or this file alone."""

    request: Request
    path: FileName


class Look(_Message, frozen=True):
    """What is there?"""

    request: Request
    path: FileName


class Total(_Message, frozen=True):
    """How much a `Fetch` is going to offer, as far as can be told."""

    request: Request
    files: Size
    size: Size
    """Bytes."""


class Problem(_Message, frozen=True):
    """Something of a `Fetch` or `List` cannot be had; the rest goes on."""

    request: Request
    reason: Reason
    text: Text


class Listed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """One file or folder."""

    name: FileName
    folder: bool
    size: Size
    mtime_ns: Time
    mode: Mode


class Entries(_Message, frozen=True):
    """Some of what is in a folder."""

    request: Request
    entries: Annotated[tuple[Listed, ...], msgspec.Meta(max_length=MAX_ENTRIES)]


class End(_Message, frozen=True):
    """That was all; of a `Fetch`: all of it is answered."""

    request: Request


class Kind(Enum):
    """What is at a path."""

    NOTHING = "nothing"
    FILE = "file"
    FOLDER = "folder"


class Found(_Message, frozen=True):
    """What is there; a `Problem` comes instead if that cannot be said."""

    request: Request
    kind: Kind


FromOfferer = Offer | OfferFolder | Settle | Finish | Cancel
FromAcceptor = Accept | Skip | Refuse | Done | Failed
Question = Fetch | Withdraw | List | Look
Answer = Total | Problem | Entries | End | Found | Limited
TransferMessage = FromOfferer | FromAcceptor | Question | Answer
Send = Callable[[TransferMessage], int]
"""Says something to the other end; returns in how many bytes."""

_encoder: Final = msgspec.json.Encoder()
_decoder: Final[msgspec.json.Decoder[TransferMessage]] = msgspec.json.Decoder(TransferMessage)


def encode_transfer_message(message: TransferMessage) -> bytes:
    """The message's JSON. Raises `NameRefused` for a name that is too long, or that has bytes which are not UTF-8."""
    try:
        data = _encoder.encode(message)
    except UnicodeEncodeError as error:
        raise NameRefused(f"{error.object!a}: its name is not UTF-8; rename it") from None
    named: str = getattr(message, "path", getattr(message, "name", ""))
    if len(data) > MAX_MESSAGE or len(named) > MAX_NAME:
        raise NameRefused("a name is too long to be sent; use a shorter path")
    return data


def parse_transfer_message_untrusted(data: bytes) -> TransferMessage:
    """What the other end says about files. Raises `MalformedMessage`, and nothing else."""
    if len(data) > MAX_MESSAGE:
        raise MalformedMessage(f"{len(data)} bytes long")
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage(str(error)) from None


def tell_spans(spans: SpanSet) -> tuple[tuple[int, int], ...]:
    """As much of a span set as an `Accept` can tell: the largest spans, ascending."""
    if spans.span_count <= MAX_SPANS:
        return tuple(spans.get_spans())
    largest = sorted(spans.get_spans(), key=lambda span: span[0] - span[1])[:MAX_SPANS]
    return tuple(sorted(largest))


def read_spans_untrusted(told: tuple[tuple[int, int], ...], size: int) -> SpanSet:
    """The span set that an `Accept` tells of a file of `size` bytes. Raises `MalformedMessage`, and nothing else."""
    spans = SpanSet()
    before = -1
    for first, last in told:
        if not before < first <= last < size:
            raise MalformedMessage(f"{first} to {last} after {before}, of {size} bytes")
        spans.add_span(first, last)
        before = last
    return spans


def reason_of(error: FileError) -> Reason:
    """Which reason tells the other end of this error."""
    return _REASONS.get(type(error), Reason.OTHER)


def line_of(error: FileError) -> str:
    """The error's line, cut to what a message takes, and escaped where a path in it is not UTF-8."""
    text = str(error).encode(errors="backslashreplace").decode()
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 3] + "..."


def error_untrusted(reason: Reason, text: str) -> FileError:
    """The error that the other end tells of: its line, without what could do something to a terminal."""
    shown = "".join([sign if sign.isprintable() else "?" for sign in text])
    return _ERRORS[reason](shown or "the other end gives no reason")


def pack_entries(request: int, entries: list[Listed]) -> list[Entries]:
    """As many messages as these entries need. Raises `NameRefused` for a name that fits in none."""
    messages: list[Entries] = []
    batch: list[Listed] = []
    room = _ROOM_FOR_ENTRIES
    for entry in entries:
        length = len(_encoder.encode(entry)) + 1
        if length > _ROOM_FOR_ENTRIES:
            raise NameRefused("a name is too long to be sent; use a shorter path")
        if batch and (length > room or len(batch) == MAX_ENTRIES):
            messages.append(Entries(request, tuple(batch)))
            batch, room = [], _ROOM_FOR_ENTRIES
        batch.append(entry)
        room -= length
    if batch:
        messages.append(Entries(request, tuple(batch)))
    return messages
