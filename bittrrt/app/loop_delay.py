"""How late the reactor is: whatever holds it up holds up every heartbeat, every transfer and every page.

callLater(INTERVAL) --> called when due, or later by as long as somebody else had the thread --> a histogram
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from .histogram import Histogram

INTERVAL: Final = 0.1  # seconds: 0.03 % of a core, and no hold-up of that length goes unseen


class LoopDelay:
    """Measures its own lateness, again and again."""

    def __init__(self, reactor: Any, now: Callable[[], float]) -> None:
        """`now`: monotonic seconds."""
        self.delays = Histogram()
        """Seconds."""
        self._reactor = reactor
        self._now = now
        self._due = 0.0
        self._timer: Any = None

    def start(self) -> None:
        """Begin to measure."""
        self._arm()

    def stop(self) -> None:
        """Measure no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        # Not a `LoopingCall`: that aims at fixed times, so that after it was late it is called sooner than it is asked.
        self._due = self._now() + INTERVAL
        self._timer = self._reactor.callLater(INTERVAL, self._called)

    def _called(self) -> None:
        self.delays.observe(max(self._now() - self._due, 0.0))
        self._arm()
