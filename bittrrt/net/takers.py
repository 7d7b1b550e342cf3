"""Files that are being taken, and by which session: one client's sessions give way to each other, others' do not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from twisted.internet.defer import Deferred

from ..errors import FileError
from ..files.goal import Goal, GoalKey
from ..files.sink import Sink
from ..wire.transfer_messages import Offer
from .tally import Tally


class TakingSession(Protocol):
    """A session's acceptor."""

    def give_up(self, taking: Taking) -> None:
        """The same client wants to write the file in another session."""


@dataclass(slots=True, eq=False)
class Taking:
    """One file on its way."""

    session: TakingSession
    offer: Offer
    goal: Goal
    tally: Tally
    digest: bytes | None
    sink: Sink | None = None
    key: GoalKey | None = None
    streaming: bool = False
    saving: bool = False
    """Whether a thread saves it, or reads it for its digest."""
    closing: bool = False
    """Whether a thread gives it its name, or keeps what there is."""
    cancelled: FileError | None = None
    """Why it is not to be opened any more."""
    awaited: list[Deferred[None]] = field(default_factory=list)
    """Fire when the file is closed."""

    @property
    def ready(self) -> bool:
        """Whether all of it is here and its digest is known, so that it can be given its name."""
        return self.sink is not None and self.sink.complete and self.digest is not None and not self.closing


class Takers:
    """Who writes which file in this process, so that a client that comes back gets its own from its old session."""

    def __init__(self) -> None:
        self._takings: dict[GoalKey, tuple[str, Taking]] = {}

    def took(self, key: GoalKey, owner: str, taking: Taking) -> None:
        """`owner` writes it."""
        self._takings[key] = owner, taking

    def left(self, taking: Taking) -> None:
        """It is closed."""
        if taking.key is not None and self._takings.get(taking.key, (None, None))[1] is taking:
            del self._takings[taking.key]

    def wait_for(self, key: GoalKey, owner: str, session: TakingSession) -> Deferred[None] | None:
        """Fires when the file is closed, which it soon is: it is about to be, or another session of its owner has it.

        None if it will not be.
        """
        taker, taking = self._takings.get(key, ("", None))
        if taking is None or not (taking.closing or (taker == owner and taking.session is not session)):
            return None
        closed: Deferred[None] = Deferred()
        taking.awaited.append(closed)
        if not taking.closing:
            taking.session.give_up(taking)
        return closed
