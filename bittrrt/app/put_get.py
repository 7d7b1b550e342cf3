"""`bittrrt put` and `bittrrt get`.

What only a session needs is imported when its rendezvous is on the way: half of a start, in which nothing else happens.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from twisted.internet.defer import Deferred

from ..errors import SettingsError
from ..files.root import Root
from ..net.session_opener import SessionOpener
from ..net.tally import Tally
from ..net.turns import in_thread_of
from .descriptors import allow_many_files
from .opening import session_opener
from .progress import Style, TransferDisplay
from .remote import Mtu, Rate, parse_remote, remote_of
from .running import run_command

if TYPE_CHECKING:
    from ..net.transfer_jobs import TransferJob
    from ..net.transfer_link import TransferLink

_F = TypeVar("_F", bound=Callable[..., Any])

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


def transfer_options(command: _F) -> _F:
    """The options that put and get share."""
    options = [
        click.option("-r", "--recursive", is_flag=True, help="Folders too, with all that is in them."),
        click.option("--limit", type=Rate(), metavar="RATE", help="Bits a second at most, as in 500K, 20M, 1G."),
        click.option(
            "--mtu", type=Mtu(), metavar="N|auto", default="auto", show_default=True, help="Bytes of a datagram."
        ),
        click.option(
            "--congestion",
            type=click.Choice(["model", "cubic"]),
            default="model",
            show_default=True,
            help="What decides how much may be on its way.",
        ),
        click.option("--checksum", is_flag=True, help="Skip files that are there already by digest."),
        click.option("--overwrite", is_flag=True, help="Replace other files of the same names."),
        click.option("-q", "--quiet", is_flag=True, help="Only errors."),
        click.option("--json", "as_json", is_flag=True, help="One JSON object an event, and one at the end."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command("put")
@click.argument("sources", nargs=-1, required=True, metavar="FILE|DIR...")
@click.argument("target", metavar="HOST:[DIR]")
@transfer_options
@click.pass_context
def put_command(
    ctx: click.Context, /, sources: tuple[str, ...], target: str, recursive: bool, limit: float | None,
    checksum: bool, overwrite: bool, **options: Any,
) -> None:  # fmt: skip
    """Send files to DIR at the server HOST.

    What is interrupted goes on at the next call where it was. Every file arrives whole, by its digest, or not at all.
    """
    remote = remote_of(target)
    paths = [Path(source) for source in sources]

    def make_job(reactor: Any, tally: Tally) -> TransferJob:
        from ..net.transfer_jobs import Put  # noqa: PLC0415  see above

        return Put(
            paths, remote.path, in_thread_of(reactor), tally,
            recursive=recursive, overwrite=overwrite, checksum=checksum, limit=limit,
        )  # fmt: skip

    _run(ctx, remote.host, make_job, **options)


@click.command("get")
@click.argument("sources", nargs=-1, required=True, metavar="HOST:PATH... [DIR]")
@transfer_options
@click.pass_context
def get_command(
    ctx: click.Context, /, sources: tuple[str, ...], recursive: bool, limit: float | None,
    checksum: bool, overwrite: bool, **options: Any,
) -> None:  # fmt: skip
    """Get files from the server HOST, into DIR or here.

    What is interrupted goes on at the next call where it was. Every file arrives whole, by its digest, or not at all.
    """
    target = "."
    if len(sources) > 1 and parse_remote(sources[-1]) is None:
        *rest, target = sources
        sources = tuple(rest)
    remotes = [remote_of(source) for source in sources]
    if len({remote.host for remote in remotes}) > 1:
        raise SettingsError("the files are at different servers: get them one server at a time")
    root, name = _place(Path(target), alone=len(remotes) == 1, whole=not remotes[0].path, trailing=target.endswith("/"))

    def make_job(_: Any, tally: Tally) -> TransferJob:
        from ..net.client_transfers import Wanted  # noqa: PLC0415  see above
        from ..net.transfer_jobs import Get  # noqa: PLC0415

        wanted = [
            Wanted(remote.path.rstrip("/"), root, name, recursive, overwrite, checksum, limit) for remote in remotes
        ]
        return Get(wanted, tally)

    _run(ctx, remotes[0].host, make_job, **options)


def _place(target: Path, *, alone: bool, whole: bool, trailing: bool) -> tuple[Root, str]:
    """The folder that files go to, and the name that a single one gets there; empty if it keeps its own."""
    if target.is_dir():
        return Root(target), ""
    wants_folder = target.parent if alone and not whole and not trailing else target
    for path in (wants_folder, *wants_folder.parents):
        if path.exists() and not path.is_dir():
            raise SettingsError(f"{path}: a file, where a folder has to be; choose another name")
    if wants_folder is not target:
        return Root(wants_folder), target.name
    try:
        target.mkdir()
    except OSError as error:
        raise SettingsError(f"{target}: cannot be made: {error.strerror}") from None
    return Root(target), ""


def _run(
    ctx: click.Context, /, host: str, make_job: MakeJob, *, mtu: int, congestion: str, quiet: bool, as_json: bool
) -> None:
    if quiet and as_json:
        raise SettingsError("--quiet and --json exclude each other")
    allow_many_files()
    display = TransferDisplay(Style.JSON if as_json else Style.QUIET if quiet else Style.PEOPLE)
    transfer = Transfer(session_opener(ctx, host), make_job, display, mtu=mtu or None, congestion=congestion)
    run_command(transfer.run)
