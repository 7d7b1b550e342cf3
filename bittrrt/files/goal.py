"""From an offer to an open sink: whether the file is there already, may be written, and who else writes it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass

from blake3 import blake3

from ..errors import FileError
from .digest import PIECE
from .partial import Overwrite
from .rights import Quota
from .root import Place, Root
from .sink import Sink
from .version import FileVersion

GoalKey = tuple[int, int, bytes]
"""What a goal is, however it was named: the folder's device and inode, and the last part of the name."""


@dataclass(frozen=True, slots=True)
class Goal:
    """Where a file is to go, by the leave of this end's own user."""

    root: Callable[[], Root]
    """May block, and raise a `FileError`."""
    quota: Callable[[], Quota]
    """As `root`."""
    name: str
    """Below the root; from the peer, not looked at yet."""
    overwrite: Overwrite
    checksum: bool
    """Whether the same file is known by its digest, or else by size and time."""


def open_goal_untrusted(goal: Goal, version: FileVersion, digest: bytes | None) -> tuple[Sink, GoalKey] | None:
    """The sink for a file that a peer offers; None if the same file is there already. May block.

    Raises a `FileError`: `TransferBusy` if another transfer has it.
    """
    place = goal.root().locate_untrusted(goal.name)
    try:
        if _is_there(place, version, digest if goal.checksum else None, checksum=goal.checksum):
            place.close()
            return None
        key = _key(place)
        quota = goal.quota()
    except BaseException:
        place.close()
        raise
    return Sink(place, version, overwrite=goal.overwrite, quota=quota), key


def goal_key_untrusted(goal: Goal) -> GoalKey:
    """What the goal is. May block. Raises a `FileError`."""
    with goal.root().locate_untrusted(goal.name) as place:
        return _key(place)


def _key(place: Place) -> GoalKey:
    status = os.fstat(place.folder)
    return status.st_dev, status.st_ino, place.leaf


def _is_there(place: Place, version: FileVersion, digest: bytes | None, *, checksum: bool) -> bool:
    status = place.status()
    if status is None or not stat.S_ISREG(status.st_mode) or status.st_size != version.size:
        return False
    if not checksum:
        return status.st_mtime_ns == version.mtime_ns
    try:
        return digest is not None and _digest(place) == digest
    except (FileError, OSError):  # not ours to read: then it is another file, for all that we know
        return False


def _digest(place: Place) -> bytes:
    taken = blake3()
    descriptor = place.open_file()
    try:
        while data := os.read(descriptor, PIECE):
            taken.update(data)
    finally:
        os.close(descriptor)
    return taken.digest()
