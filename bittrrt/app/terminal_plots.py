"""Plots of round trips in the letters of a terminal.

sparkline    ▁▁▂▁▃x▁█         one letter a heartbeat, x where none came back
smoke        40.2  ░░░░       a column a heartbeat: its round trip •, and ░ from the 10th to the 90th percentile of
             30.1  ░•░░•      those around it; x at the bottom where none came back
             20.0  •  x
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final

from rich.text import Text

LOST: Final = "x"
SMOKE_HEARTBEATS: Final = 10  # whose round trips make one column's percentiles
LEAST_SPAN: Final = 0.2  # of the least round trip; what varies by less is no mountain
LABEL_WIDTH: Final = 8
HIGH_POINTS: Final = 0.95  # of the points are within the scale; a single one must not flatten all others

_BARS: Final = "▁▂▃▄▅▆▇█"
_POINT, _SMOKE = "•", "░"


class RecentHeartbeats:
    """The last heartbeats of one port, oldest first. Seconds, or any other unit."""

    __slots__ = ("points", "samples")

    def __init__(self, size: int) -> None:
        self.points: deque[float | None] = deque(maxlen=size)
        """One a heartbeat; None where no answer came."""
        self.samples: deque[tuple[float, ...]] = deque(maxlen=size + SMOKE_HEARTBEATS)
        """All round trips of each: its two, as the countdown has two answers."""

    def add(self, point: float | None, others: Iterable[float] = ()) -> None:
        """One more heartbeat, with the round trip that is shown, and others that it has measured."""
        self.points.append(point)
        self.samples.append((*(() if point is None else (point,)), *others))

    def bands(self, count: int) -> list[tuple[float, float] | None]:
        """The 10th and the 90th percentile around each of the last `count` heartbeats; None where nothing came."""
        samples = list(self.samples)
        bands: list[tuple[float, float] | None] = []
        for end in range(max(len(samples) - count, 0) + 1, len(samples) + 1):
            window = sorted(sum(samples[max(end - SMOKE_HEARTBEATS, 0) : end], ()))
            bands.append((_at(window, 0.1), _at(window, 0.9)) if window else None)
        return bands


def sparkline(points: Sequence[float | None], width: int) -> str:
    """The last `width` points, each as high as it is among them."""
    shown = list(points)[-width:] if width > 0 else []
    low, high = _range([point for point in shown if point is not None])
    return "".join([LOST if point is None else _BARS[_step(point, low, high, len(_BARS))] for point in shown])


def smoke(recent: RecentHeartbeats, width: int, height: int) -> list[Text]:
    """`height` lines of `width` cells: the labels of the axis, milliseconds, and the last heartbeats, in seconds."""
    columns = max(width - LABEL_WIDTH, 0)
    points = list(recent.points)[-columns:] if columns else []
    bands = recent.bands(len(points))
    low, high = _scale([point for point in points if point is not None], bands)
    rows: list[list[tuple[str, str]]] = [[] for _ in range(height)]
    for point, band in zip(points, bands, strict=True):
        top, bottom = (
            (-1, 0) if band is None else (_step(band[1], low, high, height), _step(band[0], low, high, height))
        )
        at = None if point is None else _step(point, low, high, height)
        for step, row in enumerate(rows):
            if step == at:
                row.append((_POINT, "bold cyan"))
            elif step == 0 and at is None:
                row.append((LOST, "bold red"))
            else:
                row.append((_SMOKE, "blue") if bottom <= step <= top else (" ", ""))
    labels = {height - 1: high, 0: low} if points and high else {}
    lines = []
    for step in reversed(range(height)):
        label = f"{labels[step] * 1000:.2f} " if step in labels else ""
        runs = [("".join(sign for sign, _ in run), style) for style, run in groupby(rows[step], key=itemgetter(1))]
        lines.append(Text.assemble((f"{label:>{LABEL_WIDTH}}"[:LABEL_WIDTH], "dim"), *runs))
    return lines


def bar(share: float, width: int) -> str:
    """A bar that is full where `share` is 1."""
    full = round(min(max(share, 0.0), 1.0) * width)
    return "█" * full + "░" * (width - full)


def _scale(points: Sequence[float], bands: Sequence[tuple[float, float] | None]) -> tuple[float, float]:
    """From the least to where all smoke is, and all points but one in twenty: those stand at the top."""
    ordered = sorted(points)
    edges = [edge for band in bands if band is not None for edge in band]
    return _range([*edges, *([ordered[0], _at(ordered, HIGH_POINTS)] if ordered else [])])


def _range(values: Sequence[float]) -> tuple[float, float]:
    """The least and the most of the scale."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    return low, max(high, low * (1 + LEAST_SPAN))


def _step(value: float, low: float, high: float, steps: int) -> int:
    """On which of so many steps a value is, from 0."""
    return min(int((value - low) / (high - low) * steps), steps - 1) if high > low else 0


def _at(ordered: Sequence[float], fraction: float) -> float:
    return ordered[round(fraction * (len(ordered) - 1))]
