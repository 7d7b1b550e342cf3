"""The end that takes the files: from an offer to a sink, and from a whole file to its name.

    Offer --open, in a thread, in order--> Accept ==bytes==> whole, and its digest known --finish, many at once--> Done
                      |                                |
                      +--> Skip, Refuse                +--Cancel, disk full, session lost--> kept for the next call

About once a second what arrived is made safe, in a thread, while more arrives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..errors import FileError, MalformedMessage, TransferBusy, WriteFailed
from ..files.failures import Left, left_by_sender
from ..files.goal import Goal, GoalKey, OpenedGoal, goal_key_untrusted, open_goal_untrusted
from ..files.root import Root
from ..files.sink import finish_together
from ..files.tree import FolderRoom, Folders, ensure_folder_untrusted
from ..files.version import FileVersion
from ..wire.spans import SpanSet
from ..wire.transfer_messages import (
    Accept,
    Cancel,
    Done,
    Failed,
    Finish,
    FromOfferer,
    Offer,
    OfferFolder,
    Refuse,
    Send,
    Settle,
    Skip,
    error_untrusted,
    line_of,
    reason_of,
    tell_spans,
)
from .offerer import MAX_UNDER_WAY
from .takers import Takers, Taking
from .tally import FileProgress, Tally
from .transfer_plane import TransferPlane
from .turns import InThread, Turns

MAX_TAKEN: Final = 2 * MAX_UNDER_WAY  # an honest offerer has at most half as many under way
MAX_REQUESTS: Final = 64  # with folders that are not settled; a client asks for 16 things at a time
FINISHED_AT_ONCE: Final = 256
BEHIND: Final = 8 * 1024 * 1024  # bytes that the digest may lack before it catches up; a few milliseconds at the end
FINISHED_ALONE: Final = 4 * 1024 * 1024  # bytes; a file from that size on does not hold up small ones


class Destination(Protocol):
    """Where things go: this end's own decision."""

    def goal(self, offer: Offer) -> Goal:
        """Where a file goes. Raises a `FileError`."""

    def folder(self, message: OfferFolder | Settle) -> tuple[Callable[[], Root], str]:
        """The root, and the name below it, of a folder; the name is empty of a `Settle`. Raises a `FileError`."""

    def tally(self, request: int) -> Tally:
        """Where to count what belongs to a request."""


