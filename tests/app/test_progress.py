"""How a transfer is shown, where what it is shown on fails."""

from __future__ import annotations

from io import StringIO

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.app.progress import Style, TransferDisplay
from bittrrt.app.put_get import Transfer
from bittrrt.errors import DiskFull
from bittrrt.net.tally import FileProgress, Tally
from bittrrt.net.transfer_jobs import Put

from ..net.simulated_transfers import SimulatedTransfersTestCase


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


class EndingTests(SimulatedTransfersTestCase):
    """A put whose output fails."""

    def run_put(self, out: Failing, display: TransferDisplay, limit: float | None = None) -> None:
        """Run it to its end, which is the error of the stream."""
        (self.here / "a").write_bytes(bytes(2_000_000))

        def make_job(_: object, tally: Tally) -> Put:
            return Put([self.here / "a"], "", self.in_thread, tally, limit=limit)

        self.network.addSystemEventTrigger = lambda *_: None  # type: ignore[attr-defined]
        transfer = Transfer(self.opener(), make_job, display, in_thread=self.in_thread)
        done = Deferred.fromCoroutine(transfer.run(self.network))
        self.network.run_until(lambda: done.called, 20)
        self.assertIs(self.failureResultOf(done, OSError).value, display.unwritable)
        self.network.run_for(1)
        self.assertEqual(self.server.sessions, {})
        self.assertLess(out.takes, 0)

    def test_output_that_fails_before_there_is_a_link_ends_it_as_well(self) -> None:
        out = Failing(0, terminal=False)
        display = TransferDisplay(Style.JSON, out=out)
        display.say("what nobody takes")
        self.run_put(out, display)
        self.assertEqual(list(self.there.iterdir()), [])

    def test_what_has_arrived_is_kept(self) -> None:
        for style in (Style.JSON, Style.PEOPLE):
            self.set_up_network(0)
            stream = Failing(9 if style is Style.PEOPLE else 3, terminal=style is Style.PEOPLE)
            self.run_put(stream, TransferDisplay(style, out=stream, err=stream), limit=500_000.0)
            self.assertEqual(len([path for path in self.there.iterdir() if path.suffix == ".part"]), 1)

    def test_a_summary_that_cannot_be_written_is_an_error_too(self) -> None:
        out = Failing(2, terminal=False)
        self.run_put(out, TransferDisplay(Style.JSON, out=out))
        self.assertIn('"done"', out.getvalue())
        self.assertEqual((self.there / "a").stat().st_size, 2_000_000)


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
