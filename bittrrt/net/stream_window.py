"""How much of a stream an end keeps in memory: little at first, and more where the path takes more.

a window's worth has left memory within two round trips --> the window is what holds the stream back: twice as much
an end that reads slowly, or a short path               --> it stays as it is
all windows of a session and direction have grown by MOST_GROWTH --> they stay as they are

The receiving end's window is the credit beyond what was read, RFC 9000 section 4.1; the sending end's is what was
written and is not acknowledged.
"""

from __future__ import annotations

from typing import Final

FIRST_WINDOW: Final = 2**20  # bytes: 80 Mbit/s with 100 ms, until the first round trips have shown more
MOST_GROWTH: Final = 32 * 2**20  # bytes; 100 Mbit/s with 600 ms take 16 MiB, twice what is on its way
ROUND_TRIPS: Final = 2.0  # one if it is the window that holds it back; two, as credit is told in quarters of a window
LEAST_TIME: Final = 0.01  # seconds; on a shorter path it is this program that takes its turns, and not the path


class WindowRoom:
    """What all windows of a session and direction may grow by."""

    __slots__ = ("left",)

    def __init__(self, left: int = MOST_GROWTH) -> None:
        self.left = left
        """Bytes."""


class StreamWindow:
    """One stream's, in one direction."""

    __slots__ = ("_moved", "_room", "_since", "size")

    def __init__(self, room: WindowRoom, now: float) -> None:
        self.size = FIRST_WINDOW
        """Bytes."""
        self._room = room
        self._moved = 0
        self._since = now

    def moved(self, count: int, round_trip: float, now: float) -> bool:
        """`count` bytes have left memory. Whether the window has grown; `round_trip` in seconds."""
        self._moved += count
        if self._moved < self.size:
            return False
        elapsed, self._since = now - self._since, now
        self._moved = 0
        if elapsed > max(ROUND_TRIPS * round_trip, LEAST_TIME) or self._room.left < self.size:
            return False
        self._room.left -= self.size
        self.size *= 2
        return True

    def close(self) -> None:
        """Give back what it has grown by; again does nothing."""
        self._room.left += self.size - FIRST_WINDOW
        self.size = FIRST_WINDOW
