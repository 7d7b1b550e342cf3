"""The server's end of a session's files: it takes what the client puts, and offers what the client fetches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred, DeferredLock
from twisted.python.failure import Failure

from ..errors import FileError, MalformedMessage, PeerMisbehaved, ReadFailed, TransferBusy
from ..files.goal import Goal
from ..files.listing import list_untrusted, look_untrusted
from ..files.partial import Overwrite
from ..files.root import Root
from ..files.share import Share, Shares
from ..files.supply import Item, Supply, count_items, from_root_untrusted
from ..files.tree import Entry, Skipped
from ..link.pacer import Pacer
from ..wire.transfer_messages import (
    Answer,
    End,
    Fetch,
    Found,
    Kind,
    Limited,
    List,
    Listed,
    Look,
    Offer,
    OfferFolder,
    Problem,
    Question,
    Settle,
    Total,
    Withdraw,
    line_of,
    pack_entries,
    reason_of,
)
from .client import Client
from .clock import Clock
from .offered import SendJob
from .offerer import MAX_BACKLOG
from .server_observer import Direction
from .takers import Takers
from .tally import FileProgress, Tally
from .transfer_plane import OpenPlane
from .transfers import Transfers
from .turns import InThread, Turns

MAX_ASKED: Final = 64  # questions of one session that are not answered
LISTED_AT_ONCE: Final = 256  # names; some tens of kilobytes of messages
WAIT_FOR_CLIENT: Final = 0.05  # seconds, while a client takes a long list


@dataclass(slots=True)
class FileService:
    """What all sessions of a server share."""

    shares: Shares
    takers: Takers
    in_thread: InThread
    reactor: Any
    clock: Clock


class FileWatcher(Protocol):
    """Who is told what becomes of a session's files."""

    def file_begun(self, direction: Direction, progress: FileProgress) -> None:
        """A file is on its way."""

    def file_done(self, direction: Direction, progress: FileProgress) -> None:
        """A file arrived whole."""

    def file_failed(self, direction: Direction, error: FileError) -> None:
        """A file, or another thing, did not arrive."""


class _SharePlaces:
    """Where what a client puts is to go."""

    def __init__(self, share: Share, tally: Tally) -> None:
        self._share = share
        self._tally = tally

    def goal(self, offer: Offer) -> Goal:
        """See `Destination`."""
        self._share.require_write()
        overwrite = Overwrite.REPLACE if offer.overwrite else Overwrite.REFUSE
        return Goal(self._share.root, self._share.quota, offer.name, overwrite, offer.checksum, offer.inside)

    def folder(self, message: OfferFolder | Settle) -> tuple[Callable[[], Root], str]:
        """See `Destination`."""
        self._share.require_write()
        return self._share.root, message.name if isinstance(message, OfferFolder) else ""

    def tally(self, request: int) -> Tally:
        """See `Destination`: one for all that comes in."""
        return self._tally


