"""History as a picture: the round trip as smoke, and under it what was lost, as SmokePing made people used to.

Needs matplotlib, which the extra `plot` brings; so nothing imports this module before a plot is asked for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from io import BytesIO
from itertools import pairwise
from typing import Any, Final

import matplotlib as mpl
from dateutil.tz import tzlocal
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from .history_summary import PortSummary, Slot
from .history_table import local_time, printable, show_loss, show_ms, time_span

MOST_SLOTS: Final = 480  # two pixels each at the width of a page on a screen
WIDTH: Final = 10.0  # inches
PANEL: Final = 2.1  # inches of height
REST: Final = 1.5  # inches for the title and the legend
DPI: Final = 120
HEADROOM: Final = 1.15  # over nearly all of the smoke
NEARLY_ALL: Final = 0.99  # of the slots: one late answer must not make all the rest a flat line

SMOKE: Final = (("5-95", 0.05, 0.95, "#d0d0d0"), ("25-75", 0.25, 0.75, "#969696"))
"""Bands of percentiles: names, bounds, colours. Greys, so that they are the same in print."""
LOSSES: Final = (
    (0.0, "0", "#c7e9c0"),
    (0.02, "up to 2 %", "#fee391"),
    (0.05, "5 %", "#fec44f"),
    (0.1, "10 %", "#fe9929"),
    (0.25, "25 %", "#e0580b"),
    (0.5, "50 %", "#a63603"),
    (1.0, "all", "#2d0a02"),
)
"""Shares that were lost, up to which a colour is; each is darker than the one before, so that print shows it too."""


def plot_history(title: str, ports: Mapping[str, PortSummary], picture_format: str) -> bytes:
    """A picture, `png` or `svg`, with a panel a port. The title is text, whatever signs are in it."""
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "bittrrt", "timezone": "UTC"}):
        figure = Figure(figsize=(WIDTH, PANEL * len(ports) + REST), dpi=DPI, layout="constrained")
        panels: Any = figure.subplots(
            2 * len(ports), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": [7, 1] * len(ports)}
        )
        for number, (port, summary) in enumerate(ports.items()):
            _draw_smoke(panels[2 * number][0], port, summary)
            _draw_loss(panels[2 * number + 1][0], port, summary)
        first = next(iter(ports.values()))
        _label_time(panels[-1][0], first)
        span = time_span(first.edges[0], first.edges[-1])
        figure.suptitle(f"{printable(title)}   {span} {local_time(first.edges[-1]):%Z}", fontsize=11, parse_math=False)
        figure.legend(handles=_legend(), loc="outside lower center", ncols=len(SMOKE) + 1 + len(LOSSES), fontsize=7.5,
                      frameon=False, handlelength=1.2, columnspacing=1.0)  # fmt: skip
        file = BytesIO()
        figure.savefig(file, format=picture_format, metadata={"Date": None} if picture_format == "svg" else None)
    return file.getvalue()


def _draw_smoke(axes: Axes, port: str, summary: PortSummary) -> None:
    """Bands between percentiles, the darker the nearer to the median, which is a line."""
    edges = _dates(summary.edges)
    whole, highest = summary.whole, []
    for name, low, high, colour in SMOKE:
        bounds = [_quantiles(slot, low, high) for slot in summary.slots]
        highest += [upper for _, upper in filter(None, bounds)]
        for begin, end in _runs([bound is not None for bound in bounds]):
            lower, upper = zip(*filter(None, bounds[begin:end]), strict=True)
            band = axes.fill_between(
                _twice(edges[begin : end + 1]), _each_twice(lower), _each_twice(upper), color=colour, linewidth=0
            )
            band.set_gid(f"smoke-{port}-{name}-{begin}")
    for begin, end in _runs([bool(slot.round_trips.count) for slot in summary.slots]):
        medians = [slot.round_trips.quantile(0.5) or 0.0 for slot in summary.slots[begin:end]]
        (line,) = axes.plot(_twice(edges[begin : end + 1]), _each_twice(medians), color="black", linewidth=1.1)
        line.set_gid(f"median-{port}-{begin}")
    if highest:
        highest.sort()
        axes.set_ylim(0, HEADROOM * highest[min(int(NEARLY_ALL * len(highest)), len(highest) - 1)])
    axes.set_ylabel(f"{port}, ms")
    axes.grid(visible=True, linewidth=0.4, color="#b0b0b0", linestyle=":")
    axes.tick_params(axis="x", which="both", bottom=False, labelbottom=False)
    figures = (
        f"median {show_ms(whole.round_trips.quantile(0.5))} ms   p95 {show_ms(whole.round_trips.quantile(0.95))} ms"
        f"   max {show_ms(whole.maximum)} ms   lost {show_loss(whole.loss)}"
    )
    axes.set_title(figures, fontsize=8, loc="right", pad=3)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)


def _draw_loss(axes: Axes, port: str, summary: PortSummary) -> None:
    """A strip in the colours of what was lost; white where nothing was measured."""
    edges = _dates(summary.edges)
    classes = [None if slot.loss is None else loss_class(slot.loss) for slot in summary.slots]
    for number, (_, _, colour) in enumerate(LOSSES):
        spans = [(edges[b], edges[e] - edges[b]) for b, e in _runs([one == number for one in classes])]
        if spans:
            axes.broken_barh(spans, (0, 1), color=colour, linewidth=0).set_gid(f"loss-{port}-{number}")
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.set_ylabel("lost", rotation=0, ha="right", va="center", fontsize=7)
    axes.tick_params(axis="x", which="both", bottom=False, labelbottom=False)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _label_time(axes: Axes, summary: PortSummary) -> None:
    """The one axis of time, in this machine's local time, also where summer begins in it."""
    local: Any = tzlocal()
    locator = AutoDateLocator(tz=local)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=local))  # type: ignore[no-untyped-call]
    edges = _dates(summary.edges)
    axes.set_xlim(edges[0], edges[-1])
    axes.tick_params(axis="x", which="major", bottom=True, labelbottom=True)


def _legend() -> list[Any]:
    smoke = [Patch(color=colour, label=f"{name} % of them") for name, _, _, colour in reversed(SMOKE)]
    losses = [Patch(color=colour, label=f"lost {label}" if not limit else label) for limit, label, colour in LOSSES]
    return [Line2D([], [], color="black", linewidth=1.1, label="median round trip"), *smoke, *losses]


def loss_class(share: float) -> int:
    """Which of `LOSSES` it is."""
    return bisect_left([limit for limit, _, _ in LOSSES], share)


def _quantiles(slot: Slot, low: float, high: float) -> tuple[float, float] | None:
    if not slot.round_trips.count:
        return None
    lower, upper = slot.round_trips.quantiles((low, high))
    return lower, upper


def _runs(wanted: list[bool]) -> list[tuple[int, int]]:
    """Where, from and up to, one wanted slot follows another: nothing is drawn across a gap."""
    bounds = [0, *[n for n in range(1, len(wanted)) if wanted[n] != wanted[n - 1]], len(wanted)]
    return [(begin, end) for begin, end in pairwise(bounds) if begin < end and wanted[begin]]


def _dates(edges: list[int]) -> list[float]:
    """Seconds since 1970 as matplotlib counts time: days since then, UTC."""
    return [float(date2num(local_time(edge))) for edge in edges]  # type: ignore[no-untyped-call]


def _twice(edges: list[float]) -> list[float]:
    """Both edges of every slot: its value is level from one to the other."""
    return [edge for pair in pairwise(edges) for edge in pair]


def _each_twice(values: Any) -> list[float]:
    return [value for value in values for _ in range(2)]
