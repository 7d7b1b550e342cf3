"""What a command prints: texts and JSON for whoever reads on, and one clear line when nobody can be given any more.

Either standard stream can fail while a command goes on. What fails is told once, as a command has to end in order:
files closed, what has arrived kept, a goodbye said.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import IO, Any, NoReturn, TextIO

import click
import msgspec


class Output:
    """A standard stream of a command that goes on. Whatever becomes of it, writing raises nothing."""

    def __init__(self, out: TextIO | None = None) -> None:
        """`out`: None for standard output."""
        self.file = sys.stdout if out is None else out
        self.on_unwritable: Callable[[OSError], None] = lambda _: None
        """Told once that nobody takes the output: a full disk, a pipe whose reader has gone."""
        self.unwritable: OSError | None = None
        """Why it takes nothing any more."""

    def write(self, text: str) -> None:
        """Write it at once: who reads may be a program that waits for it."""

        def write() -> None:
            self.file.write(text)
            self.file.flush()

        self.write_by(write)

    def write_by(self, write: Callable[[], object]) -> None:
        """Call what writes to the stream in a way of its own, unless it takes nothing any more."""
        if self.unwritable is not None:
            return
        try:
            write()
        except OSError as error:  # whoever tells us of a file or a heartbeat must not break on that
            self.unwritable = error
            self.on_unwritable(error)

    def write_json(self, **values: Any) -> None:
        """Write one JSON object, on a line of its own."""
        self.write(msgspec.json.encode(values).decode() + "\n")


def end_unwritable(error: OSError) -> NoReturn:
    """End the program, as its output was not taken: with one line, or without a word where a pipe's reader has gone.

    Called where `error` is handled.
    """
    if error.errno == errno.EPIPE:  # as of `| head`: click ends the program
        raise error
    _drop_rest_of(sys.stdout)
    raise _CannotWrite(f"cannot write the output: {error.strerror or error}") from None


class _CannotWrite(click.ClickException):
    """The one line; standard error may be what cannot be written."""

    def show(self, file: IO[Any] | None = None) -> None:
        """See `ClickException`."""
        try:
            super().show(file)
            sys.stderr.flush()
        except OSError:
            _drop_rest_of(sys.stderr)


def _drop_rest_of(stream: TextIO) -> None:
    """What is still buffered would fail again, at the program's end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
