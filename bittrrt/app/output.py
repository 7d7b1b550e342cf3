"""What a command prints: texts and JSON for whoever reads on, and one clear line when nobody can be given any more."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn, TextIO

import click
import msgspec


class Output:
    """Standard output of a command that goes on. Whatever becomes of it, writing raises nothing."""

    def __init__(self, out: TextIO | None = None) -> None:
        """`out`: None for standard output."""
        self.file = sys.stdout if out is None else out
        self.on_unwritable: Callable[[OSError], None] = lambda _: None
        """Told once that nobody takes the output: a full disk, a pipe whose reader has gone."""
        self._writable = True

    def write(self, text: str) -> None:
        """Write it at once: who reads may be a program that waits for it."""
        if not self._writable:
            return
        try:
            self.file.write(text)
            self.file.flush()
        except OSError as error:  # whoever tells us of a file or a heartbeat must not break on that
            self._writable = False
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
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered would fail again
    raise click.ClickException(f"cannot write the output: {error.strerror or error}") from None
