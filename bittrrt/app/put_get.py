"""`bittrrt put` and `bittrrt get`, from the first session to the exit status.

What only a session needs is imported when TLS's first message is on its way, as this is while the SYN is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from ..files.root import Root
from ..net.session_opener import SessionOpener
from ..net.tally import Tally
from ..net.turns import in_thread_of
from .begun_session import BegunSession
from .descriptors import allow_many_files
from .opening import session_opener
from .progress import Style, TransferDisplay
from .running import run_command

if TYPE_CHECKING:
    from ..net.transfer_jobs import TransferJob
    from ..net.transfer_link import TransferLink

MakeJob = Callable[[Any, Tally], "TransferJob"]
"""Makes the job, of the reactor and of the tally that it counts in."""


class Transfer:
    """One put or get, from the first session to the exit status."""

    def __init__(self, opener: SessionOpener, make_job: MakeJob, display: TransferDisplay, **link: Any) -> None:
        """`link`: what `TransferLink` takes besides."""
        self._opener = opener
        self._make_job = make_job
        self._display = display
        self._options = link
        self._link: TransferLink | None = None
        self._ended = False

    async def run(self, reactor: Any) -> int:
        """The exit status: 0 if every file is there.

        Raises the `LinkError` that ends it before, and `OSError` once nobody takes what is printed.
        """
        reactor.addSystemEventTrigger("before", "shutdown", self._interrupted)
        self._display.start(reactor)
        try:
            await self._opener.begin()
            await self._go_on(reactor)
        finally:
            self._ended = True
            self._display.stop()
        self._display.summary()
        if self._display.unwritable is not None:
            raise self._display.unwritable
        return 1 if self._display.tally.failed else 0

    async def _go_on(self, reactor: Any) -> None:
        from ..net.transfer_link import TransferLink  # noqa: PLC0415  see above

        job = self._make_job(reactor, self._display.tally)
        self._display.on_unwritable = partial(reactor.callLater, 0, job.fail)  # not from within what it ends
        if self._display.unwritable is not None:  # already: the link is taken down as it always is
            job.fail(self._display.unwritable)
        self._link = TransferLink(self._opener, job, self._display.say, **self._options)
        await self._link.run()

    def _interrupted(self) -> Deferred[None] | None:
        """Ctrl-C: keep what has arrived before the reactor ends."""
        if self._ended:
            return None
        self._display.stop()
        self._display.interrupted()
        return None if self._link is None else Deferred.fromCoroutine(self._link.stop())


def run_put(
    begun: BegunSession, paths: list[Path], target: str, *, recursive: bool, limit: float | None, checksum: bool,
    overwrite: bool, **options: Any,
) -> None:  # fmt: skip
    """Send `paths`, and end the program. `limit` in bytes a second; the rest is as people say it."""

    def make_job(reactor: Any, tally: Tally) -> TransferJob:
        from ..net.transfer_jobs import Put  # noqa: PLC0415  see above

        return Put(
            paths, target, in_thread_of(reactor), tally,
            recursive=recursive, overwrite=overwrite, checksum=checksum, limit=limit,
        )  # fmt: skip

    _run(begun, make_job, **options)


def run_get(
    begun: BegunSession, paths: list[str], root: Root, name: str, *, recursive: bool, limit: float | None,
    checksum: bool, overwrite: bool, **options: Any,
) -> None:  # fmt: skip
    """Get `paths` into a folder, and end the program. `name`: what a single file is called there, empty for its own."""

    def make_job(_: Any, tally: Tally) -> TransferJob:
        from ..net.client_transfers import Wanted  # noqa: PLC0415  see above
        from ..net.transfer_jobs import Get  # noqa: PLC0415

        wanted = [Wanted(path.rstrip("/"), root, name, recursive, overwrite, checksum, limit) for path in paths]
        return Get(wanted, tally)

    _run(begun, make_job, **options)


def _run(begun: BegunSession, make_job: MakeJob, *, mtu: int, congestion: str, quiet: bool, as_json: bool) -> None:
    allow_many_files()
    display = TransferDisplay(Style.JSON if as_json else Style.QUIET if quiet else Style.PEOPLE)
    transfer = Transfer(session_opener(begun), make_job, display, mtu=mtu or None, congestion=congestion)
    run_command(transfer.run)
