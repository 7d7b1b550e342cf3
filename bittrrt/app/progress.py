"""How a transfer is shown: live on a terminal, a few lines elsewhere, JSON, or hardly at all."""

from __future__ import annotations

import sys
import time
from collections import deque
from contextlib import suppress
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TextIO

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ..errors import FileError, LeftOut
from ..net.tally import FileProgress, Tally
from .output import Output

if TYPE_CHECKING:
    from .bar import Bar

REFRESH: Final = 0.2  # seconds
RATE_WINDOW: Final = 3.0  # seconds; long enough to read, short enough to see a path change
_UNITS: Final = ("B", "KB", "MB", "GB", "TB")


class Style(Enum):
    """How much is shown, and to whom."""

    PEOPLE = "people"
    JSON = "json"
    QUIET = "quiet"


class TransferDisplay(Output):
    """Shows one transfer. Its tally is what the transfer counts in.

    JSON goes to standard output; all else to standard error, which may fail like the other.
    """

    log = Logger()

    def __init__(self, style: Style, *, out: TextIO | None = None, err: TextIO = sys.stderr) -> None:
        super().__init__(out)
        self._err = Output(err)
        self._err.on_unwritable = self._err_unwritable
        self.tally = Tally(on_problem=self._problem, on_file=self._file)
        self._style = style
        self._live = style is Style.PEOPLE and err.isatty()
        self._bar: Bar | None = None
        self._moved: deque[tuple[float, int]] = deque()  # when, and how many bytes had arrived in this call
        self._began = 0.0
        self._refreshing = LoopingCall(self.refresh)

    def start(self, reactor: Any) -> None:
        """Begin to show."""
        self._began = time.monotonic()
        self._refreshing.clock = reactor
        if self._style is not Style.QUIET:
            refreshing = self._refreshing.start(REFRESH if self._live else 1.0, now=False)
            refreshing.addErrback(lambda failure: self.log.failure("the progress cannot be shown", failure))

    def stop(self) -> None:
        """Show no more; again does nothing."""
        if self._refreshing.running:
            self._refreshing.stop()
        if self._bar is not None:
            with suppress(OSError):  # it was told, or is going to be: there is one more line to come
                self._bar.stop()
            self._bar = None

    def refresh(self) -> None:
        """Show how far it is."""
        rate, left = self._measure()
        tally = self.tally
        if self._style is Style.JSON:
            self.write_json(
                event="progress", bytes=tally.moved(), total=tally.total_size, files=tally.files,
                total_files=tally.total_files, rate=round(rate), seconds_left=left and round(left, 1),
                limited_by=tally.limits(),
            )  # fmt: skip
        elif self._live:
            self._err.write_by(partial(self._draw, self._line(rate, left)))

    def say(self, line: str) -> None:
        """One line about the link."""
        if self._style is Style.JSON:
            self.write_json(event="link", text=line)
        elif self._style is Style.PEOPLE:
            self._print(line)

    def summary(self) -> None:
        """The last line."""
        tally = self.tally
        elapsed = time.monotonic() - self._began
        brought = tally.brought()
        if self._style is Style.JSON:
            self.write_json(
                event="summary", files=tally.files, skipped=tally.skipped, left_out=tally.left_out,
                failed=tally.failed, bytes=tally.size,
                sent_bytes=brought, resumed_bytes=tally.resumed, seconds=round(elapsed, 3),
            )  # fmt: skip
        elif self._style is Style.PEOPLE:
            parts = [_count(tally.files, "file"), f"{show_size(brought)} in {elapsed:.1f} s"]
            if elapsed:
                parts.append(f"{bits(brought / elapsed)}")
            if tally.skipped:
                parts.append(f"{tally.skipped} already there")
            if tally.left_out:
                parts.append(f"{tally.left_out} left out")
            if tally.failed:
                parts.append(f"{tally.failed} failed")
            self._print(", ".join(parts))

    def interrupted(self) -> None:
        """Ctrl-C."""
        share = self._share()
        at = "" if share is None else f" at {share:.0f} %"
        if self._style is Style.JSON:
            self.write_json(event="interrupted", bytes=self.tally.moved(), total=self.tally.total_size)
        else:
            self._print(f"stopped{at}; what has arrived is kept: the same command goes on from there")

    # --- what the tally tells ---

    def _problem(self, error: FileError) -> None:
        if self._style is Style.JSON:
            text = str(error).encode(errors="backslashreplace").decode()  # there may be a path in it that is not UTF-8
            event = "left-out" if isinstance(error, LeftOut) else "error"
            self.write_json(event=event, kind=type(error).__name__, text=text)
        elif isinstance(error, LeftOut):
            if self._style is Style.PEOPLE:
                self._print(str(error))
        else:
            self._print(f"Error: {error}")

    def _file(self, what: str, progress: FileProgress) -> None:
        if self._style is Style.JSON:
            self.write_json(
                event=what, name=progress.name, bytes=progress.size, already=progress.already
            )  # fmt: skip
        elif what == "resumed" and self._style is Style.PEOPLE:
            share = 100 * progress.already / max(progress.size, 1)
            self._print(f"{progress.name}: resuming at {share:.0f} %")

    # --- the rest ---

    def _err_unwritable(self, error: OSError) -> None:
        if self.unwritable is None:
            self.unwritable = error
            self.on_unwritable(error)

    def _draw(self, line: str) -> None:
        tally = self.tally
        if self._bar is None:
            from .bar import Bar  # noqa: PLC0415  the import's 50 ms pass while the first answers are on their way

            self._bar = Bar(self._err.file)
        names = [progress.name for progress in tally.under_way.values()]
        self._bar.show(_short(names[0], 30) if names else "", tally.moved(), tally.total_size, line)

    def _measure(self) -> tuple[float, float | None]:
        """Bytes a second, and the seconds that are left at that rate."""
        now, moved = time.monotonic(), self.tally.brought()
        self._moved.append((now, moved))
        while self._moved[0][0] < now - RATE_WINDOW and len(self._moved) > 2:
            self._moved.popleft()
        since, before = self._moved[0]
        rate = max(0.0, (moved - before) / (now - since)) if now > since else 0.0
        total = self.tally.total_size
        left = None if total is None or not rate else max(0, total - self.tally.moved()) / rate
        return rate, left

    def _share(self) -> float | None:
        total = self.tally.total_size
        return 100 * min(1.0, self.tally.moved() / total) if total else None

    def _line(self, rate: float, left: float | None) -> str:
        tally = self.tally
        share = self._share()
        parts = [] if share is None else [f"{share:.0f} %"]
        parts.append(bits(rate))
        if left is not None:
            parts.append(f"{_time(left)} left")
        if tally.total_files is not None and tally.total_files > 1:
            parts.append(f"{tally.files + tally.skipped}/{tally.total_files} files")
        limit = tally.limits()
        if limit is not None:
            parts.append(f"limited by {limit}")
        return "  ".join(parts)

    def _print(self, line: str) -> None:
        if self._bar is not None:
            self._err.write_by(partial(self._bar.print_above, line))
        else:
            self._err.write(line + "\n")


def bits(rate: float) -> str:
    """Bytes a second, as bits a second for people."""
    bits = rate * 8
    for unit in ("bit/s", "kbit/s", "Mbit/s"):
        if bits < 1000:
            return f"{bits:.3g} {unit}"
        bits /= 1000
    return f"{bits:.3g} Gbit/s"


def show_size(size: float) -> str:
    """Bytes, with the unit in which they are a small number."""
    for unit in _UNITS[:-1]:
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} {_UNITS[-1]}"


def _time(seconds: float) -> str:
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else "..." + text[3 - width :]
