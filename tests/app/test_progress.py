"""How a transfer is shown, where what it is shown on fails."""

from __future__ import annotations

from io import StringIO

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.app.progress import Style, TransferDisplay
from bittrrt.errors import DiskFull
from bittrrt.net.tally import FileProgress


class Failing(StringIO):
    """A terminal, or a file, that takes so many writes."""

    def __init__(self, takes: int, *, terminal: bool) -> None:
        super().__init__()
        self.takes = takes
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def write(self, text: str) -> int:
        self.takes -= 1
        if self.takes < 0:
            raise OSError(28, "No space left on device")
        return super().write(text)


class FailingStreamTests(SynchronousTestCase):
    def show(self, style: Style, out: Failing, err: Failing) -> list[OSError]:
        """A whole transfer, and what was told of the streams."""
        clock, told = Clock(), list[OSError]()
        display = TransferDisplay(style, out=out, err=err)
        display.on_unwritable = told.append
        display.start(clock)
        for _ in range(20):
            clock.advance(0.5)
        display.tally.problem(DiskFull("a: full"))
        display.say("the link is back")
        display.stop()
        display.summary()
        self.assertEqual(told, [display.unwritable] if display.unwritable is not None else [])
        self.assertEqual(clock.getDelayedCalls(), [])
        return told

    def test_either_stream_is_told_of_once_whenever_it_fails_and_nothing_is_raised(self) -> None:
        for terminal in (False, True):
            for takes in range(60):
                self.show(Style.PEOPLE, Failing(1000, terminal=terminal), Failing(takes, terminal=terminal))
                self.show(Style.JSON, Failing(takes, terminal=terminal), Failing(1000, terminal=terminal))
        for style in Style:
            self.assertEqual(self.show(style, Failing(1000, terminal=True), Failing(1000, terminal=True)), [])

    def test_people_are_shown_nothing_on_standard_output_nor_programs_on_standard_error(self) -> None:
        for style in (Style.PEOPLE, Style.QUIET):
            self.assertEqual(self.show(style, Failing(0, terminal=False), Failing(1000, terminal=False)), [])
        self.assertEqual(self.show(Style.JSON, Failing(1000, terminal=False), Failing(0, terminal=True)), [])

    def test_an_error_of_the_display_itself_is_logged_and_ends_only_the_display(self) -> None:
        clock = Clock()
        display = TransferDisplay(Style.JSON, out=Failing(1000, terminal=False), err=Failing(0, terminal=False))
        display.tally.under_way[1] = FileProgress("a", 1, 0, lambda: 1 // 0)
        display.start(clock)
        clock.advance(2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        display.stop()
