"""A link that is kept up until a transfer is done, through as many sessions as that takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ..errors import LinkError, PeerMisbehaved
from ..wire.transfer_messages import CongestionName
from .client_connection import ClientConnection, HeartbeatRound
from .client_transfers import ClientTransfers
from .link_keeper import LinkKeeper
from .session_opener import SessionOpener
from .transfer_jobs import TransferJob
from .turns import InThread, in_thread_of


class TransferLink:
    """Runs one transfer. Watches the link's keeper."""

    log = Logger()

    def __init__(
        self,
        opener: SessionOpener,
        job: TransferJob,
        say: Callable[[str], None],
        *,
        congestion: CongestionName = "model",
        mtu: int | None = None,
        in_thread: InThread | None = None,
    ) -> None:
        """`say` is told, a line at a time, what becomes of the link.

        `congestion` and `mtu`, bytes of a datagram or None to find out, are for both ends. `in_thread`: None for the
        threads of the opener's reactor.
        """
        self._opener = opener
        self._job = job
        self._say = say
        self._congestion = congestion
        self._mtu = mtu
        self._in_thread = in_thread or in_thread_of(opener.reactor)
        self._keeper = LinkKeeper(opener, self)
        self._session: ClientTransfers | None = None
        self._stopped = False

    async def run(self) -> None:
        """Returns when everything is answered. Raises the `LinkError` that ends it before."""
        keeping = Deferred.fromCoroutine(self._keeper.run(first_try_counts=True))
        keeping.addErrback(self._failed)
        try:
            await self._job.finished
        except Exception:  # no `finally`: when this is only forgotten, nothing is to be resumed
            await self.stop()
            raise
        await self.stop()

    async def stop(self) -> None:
        """Keep what has arrived, and say goodbye."""
        self._stopped = True
        if self._session is not None:
            await self._session.stop()
        await self._keeper.stop()

    async def _go_on(self, connection: ClientConnection) -> None:
        if self._session is not None:
            lost, self._session = self._session, None
            await lost.stop()
            self._job.session_lost()
        if self._stopped or connection.ended:
            return

        def violated(why: str) -> None:
            connection.peer_misbehaved(PeerMisbehaved(f"{why}; are both of the same version?"))

        self._session = ClientTransfers(
            lambda listener: connection.open_data_plane(listener, congestion=self._congestion, mtu=self._mtu),
            in_thread=self._in_thread,
            reactor=self._opener.reactor,
            clock=self._opener.clock,
            violated=violated,
            congestion=self._congestion,
            mtu=self._mtu,
        )
        self._job.begin(self._session)

    # --- KeeperObserver ---

    def link_up(self, connection: ClientConnection) -> None:
        """See `KeeperObserver`."""
        if self._session is not None:
            self._say("the link is back; going on")

        Deferred.fromCoroutine(self._go_on(connection)).addErrback(self._failed)

    def _failed(self, failure: Any) -> None:
        self._job.fail(failure.value)

    def link_down(self, why: LinkError) -> None:
        """See `KeeperObserver`."""
        self._say(f"{why}; trying again")

    def heartbeat_finished(self, connection: ClientConnection, beat: HeartbeatRound) -> None:
        """See `SessionObserver`."""

    def session_suspected(self, connection: ClientConnection) -> None:
        """See `SessionObserver`."""
        self._say("no answer; asking for a new session")

    def session_revived(self, connection: ClientConnection) -> None:
        """See `SessionObserver`."""
        self._say("the link is heard again")

    def session_ended(self, connection: ClientConnection, why: LinkError) -> None:
        """See `SessionObserver`."""
        if not self._stopped and why.retry:
            self._say(f"{why}; the transfer goes on when the link is back")