class Acceptor:
    """Takes files in one session."""

    log = Logger()

    def __init__(
        self,
        plane: TransferPlane,
        send: Send,
        in_thread: InThread,
        destination: Destination,
        *,
        owner: str = "",
        takers: Takers | None = None,
    ) -> None:
        """`owner`: whose session it is, among those that `takers` knows of."""
        self._plane = plane
        self._send = send
        self._in_thread = in_thread
        self._destination = destination
        self._owner = owner
        self._takers = takers or Takers()
        self._opening = Turns(in_thread)
        self._taking: dict[int, Taking] = {}
        self._folders: dict[int, Folders] = {}
        self._folder_room = FolderRoom()
        self._folders_asked = 0  # folders to make and to settle, that are not answered
        self._finishing = False
        self._closing: set[Deferred[Any]] = set()
        self._stopped = False

    def offered_untrusted(self, message: FromOfferer) -> None:
        """The offerer says something. Raises `MalformedMessage` if it makes no sense."""
        if isinstance(message, Finish):
            self._finish_named(message)
            return
        if isinstance(message, Cancel):
            self._cancelled(message)
            return
        if message.channel in self._taking:
            raise MalformedMessage(f"channel {message.channel} is taken")
        try:
            if isinstance(message, Offer):
                self._take(message)
            elif isinstance(message, OfferFolder):
                self._make_folder(message)
            else:
                self._settle(message)
        except FileError as error:
            self._refuse(message, error)

    def _refuse(self, message: Offer | OfferFolder | Settle, error: FileError) -> None:
        if isinstance(message, Offer):
            self._close_stream(message.channel)
        self._destination.tally(message.request).problem(
            error, message.channel, name="" if isinstance(message, Settle) else message.name,
            is_folder=isinstance(message, OfferFolder),
        )  # fmt: skip
        self._say(Refuse(message.channel, reason_of(error), line_of(error)))

    # --- folders -----------------------------------------------------------------------------------------------------

    def _make_folder(self, message: OfferFolder) -> None:
        root, name = self._destination.folder(message)
        self._check_folders_asked()

        def make() -> None:
            if message.keep:
                ensure_folder_untrusted(root(), name, message.mode)
                return
            folders = self._folders.get(message.request)
            if folders is None:
                if len(self._folders) >= MAX_REQUESTS:
                    raise TransferBusy("too many transfers of folders in one session; try again later")
                folders = self._folders[message.request] = Folders(root(), self._folder_room)
            folders.make_untrusted(name, message.mode, message.mtime_ns)

        self._answer_when(self._opening.do(make), message)

    def _settle(self, message: Settle) -> None:
        self._destination.folder(message)
        self._check_folders_asked()

        def settle() -> None:
            folders = self._folders.pop(message.request, None)
            errors = folders.settle() if folders is not None else []
            if errors:
                raise errors[0]

        self._answer_when(self._opening.do(settle), message)

    def _check_folders_asked(self) -> None:
        if self._folders_asked >= MAX_TAKEN:
            raise TransferBusy(f"more than {MAX_TAKEN} folders at a time; try again later")

    def _answer_when(self, done: Deferred[None], message: OfferFolder | Settle) -> None:
        self._folders_asked += 1

        def answer(outcome: Any) -> None:
            self._folders_asked -= 1
            if isinstance(outcome, Failure):
                self._refuse(message, self._as_error(outcome.value, "the folder"))
            else:
                self._say(Done(message.channel))

        done.addBoth(answer)

    # --- opening -----------------------------------------------------------------------------------------------------

    def _take(self, offer: Offer) -> None:
        if len(self._taking) >= MAX_TAKEN:
            raise TransferBusy(f"more than {MAX_TAKEN} files at a time; try again later")
        goal = self._destination.goal(offer)
        taking = Taking(self, offer, goal, self._destination.tally(offer.request), offer.digest)
        self._taking[offer.channel] = taking
        self._open(taking, tries_left=1)

    def _open(self, taking: Taking, tries_left: int) -> None:
        offer = taking.offer
        version = FileVersion(offer.size, offer.mtime_ns, offer.mode, offer.sample)
        opening = self._opening.do(partial(open_goal_untrusted, taking.goal, version, offer.digest))

        def opened(outcome: Any) -> None:
            if isinstance(outcome, Failure):
                self._not_opened(taking, outcome.value, tries_left)
            else:
                self._opened(taking, outcome)

        opening.addBoth(opened)

    def _opened(self, taking: Taking, opened: OpenedGoal) -> None:
        channel = taking.offer.channel
        taking.goal = replace(taking.goal, name=opened.name, inside="")
        if opened.sink is None:
            self._taking.pop(channel, None)
            self._close_stream(channel)
            taking.tally.skip(taking.goal.name, taking.offer.size)
            self._say(Skip(channel, opened.inside))
            return
        taking.sink, taking.key = opened.sink, opened.key
        self._takers.took(taking.key, self._owner, taking)
        if self._stopped or taking.cancelled is not None:
            self._leave(taking, taking.cancelled)
            return
        written = taking.sink.get_written()
        have = tell_spans(written)
        if not taking.sink.complete:
            try:
                self._plane.open_receiving(channel, taking.sink, taking.offer.size, have=SpanSet(have))
            except ValueError:
                self._fail(taking, TransferBusy(f"{taking.goal.name}: too many streams are open; try again later"))
                return
            taking.streaming = True
        else:
            self._close_stream(channel)
        sink = taking.sink
        progress = FileProgress(
            taking.goal.name, taking.offer.size, sink.written_bytes, lambda: sink.written_bytes
        )  # fmt: skip
        taking.tally.begun(channel, progress)
        self._say(Accept(channel, have, opened.inside))
        self._finish_ready()

    def _not_opened(self, taking: Taking, error: BaseException | None, tries_left: int) -> None:
        if isinstance(error, TransferBusy) and tries_left and not self._stopped:
            self._opening.do(partial(goal_key_untrusted, taking.goal)).addCallbacks(
                lambda key: self._ask_its_taker(taking, error, key),
                lambda failure: self._give_up_opening(taking, failure.value),
            )
        else:
            self._give_up_opening(taking, error)

    def _ask_its_taker(self, taking: Taking, error: BaseException | None, key: GoalKey) -> None:
        closed = self._takers.wait_for(key, self._owner, self)
        if closed is None:
            self._give_up_opening(taking, error)
        else:
            closed.addCallback(lambda _: self._open(taking, tries_left=0))

    def _give_up_opening(self, taking: Taking, error: BaseException | None) -> None:
        if self._taking.pop(taking.offer.channel, None) is None:
            return
        if taking.cancelled is None:
            self._refuse(taking.offer, self._as_error(error, taking.goal.name))
        else:
            self._close_stream(taking.offer.channel)

    # --- while it arrives --------------------------------------------------------------------------------------------

    def stream_received(self, channel: int) -> None:
        """All of a file's bytes are written."""
        taking = self._taking.get(channel)
        if taking is not None and taking.streaming:
            taking.streaming = False
            self._plane.close_stream(channel)
            self._finish_ready()

    def stream_failed(self, channel: int, error: Exception) -> None:
        """A file's bytes could not be written."""
        taking = self._taking.get(channel)
        if taking is not None:
            self._fail(taking, error)

    @property
    def busy(self) -> bool:
        """Whether there is a file on its way."""
        return bool(self._taking)

    def tick(self, now: float) -> None:
        """Make safe what arrived, where it is time to. Called a few times a second."""
        for taking in list(self._taking.values()):
            sink = taking.sink
            if sink is None or taking.saving or taking.closing:
                continue
            if sink.due(now):
                self._save(taking, sink.checkpoint)
            elif sink.behind > BEHIND:
                self._save(taking, sink.catch_up)

    def _save(self, taking: Taking, work: Callable[[], Any]) -> None:
        taking.saving = True

        def saved(outcome: Any) -> None:
            taking.saving = False
            if isinstance(outcome, Failure):
                self._fail(taking, outcome.value)

        self._in_thread(work).addBoth(saved)

    # --- the end of one ----------------------------------------------------------------------------------------------

    def _finish_named(self, message: Finish) -> None:
        taking = self._taking.get(message.channel)
        if taking is None:
            return  # it had failed here, and the offerer had not heard
        if taking.sink is None or taking.digest is not None:
            raise MalformedMessage("a digest that nobody asked for")
        taking.digest = message.digest
        self._finish_ready()

    def _finish_ready(self) -> None:
        """Give names to all that is whole: small files together, each larger one by itself."""
        if self._stopped:
            return
        small: list[Taking] = []
        for taking in self._taking.values():
            if taking.ready and not (self._finishing and taking.offer.size < FINISHED_ALONE):
                if taking.offer.size >= FINISHED_ALONE:
                    self._finish([taking])
                elif len(small) < FINISHED_AT_ONCE:
                    small.append(taking)
        if small:
            self._finishing = True
            self._finish(small).addBoth(self._finished_small)

    def _finished_small(self, _: Any) -> None:
        self._finishing = False
        self._finish_ready()

    def _finish(self, batch: list[Taking]) -> Deferred[Any]:
        whole = []
        for taking in batch:
            taking.closing = True
            if taking.sink is not None and taking.digest is not None:
                whole.append((taking.sink, taking.digest))

        def finished(outcomes: Any) -> None:
            if isinstance(outcomes, Failure):
                outcomes = [self._as_error(outcomes.value, taking.goal.name) for taking in batch]
            for taking, outcome in zip(batch, outcomes, strict=True):
                taking.closing = False
                if outcome is not None:
                    self._fail(taking, outcome)
                    continue
                self._closed(taking)
                self._taking.pop(taking.offer.channel, None)
                taking.tally.done(taking.offer.channel)
                self._say(Done(taking.offer.channel))

        return self._close_with(partial(finish_together, whole), finished)

    def _fail(self, taking: Taking, cause: BaseException | None) -> None:
        """It cannot be taken: what has arrived is kept, where the error does not say otherwise."""
        if self._taking.get(taking.offer.channel) is not taking or taking.closing:
            return
        error = self._as_error(cause, taking.goal.name)
        self._leave(taking, error)
        taking.tally.problem(error, taking.offer.channel)
        self._say(Failed(taking.offer.channel, reason_of(error), line_of(error)))

    def _cancelled(self, message: Cancel) -> None:
        taking = self._taking.get(message.channel)
        if taking is None or taking.closing:
            return  # it had failed here, or is whole, and the offerer had not heard
        error = error_untrusted(message.reason, message.text)
        if taking.sink is None:
            taking.cancelled = error
        else:
            self._leave(taking, error)
        taking.tally.problem(error, message.channel)  # last: who is told may end it all

    def give_up(self, taking: Taking) -> None:
        """The same client wants to write the file in another session."""
        self._fail(taking, TransferBusy(f"{taking.goal.name}: another session of this client goes on with it"))

    def _leave(self, taking: Taking, error: FileError | None) -> None:
        """Close what has arrived, for the next call; or for good, if the file is no longer what it was."""
        sink = taking.sink
        self._taking.pop(taking.offer.channel, None)
        if sink is None:
            return
        taking.closing = True
        taking.streaming = False
        self._close_stream(taking.offer.channel)

        def left(outcome: Any) -> None:
            if isinstance(outcome, Failure):
                self.log.failure("a partial file could not be closed", outcome)
            self._closed(taking)

        self._close_with(sink.abort if left_by_sender(error) is Left.REMOVED else sink.keep, left)

    def _close_stream(self, channel: int) -> None:
        """Take no more of it, nor what came early of one that is not opened."""
        if not self._stopped:
            self._plane.close_stream(channel)

    def _close_with(self, work: Callable[[], Any], then: Callable[[Any], None]) -> Deferred[Any]:
        """Do something in a thread that ends with closed files; `stop` waits for it."""
        closing = self._in_thread(work)
        self._closing.add(closing)
        closing.addBoth(then)
        return closing.addBoth(lambda _: self._closing.discard(closing))

    def _closed(self, taking: Taking) -> None:
        self._takers.left(taking)
        for closed in taking.awaited:
            closed.callback(None)

    def _as_error(self, error: BaseException | None, name: str) -> FileError:
        if isinstance(error, FileError):
            return error
        self.log.failure("a file could not be taken", Failure(error))  # type: ignore[no-untyped-call]
        return WriteFailed(f"{name}: cannot be written; see the receiver's log")

    # --- the end of all ----------------------------------------------------------------------------------------------

    def stop(self) -> Deferred[Any]:
        """The session is over. Fires when all that has arrived is kept, and no file is open."""
        self._stopped = True
        for taking in list(self._taking.values()):
            if taking.sink is not None and not taking.closing:
                self._leave(taking, None)
        last = self._opening.do(self._settle_all)
        return last.addBoth(lambda _: DeferredList(list(self._closing)))

    def _settle_all(self) -> None:
        for folders in self._folders.values():
            folders.settle()
        self._folders.clear()

    def _say(self, message: Accept | Skip | Refuse | Done | Failed) -> None:
        if not self._stopped:
            self._send(message)
