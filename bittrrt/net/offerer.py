"""The end that has the files: many offers on their way at a time, none waiting for the answer to another.

SendJob.supply --prepare, in a thread--> offered --Accept--> streaming --all read: Finish--> sent --> Done
                                            |                   |                             |
                                            +--Skip, Refuse     +--Failed --------------------+--> Cancel, as the file
                                                                                                   has changed

The first file of a session is streaming from its offer on, as far as early data goes: see `receiving`.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..errors import FileError, MalformedMessage, NameRefused, ReadFailed
from ..files.failures import left_by_sender
from ..files.source import Source
from ..files.supply import FileToSend, FolderToSend, Ready, ReadyFile, Unsendable
from ..link.transfer_statistics import TransferStatistics
from ..wire.spans import SpanSet
from ..wire.transfer_messages import (
    Accept,
    Cancel,
    Done,
    Failed,
    Finish,
    FromAcceptor,
    Offer,
    OfferFolder,
    Reason,
    Refuse,
    Send,
    Settle,
    Skip,
    error_untrusted,
    line_of,
    read_spans_untrusted,
    reason_of,
)
from .offered import Offered, SendJob, WatchedSource
from .tally import FileProgress
from .transfer_plane import TransferPlane
from .turns import InThread

MAX_UNDER_WAY: Final = 256  # files and folders; at 100 ms and two round trips each, 1,280 a second
MAX_SIZE_UNDER_WAY: Final = 64 * 1024 * 1024  # bytes; beyond that, two files: one is finished while the other is sent
MAX_BACKLOG: Final = 64 * 1024  # bytes of control messages that wait for the path
PREPARED_AT_ONCE: Final = 64


class Offerer:
    """Offers and sends in one session."""

    log = Logger()

    def __init__(self, plane: TransferPlane, send: Send, in_thread: InThread) -> None:
        self._plane = plane
        self._send = send
        self._in_thread = in_thread
        self._jobs: list[SendJob] = []
        self._sending: dict[int, Offered] = {}
        self._size_under_way = 0
        self._sent_early = False
        self._preparing = False
        self._stopped = False
        self._prepared_late: Deferred[Any] = Deferred()  # fires when what was prepared for nothing is back

    @property
    def busy(self) -> bool:
        """Whether there is something to send, or to hear of."""
        return bool(self._jobs)

    def add(self, job: SendJob) -> None:
        """Begin to offer a transfer's files; after those of the transfers before it."""
        self._jobs.append(job)
        self.pump()

    def drop(self, job: SendJob) -> None:
        """Send nothing more of a transfer that is not finished; the other end keeps what has arrived."""
        if self._stopped or job not in self._jobs:
            return
        self._jobs.remove(job)
        for sending in [sending for sending in self._sending.values() if sending.job is job]:
            if isinstance(sending.ready, ReadyFile):
                self._send(Cancel(sending.channel, Reason.OTHER, f"{sending.name}: stopped by its user"))
            self._over(sending)
        if job.supply.has_folders and not job.settling:
            self._offer(job, None)

    def statistics(self) -> TransferStatistics | None:
        """Of the file that is being sent, the oldest of them; None if there is none."""
        streaming = next((sending for sending in self._sending.values() if sending.streaming), None)
        return None if streaming is None else self._plane.statistics(streaming.channel)

    def pump(self) -> None:
        """Prepare and offer as much as may be under way. Called after everything that could make room."""
        if self._stopped or self._preparing or self._plane.control_backlog > MAX_BACKLOG:
            return
        room = MAX_UNDER_WAY - len(self._sending)
        if room <= 0 or (self._size_under_way > MAX_SIZE_UNDER_WAY and len(self._sending) > 1):
            return
        job = next((job for job in self._jobs if not job.supply.exhausted), None)
        if job is not None:
            self._preparing = True
            prepare = partial(job.supply.prepare, min(room, PREPARED_AT_ONCE))
            self._in_thread(prepare).addCallbacks(
                lambda ready: self._prepared(ready, job), lambda failure: self._not_prepared(failure, job)
            )
        for job in self._jobs[:]:
            self._end_if_answered(job)

    def _prepared(self, ready: list[Ready], job: SendJob) -> None:
        self._preparing = False
        if self._stopped:
            self._give_back(job, ready)
            return
        if job not in self._jobs:
            _close_all(ready)
            self.pump()
            return
        for number, one in enumerate(ready):
            if job not in self._jobs:  # it has ended on the way
                _close_all(ready[number:])
                break
            if isinstance(one, Unsendable):
                job.unsendable(one.error)
            else:
                self._offer(job, one)
        self.pump()

    def _not_prepared(self, failure: Failure, job: SendJob) -> None:
        self._preparing = False
        self.log.failure("files could not be made ready", failure)
        job.unsendable(ReadFailed("the files cannot be read; see this end's log"))
        if self._stopped:
            self._prepared_late.callback(None)
        elif job in self._jobs:
            self._jobs.remove(job)
            job.finished.callback(None)

    def _offer(self, job: SendJob, ready: ReadyFile | FolderToSend | None) -> None:
        sending = Offered(self._plane.new_channel(), job, ready)
        if isinstance(ready, ReadyFile):
            version = ready.content.version
            message: Offer | OfferFolder | Settle = Offer(
                sending.channel, job.request, ready.item.name, version.size, version.mtime_ns, version.mode,
                version.sample, ready.digest, job.checksum, job.overwrite, ready.item.inside,
            )  # fmt: skip
        elif isinstance(ready, FolderToSend):
            message = OfferFolder(sending.channel, job.request, ready.name, ready.mode, ready.mtime_ns, ready.keep)
        else:
            message = Settle(sending.channel, job.request)
        try:
            length = self._send(message)
        except NameRefused as error:
            self._close(sending)
            if isinstance(ready, FolderToSend) and ready.keep:
                self._end_without_target(job, error)
            else:
                job.unsendable(error)
            return
        if job.limit is not None:
            job.limit.spend(length)
        self._sending[sending.channel] = sending
        self._size_under_way += sending.size
        job.under_way += 1
        if sending.size and not self._sent_early:
            self._sent_early = True
            self._stream(sending, SpanSet(), early=True)

    # --- answers -----------------------------------------------------------------------------------------------------

    def answered_untrusted(self, message: FromAcceptor) -> None:
        """The acceptor says something. Raises `MalformedMessage` if it makes no sense."""
        sending = self._sending.get(message.channel)
        if sending is None:
            return  # we had cancelled it, and the answer was on its way
        is_file = isinstance(sending.ready, ReadyFile)
        if isinstance(message, Accept):
            if sending.accepted or not is_file:
                raise MalformedMessage("accepts what is no file, or was accepted before")
            sending.settle_name_untrusted(inside=message.inside)
            self._accepted(sending, message)
        elif isinstance(message, Skip) and is_file and not sending.accepted:
            sending.settle_name_untrusted(inside=message.inside)
            sending.job.tally.skip(sending.name, sending.size)
            self._over(sending)
        elif isinstance(message, Done) and (sending.accepted or not is_file):
            if is_file:
                sending.job.tally.done(sending.channel)
            self._over(sending)
        elif isinstance(message, Refuse) and isinstance(sending.ready, FolderToSend) and sending.ready.keep:
            self._over(sending)
            self._end_without_target(sending.job, error_untrusted(message.reason, message.text))
        elif isinstance(message, Refuse | Failed):
            sending.job.tally.problem(
                error_untrusted(message.reason, message.text), sending.channel, name=sending.name,
                is_folder=isinstance(sending.ready, FolderToSend),
            )  # fmt: skip
            self._over(sending)
        else:
            raise MalformedMessage("an answer to another question")

    def _end_without_target(self, job: SendJob, error: FileError) -> None:
        """There is no folder that the rest could go to: the transfer ends."""
        if job in self._jobs:
            self.drop(job)
            job.finished.errback(error)

    def _accepted(self, sending: Offered, message: Accept) -> None:
        content = sending.content
        have = read_spans_untrusted(message.have, sending.size)
        already = have.count()
        sending.accepted = True
        sending.job.tally.begun(sending.channel, self._progress(sending, already))
        if sending.over:
            return  # who was told has ended it all
        if already == sending.size:
            self._sent(sending)
            return
        if already and isinstance(content, Source):  # what is not sent has to be read for the digest all the same
            self._catch_up(sending, content)
        if sending.streaming:
            self._plane.send_rest(sending.channel, sending.size, skip=have)
        else:
            self._stream(sending, have)

    def _stream(self, sending: Offered, have: SpanSet, *, early: bool = False) -> None:
        """Begin to send a file; `early`: with its offer, see `receiving`."""
        content = sending.content
        sending.streaming = True
        watched = WatchedSource(content, partial(self._finish, sending)) if isinstance(content, Source) else content
        sent = self._plane.open_sending(
            sending.channel, watched, sending.size, skip=have, limit=sending.job.limit, early=early
        )
        sent.addCallbacks(lambda _: self._sent(sending), lambda failure: self._not_sent(sending, failure.value))

    def _progress(self, sending: Offered, already: int) -> FileProgress:
        def statistics() -> TransferStatistics | None:
            try:
                return self._plane.statistics(sending.channel) if sending.streaming else None
            except KeyError:  # its stream has failed, and what follows from that is under way
                return None

        def moved() -> int:
            now = statistics()
            if now is not None:
                sending.reached = min(already + now.acknowledged, sending.size)
            return sending.reached

        sending.reached = already
        return FileProgress(sending.name, sending.size, already, moved, statistics)

    def _catch_up(self, sending: Offered, source: Source) -> None:
        """Read for the digest what is not read to be sent, a piece at a time."""
        if sending.over or sending.reading:
            return
        sending.reading = True

        def caught_up(more: Any) -> None:
            sending.reading = False
            if isinstance(more, Failure):
                self._cancel(sending, more.value)
            elif sending.over:
                self._close(sending)
            elif not sending.streaming:
                self._finish(sending)
            elif more:
                self._catch_up(sending, source)

        self._in_thread(source.catch_up).addBoth(caught_up)

    # --- the end of one ----------------------------------------------------------------------------------------------

    def stream_failed(self, channel: int, error: Exception) -> None:
        """A file could not be read."""
        sending = self._sending.get(channel)
        if sending is not None:
            self._cancel(sending, error)

    def _sent(self, sending: Offered) -> None:
        if sending.over:
            return
        sending.reached = sending.size
        if sending.streaming:
            self._end_stream(sending)
        self._finish(sending)

    def _finish(self, sending: Offered) -> None:
        """Everything was read, or is there: tell the digest, if the offer has not.

        It need not wait until everything is there: it travels with the last bytes, and saves a round trip.
        """
        content = sending.content
        if not sending.accepted or sending.reading or sending.finishing or not isinstance(content, Source):
            return  # a small file's digest was in the offer; nobody has asked for that of one that is not accepted
        sending.reading = sending.finishing = True

        def digested(digest: Any) -> None:
            sending.reading = False
            if isinstance(digest, Failure):
                self._cancel(sending, digest.value)
            elif sending.over:
                self._close(sending)
            elif not sending.digest_told:
                self._send(Finish(sending.channel, digest))

        self._in_thread(content.digest).addBoth(digested)

    def _not_sent(self, sending: Offered, error: BaseException | None) -> None:
        if not sending.over and not isinstance(error, CancelledError):  # that is the end of the session
            self._cancel(sending, error)

    def _cancel(self, sending: Offered, cause: BaseException | None) -> None:
        if sending.over:
            self._close(sending)
            return
        error = cause
        if not isinstance(error, FileError):
            self.log.failure("a file could not be sent", Failure(error))  # type: ignore[no-untyped-call]
            error = ReadFailed(f"{sending.name}: cannot be read; see the sender's log")
        error = type(error)(f"{error}{left_by_sender(error).value}")
        self._send(Cancel(sending.channel, reason_of(error), line_of(error)))
        sending.job.gave_up = True
        sending.job.tally.problem(error, sending.channel)
        self._over(sending)

    def _over(self, sending: Offered) -> None:
        """Nothing more is going to happen to it."""
        if sending.over:
            return  # who was told of it has ended it all
        sending.over = True
        if sending.streaming:
            self._end_stream(sending)
        del self._sending[sending.channel]
        self._size_under_way -= sending.size
        sending.job.under_way -= 1
        if not sending.reading:
            self._close(sending)
        self.pump()

    def _end_stream(self, sending: Offered) -> None:
        sending.streaming = False
        self._plane.close_stream(sending.channel)

    def _end_if_answered(self, job: SendJob) -> None:
        if job.under_way or self._preparing or not job.supply.exhausted or job not in self._jobs:
            return
        if job.supply.has_folders and not job.settling:
            job.settling = True
            self._offer(job, None)
            return
        self._jobs.remove(job)
        job.finished.callback(None)

    # --- the end of all ----------------------------------------------------------------------------------------------

    def stop(self) -> Deferred[Any]:
        """The session is over. Fires when all that was not answered is back in its supply."""
        self._stopped = True
        returning = []
        for job in self._jobs:
            mine = [sending for sending in self._sending.values() if sending.job is job]
            files = [sending.ready.item for sending in mine if isinstance(sending.ready, ReadyFile)]
            returning.append(self._return(job, files))
        for sending in self._sending.values():
            sending.over = True
            sending.streaming = False
            if not sending.reading:
                self._close(sending)
        self._sending.clear()
        self._jobs.clear()  # and with them the folders that are open to be walked, but for what another session needs
        if self._preparing:
            returning.append(self._prepared_late)
        return DeferredList(returning)

    def _give_back(self, job: SendJob, ready: list[Ready]) -> None:
        _close_all(ready)
        for one in ready:
            if isinstance(one, Unsendable):
                job.unsendable(one.error)
        self._return(job, [one.item for one in ready if isinstance(one, ReadyFile)]).chainDeferred(self._prepared_late)

    def _return(self, job: SendJob, files: list[FileToSend]) -> Deferred[Any]:
        """Into the supply, in a thread, as one may be reading there."""
        return self._in_thread(partial(job.supply.begin_again, files))

    def _close(self, sending: Offered) -> None:
        if isinstance(sending.ready, ReadyFile):
            sending.ready.content.close()


def _close_all(ready: list[Ready]) -> None:
    for one in ready:
        if isinstance(one, ReadyFile):
            one.content.close()
