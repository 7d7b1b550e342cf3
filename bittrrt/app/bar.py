"""The bar that a transfer has on a terminal. It is imported when there is one to draw: rich takes 50 ms to come up."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text


class Bar:
    """One line that changes in place, until it is stopped."""

    def __init__(self, out: TextIO) -> None:
        self._console = Console(file=out, highlight=False, markup=False)
        self._progress = Progress(
            TextColumn("{task.fields[name]}"), BarColumn(), TextColumn("{task.fields[line]}"),
            console=self._console, auto_refresh=False, transient=True,
        )  # fmt: skip
        self._task = self._progress.add_task("", name="", line="", total=None)
        self._progress.start()

    def show(self, name: str, completed: int, total: int | None, line: str) -> None:
        """`completed` of `total` bytes, which may not be known."""
        self._progress.update(self._task, completed=completed, total=total, name=name, line=line)
        self._progress.refresh()

    def print_above(self, line: str) -> None:
        """A line of its own, that stays."""
        self._console.print(Text(line), soft_wrap=True)

    def stop(self) -> None:
        """Take it away."""
        self._progress.stop()
