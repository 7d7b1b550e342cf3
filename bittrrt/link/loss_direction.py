"""Which way a heartbeat was lost, told from the gaps in what the peer sent.

A heartbeat that was not answered was lost on its way there, or its answer on the way back. The peer numbers all that
it sends, on the three ports together, without a gap; so an answer that was sent and lost leaves a gap, and a heartbeat
that never arrived leaves none. What is missing is judged once something newer has arrived, for only then do gaps show.
If more than one heartbeat was missed at a time, and gaps explain only some of them, they share the gaps evenly.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from ..wire.datagram import PortType
from .path import LOSS_WINDOW

MAX_PENDING: Final = 64
FEWEST_ANSWERED: Final = 10  # one in ten: below, the share lost on the way back is not told


@dataclass(frozen=True, slots=True)
class DirectionReport:
    """The share of datagrams that was lost each way over the last 100 heartbeats of a port, as this end sees it."""

    to_peer: float
    from_peer: float


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Datagrams of one heartbeat, each way. Parts are fractions where the gaps left it open."""

    sent: float
    lost_to_peer: float
    answered: float
    lost_from_peer: float


_COMPLETE: Final = _Outcome(2, 0, 2, 0)


class LossDirection:
    """Tells the losses of one end's heartbeats apart, for all three ports."""

    __slots__ = ("_explained", "_outcomes", "_pending")

    def __init__(self) -> None:
        self._outcomes = {port: deque[_Outcome](maxlen=LOSS_WINDOW) for port in PortType}
        self._pending: deque[tuple[PortType, bool, int]] = deque(maxlen=MAX_PENDING)
        self._explained = 0  # missing sequences that were used as an explanation already

    def completed(self, port: PortType) -> None:
        """A heartbeat's whole countdown was answered."""
        self._outcomes[port].append(_COMPLETE)

    def missed(self, port: PortType, first_answer_came: bool, accepted: int) -> None:
        """An answer did not come: the first, or only the second. `accepted` datagrams of the peer have come so far."""
        self._pending.append((port, first_answer_came, accepted))

    def judge(self, accepted: int, missing: int, *, settled: bool) -> None:
        """Judge what can be judged, now that `accepted` datagrams have come and `missing` ones before them have not.

        `settled` says that every heartbeat begun was told as completed or missed: gaps that are left over then cost
        none, and explain none that is missed later.
        """
        ready = [miss for miss in self._pending if miss[2] < accepted]
        if ready:
            gaps = max(missing - self._explained, 0)
            back = min(gaps / len(ready), 1.0)
            self._explained += min(gaps, len(ready))
            for port, first_answer_came, _ in ready:
                self._pending.popleft()
                came = float(first_answer_came)
                self._outcomes[port].append(_Outcome(1 + came, 1 - back, came + back, back))
        if settled and not self._pending:
            self._explained = missing

    def pass_over(self, missing: int) -> None:
        """Data has gaps of its own: what was missed meanwhile is not judged, and `missing` explains nothing later."""
        self._pending.clear()
        self._explained = missing

    def report(self, port: PortType) -> DirectionReport:
        """The two shares for one port."""
        outcomes = self._outcomes[port]
        sent = sum(outcome.sent for outcome in outcomes)
        answered = sum(outcome.answered for outcome in outcomes)
        enough = (
            answered * FEWEST_ANSWERED >= sent
        )  # of what hardly ever arrives there, nothing is known of the way back
        return DirectionReport(
            to_peer=sum(outcome.lost_to_peer for outcome in outcomes) / sent if sent else 0.0,
            from_peer=sum(outcome.lost_from_peer for outcome in outcomes) / answered if answered and enough else 0.0,
        )
