"""Many minutes of one port made into few slots of equal length, for a table or a plot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ..files.history import PORTS, MinuteRow
from ..link.quantiles import Quantiles

_WEIGHTS = {"p5_ms": 150, "p25_ms": 225, "median_ms": 250, "p75_ms": 225, "p95_ms": 120, "p99_ms": 30}
"""The share, in thousandths, of a minute's round trips that are nearest to each percentile: what it stands for."""


@dataclass(slots=True)
class Slot:
    """Some minutes together. A percentile is that of all their round trips, as far as their own percentiles tell."""

    round_trips: Quantiles = field(default_factory=Quantiles)
    """Milliseconds."""
    answered: int = 0
    lost: int = 0
    minimum: float | None = None
    maximum: float | None = None

    def add(self, row: MinuteRow) -> None:
        """Count a minute."""
        self.answered += row.answered
        self.lost += row.lost
        for name, weight in _WEIGHTS.items():
            time = getattr(row, name)
            if time is not None:
                self.round_trips.add(time, weight * max(row.answered, 1))
        if row.min_ms is not None and row.max_ms is not None:
            self.minimum = min(row.min_ms, self.minimum if self.minimum is not None else row.min_ms)
            self.maximum = max(row.max_ms, self.maximum if self.maximum is not None else row.max_ms)

    @property
    def loss(self) -> float | None:
        """The share of heartbeats that was lost; None if there were none."""
        count = self.answered + self.lost
        return self.lost / count if count else None


@dataclass(slots=True)
class PortSummary:
    """One port from `first` to `last`, seconds since 1970."""

    first: int
    seconds: int
    """Length of a slot: whole minutes."""
    slots: list[Slot]
    whole: Slot = field(default_factory=Slot)
    """All of it."""

    @property
    def edges(self) -> list[int]:
        """When each slot begins, and the last one ends."""
        return [self.first + self.seconds * number for number in range(len(self.slots) + 1)]


def summarize(rows: Iterable[MinuteRow], first: int, last: int, most_slots: int) -> dict[str, PortSummary]:
    """Every port's minutes from `first` to `last`, seconds since 1970, in at most so many slots."""
    minutes = max(-(-(last - first) // 60), 1)
    a_slot = -(-minutes // most_slots)
    count = -(-minutes // a_slot)
    ports = {port: PortSummary(first, a_slot * 60, [Slot() for _ in range(count)]) for port in PORTS}
    for row in rows:
        summary = ports[row.port]
        number = (row.at_ms // 1000 - first) // summary.seconds
        if 0 <= number < count:
            summary.slots[number].add(row)
            summary.whole.add(row)
    return ports
