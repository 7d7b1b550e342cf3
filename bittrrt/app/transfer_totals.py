"""What became of the files of all sessions, and how many bytes of them have arrived: sums that never go back.

A file's bytes count as they arrive, as of the last look; when it is done, all of them. Of one that fails, what arrived
between that look and its end is not counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, get_args

from ..errors import FileError
from ..net.client import Client
from ..net.server_observer import Direction
from ..net.tally import FileProgress
from ..wire.transfer_messages import Reason, reason_of

DIRECTIONS: Final[tuple[Direction, ...]] = get_args(Direction)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A file that was on its way at the last look."""

    progress: FileProgress
    """Kept, so that its `id` is no other file's."""
    moved: int
    """Bytes that were there then."""


class TransferTotals:
    """Counts the files of one server's sessions."""

    def __init__(self, sessions: Mapping[str, Client]) -> None:
        """`sessions`: those that are live."""
        self.begun: Counter[Direction] = Counter()
        self.done: Counter[Direction] = Counter()
        self.failed: Counter[tuple[Direction, Reason]] = Counter()
        self.interrupted: Counter[Direction] = Counter()
        """Files that were on their way when their session ended. The next call goes on with them."""
        self.moved: Counter[Direction] = Counter()
        """Bytes that arrived, those of an earlier call not among them; as of the last `look`."""
        self._sessions = sessions
        self._seen: dict[int, _Seen] = {}

    def file_begun(self, direction: Direction) -> None:
        """A file is on its way."""
        self.begun[direction] += 1

    def file_done(self, direction: Direction, progress: FileProgress) -> None:
        """A file arrived whole."""
        self.done[direction] += 1
        self._count(direction, progress, progress.size)
        self._seen.pop(id(progress), None)

    def file_failed(self, direction: Direction, error: FileError) -> None:
        """A file did not arrive, or was not even begun."""
        self.failed[direction, reason_of(error)] += 1

    def session_ended(self, client: Client) -> None:
        """A session is about to close: what is on its way there does not go on."""
        for direction, progress in _under_way(client):
            self.interrupted[direction] += 1
            self._count(direction, progress, progress.moved())
            self._seen.pop(id(progress), None)

    def look(self) -> dict[Direction, int]:
        """Count what has arrived until now. Returns how many files are on their way."""
        under_way = dict.fromkeys(DIRECTIONS, 0)
        seen: dict[int, _Seen] = {}
        for client in self._sessions.values():
            for direction, progress in _under_way(client):
                under_way[direction] += 1
                seen[id(progress)] = _Seen(progress, self._count(direction, progress, progress.moved()))
        self._seen = seen
        return under_way

    def _count(self, direction: Direction, progress: FileProgress, moved: int) -> int:
        seen = self._seen.get(id(progress))
        counted = progress.already if seen is None else seen.moved
        self.moved[direction] += max(moved - counted, 0)
        return max(moved, counted)


def _under_way(client: Client) -> list[tuple[Direction, FileProgress]]:
    files = client.files
    return [] if files is None else [(direction, progress) for direction, _, progress in files.under_way()]
