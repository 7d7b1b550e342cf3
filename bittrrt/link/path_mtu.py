"""How large a datagram the path takes: packetization-layer path MTU discovery, RFC 8899.

    1200 -> 1452 -> 1472 -> 8952 -> 16384 -> 32768 -> 65487         bytes of UDP payload
    base    1500    1500    9000                     the longest    what that is on the wire, over
            IPv6    IPv4    IPv6                     over IPv6

From the base up, a step is taken when a padded probe of that size was answered. A probe's loss says nothing of
congestion and is no loss of data. When whole flights vanish, the path may have begun to swallow large datagrams in
silence (a black hole): the size falls back to the base and the search starts again later.
"""

from __future__ import annotations

from typing import Final

from ..wire.datagram import MAX_MTU, MIN_MTU

BASE: Final = MIN_MTU  # RFC 8899 section 5.1.2: BASE_PLPMTU
LADDER: Final = (BASE, 1452, 1472, 8952, 16384, 32768, MAX_MTU)
MAX_PROBES: Final = 3  # RFC 8899 section 5.1.2
RAISE_AFTER: Final = 600.0  # seconds; RFC 8899 section 5.1.1: PMTU_RAISE_TIMER
RETRY_AFTER: Final = 10.0  # seconds from a black hole to the next search
BLACK_HOLE_TIMEOUTS: Final = 3  # probe timeouts in a row


class PathMtu:
    """The search for one path's size. The shell sends the probes and says what became of them."""

    __slots__ = ("_due", "_most", "_probe", "_tries", "size")

    def __init__(self, now: float, *, fixed: int | None = None) -> None:
        """`fixed`: bytes of UDP payload, held without any search."""
        if fixed is not None and not BASE <= fixed <= LADDER[-1]:
            raise ValueError(f"datagrams have {BASE} to {LADDER[-1]} bytes, not {fixed}")
        self.size = fixed or BASE
        """Bytes of UDP payload that the path takes."""
        self._most = self.size if fixed else LADDER[-1]
        self._probe = 0  # size of the probe on its way, 0 if none is
        self._tries = 0  # probes of the step that is being tried
        self._due: float | None = None if fixed else now

    def next_timeout(self) -> float | None:
        """When `next_probe` may have something to send."""
        return self._due

    def next_probe(self, now: float) -> int | None:
        """The UDP payload of a probe to send now, bytes; None if none is due. Say `probe_sent` when it left."""
        if self._due is None or now < self._due:
            return None
        if self._tries >= MAX_PROBES:
            self._rest(now, RAISE_AFTER)
            return None
        step = self._next_step()
        if step is None:
            self._due = None
        return step

    def probe_sent(self, size: int, now: float, timeout: float) -> None:
        """A probe has left, and its answer may take `timeout` seconds."""
        self._probe = size
        self._tries += 1
        self._due = now + timeout

    def probe_answered(self, size: int, now: float) -> None:
        """A probe of `size` bytes has arrived there."""
        if size != self._probe or size <= self.size:
            return  # an answer to what was given up meanwhile
        self.size = size
        self._probe = self._tries = 0
        self._due = now if self._next_step() else None

    def probe_refused(self, size: int, now: float) -> None:
        """This machine does not send datagrams of `size` bytes at all (EMSGSIZE)."""
        if size > self.size:
            self._rest(now, RAISE_AFTER)

    def settled(self, now: float) -> bool:
        """Whether the search has an end for now: no probe is on its way, and none is due."""
        return self._due is None or (not self._probe and self._due > now)

    def probe_timeouts(self, count: int, now: float) -> bool:
        """The sender has heard nothing for `count` probe timeouts; True if the size fell back to the base for it."""
        if count < BLACK_HOLE_TIMEOUTS or self.size in (BASE, self._most):
            return False
        self.size = BASE
        self._rest(now, RETRY_AFTER)
        return True

    def _rest(self, now: float, seconds: float) -> None:
        self._probe = self._tries = 0
        self._due = now + seconds

    def _next_step(self) -> int | None:
        for step in LADDER:
            if self.size < step <= self._most:
                return step
        return None
