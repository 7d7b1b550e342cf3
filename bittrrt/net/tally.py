"""How far a transfer is, counted as it goes, for people and programs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..errors import FileError, LeftOut
from ..link.transfer_statistics import TransferStatistics


@dataclass(slots=True)
class FileProgress:
    """One file on its way."""

    name: str
    size: int
    """Bytes."""
    already: int
    """Bytes that were there from an earlier call."""
    moved: Callable[[], int]
    """Bytes that are there now, those from an earlier call too."""
    statistics: Callable[[], TransferStatistics | None] = lambda: None
    """What its stream does right now, at the end that sends it."""


def _ignore(_: FileError) -> None:
    """Nobody is told."""


def _ignore_file(_: str, __: FileProgress) -> None:
    """Nobody is told."""


@dataclass(slots=True)
class Tally:
    """One transfer of any number of files."""

    on_problem: Callable[[FileError], None] = _ignore
    """Told every error of a file, which is a line for a person, and what was `LeftOut`; the rest goes on."""
    on_file: Callable[[str, FileProgress], None] = _ignore_file
    """Told what happens to a file: "begun", "resumed", "done", "skipped"."""
    total_files: int | None = None
    """Files in all; None while that is not known."""
    total_size: int | None = None
    """Bytes in all."""
    files: int = 0
    """Files that arrived whole."""
    size: int = 0
    """Bytes of files that arrived whole, or were there."""
    skipped: int = 0
    """Files that were there already."""
    failed: int = 0
    """Files, and other things, that did not arrive."""
    left_out: int = 0
    """Symbolic links, devices and the like in folders: they are not sent, which is no failure."""
    resumed: int = 0
    """Bytes that an earlier call, or an earlier session of this one, had brought and that were not sent again."""
    crossed: int = 0
    """Bytes of files that were on their way in this call, and no longer are: see `brought`."""
    limited_by: str | None = None
    """What holds the sender back, if the other end sends and has said it."""
    under_way: dict[int, FileProgress] = field(default_factory=dict)
    """Files on their way, by channel."""
    known: int = 0
    """Files that had arrived when the session was lost: in the new one they are skipped, and not counted again."""

    _cut_off: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Files that were on their way when the session was lost: what was there when they began, and when it was lost."""
    _failed_folders: set[str] = field(default_factory=set)
    """Folders that could not be made, and of which a person was told."""

    def begun(self, channel: int, progress: FileProgress) -> None:
        """A file is on its way."""
        self.under_way[channel] = progress
        cut_off = self._cut_off.pop(progress.name, None)
        if cut_off is None:
            self.resumed += progress.already
        else:
            before, reached = cut_off
            self.resumed += progress.already - before
            self.crossed += max(progress.already - reached, 0)  # it had come further than was known
        self.on_file("resumed" if progress.already else "begun", progress)

    def done(self, channel: int) -> None:
        """A file arrived whole."""
        progress = self.under_way.pop(channel)
        self.crossed += progress.size - progress.already
        self.files += 1
        self.size += progress.size
        self.on_file("done", progress)

    def skip(self, name: str, size: int) -> None:
        """A file was there already."""
        cut_off = self._cut_off.pop(name, None)
        if cut_off is not None:  # it had arrived whole when the session was lost, and this end had not heard of it
            self.crossed += size - cut_off[1]
            self.files += 1
            self.size += size
            return
        if self.known:
            self.known -= 1
            return
        self.skipped += 1
        self.size += size
        self.on_file("skipped", FileProgress(name, size, size, lambda: size))

    def problem(self, error: FileError, channel: int | None = None, *, name: str = "", is_folder: bool = False) -> None:
        """A file, or something else, did not arrive.

        `name`: where it was to go. What was to go into a folder that failed is counted, and nobody is told again.
        """
        progress = None if channel is None else self.under_way.pop(channel, None)
        if progress is not None:
            self.crossed += progress.moved() - progress.already
        if isinstance(error, LeftOut):
            self.left_out += 1
            self.on_problem(error)
            return
        self.failed += 1
        if any(name.startswith(f"{folder}/") for folder in self._failed_folders):
            return
        if is_folder and name:
            self._failed_folders.add(name)
        self.on_problem(error)

    def session_lost(self, *, all_again: bool) -> None:
        """What was on its way is offered again; with `all_again`, so is what has arrived."""
        for progress in self.under_way.values():
            moved = progress.moved()
            self.crossed += moved - progress.already
            self._cut_off[progress.name] = progress.already, moved
        self.under_way.clear()
        if all_again:
            self.known = self.files + self.skipped

    def moved(self) -> int:
        """Bytes that are there now."""
        return self.size + sum([progress.moved() for progress in self.under_way.values()])

    def brought(self) -> int:
        """Bytes that really crossed in this call: those that a lost session brought for nothing, too."""
        return self.crossed + sum([progress.moved() - progress.already for progress in self.under_way.values()])

    def limits(self) -> str | None:
        """What holds it back right now, or None if that is not known."""
        for progress in self.under_way.values():
            statistics = progress.statistics()
            if statistics is not None:
                return statistics.limited_by
        return self.limited_by
