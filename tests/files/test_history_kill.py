"""A process that writes history and is killed: what it had written is there, and nothing half."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.files.history import FILE_NAME, PORTS, History
from bittrrt.files.history_reading import open_history
from bittrrt.files.home import Home

from .history_rows import LAB, NOW, batch, event, minute, minutes

SESSIONS = 20


class KilledTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Home(Path(self.enterContext(TemporaryDirectory())) / "home")

    def write_in_child(self, begin: int, until_told: int, statements: int) -> int:
        """A child writes minute after minute, and dies when SQLite has worked so long after it told so many.

        How many it told: each after it was written.
        """
        readable, writable = os.pipe()
        child = os.fork()
        if not child:
            try:
                self.write_until_killed(begin, until_told, statements, writable)
            finally:
                os._exit(1)
        os.close(writable)
        with os.fdopen(readable, "rb") as heard:
            told = len(heard.read())
        _, status = os.waitpid(child, 0)
        self.assertTrue(os.WIFSIGNALED(status), f"the child ended by itself: {status}")
        return told

    def write_until_killed(self, begin: int, until_told: int, statements: int, writable: int) -> None:
        history = History.open(self.home)
        number = 0

        def work() -> int:
            nonlocal statements
            if number >= until_told:
                statements -= 1
                if statements <= 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return 0

        history._connection.set_progress_handler(work, 40)  # every 40 steps of SQLite's machine, wherever that is
        while True:
            at = begin + 60 * number
            rows = [row for n in range(SESSIONS) for row in minutes(1, at, link=f"{n:032x}")]
            history.write(batch(*rows, event(at)))
            history.forget(at)
            number += 1
            os.write(writable, b".")

    def test_a_kill_anywhere_leaves_whole_minutes_and_loses_none_that_was_written(self) -> None:
        chance = random.Random(3)
        begin = NOW
        for _ in range(12):
            written = self.write_in_child(begin, chance.randint(0, 5), chance.randint(1, 400))
            with closing(sqlite3.connect(self.home.path / FILE_NAME)) as connection:
                self.assertEqual(connection.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
                of_a_minute = dict(connection.execute("SELECT at, count(*) FROM minute GROUP BY at").fetchall())
                events = [row[0] // 1000 for row in connection.execute("SELECT at_ms FROM event ORDER BY at_ms")]
            self.assertEqual(set(of_a_minute.values()) - {SESSIONS * len(PORTS)}, set())
            self.assertEqual(sorted(of_a_minute), events)
            self.assertGreaterEqual(len([at for at in of_a_minute if at >= begin]), written)
            begin += 60 * (written + 2)

    def test_the_next_process_goes_on_behind_it(self) -> None:
        self.write_in_child(NOW, 3, 100)
        with closing(History.open(self.home)) as history:
            history.write(batch(minute(NOW + 6000)))
        with open_history(self.home) as reader:
            self.assertEqual(list(reader.minutes(LAB, NOW + 6000)), [minute(NOW + 6000)])
