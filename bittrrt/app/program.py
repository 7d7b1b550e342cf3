"""The program `bittrrt`: before the parts that take a moment to import."""

from __future__ import annotations

import gc
import os
import signal
import sys


def main() -> None:
    """Run the command line. Ctrl-C before it has begun ends the program without a word."""
    gc.disable()  # until all is imported: it is all there to stay, and looking through it takes a tenth of the start
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where a shell has told us to ignore it
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from .cli import main as command_line  # noqa: PLC0415  a moment, in which a person may change their mind

    try:
        command_line(prog_name="bittrrt")
    except SystemExit as end:
        if not isinstance(end.code, int | None) or not _flushed():
            raise
        os._exit(end.code or 0)  # threads and files are closed by now; to take the modules apart would take 60 ms


def _flushed() -> bool:
    """Whether everything that was printed is on its way."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        return False
    return True
