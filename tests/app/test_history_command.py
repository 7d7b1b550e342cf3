"""`bittrrt history`: tables, JSON and plots of a history that a test has written."""

from __future__ import annotations

import json
import os
import time
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.app.cli import main
from bittrrt.files.history import EventRow, History, MinuteRow, Peer, TransferRow
from bittrrt.files.home import Home
from tests.files.history_rows import FAR, LAB, NOW, batch, event, minutes, silent_minute, transfer

SLOW = {
    "min_ms": 40.0,
    "p5_ms": 40.2,
    "p25_ms": 41.0,
    "median_ms": 42.0,
    "p75_ms": 44.0,
    "p95_ms": 50.0,
    "max_ms": 63.0,
}
"""Twice as long as usual."""
LATER = NOW + 7200  # when the command is run


class HistoryCommandTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.enterContext(mock.patch.dict(os.environ, {"COLUMNS": "80", "TZ": "UTC"}))
        self.addCleanup(time.tzset)
        time.tzset()
        self.enterContext(mock.patch("bittrrt.app.history.time.time", return_value=LATER))
        self.directory = Path(self.enterContext(TemporaryDirectory()))
        self.home = Home(self.directory / "home")

    def write(self, *rows: MinuteRow | TransferRow | EventRow) -> None:
        with closing(History.open(self.home)) as history:
            history.write(batch(*rows))

    def run_history(self, *args: str) -> Result:
        result = CliRunner().invoke(main, ["--home", str(self.home.path), "history", *args])
        if result.exception is not None:
            self.assertIsInstance(result.exception, SystemExit)
        return result

    def shown(self, *args: str) -> str:
        result = self.run_history(*args)
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        return result.stdout

    def line(self, *args: str) -> str:
        """The one line with which it ends."""
        result = self.run_history(*args)
        self.assertEqual((result.exit_code, result.stdout, result.stderr.count("\n")), (1, "", 1), result.output)
        return result.stderr


class TableTests(HistoryCommandTestCase):
    def test_a_peer_is_a_line_a_port_with_its_median_over_time(self) -> None:
        self.write(*minutes(40), *minutes(20, NOW + 2400, **SLOW))
        head, columns, ctrl, *_ = self.shown().splitlines()
        self.assertEqual(head, "lab a client of this server, 2023-11-14 22:14 to 23:14")
        self.assertEqual(columns.split(), ["port", "beats", "median", "p95", "max", "lost", "median", "over", "time"])
        self.assertEqual(ctrl.split(), ["ctrl", "720", "22.08", "43.87", "63.00", "0.0%", "▁" * 20 + "█" * 10])

    def test_the_widest_line_has_every_cell_whole_in_80_columns(self) -> None:
        self.write(*minutes(60, answered=999_999, lost=12_345, median_ms=99_999.0, p95_ms=99_999.0, max_ms=123_456.0))
        shown = self.shown()
        self.assertLessEqual(max(map(len, shown.splitlines())), 80)
        self.assertNotIn("…", shown)
        self.assertIn(" 123456 ", shown)

    def test_what_was_lost_is_in_figures_and_a_gap_is_left_blank(self) -> None:
        self.write(*minutes(10), *minutes(10, NOW + 1200), silent_minute(NOW + 660))
        up = self.shown().splitlines()[3]
        self.assertRegex(up, r"^up +252 .* 4\.8%  ▁{10} x {8}▁{10}$")

    def test_only_the_time_that_is_asked_for_is_shown(self) -> None:
        self.write(*minutes(1), *minutes(2, NOW + 5400))
        self.assertIn("lab a client of this server, 2023-11-14 23:14 to 23:46\n", self.shown("--since", "1h"))
        self.assertRegex(self.shown("--since", "3h"), r"22:14 to 23:46\n.*\nctrl +36 ")

    def test_files_and_events_follow(self) -> None:
        self.write(
            *minutes(1), transfer(), transfer(name="", files=9, bytes=1000, failed=2, seconds=None),
            transfer(direction="get"), *[event(NOW + number, f"lab did {number}") for number in range(25)],
        )  # fmt: skip
        shown = self.shown()
        self.assertIn("\nget: 1 file, 5 MB\nput: 10 files, 5 MB, 2 failed\n", shown)
        self.assertIn("\n5 earlier events: --json shows all\n2023-11-14 22:14:05  lab did 5\n", shown)
        self.assertTrue(shown.endswith("2023-11-14 22:14:24  lab did 24\n"))

    def test_names_are_shown_as_text(self) -> None:
        hostile = Peer("client", "[bold]:smile:</b>", LAB.fingerprint)
        self.write(*minutes(1, peer=hostile), event(text="a\x1b]0;x\x07 [red]b :bug:", name=hostile.name))
        shown = self.shown()
        self.assertIn("[bold]:smile:</b> a client of this server", shown)
        self.assertIn("  a?]0;x? [red]b :bug:\n", shown)

    def test_a_terminal_without_blocks_gets_plain_signs(self) -> None:
        self.write(*minutes(40), *minutes(20, NOW + 2400, **SLOW))
        result = CliRunner(charset="iso-8859-1").invoke(main, ["--home", str(self.home.path), "history"])
        self.assertEqual(result.exit_code, 0, result.output)
        self.assertIn("_" * 20 + "#" * 10, result.stdout)


