"""The thread that writes history: it waits for nobody, and no trouble of the disk ends it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.app import history_writer
from bittrrt.app.history_writer import FORGET_EVERY, HistoryWriter
from bittrrt.files.history import DAY, FILE_NAME, Batch, History, MinuteRow
from bittrrt.files.history_reading import open_history
from bittrrt.files.home import Home
from tests.files.history_rows import LAB, NOW, batch, minute, minutes

DEADLINE = 20.0  # seconds: far more than anything takes


class ToldWriter(HistoryWriter):
    """Tells when something was tried, and what is too old has gone."""

    def __init__(self, *args: Any, **more: Any) -> None:
        self.tried = threading.Semaphore(0)
        super().__init__(*args, **more)

    def _forget(self) -> None:
        super()._forget()
        self.tried.release()


class WriterTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Home(Path(self.enterContext(TemporaryDirectory())) / "home")
        self.path = self.home.path / FILE_NAME
        self.now = float(NOW)
        self.said: list[str] = []

    def start(self, open_history: Callable[[Home], History] = History.open, days: int | None = None) -> ToldWriter:
        self.writer = ToldWriter(self.home, lambda: self.now, self.said.append, days=days, open_history=open_history)
        self.writer.start()
        self.addCleanup(self.writer.close)
        return self.writer

    def put(self, *rows: MinuteRow) -> None:
        """Have these rows written, and wait until that was tried."""
        self.writer.put(len(rows), lambda _: batch(*rows))
        self.assertTrue(self.writer.tried.acquire(timeout=DEADLINE))

    def rows(self) -> list[MinuteRow]:
        with open_history(self.home) as reader:
            return list(reader.minutes(LAB, 0))


class WritingTests(WriterTestCase):
    def test_what_waits_is_written_before_the_end(self) -> None:
        self.start()
        for number in range(50):
            self.writer.put(3, lambda _, at=NOW + 60 * number: batch(*minutes(1, at)))  # type: ignore[misc]
        self.writer.close()
        self.assertEqual(len(self.rows()), 150)
        self.assertEqual((self.said, self.writer.dropped), ([], 0))

    def test_rows_are_made_in_the_writers_thread(self) -> None:
        made_in: list[str] = []

        def make(pause: object) -> Batch:
            made_in.append(threading.current_thread().name)
            return batch(minute())

        self.start()
        self.writer.put(1, make)
        self.writer.close()
        self.assertEqual(made_in, ["history"])

    def test_a_disk_that_takes_too_long_holds_nobody_and_costs_rows(self) -> None:
        stuck, go_on = threading.Event(), threading.Event()

        def slow(_: object) -> Batch:
            stuck.set()
            go_on.wait(DEADLINE)
            return batch(minute())

        self.start()
        self.addCleanup(go_on.set)
        self.writer.put(1, slow)
        self.assertTrue(stuck.wait(DEADLINE))
        with mock.patch.object(history_writer, "MAX_WAITING", 10):
            for number in range(20):
                self.writer.put(3, lambda _, at=NOW + 60 * number: batch(*minutes(1, at)))  # type: ignore[misc]
        self.assertEqual(self.writer.dropped, 51)
        go_on.set()
        self.writer.close()
        self.assertEqual(len(self.rows()), 9)
        self.assertEqual(self.said, ["history is kept again; 51 rows were lost"])

    def test_the_end_of_a_program_does_not_wait_for_a_dead_disk(self) -> None:
        stuck, go_on = threading.Event(), threading.Event()

        def dead(home: Home) -> History:
            stuck.set()
            go_on.wait(DEADLINE)
            return History.open(home)

        self.start(dead)
        self.addCleanup(go_on.set)
        self.assertTrue(stuck.wait(DEADLINE))
        with mock.patch.object(history_writer, "LAST_WRITE", 0.01):
            self.writer.close()
        self.assertTrue(self.writer._thread.is_alive())

    def test_what_is_too_old_goes_at_the_start_and_once_an_hour(self) -> None:
        with closing(History.open(self.home)) as history:
            history.write(batch(minute(), minute(NOW + 6 * DAY)))
        self.now += 10 * DAY
        self.start(days=5)
        self.put(minute(NOW + 10 * DAY))
        self.assertEqual([row.at_ms // 1000 - NOW for row in self.rows()], [6 * DAY, 10 * DAY])
        self.now += DAY - 10
        self.put()
        self.now += FORGET_EVERY
        self.put()
        self.assertEqual([row.at_ms // 1000 - NOW for row in self.rows()], [10 * DAY])

    def test_who_is_not_told_how_long_keeps_what_others_were_told(self) -> None:
        self.start(days=90)
        self.put(minute())
        self.writer.close()
        self.now += 60 * DAY
        self.start()
        self.put(minute(NOW + 60 * DAY))
        self.assertEqual(len(self.rows()), 2)


class TroubleTests(WriterTestCase):
    def full_disk(self, home: Home) -> History:
        """SQLite's own error for it, of a file that may not grow."""
        history = History.open(home)
        pages = history._connection.execute("PRAGMA page_count").fetchone()[0]
        if self.full:
            history._connection.execute(f"PRAGMA max_page_count={pages}")
        return history

    def test_a_full_disk_costs_rows_and_one_line_until_there_is_room(self) -> None:
        self.full = True
        self.start(self.full_disk)
        for number in range(3):
            self.put(*minutes(1000, NOW + 60_000 * number))
        self.assertEqual(self.said, [f"history is not kept: cannot write {self.path}: database or disk is full"])
        self.assertEqual((self.writer.dropped, self.rows()), (9000, []))
        self.full = False
        self.put(minute())
        self.assertEqual(self.rows(), [minute()])
        self.assertEqual(self.said[1:], ["history is kept again; 9000 rows were lost"])

    def test_a_read_only_disk_costs_rows_and_one_line(self) -> None:
        def read_only(home: Home) -> History:
            history = History.open(home)
            history._connection.execute("PRAGMA query_only=1")
            return history

        self.start(read_only)
        self.put(minute())
        self.put(minute())
        self.assertEqual(
            self.said, [f"history is not kept: cannot write {self.path}: attempt to write a readonly database"]
        )
        self.assertEqual(self.writer.dropped, 2)

    def test_a_home_that_is_no_directory_costs_one_line_until_it_is_one(self) -> None:
        self.home.path.write_text("in the way")
        self.start()
        self.put(minute())
        self.assertRegex(self.said[0], r"^history is not kept: cannot make the directory .*: File exists$")
        self.home.path.unlink()
        self.put(minute())
        self.assertEqual((len(self.said), self.rows()), (2, [minute()]))

    def test_a_damaged_file_is_set_aside_and_history_begins_anew_without_a_loss(self) -> None:
        self.home.ensure()
        self.path.write_bytes(b"this is no database, and long enough for SQLite to see that" * 100)
        self.start()
        self.put(minute())
        self.assertEqual(self.rows(), [minute()])
        aside = self.path.with_name(f"{FILE_NAME}.damaged-{NOW}")
        self.assertTrue(aside.read_bytes().startswith(b"this is no database"))
        self.assertEqual(
            self.said,
            [f"{self.path} is damaged: file is not a database; it is kept as {aside.name}, and history begins anew"],
        )
        self.assertEqual(self.writer.dropped, 0)

    def test_a_file_that_is_damaged_while_it_is_written_is_set_aside(self) -> None:
        def breaking(home: Home) -> History:
            history = History.open(home)
            if not self.said:
                _overwrite(self.path)
            return history

        with closing(History.open(self.home)) as history:
            history.write(batch(*minutes(500)))
        self.start(breaking)
        self.put(*minutes(500))
        self.assertEqual(len(self.rows()), 1500)
        self.assertEqual(len(self.said), 1)
        self.assertIn("is damaged", self.said[0])

    def test_an_error_that_nobody_thought_of_does_not_end_the_thread(self) -> None:
        self.start()
        self.writer.put(1, lambda _: batch(*[minute(1 // 0)]))
        self.assertTrue(self.writer.tried.acquire(timeout=DEADLINE))
        self.put(minute())
        self.assertEqual(self.rows(), [minute()])
        self.assertRegex(self.said[0], "^history is not kept: ZeroDivisionError: ")
        self.assertEqual(self.said[1:], ["history is kept again; 1 rows were lost"])


def _overwrite(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
