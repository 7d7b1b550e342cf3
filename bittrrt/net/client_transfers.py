"""The client's end of a session's files: it offers what is put, takes what it asked for, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from twisted.internet.defer import Deferred

from ..errors import FileError, LinkLost, MalformedMessage, NameRefused
from ..files.goal import Goal
from ..files.names import shown_untrusted
from ..files.partial import Overwrite
from ..files.rights import Quota
from ..files.root import Root
from ..wire.transfer_messages import (
    Answer,
    CongestionName,
    End,
    Entries,
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
    error_untrusted,
)
from .clock import Clock
from .tally import Tally
from .transfer_plane import OpenPlane
from .transfers import Transfers
from .turns import InThread

_UNBOUNDED: Final = Quota(None)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One thing that this end's user asked for, and where it is to go."""

    path: str
    """At the server; empty for all that it shows."""
    root: Root = field(compare=False)
    """The folder here."""
    name: str
    """What it is called here; empty if it keeps its name."""
    recursive: bool
    overwrite: bool = False
    checksum: bool = False
    limit: float | None = None
    """Bytes a second, of the whole transfer."""

    def place_untrusted(self, name: str) -> str:
        """Where something goes that the server offers. Raises `NameRefused` for what was not asked for."""
        asked = self.path.rpartition("/")[2]
        if not asked:
            return name
        first, slash, rest = name.partition("/")
        if first != asked or (slash and not self.recursive):
            raise NameRefused(f"{shown_untrusted(name)}: the server offers what nobody asked for; it is not taken")
        return (self.name or first) + slash + rest


@dataclass(slots=True)
class _Fetching:
    wanted: Wanted
    tally: Tally
    ended: Deferred[None]


@dataclass(slots=True)
class _Asking:
    """A `List` or `Look`."""

    ended: Deferred[Any]
    take: Callable[[Listed], None]
    told: Callable[[FileError], None]
    """Told of what cannot be listed."""
    found: Kind | None = None


class _WantedPlaces:
    """Where what the server offers is to go: only where it was asked for."""

    def __init__(self) -> None:
        self.fetching: dict[int, _Fetching] = {}
        self.requests = 0
        """How many numbers were given to requests."""

    def check_asked_untrusted(self, request: int) -> None:
        """Raise `MalformedMessage` for a request that never was; one that has ended may be answered late."""
        if not 0 < request <= self.requests:
            raise MalformedMessage(f"an answer to request {request}, which never was")

    def goal(self, offer: Offer) -> Goal:
        """See `Destination`. What the offer says of overwriting is not asked: that is this end's own decision."""
        wanted = self._wanted(offer.request)
        if offer.inside:
            raise NameRefused(f"{shown_untrusted(offer.inside)}: the server offers a file under two names; not taken")
        overwrite = Overwrite.REPLACE if wanted.overwrite else Overwrite.REFUSE
        name = wanted.place_untrusted(offer.name)
        return Goal(lambda: wanted.root, lambda: _UNBOUNDED, name, overwrite, wanted.checksum)

    def folder(self, message: OfferFolder | Settle) -> tuple[Callable[[], Root], str]:
        """See `Destination`."""
        wanted = self._wanted(message.request)
        name = wanted.place_untrusted(message.name) if isinstance(message, OfferFolder) else ""
        if name and not wanted.recursive:
            raise NameRefused(f"{shown_untrusted(name)}: the server offers a folder, and a file was asked for")
        return lambda: wanted.root, name

    def tally(self, request: int) -> Tally:
        """See `Destination`."""
        fetching = self.fetching.get(request)
        return Tally() if fetching is None else fetching.tally

    def _wanted(self, request: int) -> Wanted:
        self.check_asked_untrusted(request)
        fetching = self.fetching.get(request)
        if fetching is None:
            raise NameRefused("the server offers what nobody asked for; it is not taken")
        return fetching.wanted


