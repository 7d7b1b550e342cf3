"""Running the reactor for one command, and ending with one line."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final

import click
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, Logger, globalLogBeginner
from twisted.python.failure import Failure
from zope.interface import implementer

from ..errors import LinkError
from .output import end_unwritable

INTERRUPTED: Final = 130  # what a shell expects of a program that Ctrl-C ended


class CommandRun:
    """One command on the reactor."""

    log = Logger()

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.status = INTERRUPTED
        self.failure: Failure | None = None
        self._stopped = False  # by Ctrl-C

    def run(self, command: Callable[[Any], Coroutine[Any, Any, int]]) -> int:
        """The exit status of `await command(reactor)`; that of Ctrl-C if it came first. Raises what it raised."""

        def start() -> None:
            finished = Deferred.fromCoroutine(command(self._reactor))
            finished.addCallbacks(self._finished, self._failed)

        globalLogBeginner.beginLoggingTo([FailurePrinter()], redirectStandardIO=False, discardBuffer=True)
        self._reactor.callWhenRunning(start)
        self._reactor.run()
        if self.failure is not None:
            self.failure.raiseException()
        return self.status

    def _finished(self, status: int) -> None:
        self.status = status
        self._stop()

    def _failed(self, failure: Failure) -> None:
        if not self._stopped or not isinstance(failure.value, LinkError):  # what ends by Ctrl-C fails in many ways
            self.failure = failure
        self._stop()

    def catch_interrupts(self) -> None:
        """From now on Ctrl-C stops the reactor, as soon as it runs; a second one ends the program at once."""
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._interrupted)

    def _interrupted(self, number: int, frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        self._stopped = True
        self._reactor.callFromThread(self._stop)

    def _stop(self) -> None:
        if self._reactor.running and not getattr(self._reactor, "_stopped", False):
            self._reactor.stop()


@implementer(ILogObserver)
class FailurePrinter:
    """Of what Twisted and we log, a command shows its person only what is broken."""

    def __call__(self, event: Any) -> None:
        """See `ILogObserver`."""
        if event.get("log_failure") is not None:
            failure = event["log_failure"]
            sys.stderr.write(f"bittrrt: {failure.type.__name__}: {failure.getErrorMessage()}\n")


def run_command(command: Callable[[Any], Coroutine[Any, Any, int]]) -> None:
    """Run `command(reactor)` and end the program with its status, or with one line if it raises a `LinkError`."""
    from twisted.internet import reactor  # noqa: PLC0415  not before there is use for it

    gc.freeze()  # what is imported stays: no collection looks through it again
    gc.enable()
    run = CommandRun(reactor)
    run.catch_interrupts()
    try:
        status = run.run(command)
    except LinkError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        end_unwritable(error)
    raise SystemExit(status)
