"""`bittrrt history`: what the links of this machine were like."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from ..errors import HistoryUnusable, SettingsError
from .duration import Duration
from .output import end_unwritable

if TYPE_CHECKING:
    from ..files.history import EventRow, MinuteRow, Peer, TransferRow
    from ..files.history_reading import HistoryReader

PICTURES = ("png", "svg")


@click.command("history")
@click.argument("host", required=False)
@click.option(
    "--since", type=Duration(), default="24h", show_default=True, help="How far back, as in 90s, 15m, 24h, 7d."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a minute, file and event.")
@click.option("--plot", metavar="FILE.png|.svg", help="Draw the round trip and the loss; needs matplotlib.")
@click.pass_context
def history_command(ctx: click.Context, host: str | None, since: float, as_json: bool, plot: str | None) -> None:
    """Show what the links with HOST were like: round trip, loss, files, events.

    HOST is a server that this end has a link with, or a client of the server that runs here, by its name or its key's
    fingerprint; without it all are shown. The server, the client's service and 'bittrrt ping' record every minute.

    Times are milliseconds. Where a line has several minutes in one, their percentiles are put together as well as
    percentiles allow.
    """
    from ..files.history_reading import open_history  # noqa: PLC0415  a command that is not run costs no time
    from ..files.home import Home  # noqa: PLC0415

    if plot and as_json:
        raise SettingsError("--plot and --json exclude each other")
    picture = _picture(plot) if plot else None
    begin = max(time.time() - since, 0.0)
    with open_history(Home(ctx.obj.home)) as reader:
        peers = reader.peers()
        chosen = find_peers(peers, host) if host is not None else peers
        if picture is not None:
            _draw(reader, chosen, begin, picture)
            return
        with _writing():
            show = _print_json if as_json else _print_table
            show(reader, chosen, begin, everything=host is None)


def find_peers(peers: list[Peer], text: str) -> list[Peer]:
    """Those that a person means by a name, HOST, HOST:PORT or fingerprint. Raises `HistoryUnusable` if none is."""
    whole = [peer for peer in peers if text in (peer.name, peer.fingerprint)]
    found = whole or [peer for peer in peers if peer.role == "server" and _host(peer.name) == text.lower().strip("[]")]
    if not found:
        names = ", ".join(sorted({peer.name for peer in peers})[:20]) or "nobody"
        raise HistoryUnusable(f"there is no history of {text[:80]!r} here; there is of: {names}")
    return found


def _host(name: str) -> str:
    return name.rpartition(":")[0].strip("[]")


@contextmanager
def _writing() -> Iterator[None]:
    """Whatever the system refuses in here is the output: the file has errors of its own."""
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        end_unwritable(error)


# --- for people ------------------------------------------------------------------------------------------------------


def _print_table(reader: HistoryReader, peers: list[Peer], since: float, *, everything: bool) -> None:
    from rich.console import Console  # noqa: PLC0415

    from .history_summary import summarize  # noqa: PLC0415
    from .history_table import SPARKS, HistoryTable  # noqa: PLC0415

    table = HistoryTable(Console(highlight=False, markup=False, emoji=False))
    shown = 0
    for peer in peers:
        span = reader.span(peer, since)
        if span is None:
            continue
        table.show_peer(peer, *span, summarize(reader.minutes(peer, since), *span, SPARKS))
        table.show_transfers(reader.transfers(peer, since))
        table.blank_line()
        shown += 1
    events = list(_events(reader, peers, since, everything=everything))
    table.show_events(events)
    if not shown and not events:
        click.echo(
            "Nothing was recorded in that time; a minute is when it is over, and --since 30d looks further back.",
            err=True,
        )


# --- for programs ----------------------------------------------------------------------------------------------------


def _print_json(reader: HistoryReader, peers: list[Peer], since: float, *, everything: bool) -> None:
    for peer in peers:
        for minute in reader.minutes(peer, since):
            _print_row("minute", minute)
        for transfer in reader.transfers(peer, since):
            _print_row("file", transfer)
    for event in _events(reader, peers, since, everything=everything):
        _print_row("event", event)


def _print_row(what: str, row: MinuteRow | TransferRow | EventRow) -> None:
    """One flat object: what it is, with whom, and its figures."""
    figures: dict[str, Any] = msgspec.structs.asdict(row)
    peer = figures.pop("peer", None)
    if peer is not None:
        figures = {**msgspec.structs.asdict(peer), **{"file" if k == "name" else k: v for k, v in figures.items()}}
    click.echo(msgspec.json.encode({"row": what, **figures}).decode())


def _events(reader: HistoryReader, peers: list[Peer], since: float, *, everything: bool) -> Iterator[EventRow]:
    wanted = {(peer.role, peer.name) for peer in peers}
    return (event for event in reader.events(since) if everything or (event.role, event.name) in wanted)


# --- plots -----------------------------------------------------------------------------------------------------------


def _picture(plot: str) -> tuple[Path, str]:
    """The file and its format. Raises `SettingsError` for one that is neither, or if plots cannot be drawn here."""
    path = Path(plot)
    picture_format = path.suffix.lower().lstrip(".")
    if picture_format not in PICTURES:
        raise SettingsError(f"--plot {plot}: its name has to end in .png or .svg")
    try:
        importlib.import_module(".history_plot", __package__)
    except ImportError:
        raise SettingsError("plots need matplotlib: run pip install 'bittrrt[plot]' where bittrrt is") from None
    return path, picture_format


def _draw(reader: HistoryReader, peers: list[Peer], since: float, picture: tuple[Path, str]) -> None:
    from .history_plot import MOST_SLOTS, plot_history  # noqa: PLC0415
    from .history_summary import summarize  # noqa: PLC0415

    spans = {peer: span for peer in peers if (span := reader.span(peer, since)) is not None}
    if not spans:
        raise HistoryUnusable("nothing was recorded in that time; --since 30d looks further back")
    if len(spans) > 1:
        names = [peer.name for peer in spans]
        known = ", ".join([peer.fingerprint if names.count(peer.name) > 1 else peer.name for peer in spans][:20])
        raise SettingsError(f"a plot is of one peer: say which, as one of {known}")
    ((peer, span),) = spans.items()
    path, picture_format = picture
    image = plot_history(peer.name, summarize(reader.minutes(peer, since), *span, MOST_SLOTS), picture_format)
    try:
        path.write_bytes(image)
    except OSError as error:
        raise SettingsError(f"cannot write {path}: {error.strerror or error}") from None
    click.echo(f"{path}: {peer.name}, {len(image)} bytes")
