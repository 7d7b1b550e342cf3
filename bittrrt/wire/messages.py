"""Messages as JSON: those of the rendezvous, over TLS, and those of the link itself, in datagrams on channel 0.

    client                       server
    Join   ------ TLS 1.3 ----->          once, with an invite: lets the client's key in
           <------------------- Joined
    Open   ------ TLS 1.3 ----->          every session: the two X25519 keys are swapped
           <------------------- Welcome   or Refused, to either

    Close, Observed <---- UDP ---->       either way, lossy: what they say is also learned without them

Over TLS each is one netstring, at most `MAX_MESSAGE` bytes. Reading is strict: an unknown field or type is an error.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Final, Literal, TypeVar

import msgspec

from ..errors import MalformedMessage
from .datagram import PortType

MAX_MESSAGE: Final = 8192
ALPN: Final = b"bittrrt/1"
MAX_NAME: Final = 64

Name = Annotated[str, msgspec.Meta(max_length=MAX_NAME)]
PublicKey = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
LinkIdText = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{32})?\Z")]
CipherName = Literal["aes-256-gcm", "chacha20-poly1305"]
PortNumber = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class _Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag=str.lower):
    """A message; `type` in the JSON is the class's name in lower case."""


class Join(_Message, frozen=True):
    """Let this client's key in, for an invite."""

    verifier: Annotated[str, msgspec.Meta(max_length=64)]
    """Which invite: the text that the server keeps of it."""
    proof: Annotated[bytes, msgspec.Meta(max_length=64)]
    """That this end holds the invite's token; bound to this TLS session and both keys."""
    name: Name
    """What the client calls itself; the name that the owner gave the invite goes before it."""


class Open(_Message, frozen=True):
    """Open a session."""

    public_key: PublicKey
    """The X25519 key of the client's `CommEncryptor`."""
    replaces: LinkIdText = ""
    """The link that the client had and gives up, in hexadecimal."""
    cipher: CipherName = "chacha20-poly1305"
    """What the client seals with faster."""


class Joined(_Message, frozen=True):
    """The key is in."""

    name: Name
    """What the server calls this client from now on."""


class Welcome(_Message, frozen=True):
    """The session is open: go on over UDP."""

    public_key: PublicKey
    """The X25519 key of the server's `CommEncryptor`."""
    ctrl: PortNumber
    up: PortNumber
    dn: PortNumber
    heartbeat: Annotated[int, msgspec.Meta(ge=10, le=3_600_000)]
    """Milliseconds from one heartbeat to the next, as the server expects them."""
    stale_after: Annotated[int, msgspec.Meta(ge=20, le=86_400_000)]
    """Milliseconds of silence after which the server ends the session."""
    cipher: CipherName = "chacha20-poly1305"
    """What both seal the session's datagrams with."""

    def port(self, port_type: PortType) -> int:
        """The number of one of the three ports."""
        return {PortType.CTRL: self.ctrl, PortType.UP: self.up, PortType.DN: self.dn}[port_type]


class RefusalReason(Enum):
    """Why the server says no. The client finds the words for its person."""

    UNKNOWN_CLIENT = "unknown-client"
    REVOKED_CLIENT = "revoked-client"
    INVITE_UNKNOWN = "invite-unknown"
    INVITE_USED = "invite-used"
    INVITE_EXPIRED = "invite-expired"
    NO_PORTS = "no-ports"
    TOO_MANY_SESSIONS = "too-many-sessions"
    BUSY = "busy"
    MALFORMED = "malformed"


class Refused(_Message, frozen=True):
    """No."""

    reason: RefusalReason


class CloseReason(Enum):
    """Why an end closes a session."""

    GOODBYE = "goodbye"
    SHUTDOWN = "shutdown"
    REPLACED = "replaced"
    REVOKED = "revoked"
    STALE = "stale"
    MISBEHAVED = "misbehaved"


class Close(_Message, frozen=True):
    """The session ends now."""

    reason: CloseReason


class Observed(_Message, frozen=True):
    """The address from which your datagrams come, as this end sees it."""

    port: PortType
    host: Annotated[str, msgspec.Meta(max_length=64)]
    number: PortNumber


ClientMessage = Join | Open
ServerMessage = Joined | Welcome | Refused
LinkMessage = Close | Observed

_encoder: Final = msgspec.json.Encoder()
_client_decoder: Final[msgspec.json.Decoder[ClientMessage]] = msgspec.json.Decoder(ClientMessage)
_server_decoder: Final[msgspec.json.Decoder[ServerMessage]] = msgspec.json.Decoder(ServerMessage)
_link_decoder: Final[msgspec.json.Decoder[LinkMessage]] = msgspec.json.Decoder(LinkMessage)

_M = TypeVar("_M")


def encode_message(message: ClientMessage | ServerMessage | LinkMessage) -> bytes:
    """The message's JSON."""
    return _encoder.encode(message)


def parse_client_message_untrusted(data: bytes) -> ClientMessage:
    """What a client says in the rendezvous. Raises `MalformedMessage`, and nothing else."""
    return _parse_untrusted(_client_decoder, data)


def parse_server_message_untrusted(data: bytes) -> ServerMessage:
    """What a server says in the rendezvous. Raises `MalformedMessage`, and nothing else."""
    return _parse_untrusted(_server_decoder, data)


def parse_link_message_untrusted(data: bytes) -> LinkMessage:
    """What either end says on channel 0. Raises `MalformedMessage`, and nothing else."""
    return _parse_untrusted(_link_decoder, data)


def _parse_untrusted(decoder: msgspec.json.Decoder[_M], data: bytes) -> _M:
    if len(data) > MAX_MESSAGE:
        raise MalformedMessage(f"{len(data)} bytes long")
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage(str(error)) from None
