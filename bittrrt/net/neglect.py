"""Whether the peer is there and takes nothing: its heartbeats come, and nothing of what it is sent is acknowledged, or
no credit is given for more. It costs this end what it was promised, no more, but for as long as it likes.

    look     look     look     look        every `LOOK` seconds, while there is something to send or on its way
     | 1      | 2      | -      | 3 ...     counted if the peer was heard since the one before, and took nothing
     +--------+--------+--------+--> `LOOKS` in a row: it is neglecting what it is sent

Only looks at which it was there are counted, so that a path that is dark for minutes, or an end that was stopped and
goes on, is never taken for one that does not want to.
"""

from __future__ import annotations

from typing import Final

LOOK: Final = 5.0  # seconds
LOOKS: Final = 12  # a minute; an honest end acknowledges at once, and takes a file as fast as its disk does


class NeglectWatch:
    """Watches one peer."""

    __slots__ = ("_looked_at", "_taken", "_times")

    def __init__(self, now: float) -> None:
        self._looked_at = now
        self._taken: object = None
        self._times = 0

    def due(self, now: float) -> bool:
        """Whether it is time to look."""
        return now >= self._looked_at + LOOK

    def neglects(self, taken: object, heard_at: float, now: float) -> bool:
        """Look. `taken`: another value than last time, if the peer took anything since; None if it has nothing to take.

        `heard_at`: when anything of the peer was heard last.
        """
        if taken is None or taken != self._taken:
            self._times = 0
        elif heard_at > self._looked_at:
            self._times += 1
        self._taken = taken
        self._looked_at = now
        return self._times >= LOOKS
