"""The program `bittrrt`: before the parts that take a moment to import."""

from __future__ import annotations

import signal


def main() -> None:
    """Run the command line. Ctrl-C before it has begun ends the program without a word."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where a shell has told us to ignore it
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from .cli import main as command_line  # noqa: PLC0415  half a second, in which a person may change their mind

    command_line(prog_name="bittrrt")
