"""The whole terminal as one picture, and the keys that people press meanwhile."""

from __future__ import annotations

import os
import sys
import termios
import tty
from collections.abc import Callable
from typing import Any, Final, TextIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text
from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

_SEQUENCES: Final = {b"\x1b[A": "up", b"\x1b[B": "down", b"\x1bOA": "up", b"\x1bOB": "down", b"\x1b[5~": "page up",
                     b"\x1b[6~": "page down"}  # fmt: skip


class Screen:
    """Pictures of a program that goes on. Nothing in them is taken for markup."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._console = Console(file=sys.stdout if out is None else out, highlight=False, markup=False)
        self._live: Live | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether there is one to draw on; if not, a picture is some lines of text."""
        return self._console.is_terminal

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        return self._console.size.width, self._console.size.height

    def start(self) -> None:
        """Take the terminal; what was on it comes back at the end."""
        self._live = Live(console=self._console, screen=True, auto_refresh=False)
        self._live.start()

    def draw(self, lines: list[Text]) -> None:
        """Show these lines, cut to the terminal's width and height."""
        width, height = self.size
        if self._live is None:
            for line in lines:
                self._console.print(line, soft_wrap=True)
            return
        shown = lines[:height]
        for line in shown:
            line.truncate(width)
            line.no_wrap = True
        self._live.update(Group(*shown), refresh=True)

    def stop(self) -> None:
        """Give it back; again does nothing."""
        if self._live is not None:
            self._live.stop()
            self._live = None


@implementer(IReadDescriptor)
class Keys:
    """Keys as they are pressed, without Enter. Ctrl-C stays what it is."""

    def __init__(self, pressed: Callable[[str], None], fd: int = 0) -> None:
        """`pressed` is told letters, `up`, `down`, `page up` and `page down`; `q` too when the terminal is gone."""
        self._reactor: Any = None
        self._pressed = pressed
        self._fd = fd
        self._before: list[Any] | None = None

    def start(self, reactor: Any) -> None:
        """Begin, if there is somebody at a keyboard."""
        if os.isatty(self._fd):
            self._reactor = reactor
            self._before = termios.tcgetattr(self._fd)
            tty.setcbreak(self._fd)
            self._reactor.addReader(self)

    def stop(self) -> None:
        """Leave the terminal as it was; again does nothing."""
        if self._before is not None:
            self._reactor.removeReader(self)
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)
            self._before = None

    def doRead(self) -> None:
        """See `IReadDescriptor`."""
        try:
            data = os.read(self._fd, 64)
        except OSError:
            data = b""
        if not data:
            self.stop()
            self._pressed("q")
        for key in keys_of(data):
            self._pressed(key)

    def fileno(self) -> int:
        """See `IReadDescriptor`."""
        return self._fd

    def logPrefix(self) -> str:
        """See `IReadDescriptor`."""
        return "keys"

    def connectionLost(self, reason: Any) -> None:
        """See `IReadDescriptor`: the reactor ends."""


def keys_of(data: bytes) -> list[str]:
    """The keys in what a terminal sent; those that nobody asks for are left out."""
    keys: list[str] = []
    while data:
        for sequence, key in _SEQUENCES.items():
            if data.startswith(sequence):
                keys.append(key)
                data = data[len(sequence) :]
                break
        else:
            if data.startswith(b"\x1b"):  # another sequence: none of its letters is a key
                return keys
            if 0x20 < data[0] < 0x7F:
                keys.append(chr(data[0]))
            data = data[1:]
    return keys


def fit(text: str, width: int, *, right: bool = False) -> str:
    """`text` in exactly so many cells."""
    if cell_len(text) > width:
        return set_cell_size(text, width - 1) + "…" if width > 1 else set_cell_size(text, width)
    return " " * (width - cell_len(text)) + text if right else set_cell_size(text, width)