class ChoiceTests(HistoryCommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.write(*minutes(2), *minutes(3, peer=FAR), event(), event(text="far", name=FAR.name, role="server"))

    def test_without_a_host_all_are_shown(self) -> None:
        shown = self.shown()
        self.assertIn("lab a client", shown)
        self.assertIn("far.example:6711 a server, ", shown)
        self.assertIn("  far\n", shown)

    def test_a_peer_is_found_by_what_people_call_it(self) -> None:
        for text in ("far.example", "FAR.example", "far.example:6711", FAR.fingerprint):
            shown = self.shown(text)
            self.assertIn("far.example:6711 a server, ", shown)
            self.assertNotIn("lab", shown)
        shown = self.shown("lab")
        self.assertNotIn("far", shown)
        self.assertIn("lab opened a session", shown)

    def test_one_that_is_not_there_is_named_with_those_that_are(self) -> None:
        self.assertEqual(
            self.line("bob"), "Error: there is no history of 'bob' here; there is of: far.example:6711, lab\n"
        )

    def test_a_time_of_which_nothing_is_known_is_told(self) -> None:
        result = self.run_history("--since", "90s")
        self.assertEqual((result.exit_code, result.stdout), (0, ""))
        self.assertRegex(result.stderr, r"^Nothing was recorded in that time; .*\n$")

    def test_without_any_history_it_says_what_makes_it(self) -> None:
        self.home = Home(self.directory / "other")
        self.assertIn("there is no history yet in ", self.line())
        self.assertFalse(self.home.path.exists())

    def test_a_damaged_file_is_one_line(self) -> None:
        (self.home.path / "history.db").write_bytes(b"nonsense" * 1000)
        self.assertIn("history.db is damaged: file is not a database", self.line())


class JsonTests(HistoryCommandTestCase):
    def test_every_row_is_one_flat_object(self) -> None:
        self.write(*minutes(2), silent_minute(NOW + 120), transfer(name='a\n"b'), event(), event(NOW + 9, name="x"))
        rows = [json.loads(line) for line in self.shown("--json").splitlines()]
        self.assertEqual([row["row"] for row in rows], ["minute"] * 7 + ["file"] + ["event"] * 2)
        self.assertEqual(
            {key: rows[0][key] for key in ("role", "name", "port", "at_ms", "answered", "p95_ms")},
            {"role": "client", "name": "lab", "port": "ctrl", "at_ms": NOW * 1000, "answered": 12, "p95_ms": 25.0},
        )
        self.assertEqual((rows[6]["lost"], rows[6]["median_ms"]), (12, None))
        self.assertEqual((rows[7]["name"], rows[7]["file"], rows[7]["bytes"]), ("lab", 'a\n"b', 5_000_000))
        self.assertEqual(rows[8]["text"], "lab opened a session")

    def test_a_host_has_only_its_own(self) -> None:
        self.write(*minutes(1), *minutes(1, peer=FAR), event(), event(name="other"))
        rows = [json.loads(line) for line in self.shown("lab", "--json").splitlines()]
        self.assertEqual({row["name"] for row in rows}, {"lab"})
        self.assertEqual(len(rows), 4)
