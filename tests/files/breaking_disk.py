"""A disk that fails, or stops the world, at a chosen call; and what a power cut leaves of what was not synced."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from twisted.trial import unittest

from bittrrt.files.disk import Chunk, Disk

SECTOR = 64  # bytes; disks promise 512, this asks for less


class DiskTestCase(unittest.SynchronousTestCase):
    """A test with an empty folder of its own, on a real file system."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder, True)

    def be_nobody(self, *, owning: bool = False) -> None:
        """Be a user whom permissions bind, for the rest of the test, where the test is not one already."""
        if os.geteuid() == 0:
            self.folder.chmod(0o755)
            if owning:
                os.chown(self.folder, 65534, 65534)
            os.seteuid(65534)
            self.addCleanup(os.seteuid, 0)

    def names(self) -> list[str]:
        """What is in the folder."""
        return sorted(os.listdir(self.folder))


class BreakingDisk(Disk):
    """The real disk, whose calls are counted; `at(call number)` runs before each that changes anything."""

    def __init__(self, at: Callable[[int], None] = lambda number: None) -> None:
        self._at = at
        self.calls = 0
        self.writes: list[tuple[int, int, int]] = []
        """Inode, first and last offset of every write."""
        self.failing: dict[str, OSError] = {}
        """What a call raises, by its name."""
        self.synced_folders = 0

    def write(self, descriptor: int, chunks: Sequence[Chunk], offset: int) -> None:
        self._before("write")
        length = sum(map(len, chunks))
        self.writes.append((os.fstat(descriptor).st_ino, offset, offset + length - 1))
        super().write(descriptor, chunks, offset)

    def read(self, descriptor: int, length: int, offset: int) -> bytes:
        self._before("read")
        return super().read(descriptor, length, offset)

    def allocate(self, descriptor: int, size: int) -> None:
        self._before("allocate")
        super().allocate(descriptor, size)

    def truncate(self, descriptor: int, size: int) -> None:
        self._before("truncate")
        super().truncate(descriptor, size)

    def sync_data(self, descriptor: int) -> None:
        self._before("sync_data")
        super().sync_data(descriptor)

    def sync(self, descriptor: int) -> None:
        self._before("sync")
        self.synced_folders += os.path.isdir(f"/proc/self/fd/{descriptor}")
        super().sync(descriptor)

    def rename(self, source: bytes, goal: bytes, folder: int) -> None:
        self._before("rename")
        super().rename(source, goal, folder)

    def link(self, source: bytes, goal: bytes, folder: int) -> None:
        self._before("link")
        super().link(source, goal, folder)

    def unlink(self, name: bytes, folder: int) -> bool:
        self._before("unlink")
        return super().unlink(name, folder)

    def _before(self, call: str) -> None:
        self.calls += 1
        self._at(self.calls)
        if call in self.failing:
            raise self.failing[call]


class UnsyncedDisk(BreakingDisk):
    """A disk that can take back, as a power cut does, any part of what was written and not synced.

    Sectors are lost one by one; names in the reverse order in which they changed, as journalling file systems do.
    """

    def __init__(self, folder: Path, at: Callable[[int], None]) -> None:
        super().__init__(at)
        self._folder = folder
        self._aside = Path(tempfile.mkdtemp(dir=folder.parent))
        self._old_sectors: list[tuple[int, int, int, bytes]] = []  # inode, descriptor, offset, bytes before
        self._undo_names: list[Callable[[], None]] = []
        self._synced_names = set(os.listdir(folder))

    def cut_power(self, chooser: random.Random) -> None:
        """Take back some of what may be lost."""
        for _, descriptor, offset, before in reversed(self._old_sectors):
            if chooser.random() < 0.7:
                os.pwrite(descriptor, before, offset)
        lost = chooser.randint(0, len(self._undo_names))
        for undo in reversed(self._undo_names[len(self._undo_names) - lost :]):
            undo()
        for name in set(os.listdir(self._folder)) - self._synced_names:
            if lost == len(self._undo_names) and chooser.random() < 0.5:
                (self._folder / name).unlink()
        shutil.rmtree(self._aside)

    def write(self, descriptor: int, chunks: Sequence[Chunk], offset: int) -> None:
        end = offset + sum(map(len, chunks))
        saved = os.dup(descriptor)
        for at in range(offset, end, SECTOR):
            before = os.pread(descriptor, min(SECTOR, end - at), at).ljust(min(SECTOR, end - at), b"\0")
            self._old_sectors.append((os.fstat(descriptor).st_ino, saved, at, before))
        super().write(descriptor, chunks, offset)

    def sync_data(self, descriptor: int) -> None:
        super().sync_data(descriptor)
        self._forget(descriptor)

    def sync(self, descriptor: int) -> None:
        super().sync(descriptor)
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            self._undo_names.clear()
            self._synced_names = set(os.listdir(self._folder))
        else:
            self._forget(descriptor)

    def link(self, source: bytes, goal: bytes, folder: int) -> None:
        super().link(source, goal, folder)
        self._undo_names.append((self._folder / os.fsdecode(goal)).unlink)

    def rename(self, source: bytes, goal: bytes, folder: int) -> None:
        there, here = self._folder / os.fsdecode(goal), self._folder / os.fsdecode(source)
        aside = self._set_aside(there) if there.exists() else None
        super().rename(source, goal, folder)

        def undo() -> None:
            os.rename(there, here)
            if aside is not None:
                os.rename(aside, there)

        self._undo_names.append(undo)

    def unlink(self, name: bytes, folder: int) -> bool:
        path = self._folder / os.fsdecode(name)
        aside = self._set_aside(path) if path.exists() else None
        there = super().unlink(name, folder)
        if aside is not None:
            self._undo_names.append(lambda: os.rename(aside, path))
        return there

    def _set_aside(self, path: Path) -> Path:
        aside = self._aside / str(self.calls)
        os.link(path, aside)
        return aside

    def _forget(self, descriptor: int) -> None:
        inode = os.fstat(descriptor).st_ino
        self._old_sectors = [sector for sector in self._old_sectors if sector[0] != inode]
