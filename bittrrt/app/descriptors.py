"""How many files this process may have open: as many as the system lets it."""

from __future__ import annotations

import resource
from contextlib import suppress


def allow_many_files() -> None:
    """Raise the soft limit to the hard one: hundreds of files of one transfer are open at a time."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS refuses a limit that it reports as infinite
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
