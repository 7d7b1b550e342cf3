"""Terminals: plots in letters, keys, and pictures that fit."""

from __future__ import annotations

import os
import pty
import termios
from io import StringIO
from typing import Any, cast
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.app.plain_text import plain
from bittrrt.app.terminal import Keys, Screen, fit, keys_of
from bittrrt.app.terminal_plots import RecentHeartbeats, bar, smoke, sparkline

POINTS = st.lists(st.none() | st.floats(0, 1e6), max_size=80)


class SparklineTests(SynchronousTestCase):
    def test_each_point_is_as_high_as_it_is_among_them(self) -> None:
        self.assertEqual(sparkline([1.0, 2.0, 3.0, 4.0, None, 8.9], 80), "▁▂▃▄x█")

    def test_only_the_last_ones_are_shown(self) -> None:
        self.assertEqual(sparkline([9.0, 1.0, None], 2), "▁x")
        self.assertEqual(sparkline([1.0], 0), "")

    def test_what_hardly_varies_is_flat(self) -> None:
        self.assertEqual(sparkline([20.0, 20.1, 20.2], 9), "▁▁▁")

    @given(POINTS, st.integers(-3, 100))
    def test_it_is_as_wide_as_it_may_be(self, points: list[float | None], width: int) -> None:
        self.assertEqual(len(sparkline(points, width)), max(min(len(points), width), 0))


class SmokeTests(SynchronousTestCase):
    def drawn(self, *points: float | None, width: int = 20, height: int = 4) -> list[str]:
        recent = RecentHeartbeats(100)
        for point in points:
            recent.add(point)
        return [line.plain for line in smoke(recent, width, height)]

    def test_points_stand_in_the_smoke_of_those_before(self) -> None:
        lines = self.drawn(0.010, 0.020, 0.010, None, 0.020)
        self.assertEqual([line[:8] for line in lines], ["  20.00 ", " " * 8, " " * 8, "  10.00 "])
        self.assertEqual([line[8:] for line in lines], [" •░░•", " ░░░░", " ░░░░", "•░•x░"])

    def test_one_point_in_twenty_does_not_flatten_the_others(self) -> None:
        lines = self.drawn(*[0.010, 0.012, 0.014] * 10, 5.0, width=60)
        self.assertEqual((lines[0][:8], lines[-1][:8]), ("  14.00 ", "  10.00 "))
        self.assertTrue(lines[0].endswith("•"), lines[0])
        self.assertEqual(lines[-1].count("•"), 10)

    def test_a_percentile_leaves_one_of_ten_out(self) -> None:
        recent = RecentHeartbeats(100)
        for _ in range(20):
            recent.add(0.01)
        recent.add(0.1)
        *_, last = recent.bands(3)
        self.assertEqual(last, (0.01, 0.01))

    def test_both_answers_of_a_heartbeat_make_smoke(self) -> None:
        recent = RecentHeartbeats(100)
        recent.add(0.01, [0.03])
        self.assertEqual(recent.bands(5), [(0.01, 0.03)])
        recent.add(None)
        self.assertEqual(recent.bands(5), [(0.01, 0.03), (0.01, 0.03)])

    def test_what_is_silent_has_neither_smoke_nor_scale(self) -> None:
        self.assertEqual(self.drawn(None, None, height=2), [" " * 10, " " * 8 + "xx"])
        self.assertEqual(self.drawn(height=2), [" " * 8] * 2)

    @given(POINTS, st.integers(0, 100), st.integers(1, 9))
    def test_it_is_as_large_as_it_may_be(self, points: list[float | None], width: int, height: int) -> None:
        lines = self.drawn(*points, width=width, height=height)
        self.assertEqual(len(lines), height)
        self.assertLessEqual({len(line) for line in lines}, {8 + min(len(points), max(width - 8, 0))})

    def test_memory_is_bounded(self) -> None:
        recent = RecentHeartbeats(50)
        for _ in range(1000):
            recent.add(0.1, [0.2])
        self.assertEqual((len(recent.points), len(recent.samples)), (50, 60))
        self.assertEqual(len(recent.bands(50)), 50)

    def test_a_bar_is_full_at_one(self) -> None:
        self.assertEqual([bar(share, 4) for share in (-1, 0, 0.5, 1, 7)], ["░░░░", "░░░░", "██░░", "████", "████"])


