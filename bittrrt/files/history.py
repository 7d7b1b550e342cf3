"""What this end's links were like: a SQLite file in the home directory, written by any number of processes at a time.

    peer      whom a link was with, and as what: one of our clients, or a server that we asked
    session   one link, with the first and the last minute that is known of it
    minute    a row a minute, session and port, in the order of time: writing adds at the end, forgetting cuts the start
    transfer  a row a large file, and one for all small ones of a minute and session
    event     what happened, in a line for people
    kept      the days that rows are kept, as the service that started last was told

WAL and `synchronous=NORMAL`: a process that is killed loses the transaction that it was in, a power cut a few of the
last; neither leaves half a row. Names are parameters, never text of a statement. `now` is an argument.

A minute of one port takes 62 bytes: 270 KB a session and day, 8 MB in 30 days, 8 GB for a thousand sessions.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from ..errors import HistoryDamaged, HistoryUnusable
from ..wire.datagram import PortType
from .home import Home

FILE_NAME: Final = "history.db"
DAYS: Final = 30  # that rows are kept, unless somebody says otherwise
DAY: Final = 86400  # seconds
BUSY: Final = 10.0  # seconds to wait for another process, which writes for a few milliseconds at a time
AT_ONCE: Final = 1000  # rows that are deleted in one transaction: a few milliseconds
KEPT_EVENTS: Final = 100_000  # whatever clients do; about 20 MB
PORTS: Final = tuple(port_type.value for port_type in PortType)
"""Their names, by the numbers that stand for them in the file."""

Role = Literal["client", "server"]
"""What the other end is."""

_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE peer (
        id INTEGER PRIMARY KEY, role TEXT NOT NULL, name TEXT NOT NULL, fingerprint TEXT NOT NULL,
        UNIQUE (role, name, fingerprint)
    );
    CREATE TABLE session (
        id INTEGER PRIMARY KEY, peer INTEGER NOT NULL REFERENCES peer, link TEXT NOT NULL,
        first INTEGER NOT NULL, last INTEGER NOT NULL, UNIQUE (peer, link)
    );
    CREATE INDEX session_last ON session (last);
    CREATE TABLE minute (
        at INTEGER NOT NULL CHECK (at % 60 = 0), session INTEGER NOT NULL REFERENCES session, port INTEGER NOT NULL,
        answered INTEGER NOT NULL, lost INTEGER NOT NULL,
        min_us INTEGER, p5_us INTEGER, p25_us INTEGER, p50_us INTEGER, p75_us INTEGER, p95_us INTEGER, p99_us INTEGER,
        max_us INTEGER, offset_us INTEGER, error_us INTEGER,
        PRIMARY KEY (at, session, port)
    ) WITHOUT ROWID;
    CREATE TABLE transfer (
        id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, session INTEGER NOT NULL REFERENCES session,
        direction TEXT NOT NULL, name TEXT NOT NULL, files INTEGER NOT NULL, bytes INTEGER NOT NULL,
        failed INTEGER NOT NULL, seconds REAL
    );
    CREATE INDEX transfer_at ON transfer (at_ms);
    CREATE TABLE event (
        id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, role TEXT NOT NULL, name TEXT NOT NULL, link TEXT NOT NULL,
        kind TEXT NOT NULL, text TEXT NOT NULL
    );
    CREATE INDEX event_at ON event (at_ms);
    CREATE TABLE kept (id INTEGER PRIMARY KEY CHECK (id = 1), days INTEGER NOT NULL);
    """,
)
"""What makes of a file of version n, which SQLite's `user_version` names, one of version n + 1; a new file is of 0."""


class Peer(Struct, frozen=True):
    """Whom a link is with."""

    role: Role
    name: str
    """What a client is called here; HOST:PORT of a server."""
    fingerprint: str


class MinuteRow(Struct, frozen=True, kw_only=True):
    """One port of one session in one minute. Round trips in milliseconds; null if none was measured."""

    peer: Peer
    link: str
    """The session's id, hexadecimal."""
    port: str
    """`ctrl`, `up` or `dn`."""
    at_ms: int
    """When the minute began: whole minutes, ms since 1970."""
    answered: int
    """Heartbeats whose answer came."""
    lost: int
    """Heartbeats whose answer did not."""
    min_ms: float | None = None
    p5_ms: float | None = None
    p25_ms: float | None = None
    median_ms: float | None = None
    p75_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None
    clock_offset_ms: float | None = None
    """How far the other end's clock is before ours, give or take `clock_error_ms`."""
    clock_error_ms: float | None = None