class ClientTransfers(Transfers):
    """One session's files, at the client."""

    def __init__(
        self,
        open_plane: OpenPlane,
        *,
        in_thread: InThread,
        reactor: Any,
        clock: Clock,
        violated: Callable[[str], None],
        congestion: CongestionName = "model",
        mtu: int | None = None,
    ) -> None:
        """`congestion` and `mtu`: how the server is to send what is fetched."""
        self._congestion: CongestionName = congestion
        self._mtu = mtu
        self._places = _WantedPlaces()
        super().__init__(
            open_plane,
            self._places,
            in_thread=in_thread,
            reactor=reactor,
            clock=clock,
            first_channel=1,
            violated=violated,
        )
        self._asking: dict[int, _Asking] = {}

    def next_request(self) -> int:
        """A number that no other transfer of this session has."""
        self._places.requests += 1
        return self._places.requests

    def fetch(self, wanted: Wanted, tally: Tally, transfer: int) -> Deferred[None]:
        """Get something; fires when all of it is answered. If the session is lost, it never does.

        What has the same `transfer`, a number as of `next_request`, shares one limit. Cancelled, the rest does not
        come, and what has arrived is kept.
        Raises `NameRefused` for a path that cannot be said.
        """
        request = self.next_request()
        ended: Deferred[None] = Deferred(lambda _: self._withdraw(request))
        self.send(
            Fetch(
                request, wanted.path, wanted.recursive, wanted.checksum, wanted.limit, transfer, self._congestion,
                self._mtu,
            )
        )  # fmt: skip
        self._places.fetching[request] = _Fetching(wanted, tally, ended)
        return ended

    def _withdraw(self, request: int) -> None:
        self.send(Withdraw(request))

    def list_folder(
        self, path: str, take: Callable[[Listed], None], told: Callable[[FileError], None]
    ) -> Deferred[None]:
        """Hand every entry of a server's folder to `take`, and what is wrong to `told`. Fails with `LinkLost`.

        Raises `NameRefused` for a path that cannot be said.
        """
        request = self.next_request()
        ended: Deferred[None] = Deferred()
        self.send(List(request, path))
        self._asking[request] = _Asking(ended, take, told)
        return ended

    def look(self, path: str) -> Deferred[Kind]:
        """What is at a path of the server's. Fails with a `FileError`, or `LinkLost`.

        Raises `NameRefused` for a path that cannot be said.
        """
        request = self.next_request()
        found: Deferred[Kind] = Deferred()
        self.send(Look(request, path))
        self._asking[request] = _Asking(found, lambda _: None, found.errback)
        return found

    def asked_untrusted(self, message: Question) -> None:
        """See `Transfers`."""
        raise MalformedMessage("a question, from a server")

    def told_untrusted(self, message: Answer) -> None:
        """See `Transfers`."""
        if isinstance(message, Limited):
            for fetching in self._places.fetching.values():
                fetching.tally.limited_by = message.by
            return
        self._places.check_asked_untrusted(message.request)
        if message.request in self._places.fetching:
            self._fetch_told(self._places.fetching[message.request], message)
        elif message.request in self._asking:
            self._question_told(self._asking[message.request], message)

    def _fetch_told(self, fetching: _Fetching, message: Total | Problem | Entries | End | Found) -> None:
        tally = fetching.tally
        if isinstance(message, Total):
            tally.total_files = (tally.total_files or 0) + message.files
            tally.total_size = (tally.total_size or 0) + message.size
        elif isinstance(message, Problem):
            tally.problem(error_untrusted(message.reason, message.text))
        elif isinstance(message, End):
            del self._places.fetching[message.request]
            if not fetching.ended.called:
                fetching.ended.callback(None)

    def _question_told(self, asking: _Asking, message: Total | Problem | Entries | End | Found) -> None:
        if isinstance(message, Problem):
            if not asking.ended.called:
                asking.told(error_untrusted(message.reason, message.text))
        elif isinstance(message, Entries):
            for entry in message.entries:
                asking.take(entry)
        elif isinstance(message, Found):
            asking.found = message.kind
        elif isinstance(message, End):
            del self._asking[message.request]
            if not asking.ended.called:
                asking.ended.callback(asking.found)

    def stop(self) -> Deferred[None]:
        """See `Transfers`: questions are not going to be answered."""
        asking, self._asking = self._asking, {}
        for question in asking.values():
            if not question.ended.called:  # it has, if a `Problem` came and its `End` has not
                question.ended.errback(LinkLost("the session was lost; try again"))
        return super().stop()