class FittingTests(SynchronousTestCase):
    @given(st.text(), st.integers(0, 40), st.booleans())
    def test_any_text_fits_exactly(self, text: str, width: int, right: bool) -> None:
        self.assertEqual(cell_len(fit(plain(text), width, right=right)), width)

    def test_what_is_too_long_says_so(self) -> None:
        self.assertEqual((fit("laptop", 4), fit("ab", 4), fit("ab", 4, right=True)), ("lap…", "ab  ", "  ab"))

    @given(st.text())
    def test_nothing_that_a_terminal_obeys_is_left(self, text: str) -> None:
        self.assertTrue(plain(text).isprintable())


class KeyTests(SynchronousTestCase):
    def test_letters_and_arrows_are_keys_and_all_else_is_not(self) -> None:
        keys = ["q", "up", "down", "s", "up", "page up", "page down"]
        self.assertEqual(keys_of(b"q\x1b[A\x1b[Bs\x1bOA\x1b[5~\x1b[6~"), keys)
        for other in (b"\x1b[15~", b"\x1bq", b"\x00\r\n\x7f", "ö".encode(), b""):
            self.assertEqual(keys_of(other), [])

    def test_a_terminal_gives_keys_at_once_and_is_left_as_it_was(self) -> None:
        master, slave = pty.openpty()
        self.addCleanup(os.close, slave)
        before = termios.tcgetattr(slave)
        reactor = mock.Mock()
        pressed: list[str] = []
        keys = Keys(pressed.append, slave)
        keys.start(reactor)
        reactor.addReader.assert_called_once_with(keys)
        os.write(master, b"s\x1b[B")
        keys.doRead()
        self.assertEqual(pressed, ["s", "down"])
        keys.stop()
        keys.stop()
        self.assertEqual(termios.tcgetattr(slave), before)
        reactor.removeReader.assert_called_once_with(keys)
        os.close(master)

    def test_a_terminal_that_is_gone_ends_it(self) -> None:
        reading, writing = os.pipe()
        os.close(writing)
        self.addCleanup(os.close, reading)
        pressed: list[str] = []
        Keys(pressed.append, reading).doRead()
        self.assertEqual(pressed, ["q"])

    def test_what_is_no_terminal_has_no_keys(self) -> None:
        with open(os.devnull, "rb") as nothing:
            keys = Keys(lambda key: None, nothing.fileno())
            keys.start(cast("Any", None))  # which would fail
            keys.stop()


class Terminal(StringIO):
    """A file that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class ScreenTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.enterContext(mock.patch.dict(os.environ, {"COLUMNS": "40", "LINES": "5", "TERM": "xterm"}))

    def test_a_picture_is_cut_to_the_terminal_and_the_terminal_comes_back(self) -> None:
        out = Terminal()
        screen = Screen(out)
        screen.start()
        self.assertEqual((screen.is_terminal, screen.size), (True, (40, 5)))
        screen.draw([Text(f"{number}" * 60) for number in range(9)])
        screen.stop()
        screen.stop()
        text = out.getvalue()
        self.assertIn("4" * 40, text)
        self.assertNotIn("4" * 41, text)
        self.assertNotIn("5", text.replace("\x1b[?25", ""))
        self.assertLess(text.index("\x1b[?1049h"), text.index("\x1b[?1049l"))

    def test_without_a_terminal_a_picture_is_lines(self) -> None:
        out = StringIO()
        screen = Screen(out)
        self.assertFalse(screen.is_terminal)
        screen.draw([Text("[b]one[/b]"), Text("two" * 30)])
        self.assertEqual(out.getvalue(), f"[b]one[/b]\n{'two' * 30}\n")
