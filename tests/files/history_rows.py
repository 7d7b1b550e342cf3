"""Rows of history that a test makes up."""

from __future__ import annotations

from typing import Any

from bittrrt.files.history import PORTS, Batch, EventRow, MinuteRow, Peer, TransferRow

NOW = 1_700_000_040  # a whole minute, seconds since 1970
LAB = Peer("client", "lab", "SHA256:" + "A" * 43)
FAR = Peer("server", "far.example:6711", "SHA256:" + "B" * 43)
LINK = "63470ddf" * 4


def minute(at: int = NOW, peer: Peer = LAB, link: str = LINK, port: str = "up", **figures: Any) -> MinuteRow:
    """One minute of a path on which nothing is wrong, unless told otherwise."""
    times = {"min_ms": 20.0, "p5_ms": 20.1, "p25_ms": 20.5, "median_ms": 21.0, "p75_ms": 22.0, "p95_ms": 25.0,
             "p99_ms": 30.0, "max_ms": 31.5, "clock_offset_ms": -1.25, "clock_error_ms": 11.0}  # fmt: skip
    counts = {"answered": 12, "lost": 0}
    return MinuteRow(peer=peer, link=link, port=port, at_ms=at * 1000, **{**counts, **times, **figures})


def silent_minute(at: int = NOW, lost: int = 12, **more: Any) -> MinuteRow:
    """One in which nothing came back."""
    nothing = dict.fromkeys(MinuteRow.__struct_fields__[6:])
    return minute(at, **{**nothing, "answered": 0, "lost": lost, **more})


def minutes(count: int, begin: int = NOW, **more: Any) -> list[MinuteRow]:
    """So many minutes of all three ports."""
    return [minute(begin + 60 * number, port=port, **more) for number in range(count) for port in PORTS]


def transfer(at: int = NOW, peer: Peer = LAB, name: str = "big", **more: Any) -> TransferRow:
    """A file of 5 MB."""
    values = {"direction": "put", "files": 1, "bytes": 5_000_000, "failed": 0, "seconds": 1.5, **more}
    return TransferRow(peer=peer, link=LINK, at_ms=at * 1000, name=name, **values)


def event(at: int = NOW, text: str = "lab opened a session", name: str = "lab", **more: Any) -> EventRow:
    """Something that happened."""
    return EventRow(at_ms=at * 1000, name=name, text=text, **{"role": "client", "link": LINK, "kind": "opened", **more})


def batch(*rows: MinuteRow | TransferRow | EventRow) -> Batch:
    """These in one transaction."""
    return Batch(
        [row for row in rows if isinstance(row, MinuteRow)],
        [row for row in rows if isinstance(row, TransferRow)],
        [row for row in rows if isinstance(row, EventRow)],
    )
