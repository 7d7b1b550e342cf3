"""A file that is received: written in place as its bytes come, in any order, and named when it is whole.

    write(offset, chunks) ...     at once, in the reactor's thread          what it wrote: `written`
    checkpoint()                  about once a second, in another thread    what is on the disk: `durable`
    catch_up()                    in that thread too, when `behind` grows   the digest, see `digest`
    finish(digest)                the digest agrees: mode, time, sync, name, sync of the folder
    keep() or abort()             instead: for the next call, or for good

A checkpoint first takes down what is written, then syncs the file, then puts into the journal what it had taken down.
So bytes that are written while it runs may reach the disk with it, but wait for the next one to be called durable, and
nothing is called durable that was not written before the sync began. After a failed sync nobody knows what the disk has
(Linux forgets the pages): the sink writes no more, and keeps what the last good checkpoint said.

No byte is ever written twice: what comes again is left out, so a peer cannot change what the digest has taken already.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from ..errors import DataBeyondEnd, DataTooScattered, DigestMismatch, FileError, QuotaReached
from .digest import OrderedDigest
from .disk import DISK, Chunk, Disk
from .extents import Extents
from .failures import Left, write_error
from .journal import MAX_SPANS, Journal
from .partial import Overwrite, Partial, check_goal, partial_names
from .rights import Quota
from .root import Place
from .version import FileVersion

CHECKPOINT_INTERVAL: Final = 0.7  # seconds; with the tick that it waits for and the sync, a kill costs at most 1 s
CHECKPOINT_BYTES: Final = 128 * 1024 * 1024  # that wait for the disk: with more, a fast transfer would wait at its end
CACHED_BYTES: Final = 128 * 1024 * 1024  # of a file stay in the page cache; larger ones would drive all else out of it
CATCH_UP: Final = 64 * 1024 * 1024  # bytes; some tens of milliseconds from the page cache


class Sink:
    """A file on its way. `write`, `due` and the properties belong to one thread; all else may block, and to any other.

    What blocks waits for its turn; `write` waits for none of it. A `FileError` of `write`, `checkpoint` or `catch_up`
    says that what has arrived is kept: the caller sees to that with `keep`. One of `finish` says what became of it.
    """

    def __init__(
        self,
        place: Place,
        version: FileVersion,
        *,
        overwrite: Overwrite = Overwrite.REFUSE,
        quota: Quota | None = None,
        disk: Disk = DISK,
    ) -> None:
        """Open or make the partial file of `place`, which belongs to the sink from now on, also if this raises.

        A journal of the same version makes it go on; any other state means starting anew. The space for all of it is
        reserved. Raises a `FileError`; then a partial file of this version is still there, and one made now is gone.
        """
        self.version: Final = version
        self._place: Final = place
        self._overwrite: Final = overwrite
        self._quota: Final = quota or Quota(None)
        self._disk: Final = disk
        self._digest: Final = OrderedDigest()
        self._lock: Final = threading.Lock()  # short: `_written` and whether the descriptor is open
        self._turn: Final = threading.Lock()  # long: one of checkpoint, catch_up, finish, keep, abort
        self._written = Extents()
        self._written_bytes = 0
        self._charged = 0
        self._durable = Extents()
        self._durable_bytes = 0
        self._due_at: float | None = None
        self._sync_failed = False
        self._open = False
        try:
            check_goal(place, overwrite)
            journal_name = partial_names(place.leaf)[1]
            self._partial: Final = Partial(place, journal_name, disk)
        except BaseException:
            place.close()
            raise
        self._open = True
        identity = version.identity(place.leaf)
        self._journal: Final = Journal(place.folder, journal_name, identity, self._partial.inode, disk)
        try:
            self._begin()
        except OSError as error:
            left = self._leave()
            raise write_error(error, place.shown, left) from None
        except BaseException:
            self._leave()
            raise

    def _begin(self) -> None:
        """Go on from the journal, or start anew; then make room for the rest."""
        self._charged = self._partial.size
        durable = self._journal.read(self.version.size) if self._partial.found else None
        if durable is not None and (durable.highest or 0) < self._partial.size:
            self._durable, self._durable_bytes = durable, durable.count()
            self._written, self._written_bytes = durable.copy(), self._durable_bytes
        else:
            if self._journal.remove():
                self._disk.sync(self._place.folder)  # or it could come back, and speak of bytes written after this
            self._disk.truncate(self._partial.descriptor, 0)
        more = self.version.size - self._charged
        if not self._quota.take(more):
            left = Left.KEPT if self._durable_bytes else Left.UNTOUCHED
            free = self._quota.free
            raise QuotaReached(
                f"{self._place.shown}: needs {more} bytes, and the quota has {free} left; remove files there, or ask "
                f"the server's owner for more{left.value}"
            )
        self._charged = self.version.size
        self._disk.allocate(self._partial.descriptor, self.version.size)

    # --- what it has -------------------------------------------------------------------------------------------------

    @property
    def written_bytes(self) -> int:
        """Bytes written, in this call and in those before."""
        return self._written_bytes

    @property
    def durable_bytes(self) -> int:
        """Bytes that a power cut cannot take away. `written_bytes` less these is what waits for the disk."""
        return self._durable_bytes

    @property
    def complete(self) -> bool:
        """Whether every byte is written."""
        return self._written_bytes == self.version.size

    @property
    def behind(self) -> int:
        """Bytes from the file's beginning, without a hole, that the digest has yet to take."""
        with self._lock:
            return self._written.prefix - self._digest.position

    def get_written(self) -> Extents:
        """Which bytes are written: at the beginning, those that need not be sent."""
        with self._lock:
            return self._written.copy()

    def get_durable(self) -> Extents:
        """Which bytes are on the disk."""
        return self._durable.copy()

    # --- writing -----------------------------------------------------------------------------------------------------

    def write(self, offset: int, chunks: Sequence[Chunk]) -> int:
        """Write the chunks, joined, at `offset`; returns how many bytes of them were new.

        Raises `DataBeyondEnd` or `DataTooScattered` (a `Rejected`; nothing was written), or a `FileError`.
        """
        length = sum(map(len, chunks))
        if offset < 0 or offset + length > self.version.size:
            raise DataBeyondEnd(f"{length} bytes at {offset} of {self.version.size}")
        last = offset + length - 1
        with self._lock:
            holes = self._written.holes(offset, last) if length else []
            if not holes:
                return 0
            if not self._open:
                raise ValueError("the sink is closed")
            if self._sync_failed:
                raise self._failure(OSError(errno.EIO, ""))
            if holes == [(offset, last)]:
                self._write(offset, last, chunks)
                return length
            joined = memoryview(b"".join(chunks))
            for first_new, last_new in holes:
                self._write(first_new, last_new, [joined[first_new - offset : last_new + 1 - offset]])
            return sum(last_new + 1 - first_new for first_new, last_new in holes)

    def _write(self, first: int, last: int, chunks: Sequence[Chunk]) -> None:
        if self._written.span_count >= MAX_SPANS and not self._written.touches(first, last):
            raise DataTooScattered(f"{MAX_SPANS} parts with holes between them")
        try:
            self._disk.write(self._partial.descriptor, chunks, first)
        except OSError as error:
            raise self._failure(error) from None
        self._written.add_span(first, last)
        self._written_bytes += last + 1 - first
        self._digest.offer(first, chunks, last + 1 - first)

    # --- what may block ----------------------------------------------------------------------------------------------

    def due(self, now: float) -> bool:
        """Whether it is time for a checkpoint: much waits, or something has for an interval since there was one."""
        waiting = self._written_bytes - self._durable_bytes
        if not waiting or self._turn.locked():
            return False
        if self._due_at is None:
            self._due_at = now + CHECKPOINT_INTERVAL
        if now < self._due_at and (waiting < CHECKPOINT_BYTES or self.behind > CATCH_UP):  # which has its turn, too
            return False
        self._due_at = now + CHECKPOINT_INTERVAL
        return True

    def checkpoint(self) -> None:
        """Sync what is written, then say so in the journal."""
        with self._turn:
            if self._open:
                self._checkpoint()

    def catch_up(self) -> bool:
        """Read back up to 64 MiB that the digest lacks; True if there is more to read."""
        with self._turn:
            if not self._open:
                return False
            self._catch_up()
        return self.behind > 0

    def finish(self, digest: bytes) -> None:
        """Compare the digest of the whole, 32 bytes, and give the complete file its name, for good.

        Raises `DigestMismatch`, and what had arrived is removed; or another `FileError`, which says what is left:
        when that is kept, `keep` or `abort` are still to be called, or `finish` again.
        """
        with self._turn:
            self._seal(digest)
            self._publish()
            self._settle(sync_folder=True)

    def keep(self) -> int:
        """Stop here, and leave what arrived for the next call; returns how many bytes that are.

        None at all, and the partial file is removed. Bytes that can no longer be saved are not counted.
        """
        with self._turn:
            if not self._open:
                return 0
            with suppress(OSError, FileError):  # what the journal said before this still holds
                self._partial.unset_attributes()
                self._truncate()  # first: it may free the space that the journal needs
                self._checkpoint()
            self._leave()
            return self._durable_bytes

    def abort(self) -> None:
        """Stop here, and remove all of it."""
        with self._turn:
            if self._open:
                self._remove()

    def _checkpoint(self) -> None:
        with self._lock:
            written, written_bytes = self._written.copy(), self._written_bytes
        if self._sync_failed:
            raise self._failure(OSError(errno.EIO, ""))
        if written_bytes == self._durable_bytes:
            return
        try:
            self._disk.sync_data(self._partial.descriptor)
        except OSError as error:
            self._sync_failed = True
            raise self._failure(error) from None
        try:
            self._journal.write(written)
        except OSError as error:
            raise self._failure(error) from None
        self._durable, self._durable_bytes = written, written_bytes
        if self.version.size > CACHED_BYTES:
            self._disk.drop_cached(self._partial.descriptor, min(self._digest.position, written.prefix))

    def _catch_up(self) -> None:
        with self._lock:
            prefix = self._written.prefix
        self._digest.catch_up(self._read_back, min(prefix, self._digest.position + CATCH_UP))

    def _read_back(self, offset: int, length: int) -> bytes:
        try:
            data = self._disk.read(self._partial.descriptor, length, offset)
        except OSError as error:
            raise self._failure(error) from None
        if not data:  # another program cut it
            raise self._failure(OSError(errno.EIO, ""))
        return data

    # --- the end -----------------------------------------------------------------------------------------------------

    def _seal(self, digest: bytes) -> None:
        """The digest, the mode and the time, on the disk."""
        if not self._open or not self.complete:
            raise ValueError("only a complete file can be finished")
        while self.behind:
            self._catch_up()
        if self._digest.digest() != digest:
            self._remove()
            text = "what arrived is not what was sent; send it again"
            raise DigestMismatch(f"{self._place.shown}: {text}{Left.REMOVED.value}")
        if self._sync_failed:
            raise self._failure(OSError(errno.EIO, ""))
        try:
            self._partial.set_attributes(self.version.mode, self.version.mtime_ns)
        except OSError as error:
            raise self._failure(error) from None
        try:
            self._disk.sync(self._partial.descriptor)
        except OSError as error:
            self._sync_failed = True
            raise self._failure(error) from None

    def _publish(self) -> None:
        """The name, once more only if it may have it."""
        freed = check_goal(self._place, self._overwrite, Left.KEPT)
        try:
            self._partial.publish(self._overwrite)
        except OSError as error:
            raise self._failure(error) from None
        self._quota.give(freed)

    def _settle(self, *, sync_folder: bool) -> None:
        """The name on the disk, the journal gone."""
        try:
            self._journal.remove()
            if sync_folder:
                self._disk.sync(self._place.folder)
        except OSError as error:
            raise write_error(error, self._place.shown, Left.NAMED) from None
        finally:
            self._close()

    def _leave(self) -> Left:
        """Close it; the partial file stays if something of it is safe."""
        if not self._durable_bytes:
            self._remove()
            return Left.UNTOUCHED
        with suppress(OSError):  # space that stays reserved until the next call
            self._truncate()
        self._close()
        return Left.KEPT

    def _truncate(self) -> None:
        """Give back the space reserved beyond the last byte written."""
        with self._lock:
            size = min(self._partial.size, (self._written.highest or 0) + 1)
            self._disk.truncate(self._partial.descriptor, size)
        self._quota.give(self._charged - size)
        self._charged = size

    def _remove(self) -> None:
        """Take journal and partial file away, in this order, and close."""
        try:
            self._journal.remove()
            self._partial.remove()
        except OSError:  # a folder that can no longer be changed; the partial file stays hidden
            pass
        else:
            self._quota.give(self._charged)
        self._close()

    def _close(self) -> None:
        with self._lock:
            self._open = False
            self._journal.close()
            self._partial.close()
            self._place.close()

    def _failure(self, error: OSError) -> FileError:
        return write_error(error, self._place.shown, Left.KEPT)


def finish_together(finished: Sequence[tuple[Sink, bytes]]) -> list[FileError | None]:
    """`finish` for many small files at once, with their digests: one sync a folder instead of one a file.

    Returns what became of each, in order: None, or the error that `finish` would have raised. May block.
    """
    outcomes: list[FileError | None] = [None] * len(finished)
    for index, (sink, digest) in enumerate(finished):
        try:
            with sink._turn:
                sink._seal(digest)
                sink._publish()
        except FileError as error:
            outcomes[index] = error
    synced = set()  # after every name is given, so that the first sync of a folder is of all of them
    for index, (sink, _) in enumerate(finished):
        if outcomes[index] is None:
            status = os.fstat(sink._place.folder)
            folder = status.st_dev, status.st_ino
            try:
                with sink._turn:
                    sink._settle(sync_folder=folder not in synced)
                synced.add(folder)
            except FileError as error:
                outcomes[index] = error
    return outcomes
