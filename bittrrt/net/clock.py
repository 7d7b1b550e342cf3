"""The two clocks, read here and nowhere below."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Clock:
    """What time it is, twice: durations come from `monotonic`, which nobody can set."""

    monotonic: Callable[[], float] = time.monotonic
    """Seconds."""
    wall_ms: Callable[[], int] = _wall_ms
    """Milliseconds since 1970, UTC: the heartbeat's timestamps."""


SYSTEM_CLOCK: Final = Clock()
