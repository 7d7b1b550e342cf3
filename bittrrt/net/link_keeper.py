"""Keeps a session open for good.

open --> up --suspected, ended--> open again (while the old one goes on listening) --> up
          ^                          | no: wait a little longer each time
          +------ revived -----------+
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ..errors import LinkError
from ..wire.messages import CloseReason
from .client_connection import ClientConnection, HeartbeatRound, SessionObserver
from .session_opener import SessionOpener

_T = TypeVar("_T")

FIRST_BACKOFF: Final = 0.2  # seconds
BACKOFF_GROWTH: Final = 1.5  # a failure
MAX_BACKOFF: Final = 5.0  # seconds, and up to one more of jitter: a server that is back is found within ten


class KeeperObserver(SessionObserver, Protocol):
    """Who watches a link that is kept up."""

    def link_up(self, connection: ClientConnection) -> None:
        """A session is open, the first or a new one."""

    def link_down(self, why: LinkError) -> None:
        """There is no session, for the reason given; another try follows."""


class LinkKeeper:
    """Keeps a session with one server open, until stopped or until the server says that it is of no use."""

    log = Logger()

    def __init__(
        self, opener: SessionOpener, observer: KeeperObserver, jitter: Callable[[], float] = random.random
    ) -> None:
        """`jitter`, in seconds, is added to every delay, so that not all clients of a server come back at once."""
        self.connection: ClientConnection | None = None
        self._opener = opener
        self._observer = observer
        self._jitter = jitter
        self._changed: Deferred[None] = Deferred()
        self._waiting: Deferred[Any] | None = None
        self._stopping = False
        self._hopeless: LinkError | None = None  # why the last session ended, if another one would be of no use

    async def run(self, *, first_try_counts: bool = False) -> None:
        """Keep the link up. Returns when stopped; raises the `LinkError` that no further try can mend.

        With `first_try_counts`, a failure to open the first session is raised whatever it is.
        """
        failures = 0
        while not self._stopping:
            before = self.connection
            if before is None or before.ended or before.suspected:
                try:
                    opened = await self._cancellable(
                        Deferred.fromCoroutine(self._opener.open(self, before.link_id if before is not None else ""))
                    )
                except CancelledError:
                    break
                except LinkError as error:
                    if self._stopping:
                        break
                    if not error.retry or (first_try_counts and before is None):
                        await self.stop()
                        raise
                    self._observer.link_down(error)
                    await self._sleep(self._delay(failures))
                    failures += 1
                    continue
                self.connection, self._hopeless = opened, None
                if before is not None:
                    await before.close(CloseReason.REPLACED)
                if self._stopping:
                    break
                self._observer.link_up(opened)
                before = opened
            self._changed = Deferred()
            if not (before.ended or before.suspected):
                await self._changed
            if before.last_heard() is not None:
                failures = 0
            elif not self._stopping:  # a rendezvous, and then silence: UDP does not get through
                await self._sleep(self._delay(failures))
                failures += 1
            if self._hopeless is not None:
                await self.stop()
                raise self._hopeless
        await self.stop()

    async def stop(self) -> None:
        """Say goodbye and stop."""
        self._stopping = True
        self._wake()
        if self._waiting is not None:
            self._waiting.cancel()
        if self.connection is not None:
            await self.connection.close()

    def _delay(self, failures: int) -> float:
        """Seconds to wait after so many failures, and the one just now."""
        return min(FIRST_BACKOFF * BACKOFF_GROWTH ** min(failures, 100), MAX_BACKOFF) + self._jitter()

    async def _sleep(self, seconds: float) -> None:
        with suppress(CancelledError):
            await self._cancellable(deferLater(self._opener.reactor, seconds))

    async def _cancellable(self, waiting: Deferred[_T]) -> _T:
        """What `waiting` gives. `stop` cancels it."""
        self._waiting = waiting
        try:
            return await waiting
        finally:
            self._waiting = None

    def _wake(self) -> None:
        if not self._changed.called:
            self._changed.callback(None)

    # --- SessionObserver: pass on, and wake up where there is something to do ---

    def heartbeat_finished(self, connection: ClientConnection, beat: HeartbeatRound) -> None:
        """See `SessionObserver`."""
        self._observer.heartbeat_finished(connection, beat)

    def session_suspected(self, connection: ClientConnection) -> None:
        """See `SessionObserver`."""
        self._observer.session_suspected(connection)
        self._wake()

    def session_revived(self, connection: ClientConnection) -> None:
        """See `SessionObserver`."""
        self._observer.session_revived(connection)

    def session_ended(self, connection: ClientConnection, why: LinkError) -> None:
        """See `SessionObserver`."""
        self._observer.session_ended(connection, why)
        if not why.retry:
            self._hopeless = why
        self._wake()
