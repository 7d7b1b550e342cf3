"""The file that history is kept in: what is written is read, what is old goes, what is broken is told."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.errors import HistoryDamaged, HistoryUnusable, SettingsError
from bittrrt.files import history
from bittrrt.files.history import DAY, FILE_NAME, History, MinuteRow, Peer, current_inode, set_aside
from bittrrt.files.history_reading import open_history
from bittrrt.files.home import Home

from .history_rows import FAR, LAB, NOW, batch, event, minute, minutes, silent_minute, transfer


class HistoryTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Home(Path(self.enterContext(TemporaryDirectory())) / "home")
        self.path = self.home.path / FILE_NAME

    def open(self) -> History:
        return self.enterContext(closing(History.open(self.home)))

    def minutes_of(self, peer: Peer, since: float = 0.0) -> list[MinuteRow]:
        with open_history(self.home) as reader:
            return list(reader.minutes(peer, since))

    def count(self, table: str) -> int:
        with closing(sqlite3.connect(self.path)) as connection:
            return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


class WritingTests(HistoryTestCase):
    def test_what_is_written_is_read_to_the_microsecond(self) -> None:
        rows = [minute(port="ctrl", median_ms=0.123), silent_minute(port="dn"), minute(NOW + 60, port="ctrl")]
        self.open().write(batch(*rows, transfer(), event()))
        self.assertEqual(self.minutes_of(LAB), rows)
        with open_history(self.home) as reader:
            self.assertEqual(reader.peers(), [LAB])
            self.assertEqual(list(reader.transfers(LAB, 0)), [transfer()])
            self.assertEqual(list(reader.events(0)), [event()])
            self.assertEqual(reader.span(LAB, 0), (NOW, NOW + 120))
            self.assertIsNone(reader.span(FAR, 0))

    def test_the_file_and_what_sqlite_puts_beside_it_are_for_the_owner_alone(self) -> None:
        self.addCleanup(os.umask, os.umask(0))
        self.open().write(batch(minute()))
        for name in (FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm"):
            self.assertEqual(stat.S_IMODE((self.home.path / name).stat().st_mode), 0o600, name)

    def test_peers_and_times_are_told_apart(self) -> None:
        other = Peer("client", "lab", FAR.fingerprint)
        self.open().write(batch(minute(), minute(peer=FAR), minute(peer=other, link="00" * 16), minute(NOW + 600)))
        self.assertEqual(self.minutes_of(FAR), [minute(peer=FAR)])
        self.assertEqual(self.minutes_of(other), [minute(peer=other, link="00" * 16)])
        self.assertEqual(self.minutes_of(LAB, NOW + 59), [minute(), minute(NOW + 600)])
        self.assertEqual(self.minutes_of(LAB, NOW + 60), [minute(NOW + 600)])

    def test_a_clock_that_was_set_back_leaves_the_later_measurement(self) -> None:
        self.open().write(batch(minute(NOW + 600), minute(NOW)))
        self.open().write(batch(minute(NOW, answered=3)))
        self.assertEqual([row.answered for row in self.minutes_of(LAB)], [3, 12])

    def test_a_batch_that_fails_leaves_nothing(self) -> None:
        writer = self.open()
        writer.write(batch(minute()))
        connection: Any = RefusingEvents(writer._connection)
        writer._connection = connection
        error = self.assertRaises(HistoryUnusable, writer.write, batch(minute(NOW + 60), transfer(), event()))
        self.assertEqual(str(error), f"cannot write {self.path}: database or disk is full")
        self.assertEqual((self.count("minute"), self.count("transfer"), self.count("event")), (1, 0, 0))

    def test_names_are_never_sql_and_need_not_be_unicode(self) -> None:
        hostile = Peer("client", "x');DROP/**/TABLE/**/minute;--", LAB.fingerprint)
        odd = "'; DELETE FROM peer; -- \udcff\x00\u202e"
        self.open().write(batch(minute(peer=hostile), transfer(peer=hostile, name=odd), event(text=odd, name=odd)))
        with open_history(self.home) as reader:
            self.assertEqual(reader.peers(), [hostile])
            self.assertEqual(len(list(reader.minutes(hostile, 0))), 1)
            (row,) = reader.transfers(hostile, 0)
            self.assertEqual(row.name, odd.replace("\udcff", "\\udcff"))
            self.assertEqual(list(reader.minutes(Peer("client", "' OR 1=1 --", ""), 0)), [])

    def test_several_may_write_at_a_time(self) -> None:
        one, other = self.open(), self.open()
        for number in range(20):
            one.write(batch(minute(NOW + 60 * number)))
            other.write(batch(minute(NOW + 60 * number, peer=FAR)))
            self.assertEqual(len(self.minutes_of(LAB)), number + 1)
        self.assertEqual(len(self.minutes_of(FAR)), 20)

    def test_a_row_is_about_as_large_as_is_said(self) -> None:
        writer = self.open()
        for number in range(20):
            writer.write(batch(*minutes(144, NOW + 8640 * number)))
        writer.close()
        self.assertLess(self.path.stat().st_size / (20 * 144 * 3), 65)


class RefusingEvents:
    """A connection to a file on a disk on which there is no room for events."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def executemany(self, statement: str, rows: list[tuple[Any, ...]]) -> object:
        if "INTO event" in statement:
            raise sqlite3.OperationalError("database or disk is full")
        return self.connection.executemany(statement, rows)

    def __getattr__(self, name: str) -> object:
        return getattr(self.connection, name)


