"""A link of one's own that a command keeps up and shows, until somebody has seen enough.

LinkKeeper --comes, goes, is silent--> _say, a line for people
Ctrl-C, _finish, _fail --> _show_end --> goodbye to the server
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from twisted.internet.defer import Deferred

from ..errors import LinkError
from ..net.client_connection import ClientConnection, HeartbeatRound
from ..net.link_keeper import KeeperObserver, LinkKeeper
from ..net.session_opener import SessionOpener


class KeptLink(ABC):
    """Keeps a link up, and watches its keeper, for a command that derives from it to show."""

    def __init__(self, opener: SessionOpener, observer: KeeperObserver | None = None) -> None:
        """`observer` watches the keeper instead, and passes everything on to us."""
        self._keeper = LinkKeeper(opener, self if observer is None else observer)
        self._finished: Deferred[None] = Deferred()

    async def _keep_up(self, reactor: Any) -> None:
        """Returns when somebody has seen enough.

        Raises `LinkError` if no session opens, or if none can be opened any more, and what `_fail` was given.
        """
        reactor.addSystemEventTrigger("before", "shutdown", self._interrupted)
        keeping = Deferred.fromCoroutine(self._keeper.run(first_try_counts=True))
        keeping.addCallbacks(lambda _: self._finish(), self._fail)
        try:
            await self._finished
        finally:
            self._show_end()
            await self._keeper.stop()

    def _interrupted(self) -> Deferred[None] | None:
        """Ctrl-C: show the end and say goodbye before the reactor ends."""
        if self._finished.called:
            return None
        self._finish()
        return Deferred.fromCoroutine(self._keeper.stop())

    def _finish(self) -> None:
        if not self._finished.called:
            self._finished.callback(None)

    def _fail(self, why: Any) -> None:
        """`why`: an exception or a `Failure`."""
        if not self._finished.called:
            self._finished.errback(why)

    @abstractmethod
    def _say(self, what: str) -> None:
        """What becomes of the link."""

    @abstractmethod
    def _show_end(self) -> None:
        """Nothing more is shown after this; the goodbye follows."""

    # --- KeeperObserver ---

    @abstractmethod
    def link_up(self, connection: ClientConnection) -> None:
        """See `KeeperObserver`."""

    def link_down(self, why: LinkError) -> None:
        """See `KeeperObserver`."""
        self._say(str(why))

    @abstractmethod
    def heartbeat_finished(self, connection: ClientConnection, beat: HeartbeatRound) -> None:
        """See `SessionObserver`."""

    def session_suspected(self, connection: ClientConnection) -> None:
        """See `SessionObserver`."""
        self._say("no answer on any port; asking for a new session")

    def session_revived(self, connection: ClientConnection) -> None:
        """See `SessionObserver`."""
        self._say(f"link {connection.link_id[:8]} is heard again")

    def session_ended(self, connection: ClientConnection, why: LinkError) -> None:
        """See `SessionObserver`."""
        self._say(str(why))