class ServerTransfers(Transfers):
    """One session's files, at the server."""

    def __init__(
        self,
        open_plane: OpenPlane,
        service: FileService,
        share: Share,
        *,
        owner: str,
        violated: Callable[[str], None],
        watcher: FileWatcher | None = None,
    ) -> None:
        """`share`: what this client may see and store; it is closed with the session. `owner`: the client's key."""
        self._watcher = watcher
        self._coming = self._tally("put")
        super().__init__(
            open_plane, _SharePlaces(share, self._coming), in_thread=service.in_thread, reactor=service.reactor,
            clock=service.clock, first_channel=2, violated=violated, owner=owner, takers=service.takers,
        )  # fmt: skip
        self._share = share
        self._asked = 0
        self._fetches: dict[int, tuple[Fetch, SendJob]] = {}  # by request
        self._looking = Turns(service.in_thread)
        self._listing = DeferredLock()  # one folder at a time: a list that waits for its client holds many names
        self._limited_by = ""

    def under_way(self) -> list[tuple[Direction, int, FileProgress]]:
        """See `FilesUnderWay`."""
        files: list[tuple[Direction, int, FileProgress]] = []
        files += [("put", channel, progress) for channel, progress in self._coming.under_way.items()]
        for _, job in self._fetches.values():
            files += [("get", channel, progress) for channel, progress in job.tally.under_way.items()]
        return files

    def asked_untrusted(self, message: Question) -> None:
        """See `Transfers`."""
        if isinstance(message, Withdraw):
            self._withdraw(message.request)
            return
        try:
            if self._asked >= MAX_ASKED:
                raise TransferBusy("too many questions at a time; try again later")
            if isinstance(message, Look):
                self._share.require_any()
                self._answer(message.request, self._look(message))
                return
            self._share.require_read()
        except FileError as error:
            self._tell_problem(message.request, error)
            self.send(End(message.request))
            return
        if isinstance(message, Fetch):
            self._fetch(message)
        else:
            self._answer(message.request, self._list_in_turn(message))

    def told_untrusted(self, message: Answer) -> None:
        """See `Transfers`."""
        raise MalformedMessage("an answer, from a client")

    # --- Fetch -------------------------------------------------------------------------------------------------------

    def _fetch(self, message: Fetch) -> None:
        def items() -> Iterator[Item]:
            yield from from_root_untrusted(self._share.root(), message.path, recursive=message.recursive)

        if message.request in self._fetches:
            raise MalformedMessage(f"request {message.request} is under way")
        self._asked += 1
        tally = self._tally("get")

        def unsendable(error: FileError) -> None:
            tally.problem(error)
            self._tell_problem(message.request, error)

        self.plane.choose_sending(message.congestion, message.mtu)
        job = SendJob(
            request=message.request,
            supply=Supply(items(), checksum=message.checksum, once=True),
            tally=tally,
            unsendable=unsendable,
            checksum=message.checksum,
            limit=self._limit_of(message),
        )
        self._fetches[message.request] = message, job
        counted = self._looking.do(partial(count_items, items()))
        counted.addCallback(lambda total: self.send(Total(message.request, *total)))
        counted.addErrback(self._log, "what is to be sent could not be counted")
        job.finished.addCallback(lambda _: self._fetched(message.request))
        self.offerer.add(job)

    def _limit_of(self, message: Fetch) -> Pacer | None:
        """The tokens that this fetch shares with those of the same transfer."""
        if message.limit is None:
            return None
        for other, job in self._fetches.values():
            if (other.transfer, other.limit) == (message.transfer, message.limit):
                return job.limit
        return Pacer(message.limit, self.clock.monotonic())

    def _withdraw(self, request: int) -> None:
        if request in self._fetches:
            self.offerer.drop(self._fetches[request][1])
            self._fetched(request)

    def _fetched(self, request: int) -> None:
        self._fetches.pop(request, None)
        self._asked -= 1
        self.send(End(request))

    def tick(self) -> None:
        """See `Transfers`: say what holds us back, when that changes."""
        super().tick()
        statistics = self.offerer.statistics()
        if statistics is not None and statistics.limited_by != self._limited_by:
            self._limited_by = statistics.limited_by
            self.send(Limited(self._limited_by))

    # --- List, Look --------------------------------------------------------------------------------------------------

    def _answer(self, request: int, answering: Any) -> None:
        """See to it that a question is answered, and ends whatever goes wrong."""
        self._asked += 1

        def failed(failure: Failure) -> None:
            error = failure.value
            if not isinstance(error, FileError):
                self._log(failure, "a question could not be answered")
                error = ReadFailed("the server cannot look there; its log says why")
            self._tell_problem(request, error)

        def answered(_: Any) -> None:
            self._asked -= 1
            self.send(End(request))

        Deferred.fromCoroutine(answering).addErrback(failed).addBoth(answered)

    async def _look(self, message: Look) -> None:
        def look() -> Entry | None:
            return look_untrusted(self._share.root(), message.path)

        entry = await self._looking.do(look)
        kind = Kind.NOTHING if entry is None else Kind.FOLDER if entry.is_folder else Kind.FILE
        self.send(Found(message.request, kind))

    async def _list_in_turn(self, message: List) -> None:
        await self._listing.acquire()
        try:
            await self._list(message)
        finally:
            self._listing.release()

    async def _list(self, message: List) -> None:
        def open_list() -> Iterator[Entry | Skipped]:
            return list_untrusted(self._share.root(), message.path)

        listing = await self._looking.do(open_list)
        while not self.stopped:
            some = await self._looking.do(lambda: list(islice(listing, LISTED_AT_ONCE)))
            if not some:
                return
            for skipped in some:
                if isinstance(skipped, Skipped):
                    self._tell_problem(message.request, skipped.error(skipped.name))
            entries = [entry for entry in some if isinstance(entry, Entry)]
            for answer in pack_entries(message.request, [_listed(entry) for entry in entries]):
                self.send(answer)
            while self.plane.control_backlog > MAX_BACKLOG and not self.stopped:
                await self._pause()

    def _pause(self) -> Deferred[None]:
        paused: Deferred[None] = Deferred()
        self.reactor.callLater(WAIT_FOR_CLIENT, paused.callback, None)
        return paused

    # --- the rest ----------------------------------------------------------------------------------------------------

    def _tally(self, direction: Direction) -> Tally:
        """Counts what goes one way, and tells who watches."""
        watcher = self._watcher
        if watcher is None:
            return Tally()

        def told(what: str, progress: FileProgress) -> None:
            if what == "done":
                watcher.file_done(direction, progress)
            elif what != "skipped":
                watcher.file_begun(direction, progress)

        return Tally(on_problem=lambda error: watcher.file_failed(direction, error), on_file=told)

    def _tell_problem(self, request: int, error: FileError) -> None:
        self.send(Problem(request, reason_of(error), line_of(error)))

    def _log(self, failure: Failure, what: str) -> None:
        self.log.failure(what, failure)

    def stop(self) -> Deferred[None]:
        """See `Transfers`: the client's folder is closed too."""
        closed = super().stop()
        self._fetches.clear()  # and with them the folders that are open to be walked
        return closed.addCallback(lambda _: self.in_thread(self._share.close))


def serve_files(client: Client, open_plane: OpenPlane, service: FileService, share: Share) -> ServerTransfers:
    """Files for a client that begins to ask for them."""

    def violated(why: str) -> None:
        client.conn.peer_misbehaved(PeerMisbehaved(f"the other end broke the rules: {why}"))

    transfers = ServerTransfers(open_plane, service, share, owner=client.fingerprint, violated=violated, watcher=client)
    client.files = transfers
    return transfers


def _listed(entry: Entry) -> Listed:
    return Listed(entry.name, entry.is_folder, entry.size, entry.mtime_ns, entry.mode)
