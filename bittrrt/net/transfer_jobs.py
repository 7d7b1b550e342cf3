"""What a client's user asked for, over as many sessions as it takes: a put, a get.

begin(session) --lost--> end_session --> begin(another) ... --> finished fires
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred, succeed

from ..errors import LinkLost
from ..files.names import below
from ..files.supply import FolderToSend, Item, Supply, count_items, from_paths, name_of
from ..link.pacer import Pacer
from ..wire.transfer_messages import Kind
from .client_transfers import ClientTransfers, Wanted
from .offered import SendJob
from .tally import Tally
from .turns import InThread

NEW_FOLDER: Final = 0o755  # the mode of a target that was not there
MAX_FETCHED: Final = 16  # things asked for at a time; a file each, they come without a round trip in between


class TransferJob(ABC):
    """One transfer of any number of files."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.finished: Deferred[None] = Deferred()
        """Fires when everything is answered, well or not: see the tally. Fails with an error that ends it all."""

    @abstractmethod
    def begin(self, session: ClientTransfers) -> None:
        """Go on in a session. The last one's files are closed by now."""

    @abstractmethod
    def session_lost(self) -> None:
        """The session has ended before everything was answered."""

    @abstractmethod
    def abandon(self, session: ClientTransfers) -> None:
        """Stop, in a session that goes on: what has arrived is kept."""

    def fail(self, error: BaseException) -> None:
        """It is of no use to go on."""
        if not self.finished.called:
            self.finished.errback(error)

    def succeed(self, _: object = None) -> None:
        """Everything is answered."""
        if not self.finished.called:
            self.finished.callback(None)


class Put(TransferJob):
    """Files of this end's, to the server."""

    def __init__(
        self,
        paths: Sequence[Path],
        target: str,
        in_thread: InThread,
        tally: Tally,
        *,
        recursive: bool = False,
        overwrite: bool = False,
        checksum: bool = False,
        limit: float | None = None,
    ) -> None:
        """`target`: the folder at the server, or the new name of one path; empty for all that it shows.

        `limit`: bytes a second.
        """
        super().__init__(tally)
        self._paths = paths
        self._target = target
        self._in_thread = in_thread
        self._recursive = recursive
        self._overwrite = overwrite
        self._checksum = checksum
        self._limit = limit
        self._bucket: Pacer | None = None  # of all sessions
        self._supply: Supply | None = None
        self._job: SendJob | None = None
        self._abandoned = False

    def begin(self, session: ClientTransfers) -> None:
        """See `TransferJob`."""
        if self._supply is not None:
            self._offer(session, self._supply)
        elif self._into_folder:
            self._prepare(session, into=True)
        else:
            self._find_out(session)

    @property
    def _into_folder(self) -> bool:
        """Whether the target can only be a folder. If not, it may be the new name of the one path."""
        return not self._folder or len(self._paths) > 1 or self._target.endswith("/")

    @property
    def _folder(self) -> str:
        return self._target.strip("/")

    def _find_out(self, session: ClientTransfers) -> None:
        """Ask what the target is, where this end has to know: all names in a folder begin with that of the folder."""
        path = self._paths[0]
        name = name_of(path)
        sayable = name == name.encode(errors="replace").decode()

        def found(is_folder: bool) -> Deferred[None] | None:
            if sayable and not is_folder:
                self._prepare(session, into=False, inside=name)
                return None
            looked = session.look(self._folder)
            return looked.addCallback(lambda kind: self._prepare(session, into=kind is Kind.FOLDER))

        is_folder = self._in_thread(path.is_dir) if self._recursive else succeed(False)
        is_folder.addCallback(found).addErrback(self._not_begun)

    def _not_begun(self, failure: Any) -> None:
        if not failure.check(LinkLost):  # then another session comes
            self.fail(failure.value)

    def _prepare(self, session: ClientTransfers, *, into: bool, inside: str = "") -> None:
        """Begin, as it is known what the target is: a folder, or the name of the one thing, or `inside` of a folder."""
        names = [below(self._folder, name_of(path)) if into else self._folder for path in self._paths]

        def items() -> Iterator[Item]:
            if self._folder and self._into_folder:
                yield FolderToSend(self._folder, NEW_FOLDER, 0, keep=True)
            yield from from_paths(zip(self._paths, names, strict=True), recursive=self._recursive, inside=inside)

        if self._abandoned:
            return
        self._supply = Supply(items(), checksum=self._checksum)
        self._in_thread(lambda: count_items(items())).addCallback(self._counted)
        self._offer(session, self._supply)

    def _counted(self, total: tuple[int, int]) -> None:
        self.tally.total_files, self.tally.total_size = total

    def _offer(self, session: ClientTransfers, supply: Supply) -> None:
        if self._limit is not None and self._bucket is None:
            self._bucket = Pacer(self._limit, session.clock.monotonic())
        job = self._job = SendJob(
            session.next_request(), supply, self.tally, self.tally.problem, self._overwrite, self._checksum,
            self._bucket,
        )  # fmt: skip
        job.finished.addCallback(lambda _: session.heard() if job.gave_up else None)
        job.finished.addCallbacks(self.succeed, lambda failure: self.fail(failure.value))
        session.offerer.add(job)

    def session_lost(self) -> None:
        """See `TransferJob`."""
        self.tally.session_lost(all_again=False)

    def abandon(self, session: ClientTransfers) -> None:
        """See `TransferJob`."""
        self._abandoned = True
        if self._job is not None:
            session.offerer.drop(self._job)


class Get(TransferJob):
    """Files of the server's, to this end."""

    def __init__(self, wanted: Iterable[Wanted], tally: Tally) -> None:
        super().__init__(tally)
        self._waiting = deque(wanted)
        self._fetching: list[Wanted] = []
        self._fetched: set[Deferred[None]] = set()
        self._transfer = 0

    def begin(self, session: ClientTransfers) -> None:
        """See `TransferJob`."""
        self._transfer = session.next_request()
        self._fetch_more(session)

    def _fetch_more(self, session: ClientTransfers) -> None:
        while self._waiting and len(self._fetching) < MAX_FETCHED:
            wanted = self._waiting.popleft()
            self._fetching.append(wanted)
            fetched = session.fetch(wanted, self.tally, self._transfer)
            self._fetched.add(fetched)
            fetched.addBoth(partial(self._ended, session, wanted, fetched))
        if not self._fetching:
            self.succeed()

    def _ended(self, session: ClientTransfers, wanted: Wanted, fetched: Deferred[None], _: object) -> None:
        self._fetching.remove(wanted)
        self._fetched.discard(fetched)
        self._fetch_more(session)

    def abandon(self, session: ClientTransfers) -> None:
        """See `TransferJob`."""
        self._waiting.clear()
        for fetched in list(self._fetched):
            fetched.cancel()

    def session_lost(self) -> None:
        """See `TransferJob`."""
        self._waiting.extendleft(reversed(self._fetching))
        self._fetching.clear()
        self._fetched.clear()
        self.tally.session_lost(all_again=True)
        self.tally.total_files = self.tally.total_size = None
