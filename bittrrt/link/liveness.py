"""Whether the other end is still there, and when to look more closely.

    heartbeat sent --no answer for a probe timeout--> probe --> probe --> probe --> suspected --> stale
                   <------------------------- anything authentic heard ------------------------

A link is *suspected* when even the probes stay unanswered: the client then asks for a new session while it goes on
listening on this one. It is *stale* when nothing was heard for `stale_after`. Times are seconds.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

PROBES: Final = 3
MIN_PROBE_TIMEOUT: Final = 0.5
"""A delayed answer is common, a dead peer is rare: no sooner than this, however short the round trip is."""


class Verdict(Enum):
    """What to do now that nothing was heard in time."""

    PROBE = "probe"
    SUSPECT = "suspect"
    STALE = "stale"


class Liveness:
    """The timer of one end that sends heartbeats."""

    __slots__ = ("_probe_at", "_probes", "_stale_after", "last_heard", "suspected")

    def __init__(self, stale_after: float, now: float) -> None:
        self._stale_after = stale_after
        self.last_heard = now
        self._probe_at: float | None = None
        self._probes = 0
        self.suspected = False

    def sent(self, now: float, probe_timeout: float) -> None:
        """Something that is to be answered was sent."""
        if self._probe_at is None and not self.suspected:
            self._probe_at = now + max(probe_timeout, MIN_PROBE_TIMEOUT)

    def heard(self, now: float) -> None:
        """Something authentic came."""
        self.last_heard = now
        self._probe_at = None
        self._probes = 0
        self.suspected = False

    def next_timeout(self) -> float:
        """When to call `timed_out`, if nothing is heard until then."""
        stale_at = self.last_heard + self._stale_after
        return stale_at if self._probe_at is None else min(self._probe_at, stale_at)

    def timed_out(self, now: float) -> Verdict | None:
        """What to do at `now`; None if nothing is due. After `PROBE`, `sent` is called again."""
        if now >= self.last_heard + self._stale_after:
            return Verdict.STALE
        if self._probe_at is None or now < self._probe_at:
            return None
        self._probe_at = None
        if self._probes < PROBES:
            self._probes += 1
            return Verdict.PROBE
        self.suspected = True
        return Verdict.SUSPECT