class TransferRow(Struct, frozen=True, kw_only=True):
    """A large file, or the small ones of one minute and session together; then the name is empty."""

    peer: Peer
    link: str
    at_ms: int
    """When it was over."""
    direction: str
    """What the client did: `put` or `get`."""
    name: str
    files: int
    """That arrived whole."""
    bytes: int
    failed: int
    """Files that did not arrive."""
    seconds: float | None
    """What a large file took; null if that is not known."""


class EventRow(Struct, frozen=True, kw_only=True):
    """Something that happened."""

    at_ms: int
    role: Role
    name: str
    """The other end's; empty where it is not known."""
    link: str
    """The session's id; empty where it is about none."""
    kind: str
    text: str


class Batch(Struct, frozen=True):
    """What is written in one transaction."""

    minutes: list[MinuteRow]
    transfers: list[TransferRow]
    events: list[EventRow]


class History:
    """The file, open for writing. One thread's, that which opened it."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Use `open`."""
        self._path = path
        self._connection = connection

    @classmethod
    def open(cls, home: Home) -> History:
        """Open the file; make it, 0600, or bring it to this version, where that is needed.

        Raises `SettingsError` or `HistoryUnusable` if it cannot be used, and of these `HistoryDamaged` if it is broken.
        """
        path = home.make_private(FILE_NAME)
        with plain_errors("open", path):
            connection = sqlite3.connect(path, timeout=BUSY, isolation_level=None)
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=NORMAL")
                connection.execute(f"PRAGMA journal_size_limit={2**24}")
                migrate(connection, path)
                return cls(path, connection)
            except BaseException:
                connection.close()
                raise

    def close(self) -> None:
        """Close it. The last process to do so leaves one file."""
        with suppress(sqlite3.Error):
            self._connection.close()

    def write(self, batch: Batch) -> None:
        """Put these rows in, all or none. Raises `HistoryUnusable`.

        A row of the same minute, session and port takes the place of one that is there: the clock was set back.
        """
        with self._transaction():
            sessions = self._sessions(batch)
            # A generator, so that the interpreter is given away at every row, and not kept while a list is made.
            self._connection.executemany(
                "INSERT OR REPLACE INTO minute VALUES (?,?,?, ?,?, ?,?,?,?,?,?,?,?, ?,?)",
                (_minute_values(row, sessions[row.peer, row.link]) for row in batch.minutes),
            )
            self._connection.executemany(
                "INSERT INTO transfer (at_ms, session, direction, name, files, bytes, failed, seconds)"
                " VALUES (?,?,?,?,?,?,?,?)",
                [
                    (
                        t.at_ms,
                        sessions[t.peer, t.link],
                        t.direction,
                        _text(t.name),
                        t.files,
                        t.bytes,
                        t.failed,
                        t.seconds,
                    )
                    for t in batch.transfers
                ],
            )
            self._connection.executemany(
                "INSERT INTO event (at_ms, role, name, link, kind, text) VALUES (?,?,?,?,?,?)",
                [(e.at_ms, e.role, _text(e.name), e.link, e.kind, _text(e.text)) for e in batch.events],
            )

    def keep_days(self, days: int) -> None:
        """Remember how long rows are kept here, for the programs that were not told."""
        with self._transaction():
            self._connection.execute("INSERT OR REPLACE INTO kept VALUES (1, ?)", (days,))

    def days_kept(self) -> int:
        """How long rows are kept."""
        with plain_errors("read", self._path):
            row = self._connection.execute("SELECT days FROM kept").fetchone()
            return DAYS if row is None else int(row[0])

    def forget(self, now: float) -> bool:
        """Delete some of what is older than the days that are kept, at most about `AT_ONCE` rows of each kind.

        `now`: seconds since 1970. Whether there is more to delete.
        """
        before = int(now) - self.days_kept() * DAY
        with self._transaction():
            deleted = [
                self._delete("DELETE FROM minute WHERE at < ?1 AND at <= coalesce((SELECT at FROM minute ORDER BY at"
                             " LIMIT 1 OFFSET ?2), ?1)", before, AT_ONCE),
                self._delete("DELETE FROM transfer WHERE id IN (SELECT id FROM transfer WHERE at_ms < ? LIMIT ?)",
                             before * 1000, AT_ONCE),
                self._delete("DELETE FROM event WHERE id IN (SELECT id FROM event WHERE at_ms < ? LIMIT ?)",
                             before * 1000, AT_ONCE),
                self._delete("DELETE FROM event WHERE id IN (SELECT id FROM event WHERE id <= (SELECT max(id) FROM"
                             " event) - ? LIMIT ?)", KEPT_EVENTS, AT_ONCE),
            ]  # fmt: skip
            if not any(deleted):  # now nothing hangs on a session of that time any more
                query = "DELETE FROM session WHERE id IN (SELECT id FROM session WHERE last < ? LIMIT ?)"
                deleted.append(self._delete(query, before, AT_ONCE))
                self._connection.execute("DELETE FROM peer WHERE id NOT IN (SELECT peer FROM session)")
        return any(deleted)

    def _delete(self, statement: str, *values: int) -> int:
        return self._connection.execute(statement, values).rowcount

    def _sessions(self, batch: Batch) -> dict[tuple[Peer, str], int]:
        """The sessions that these rows are of, with their numbers in the file. All are there, and known to be so late.

        They are looked up anew each time: another process may have forgotten one.
        """
        times: dict[tuple[Peer, str], list[int]] = {}
        rows: list[MinuteRow | TransferRow] = [*batch.minutes, *batch.transfers]
        for row in rows:
            times.setdefault((row.peer, row.link), []).append(row.at_ms // 60_000 * 60)
        found = {}
        for (peer, link), at in times.items():
            whose = (peer.role, _text(peer.name), peer.fingerprint)
            self._connection.execute("INSERT OR IGNORE INTO peer (role, name, fingerprint) VALUES (?,?,?)", whose)
            self._connection.execute(
                "INSERT INTO session (peer, link, first, last) SELECT id, ?, ?, ? FROM peer"
                " WHERE role = ? AND name = ? AND fingerprint = ? ON CONFLICT (peer, link)"
                " DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last)",
                (link, min(at), max(at), *whose),
            )
            number = self._connection.execute(
                "SELECT session.id FROM session JOIN peer ON peer.id = session.peer"
                " WHERE role = ? AND name = ? AND fingerprint = ? AND link = ?",
                (*whose, link),
            )
            found[peer, link] = number.fetchone()[0]
        return found

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with plain_errors("write", self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # some errors, as a full disk, have rolled back already
                    self._connection.execute("ROLLBACK")
                raise


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the file to this program's version. Raises `HistoryUnusable` if it is of a later one."""
    if _version(connection) == len(MIGRATIONS):
        return
    connection.execute("BEGIN EXCLUSIVE")
    try:
        version = _version(connection)  # another process may just have done it
        if version > len(MIGRATIONS):
            raise HistoryUnusable(f"{path} was made by a later version of this program: use that one, or move it away")
        for script in MIGRATIONS[version:]:
            for statement in script.split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version={len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def current_inode(home: Home) -> int | None:
    """Which file it is that is there now; None if there is none."""
    try:
        return (home.path / FILE_NAME).stat().st_ino
    except OSError:
        return None


def set_aside(home: Home, inode: int | None, now: float) -> Path | None:
    """Give a damaged file another name, for somebody who may want to mend it; where it has gone.

    `inode` is what `current_inode` said before it was opened: if another file is there now, another process has done
    this in between and begun anew, and there is nothing to do. `now`: seconds since 1970. Raises `SettingsError` or
    `HistoryUnusable`.
    """
    path = home.path / FILE_NAME
    aside = path.with_name(f"{FILE_NAME}.damaged-{int(now)}")
    with home.locked(), plain_errors("rename the damaged", path):
        if inode is None or current_inode(home) != inode:
            return None
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                os.rename(f"{path}{suffix}", f"{aside}{suffix}")
    return aside


@contextmanager
def plain_errors(verb: str, path: Path) -> Iterator[None]:
    """Turn SQLite's errors, and the system's, into one line for a person."""
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
            raise HistoryDamaged(f"{path} is damaged: {error}") from None
        raise HistoryUnusable(f"cannot {verb} {path}: {error}") from None
    except OSError as error:
        raise HistoryUnusable(f"cannot {verb} {path}: {error.strerror or error}") from None


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _minute_values(row: MinuteRow, session: int) -> tuple[int | None, ...]:
    times = (
        row.min_ms, row.p5_ms, row.p25_ms, row.median_ms, row.p75_ms, row.p95_ms, row.p99_ms, row.max_ms,
        row.clock_offset_ms, row.clock_error_ms,
    )  # fmt: skip
    return (row.at_ms // 60_000 * 60, session, PORTS.index(row.port), row.answered, row.lost, *map(_us, times))


def _text(text: str) -> str:
    """What SQLite takes: names of files may have bytes in them that are no UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


def _us(ms: float | None) -> int | None:
    return None if ms is None else round(ms * 1000)
