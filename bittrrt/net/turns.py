"""Work that may block, in another thread than the reactor's, one piece after the other.

What waits while a piece is done goes to the thread together, so that a thousand small pieces cost a few hand-overs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure

AT_ONCE: Final = 32  # pieces; few enough that the first does not wait long for its answer

_T = TypeVar("_T")

InThread = Callable[[Callable[[], Any]], "Deferred[Any]"]
"""Calls something in a thread; fires in the reactor's with what it returned or raised."""


def in_thread_of(reactor: Any) -> InThread:
    """Calls in the threads of this reactor's pool."""
    return lambda work: deferToThreadPool(reactor, reactor.getThreadPool(), work)


class Turns:
    """Pieces of work in the order in which they were given."""

    def __init__(self, in_thread: InThread) -> None:
        self._in_thread = in_thread
        self._waiting: deque[tuple[Callable[[], Any], Deferred[Any]]] = deque()
        self._busy = False

    def do(self, work: Callable[[], _T]) -> Deferred[_T]:
        """Call `work` in a thread, after all that was given before. Fires with what it returned or raised."""
        done: Deferred[_T] = Deferred()
        self._waiting.append((work, done))
        if not self._busy:
            self._next()
        return done

    def _next(self) -> None:
        while self._waiting and not self._busy:
            self._busy = True
            batch = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
            self._in_thread(partial(_outcomes, [work for work, _ in batch])).addBoth(self._finished, batch)

    def _finished(self, outcomes: Any, batch: list[tuple[Callable[[], Any], Deferred[Any]]]) -> None:
        self._busy = False
        if isinstance(outcomes, Failure):  # no thread could be had
            outcomes = [(False, outcomes.value)] * len(batch)
        for (well, outcome), (_, done) in zip(outcomes, batch, strict=True):
            if well:
                done.callback(outcome)
            else:
                done.errback(outcome)
        self._next()


def _outcomes(works: list[Callable[[], Any]]) -> list[tuple[bool, Any]]:
    """What each returned, or raised; in the thread."""
    outcomes: list[tuple[bool, Any]] = []
    for work in works:
        try:
            outcomes.append((True, work()))
        except Exception as error:
            outcomes.append((False, error))
    return outcomes
