"""How far a transfer is, counted as it goes, for people and programs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..errors import FileError
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
    """Told every error of a file, which is a line for a person; the rest goes on."""
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
    skipped_size: int = 0
    """Bytes of these."""
    failed: int = 0
    """Files, and other things, that did not arrive."""
    resumed: int = 0
    """Bytes that an earlier call had brought."""
    limited_by: str | None = None
    """What holds the sender back, if the other end sends and has said it."""
    under_way: dict[int, FileProgress] = field(default_factory=dict)
    """Files on their way, by channel."""
    known: int = 0
    """Files that had arrived when the session was lost: in the new one they are skipped, and not counted again."""

    _cut_off: set[str] = field(default_factory=set)
    """Files that were on their way when the session was lost."""

    def begun(self, channel: int, progress: FileProgress) -> None:
        """A file is on its way."""
        self.under_way[channel] = progress
        if progress.name not in self._cut_off:  # what this call has brought before does not count as resumed
            self.resumed += progress.already
        self.on_file("resumed" if progress.already else "begun", progress)

    def done(self, channel: int) -> None:
        """A file arrived whole."""
        progress = self.under_way.pop(channel)
        self.files += 1
        self.size += progress.size
        self.on_file("done", progress)

    def skip(self, name: str, size: int) -> None:
        """A file was there already."""
        if self.known:
            self.known -= 1
            return
        self.skipped += 1
        self.size += size
        self.skipped_size += size
        self.on_file("skipped", FileProgress(name, size, size, lambda: size))

    def problem(self, error: FileError, channel: int | None = None) -> None:
        """A file, or something else, did not arrive."""
        if channel is not None:
            self.under_way.pop(channel, None)
        self.failed += 1
        self.on_problem(error)

    def session_lost(self, *, all_again: bool) -> None:
        """What was on its way is offered again; with `all_again`, so is what has arrived."""
        self._cut_off = {progress.name for progress in self.under_way.values()}
        self.under_way.clear()
        if all_again:
            self.known = self.files + self.skipped

    def moved(self) -> int:
        """Bytes that are there now."""
        return self.size + sum([progress.moved() for progress in self.under_way.values()])

    def limits(self) -> str | None:
        """What holds it back right now, or None if that is not known."""
        for progress in self.under_way.values():
            statistics = progress.statistics()
            if statistics is not None:
                return statistics.limited_by
        return self.limited_by