class ForgettingTests(HistoryTestCase):
    def forget(self, now: float) -> int:
        """All that is too old; how many pieces that took."""
        writer, pieces = self.open(), 1
        while writer.forget(now):
            pieces += 1
        return pieces

    def test_thirty_days_are_kept_unless_somebody_says_more_or_less(self) -> None:
        writer = self.open()
        writer.write(batch(minute(), minute(NOW + 2 * DAY)))
        self.forget(NOW + 30 * DAY)
        self.assertEqual(len(self.minutes_of(LAB)), 2)
        self.forget(NOW + 30 * DAY + 1)
        self.assertEqual(self.minutes_of(LAB), [minute(NOW + 2 * DAY)])
        writer.keep_days(40)
        self.forget(NOW + 35 * DAY)
        writer.keep_days(7)
        self.assertEqual(self.open().days_kept(), 7)
        self.assertEqual(len(self.minutes_of(LAB)), 1)
        self.forget(NOW + 35 * DAY)
        self.assertEqual(self.minutes_of(LAB), [])

    def test_everything_of_that_time_goes_in_small_pieces(self) -> None:
        late = Peer("client", "late", LAB.fingerprint)
        rows = minutes(1200) + minutes(3, NOW + 31 * DAY, peer=late)
        events = [event(NOW + n) for n in range(1500)] + [event(NOW + 31 * DAY)]
        self.open().write(batch(*rows, *events, transfer(), transfer(NOW + 31 * DAY, late)))
        with mock.patch.object(history, "AT_ONCE", 300):
            self.assertGreater(self.forget(NOW + 31 * DAY), 10)
        left = {table: self.count(table) for table in ("minute", "event", "transfer", "session", "peer")}
        self.assertEqual(left, {"minute": 9, "event": 1, "transfer": 1, "session": 1, "peer": 1})
        self.assertEqual(len(self.minutes_of(late)), 9)

    def test_a_session_that_lasts_loses_only_its_beginning(self) -> None:
        writer = self.open()
        writer.write(batch(minute(), minute(NOW + 20 * DAY), minute(NOW + 40 * DAY)))
        self.forget(NOW + 40 * DAY)
        self.assertEqual(self.minutes_of(LAB), [minute(NOW + 20 * DAY), minute(NOW + 40 * DAY)])
        with open_history(self.home) as reader:
            self.assertEqual(reader.span(LAB, NOW + 20 * DAY), (NOW + 20 * DAY, NOW + 40 * DAY + 60))

    def test_events_are_bounded_whatever_clients_do(self) -> None:
        with mock.patch.object(history, "KEPT_EVENTS", 50):
            self.open().write(batch(*[event(NOW + number) for number in range(200)]))
            self.forget(NOW + 200)
        with open_history(self.home) as reader:
            self.assertEqual([row.at_ms // 1000 - NOW for row in reader.events(0)], list(range(150, 200)))


class VersionTests(HistoryTestCase):
    def test_a_file_of_an_earlier_version_is_brought_on_with_what_is_in_it(self) -> None:
        self.open().write(batch(minute()))
        more = (*history.MIGRATIONS, "ALTER TABLE minute ADD COLUMN jitter_us INTEGER; CREATE TABLE more (x)")
        with mock.patch.object(history, "MIGRATIONS", more):
            writer = self.open()
            columns = [row[1] for row in writer._connection.execute("PRAGMA table_info(minute)")]
            self.assertEqual((columns[-1], self.count("more"), self.count("minute")), ("jitter_us", 0, 1))
            self.open()  # and a second time nothing is to be done

    def test_a_change_that_breaks_off_leaves_the_file_as_it_was(self) -> None:
        self.open().write(batch(minute()))
        with mock.patch.object(history, "MIGRATIONS", (*history.MIGRATIONS, "CREATE TABLE more (x); NONSENSE")):
            self.assertRaises(HistoryUnusable, History.open, self.home)
        self.assertEqual(self.minutes_of(LAB), [minute()])
        self.assertRaises(sqlite3.OperationalError, self.count, "more")

    def test_a_file_of_a_later_version_is_left_alone(self) -> None:
        self.open()._connection.execute("PRAGMA user_version=99")
        error = self.assertRaises(HistoryUnusable, History.open, self.home)
        self.assertIn("was made by a later version of this program: use that one", str(error))
        with self.assertRaises(HistoryUnusable) as caught, open_history(self.home):
            pass
        self.assertIn("later version", str(caught.exception))


class DamageTests(HistoryTestCase):
    def test_what_is_no_history_is_told_from_what_cannot_be_written(self) -> None:
        self.home.ensure()
        self.path.write_bytes(b"this is no database, and long enough for SQLite to see that" * 100)
        self.assertRaises(HistoryDamaged, History.open, self.home)
        self.path.unlink()
        self.path.mkdir()
        error = self.assertRaises(HistoryUnusable, History.open, self.home)
        self.assertNotIsInstance(error, HistoryDamaged)
        self.assertEqual(str(error), f"cannot open {self.path}: unable to open database file")

    def test_a_page_that_was_overwritten_is_damage(self) -> None:
        writer = self.open()
        writer.write(batch(*minutes(500)))
        writer.close()
        with self.path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * (self.path.stat().st_size - 4096))
        self.assertRaises(HistoryDamaged, self.minutes_of, LAB)

    def test_a_damaged_file_is_kept_under_another_name_once(self) -> None:
        self.home.ensure()
        self.path.write_bytes(b"broken")
        broken = current_inode(self.home)
        aside = set_aside(self.home, broken, NOW + 0.5)
        assert aside is not None
        self.assertEqual((aside.name, aside.read_bytes()), (f"{FILE_NAME}.damaged-{NOW}", b"broken"))
        self.open().write(batch(minute()))
        self.assertIsNone(set_aside(self.home, broken, NOW + 1))  # another process, that saw the same damage
        self.assertEqual(self.minutes_of(LAB), [minute()])

    def test_without_history_it_says_what_makes_it(self) -> None:
        with self.assertRaises(HistoryUnusable) as caught, open_history(self.home):
            pass
        self.assertRegex(str(caught.exception), r"^there is no history yet in .*/home: a server that runs there makes")
        self.assertFalse(self.home.path.exists())

    def test_a_home_that_cannot_be_made_is_told(self) -> None:
        self.home.path.write_text("a file")
        self.assertRaises(SettingsError, History.open, self.home)
