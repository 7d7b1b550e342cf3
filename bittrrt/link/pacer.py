"""Pacing by tokens: bytes that may leave, refilled from the time that has passed.

A timer of this kind of program rings every 1.1 to 1.3 ms when asked for 1, and after 5 ms now and then. So the tokens
come from elapsed time, never from a count of ticks, and what was not used within a few ticks is forgotten: a sender
that overslept does not make up for it in one blow.
"""

from __future__ import annotations

from typing import Final

from .full_burst import MAX_BATCH

TICK: Final = 0.001  # seconds; finer timers cost more than they give
LATE: Final = 0.005  # seconds of tokens kept, for the tick that comes late
WRITES_A_TURN: Final = 4  # of the reactor, then others have theirs; so many share the work that each turn takes
MAX_QUANTUM: Final = MAX_BATCH  # bytes; one write with UDP_SEGMENT
MAX_TOKENS: Final = WRITES_A_TURN * MAX_QUANTUM  # bytes; a tick's worth where that is more, or it would be a limit


class Pacer:
    """Tokens of one sender, or of one transfer's rate limit, which all its files share."""

    __slots__ = ("_at", "_rate", "_tokens", "burst", "clipped")

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._at = now
        self.burst = 0
        """Bytes that leave at once, at least."""
        self._tokens = self.quantum
        self.clipped = False
        """Whether the last refill had more than may be kept: this end was too slow to send what it might have sent."""

    @property
    def rate(self) -> float:
        """Bytes a second."""
        return self._rate

    @property
    def quantum(self) -> float:
        """Bytes worth waiting for: a tick's worth, at most one write, or a burst if that is more."""
        return max(min(self._rate * TICK, MAX_QUANTUM), self.burst)

    def set_rate(self, rate: float, now: float) -> None:
        """Bytes a second from now on."""
        if rate != self._rate:
            self.available(now)
            self._rate = rate

    def available(self, now: float) -> float:
        """Bytes that may leave now; below zero when something urgent went ahead of its time."""
        elapsed = now - self._at
        if elapsed > 0:
            self._at = now
            tokens = self._tokens + elapsed * self._rate
            late = max(self._rate * LATE, 3000.0) + self.burst  # 3000: two datagrams
            most = min(late, max(MAX_TOKENS, self._rate * TICK))
            self.clipped = tokens > most
            self._tokens = most if self.clipped else tokens
        return self._tokens

    def spend(self, size: int) -> None:
        """`size` bytes have left."""
        self._tokens -= size

    def time_of(self, size: float) -> float:
        """When `size` bytes may leave, if nothing leaves before."""
        return self._at + max(size - self._tokens, 0.0) / self._rate
