"""`bittrrt ls`: what a server shows."""

from __future__ import annotations

import stat
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import click
from twisted.internet.defer import Deferred

from ..errors import FileError, LeftOut
from ..net.client_transfers import ClientTransfers
from ..net.tally import Tally
from ..net.transfer_jobs import TransferJob
from ..net.transfer_link import TransferLink
from ..wire.transfer_messages import Listed
from .begun_session import BegunSession
from .opening import session_opener
from .plain_text import plain
from .running import run_command

_HALF_A_YEAR: Final = 182 * 86400  # seconds; `ls` shows the year of what is older instead of the hour


class Listing(TransferJob):
    """One list, which is asked for anew if the session is lost. It is shown as it comes, and nothing of it is kept."""

    def __init__(self, path: str, show: Callable[[Listed], None]) -> None:
        """`show` may raise `OSError`, which ends it."""
        super().__init__(Tally(on_problem=self._problem))
        self._path = path
        self._show = show
        self._last = ""

    def begin(self, session: ClientTransfers) -> None:
        """See `TransferJob`."""
        listed = session.list_folder(self._path, self._take, self.tally.problem)
        listed.addCallbacks(self.succeed, _ignore_loss)

    def _take(self, entry: Listed) -> None:
        if entry.name <= self._last:  # servers list in this order: it was shown already, in the session before
            return
        self._last = entry.name
        try:
            self._show(entry)
        except OSError as error:
            self.fail(error)

    def session_lost(self) -> None:
        """See `TransferJob`."""

    def abandon(self, session: ClientTransfers) -> None:
        """See `TransferJob`: what is still listed is of no use to anybody."""

    def _problem(self, error: FileError) -> None:
        sys.stderr.write(f"{error}\n" if isinstance(error, LeftOut) else f"Error: {error}\n")


def _ignore_loss(_: Any) -> None:
    """Another session comes."""


def run_ls(begun: BegunSession, path: str, *, as_long: bool) -> None:
    """List `path`, and end the program."""

    def show(entry: Listed) -> None:
        click.echo(_long(entry, time.time()) if as_long else _name(entry))

    listing = Listing(path, show)
    link = TransferLink(session_opener(begun), listing, lambda line: click.echo(line, err=True))

    async def run(reactor: Any) -> int:
        reactor.addSystemEventTrigger("before", "shutdown", lambda: Deferred.fromCoroutine(link.stop()))
        await link.run()
        return 1 if listing.tally.failed else 0

    run_command(run)


def _name(entry: Listed) -> str:
    name = plain(entry.name)
    return f"{name}/" if entry.folder else name


def _long(entry: Listed, now: float) -> str:
    mode = stat.filemode(entry.mode | (stat.S_IFDIR if entry.folder else stat.S_IFREG))
    changed = entry.mtime_ns / 1e9
    try:
        form = "%b %e %H:%M" if abs(now - changed) < _HALF_A_YEAR else "%b %e  %Y"
        when = time.strftime(form, time.localtime(changed))
    except (OverflowError, ValueError, OSError):  # a time that no calendar here has
        when = "?"
    return f"{mode} {entry.size:>12} {when:>12} {_name(entry)}"
