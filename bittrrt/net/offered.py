"""What an offerer has on its way: whole transfers, and every single thing of them that was offered and not answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from twisted.internet.defer import Deferred

from ..errors import FileError, MalformedMessage
from ..files.source import Source
from ..files.supply import FolderToSend, ReadyFile, SmallFile, Supply
from ..link.pacer import Pacer
from .tally import Tally


@dataclass(slots=True)
class SendJob:
    """One transfer's files, as one session sends them."""

    request: int
    supply: Supply
    tally: Tally
    unsendable: Callable[[FileError], None]
    """Told what cannot be offered at all, and why."""
    overwrite: bool = False
    checksum: bool = False
    limit: Pacer | None = None
    """What all its files together spend, and the messages that offer them."""
    finished: Deferred[None] = field(default_factory=Deferred)
    """Fires when everything is answered; never, if the session is lost. Fails if there is no folder for it."""
    under_way: int = 0
    settling: bool = False
    gave_up: bool = False
    """Whether a `Cancel` was said, which nobody answers."""


@dataclass(slots=True, eq=False)
class Offered:
    """One thing that was offered."""

    channel: int
    job: SendJob
    ready: ReadyFile | FolderToSend | None
    """None of a `Settle`."""
    accepted: bool = False
    streaming: bool = False
    reached: int = 0
    """Bytes that were there when last looked: what is known of it once its session is lost."""
    reading: bool = False
    """Whether a thread reads it, so that it cannot be closed yet."""
    finishing: bool = False
    """Whether its digest is told, or is about to be."""
    over: bool = False

    @property
    def name(self) -> str:
        """Where it goes; empty of a `Settle`."""
        if isinstance(self.ready, ReadyFile):
            return self.ready.item.name
        return "" if self.ready is None else self.ready.name

    @property
    def size(self) -> int:
        """Bytes; 0 of all that is no file."""
        return self.ready.content.version.size if isinstance(self.ready, ReadyFile) else 0

    @property
    def content(self) -> Source | SmallFile:
        """A file's. Raises `MalformedMessage` for anything else, which the acceptor takes for a file."""
        if not isinstance(self.ready, ReadyFile):
            raise MalformedMessage("only files are accepted")
        return self.ready.content

    def settle_name_untrusted(self, *, inside: bool) -> None:
        """The acceptor says where the file goes. Raises `MalformedMessage` where that was not left to it."""
        ready = self.ready
        if isinstance(ready, ReadyFile):
            if inside and not ready.item.inside:
                raise MalformedMessage("takes a file into a folder that was not offered so")
            self.ready = replace(ready, item=ready.item.settled(inside=inside))

    @property
    def digest_told(self) -> bool:
        """Whether the offer has its digest."""
        return isinstance(self.ready, ReadyFile) and self.ready.digest is not None


@dataclass(frozen=True, slots=True)
class WatchedSource:
    """A file that is read to be sent, and who is told, again and again, that each of its bytes was read once."""

    source: Source
    all_read: Callable[[], None]

    def read(self, offset: int, length: int) -> bytes:
        """See `StreamSource`."""
        data = self.source.read(offset, length)
        if not self.source.behind:
            self.all_read()
        return data
