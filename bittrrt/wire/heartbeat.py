"""The heartbeat's text, byte for byte the seed's.

    client -> server   client_ts3=<ms> echo=2
    server -> client   client_ts3=<ms> echo=1 server_ts2=<ms>
    client -> server   client_ts3=<ms> echo=1 server_ts2=<ms>
    server -> client   client_ts3=<ms> echo=0 server_ts2=<ms> server_ts1=<ms>

Times are milliseconds since 1970, UTC. Pairs that this version does not know are carried along unchanged.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ..errors import MalformedHeartbeat

MAX_TEXT: Final = 512  # bytes; the longest that the countdown itself makes is 89
MAX_PAIRS: Final = 16

_MS: Final = r"[0-9]{1,16}"
_OWN_TEXT: Final = re.compile(
    rf"client_ts3=({_MS}) echo=(?:(2)|(1) server_ts2=({_MS})|(0) server_ts2=({_MS}) server_ts1={_MS})".encode()
)
_PAIR: Final = r"[a-z][a-z0-9_]{0,31}=[!-<>-~]{1,64}"
_ANY_TEXT: Final = re.compile(rf"{_PAIR}(?: {_PAIR})*".encode())
_MILLISECONDS: Final = re.compile(_MS)


class Heartbeat(NamedTuple):
    """One heartbeat, as parsed."""

    client_ts3: int
    """When the client began it, by the client's clock, ms since 1970."""
    echo: int
    """How many answers are still to come: 2, 1 or 0."""
    server_ts2: int | None
    """When the server first answered it, by the server's clock, ms since 1970."""
    payload: bytes
    """The whole text."""


def first_heartbeat(client_ms: int) -> bytes:
    """The text with which the client begins."""
    return b"client_ts3=%d echo=2" % client_ms


def answer_heartbeat(heartbeat: Heartbeat, server_ms: int) -> bytes:
    """The server's answer: `echo` one lower, and `server_ts<echo>` added."""
    echo = heartbeat.echo
    pairs = heartbeat.payload.split(b" ")
    pairs[pairs.index(b"echo=%d" % echo)] = b"echo=%d" % (echo - 1)
    pairs.append(b"server_ts%d=%d" % (echo, server_ms))
    return b" ".join(pairs)


def parse_heartbeat_untrusted(payload: bytes) -> Heartbeat:
    """What the text says. Raises `MalformedHeartbeat`, and nothing else, for any that is not the countdown's."""
    own = _OWN_TEXT.fullmatch(payload)  # nearly always: one match instead of a look at every pair, 1 us instead of 4
    if own is not None:
        client_ts3, two, one, first_answered, _, again_answered = own.groups()
        if two:
            return Heartbeat(int(client_ts3), 2, None, payload)
        if one:
            return Heartbeat(int(client_ts3), 1, int(first_answered), payload)
        return Heartbeat(int(client_ts3), 0, int(again_answered), payload)
    if len(payload) > MAX_TEXT:
        raise MalformedHeartbeat(f"{len(payload)} bytes long")
    if not _ANY_TEXT.fullmatch(payload):
        raise MalformedHeartbeat("not pairs of key=value with one space between them")
    items = payload.decode("ascii").split(" ")
    pairs = dict([item.split("=", 1) for item in items])
    if len(pairs) != len(items) or len(pairs) > MAX_PAIRS:
        raise MalformedHeartbeat("a pair twice, or too many pairs")
    echo = pairs.get("echo", "")
    if echo not in ("0", "1", "2"):
        raise MalformedHeartbeat("echo is not 0, 1 or 2")
    for key in ("client_ts3", "server_ts2", "server_ts1"):
        if key in pairs and not _MILLISECONDS.fullmatch(pairs[key]):
            raise MalformedHeartbeat(f"{key} is not a time in milliseconds")
    if "client_ts3" not in pairs:
        raise MalformedHeartbeat("no client_ts3")
    if echo != "0" and f"server_ts{echo}" in pairs:
        raise MalformedHeartbeat("answered already")
    server_ts2 = pairs.get("server_ts2")
    return Heartbeat(int(pairs["client_ts3"]), int(echo), int(server_ts2) if server_ts2 else None, payload)
