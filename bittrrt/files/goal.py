"""From an offer to an open sink: where the file goes, whether it is there, may be written, and who else does."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass

from blake3 import blake3

from ..errors import FileError, NameRefused
from .digest import PIECE
from .listing import look_untrusted
from .names import below, shown_untrusted
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
    inside: str = ""
    """The name that the file gets in a folder, if one is there by the name `name`; from the peer, too."""


@dataclass(frozen=True, slots=True)
class OpenedGoal:
    """What became of an offer."""

    name: str
    """Where the file goes, now that it is known."""
    inside: bool
    """Whether that is in a folder, by the name that it gets there."""
    sink: Sink | None
    """None if the same file is there already."""
    key: GoalKey


def open_goal_untrusted(goal: Goal, version: FileVersion, digest: bytes | None) -> OpenedGoal:
    """Open the sink for a file that a peer offers, if it is not there already. May block.

    Raises a `FileError`: `TransferBusy` if another transfer has it.
    """
    root = goal.root()
    name = _settle_name_untrusted(goal, root)
    inside = name != goal.name
    place = root.locate_untrusted(name)
    try:
        key = _key(place)
        if _is_there(place, version, digest if goal.checksum else None, checksum=goal.checksum):
            place.close()
            return OpenedGoal(name, inside, None, key)
        quota = goal.quota()
    except BaseException:
        place.close()
        raise
    return OpenedGoal(name, inside, Sink(place, version, overwrite=goal.overwrite, quota=quota), key)


def goal_key_untrusted(goal: Goal) -> GoalKey:
    """What the goal is. May block. Raises a `FileError`."""
    root = goal.root()
    with root.locate_untrusted(_settle_name_untrusted(goal, root)) as place:
        return _key(place)


def _settle_name_untrusted(goal: Goal, root: Root) -> str:
    """Where the file goes: into a folder, if the peer leaves that to us and one is there. Raises a `FileError`."""
    if not goal.inside:
        return goal.name
    if "/" in goal.inside:
        raise NameRefused(f"{shown_untrusted(goal.inside)}: a path, where the name of one file has to be")
    there = look_untrusted(root, goal.name)
    return below(goal.name, goal.inside) if there is not None and there.is_folder else goal.name


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
