"""Reading the history that `history.py` writes, while it is written."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..errors import HistoryUnusable
from .history import BUSY, FILE_NAME, MIGRATIONS, PORTS, EventRow, MinuteRow, Peer, TransferRow, plain_errors
from .home import Home


class HistoryReader:
    """The file, open for reading. Times are seconds since 1970."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Use `open_history`."""
        self._path = path
        self._connection = connection

    def peers(self) -> list[Peer]:
        """Everybody with whom there was a link in the time that is kept, in the order of their names."""
        return [Peer(*row) for row in self._rows("SELECT role, name, fingerprint FROM peer ORDER BY name, id")]

    def span(self, peer: Peer, since: float) -> tuple[int, int] | None:
        """The first minute that is known of it since then, and the end of the last; None if there is none."""
        sessions = self._sessions(peer, since)
        if not sessions:
            return None
        first = min([first for _, _, first, _ in sessions])
        return max(first, int(since) // 60 * 60), max([last for _, _, _, last in sessions]) + 60

    def minutes(self, peer: Peer, since: float) -> Iterator[MinuteRow]:
        """What was measured since then, by session, each from its beginning to its end.

        A session's rows are found minute by minute, as the file has them in the order of time: that takes as long as
        the session lasted, however many others there were.
        """
        for number, link, first, last in self._sessions(peer, since):
            rows = self._rows(
                "WITH RECURSIVE clock(at) AS (SELECT ? UNION ALL SELECT at + 60 FROM clock WHERE at < ?)"
                " SELECT port, minute.at, answered, lost, min_us, p5_us, p25_us, p50_us, p75_us, p95_us, p99_us,"
                " max_us, offset_us, error_us"
                " FROM clock CROSS JOIN minute ON minute.at = clock.at AND minute.session = ?"
                " ORDER BY minute.at, port",
                max(first, int(since) // 60 * 60), last, number,
            )  # fmt: skip
            for port, at, answered, lost, *times in rows:
                yield MinuteRow(
                    peer=peer, link=link, port=PORTS[port], at_ms=at * 1000, answered=answered, lost=lost,
                    **dict(zip(MinuteRow.__struct_fields__[6:], map(_ms, times), strict=True)),
                )  # fmt: skip

    def transfers(self, peer: Peer, since: float) -> Iterator[TransferRow]:
        """Files that went to it or came from it since then, the oldest first."""
        rows = self._rows(
            "SELECT link, at_ms, direction, transfer.name, files, bytes, failed, seconds FROM transfer"
            " JOIN session ON session.id = transfer.session JOIN peer ON peer.id = session.peer"
            " WHERE at_ms >= ? AND role = ? AND peer.name = ? AND fingerprint = ? ORDER BY at_ms, transfer.id",
            int(since * 1000), peer.role, peer.name, peer.fingerprint,
        )  # fmt: skip
        for link, at_ms, direction, name, files, size, failed, seconds in rows:
            yield TransferRow(
                peer=peer, link=link, at_ms=at_ms, direction=direction, name=name, files=files, bytes=size,
                failed=failed, seconds=seconds,
            )  # fmt: skip

    def events(self, since: float) -> Iterator[EventRow]:
        """Everything that happened since then, the oldest first."""
        query = "SELECT at_ms, role, name, link, kind, text FROM event WHERE at_ms >= ? ORDER BY at_ms, id"
        for at_ms, role, name, link, kind, text in self._rows(query, int(since * 1000)):
            yield EventRow(at_ms=at_ms, role=role, name=name, link=link, kind=kind, text=text)

    def _sessions(self, peer: Peer, since: float) -> list[tuple[int, str, int, int]]:
        rows = self._rows(
            "SELECT session.id, link, first, last FROM session JOIN peer ON peer.id = session.peer"
            " WHERE role = ? AND name = ? AND fingerprint = ? AND last >= ? ORDER BY first, session.id",
            peer.role, peer.name, peer.fingerprint, int(since) // 60 * 60,
        )  # fmt: skip
        return list(rows)

    def _rows(self, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        with plain_errors("read", self._path):
            yield from self._connection.execute(query, values)


@contextmanager
def open_history(home: Home) -> Iterator[HistoryReader]:
    """The file, while it is read; nothing is ever changed in it. Raises `HistoryUnusable` if there is none."""
    path = home.path / FILE_NAME
    with plain_errors("read", path):
        if not path.exists():
            raise HistoryUnusable(
                f"there is no history yet in {home.path}: a server that runs there makes it, and so does bittrrt ping"
            )
        connection = sqlite3.connect(f"file:{quote(str(path))}?{_mode(path)}", uri=True, timeout=BUSY)
    try:
        with plain_errors("read", path):
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version > len(MIGRATIONS):
            raise HistoryUnusable(f"{path} was made by a later version of this program: read it with that one")
        if version < len(MIGRATIONS):
            raise HistoryUnusable(f"{path} is of an earlier version: a server or bittrrt ping of this one brings it on")
        yield HistoryReader(path, connection)
    finally:
        with suppress(sqlite3.Error):
            connection.close()


def _mode(path: Path) -> str:
    """How to open it. On a read-only disk nobody writes, and SQLite cannot make the files that it reads with."""
    writable = os.access(path.parent, os.W_OK)
    return "mode=ro" if writable or path.with_name(f"{path.name}-wal").exists() else "mode=ro&immutable=1"


def _ms(us: int | None) -> float | None:
    return None if us is None else us / 1000
