"""How a command on the reactor ends."""

from __future__ import annotations

import signal
from collections.abc import Callable
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.app import running
from bittrrt.app.running import INTERRUPTED, CommandRun
from bittrrt.errors import LinkError

from .programs import heeding_interrupts


class OneTurn:
    """A reactor whose only turn is the first of the command, and then what the test does."""

    running = True

    def __init__(self, then: Callable[[], object]) -> None:
        self._then = then

    def callWhenRunning(self, function: Callable[[], object]) -> None:
        self._start = function

    def callFromThread(self, function: Callable[[], object]) -> None:
        function()

    def run(self) -> None:
        self._start()
        self._then()

    def stop(self) -> None:
        self.running = False


class CommandRunTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(running, "globalLogBeginner", mock.Mock())
        self.enterContext(heeding_interrupts())
        self.result: Deferred[int] = Deferred()

    async def command(self, reactor: object) -> int:
        return await self.result

    def run_command(self, then: Callable[[], object]) -> int:
        self.command_run = CommandRun(OneTurn(then))
        self.command_run.catch_interrupts()
        return self.command_run.run(self.command)

    def test_the_status_is_that_of_the_command(self) -> None:
        self.assertEqual(self.run_command(lambda: self.result.callback(3)), 3)

    def test_what_it_raises_is_raised(self) -> None:
        with self.assertRaises(LinkError):
            self.run_command(lambda: self.result.errback(LinkError("the other end went away")))

    def test_what_fails_after_ctrl_c_fails_because_of_it(self) -> None:
        def interrupt() -> None:
            signal.raise_signal(signal.SIGINT)
            self.result.errback(LinkError("the link was closed"))

        self.assertEqual(self.run_command(interrupt), INTERRUPTED)

    def test_what_failed_before_ctrl_c_is_raised(self) -> None:
        def interrupt() -> None:
            self.result.errback(LinkError("the other end went away"))
            signal.raise_signal(signal.SIGINT)

        with self.assertRaises(LinkError):
            self.run_command(interrupt)

    def test_what_is_broken_is_raised_even_then(self) -> None:
        def interrupt() -> None:
            signal.raise_signal(signal.SIGINT)
            self.result.errback(ZeroDivisionError())

        with self.assertRaises(ZeroDivisionError):
            self.run_command(interrupt)
