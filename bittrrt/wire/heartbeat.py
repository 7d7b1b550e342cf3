"""The heartbeat's text, byte for byte the seed's.

    client -> server   client_ts3=<ms> echo=2
    server -> client   client_ts3=<ms> echo=1 server_ts2=<ms>
    client -> server   client_ts3=<ms> echo=1 server_ts2=<ms>
    server -> client   client_ts3=<ms> echo=0 server_ts2=<ms> server_ts1=<ms>

Times are milliseconds since 1970, UTC. Pairs that this version does not know are carried along unchanged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ..errors import MalformedHeartbeat

FIRST_ECHO: Final = 2
MAX_TEXT: Final = 512  # bytes; the longest that the countdown itself makes is 89
MAX_PAIRS: Final = 16

_PAIR: Final = r"[a-z][a-z0-9_]{0,31}=[!-<>-~]{1,64}"
_TEXT: Final = re.compile(rf"{_PAIR}(?: {_PAIR})*")
_MILLISECONDS: Final = re.compile(r"[0-9]{1,16}")


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """One heartbeat, as parsed."""

    client_ts3: int
    """When the client began it, by the client's clock, ms since 1970."""
    echo: int
    """How many answers are still to come: 2, 1 or 0."""
    pairs: dict[str, str]
    """Every pair in the order of the text, those two included."""

    @property
    def server_ts2(self) -> int | None:
        """When the server first answered it, by the server's clock, ms since 1970."""
        text = self.pairs.get("server_ts2")
        return int(text) if text is not None else None


def first_heartbeat(client_ms: int) -> bytes:
    """The text with which the client begins."""
    return b"client_ts3=%d echo=2" % client_ms


def answer_heartbeat(heartbeat: Heartbeat, server_ms: int) -> bytes:
    """The server's answer: `echo` one lower, and `server_ts<echo>` added."""
    echo = heartbeat.echo
    pairs = heartbeat.pairs | {"echo": str(echo - 1), f"server_ts{echo}": str(server_ms)}
    return " ".join([f"{key}={value}" for key, value in pairs.items()]).encode("ascii")


def parse_heartbeat_untrusted(payload: bytes) -> Heartbeat:
    """What the text says. Raises `MalformedHeartbeat`, and nothing else, for any that is not the countdown's."""
    if len(payload) > MAX_TEXT:
        raise MalformedHeartbeat(f"{len(payload)} bytes long")
    try:
        text = payload.decode("ascii")
    except UnicodeDecodeError:
        raise MalformedHeartbeat("not ASCII") from None
    if not _TEXT.fullmatch(text):
        raise MalformedHeartbeat("not pairs of key=value with one space between them")
    items = text.split(" ")
    pairs: dict[str, str] = dict([item.split("=", 1) for item in items])
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
    return Heartbeat(int(pairs["client_ts3"]), int(echo), pairs)
