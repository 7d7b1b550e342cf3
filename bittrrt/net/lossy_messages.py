"""Messages that may be lost: none is handed on after a newer one of its channel.

A message is as new as its sequence; that none comes twice, the replay filter has seen to already.
"""

from __future__ import annotations

from ..link.replay import WINDOW, ReplayFilter


class MessageOrder:
    """The newest message of each channel. Bounded: what the replay filter would refuse needs no entry."""

    __slots__ = ("_newest", "_replay")

    def __init__(self, replay: ReplayFilter) -> None:
        self._newest: dict[int, int] = {}
        self._replay = replay

    def is_newest(self, channel: int, sequence: int) -> bool:
        """Whether nothing newer has come on the channel before."""
        if self._newest.get(channel, -1) > sequence:
            return False
        self._newest[channel] = sequence
        if len(self._newest) > 2 * WINDOW:
            floor = self._replay.highest - WINDOW
            self._newest = {number: newest for number, newest in self._newest.items() if newest >= floor}
        return True
