"""What people and programs are shown of a server, at one moment: frozen records that are JSON as they are.

Names of clients and files are what their owners chose: whoever shows them shows them as text, never as markup.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from ..net.server_observer import Direction

PortState = Literal["waiting", "alive", "silent"]
EventKind = Literal["joined", "opened", "roamed", "ended", "stale", "revoked", "recycled", "refused", "file", "failed"]


class PortView(Struct, frozen=True, kw_only=True):
    """One of a session's three ports. Times are milliseconds, as the server measured them; null before the first."""

    port: str
    """`ctrl`, `up` or `dn`."""
    number: int
    """The server's UDP port."""
    address: str
    """Where the client is, HOST:PORT; empty before it was heard."""
    state: PortState
    """`silent`: nothing was heard for two and a half heartbeats."""
    last_ms: float | None
    smoothed_ms: float | None
    minimum_ms: float | None
    jitter_ms: float
    answered: int
    """Heartbeats whose answer came back."""
    lost: int
    """Heartbeats whose answer did not."""
    loss: float
    """The share that was lost of the last 100."""
    clock_offset_ms: float | None
    """How far the client's clock is before ours, give or take `clock_error_ms`."""
    clock_error_ms: float | None
    silent_s: float | None
    """Seconds since anything authentic was heard."""
    received: int
    """Datagrams, as all the following are unless they say bytes."""
    bytes_received: int
    sent: int
    bytes_sent: int
    dropped: int


class TransferView(Struct, frozen=True, kw_only=True):
    """One file on its way. Null is what this end cannot know: the sending end knows the most."""

    id: str
    """Names it among all of the server's, while it is on its way."""
    direction: Direction
    name: str
    size: int
    """Bytes, as all sizes here."""
    moved: int
    """Bytes that are there, those from an earlier call too."""
    already: int
    """Bytes from an earlier call."""
    rate: float
    """Bytes a second."""
    in_flight: int | None
    window: int | None
    round_trip_ms: float | None
    retransmitted: int | None
    path_mtu: int | None
    limited_by: str | None
    """What holds it back."""


class SessionView(Struct, frozen=True, kw_only=True):
    """One session, live or over."""

    link: str
    """Its id, hexadecimal, the same at both ends."""
    name: str
    fingerprint: str
    opened_ms: int
    """When it began, ms since 1970, as all times of day here."""
    closed_ms: int | None
    why: str | None
    """Why it is over."""
    ports: list[PortView]
    transfers: list[TransferView]


class Event(Struct, frozen=True, kw_only=True):
    """Something that happened, in a line for people."""

    number: int
    """Counts up from 1, so that a reader knows what it has missed."""
    at_ms: int
    kind: EventKind
    link: str
    """The session's; empty where it is about none."""
    name: str
    """The client's; empty where it is not known."""
    text: str


class ServerView(Struct, frozen=True, kw_only=True):
    """The server itself."""

    fingerprint: str
    version: str
    started_ms: int
    heartbeat_ms: int
    """From one heartbeat to the next, unless a client has chosen another pace."""
    sessions: int
    ports_free: int
    ports_used: int
    ports_resting: int
    refusals: dict[str, int]
    """By reason."""
