"""`put` and `get` for programs: coroutines that return when every file is answered, and tell how far they are.

    await put(opener, [Path("photos")], "archive", recursive=True, progress=show)
    tally = await get(opener, ["archive/photos"], Path("."), recursive=True)

Each opens sessions of its own, as many as it takes: it goes on by itself when the link was lost. To stop one, cancel
its Deferred: what has arrived is kept, and the next call goes on from there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ..files.root import Root
from .client_transfers import Wanted
from .session_opener import SessionOpener
from .tally import Tally
from .transfer_jobs import Get, Put, TransferJob
from .transfer_link import TransferLink
from .turns import in_thread_of

PROGRESS_INTERVAL: Final = 0.5  # seconds

Progress = Callable[[Tally], None]
"""Told how far a transfer is, twice a second and at its end."""

log = Logger()


async def put(
    opener: SessionOpener,
    paths: Sequence[Path],
    target: str = "",
    *,
    recursive: bool = False,
    overwrite: bool = False,
    checksum: bool = False,
    limit: float | None = None,
    progress: Progress | None = None,
    tally: Tally | None = None,
) -> Tally:
    """Send files to the server. `target`: a folder there, or the new name of a single path; empty for all it shows.

    `limit`: bytes a second. `tally` counts, and is told of each file and of each that failed, which is no error of the
    whole: see its `failed`. Raises the `LinkError` that no further try can mend.
    """
    job = Put(
        paths, target, in_thread_of(opener.reactor), tally or Tally(),
        recursive=recursive, overwrite=overwrite, checksum=checksum, limit=limit,
    )  # fmt: skip
    return await _run(opener, job, progress)


async def get(
    opener: SessionOpener,
    sources: Sequence[str],
    folder: Path,
    *,
    recursive: bool = False,
    overwrite: bool = False,
    checksum: bool = False,
    limit: float | None = None,
    progress: Progress | None = None,
    tally: Tally | None = None,
) -> Tally:
    """Get files of the server into a folder that is there. The rest is as with `put`."""
    job = get_job(sources, folder, tally, recursive=recursive, overwrite=overwrite, checksum=checksum, limit=limit)
    return await _run(opener, job, progress)


def get_job(
    sources: Sequence[str],
    folder: Path,
    tally: Tally | None,
    *,
    recursive: bool,
    overwrite: bool,
    checksum: bool,
    limit: float | None,
) -> Get:
    """What `get` does, for whatever session runs it. Everything keeps its name."""
    root = Root(folder)
    wanted = [Wanted(source.rstrip("/"), root, "", recursive, overwrite, checksum, limit) for source in sources]
    return Get(wanted, tally or Tally())


async def _run(opener: SessionOpener, job: TransferJob, progress: Progress | None) -> Tally:
    link = TransferLink(opener, job, lambda line: log.info("{line}", line=line))
    async with telling(opener.reactor, job, progress):
        await link.run()
    return job.tally


@asynccontextmanager
async def telling(reactor: Any, job: TransferJob, progress: Progress | None) -> AsyncIterator[None]:
    """Tell how far a transfer is while it runs, and at its end if it ends well. What `progress` raises ends it."""

    def failed(failure: Any) -> None:
        job.fail(failure.value)

    looping = LoopingCall(progress or (lambda _: None), job.tally)
    looping.clock = reactor
    looping.start(PROGRESS_INTERVAL, now=False).addErrback(failed)
    try:
        yield
    finally:
        if looping.running:
            looping.stop()
    if progress is not None:
        progress(job.tally)
