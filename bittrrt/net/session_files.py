"""`put` and `get` in a session that a program has open: files beside its messages and streams.

put, get --> ClientTransfers --> the session's data plane       the server answers with the rights that this client has
cancelled --> the transfer alone stops, and what has arrived is kept
session over --> every transfer fails with the reason
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError

from ..errors import LinkError
from .client_transfers import ClientTransfers
from .put_get import Progress, telling
from .tally import Tally
from .transfer_jobs import TransferJob

_Job = TypeVar("_Job", bound=TransferJob)


class SessionFiles:
    """The transfers of one session, at the client."""

    def __init__(self, files: Callable[[], ClientTransfers], reactor: Any) -> None:
        """`files`: the session's own, made when they are first asked for."""
        self._files = files
        self._reactor = reactor
        self._jobs: set[TransferJob] = set()
        self._over: LinkError | None = None

    async def run(self, make_job: Callable[[ClientTransfers], _Job], progress: Progress | None) -> Tally:
        """Run a transfer to its end. Raises the `LinkError` that ends it before."""
        if self._over is not None:
            raise self._over
        files = self._files()
        job = make_job(files)
        self._jobs.add(job)
        try:
            job.begin(files)
            async with telling(self._reactor, job, progress):
                await job.finished
        except CancelledError:
            job.abandon(files)
            raise
        except LinkError:
            if self._over is not None:
                await files.stop()  # what has arrived is kept by then
            raise
        finally:
            self._jobs.discard(job)
        return job.tally

    def fail(self, why: LinkError) -> None:
        """Nothing more can be put or got in this session."""
        self._over = why
        for job in list(self._jobs):
            job.fail(why)
