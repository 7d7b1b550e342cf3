"""Which UDP ports sessions may use, and which are free now.

free --get_next_port--> in use --release_port--> resting for the quarantine --> free
                               --set_aside-----> resting, since another program holds it --> free
"""

from __future__ import annotations

import heapq
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from ..errors import SettingsError
from ..settings import Settings, as_settings
from ..wire.spans import SpanSet

MAX_PORT: Final = 65535
HELD_ELSEWHERE_REST: Final = 30.0  # seconds until a port that another program held is tried again

_RANGE: Final = re.compile(r"\s*([0-9]{1,5})\s*(?:-\s*([0-9]{1,5})\s*)?")


def parse_port_ranges(text: str) -> SpanSet:
    """The ports of `6712-6999,7100`. Raises `SettingsError` for anything else."""
    ports = SpanSet()
    for part in text.split(","):
        match = _RANGE.fullmatch(part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last <= MAX_PORT:
            raise SettingsError(f"port-ranges: '{part.strip()}' is no port or range of ports, as in 6712-6999,7100")
        ports.add_span(first, last)
    return ports


class PortManager:
    """A pool of ports. The lowest free one is handed out first; a released one rests for `quarantine` seconds."""

    def __init__(
        self,
        config: Settings | Mapping[str, Any] | None = None,
        port_ranges: str | None = None,
        *,
        quarantine: float = 0.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`port_ranges`, or else those of `config`."""
        self._free = parse_port_ranges(as_settings(config).port_ranges if port_ranges is None else port_ranges)
        self._rests: list[tuple[float, int]] = []  # a heap of (until, port)
        self._resting = SpanSet()
        self._quarantine = quarantine
        self._now = now

    def get_next_port(self) -> int | None:
        """Take the lowest free port; None if there is none."""
        self._end_rests()
        return self._free.get_lowest()

    def release_port(self, port: int) -> bool:
        """Give a port back; False if it is free or resting already."""
        return self._rest(port, self._quarantine)

    def set_aside(self, port: int) -> bool:
        """Give back a port that turned out to be held by another program: it is tried again later."""
        return self._rest(port, max(self._quarantine, HELD_ELSEWHERE_REST))

    def get_spans(self) -> list[tuple[int, int]]:
        """The free ports, as `(first, last)`."""
        self._end_rests()
        return self._free.get_spans()

    def get_available_port_count(self) -> int:
        """How many ports are free."""
        self._end_rests()
        return self._free.count()

    def get_resting_port_count(self) -> int:
        """How many ports rest."""
        self._end_rests()
        return self._resting.count()

    def _rest(self, port: int, seconds: float) -> bool:
        if not 1 <= port <= MAX_PORT:
            raise ValueError(f"no port: {port}")
        if port in self._free or port in self._resting:
            return False
        if seconds > 0:
            heapq.heappush(self._rests, (self._now() + seconds, port))
            self._resting.add(port)
        else:
            self._free.add(port)
        return True

    def _end_rests(self) -> None:
        now = self._now()
        while self._rests and self._rests[0][0] <= now:
            port = heapq.heappop(self._rests)[1]
            self._resting.remove_seq(port)
            self._free.add(port)
