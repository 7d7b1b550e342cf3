"""What a server measures, for Prometheus: `/metrics`.

Server --ServerObserver--> Metrics: what happens is counted as it happens
Server.sessions <---read--- Metrics.collect, at a scrape: what sessions count by themselves, and how they are now

Labels are of this program's own making, so that their number is bounded: the type of a port, a direction, a reason, a
kind. Never a client's name, an address or a link.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, get_args

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from twisted.web.resource import Resource

import twisted

from .. import __version__
from ..errors import FileError
from ..link.counters import Counters
from ..link.path import SILENT_HEARTBEATS
from ..net.client import Client
from ..net.rendezvous_server import RendezvousFactory
from ..net.server import Server
from ..net.server_observer import Direction, ServerObserver
from ..net.tally import FileProgress
from ..wire.datagram import PortType
from ..wire.messages import CloseReason, RefusalReason
from ..wire.transfer_messages import Reason
from .histogram import Histogram
from .process_metrics import ProcessMetrics
from .traffic_totals import TrafficTotals
from .transfer_totals import DIRECTIONS, TransferTotals
from .views import Event, EventKind, PortState
from .watch import Watch

TRAFFIC: Final = {"received", "bytes_received", "sent", "bytes_sent"}
"""Of the names of `Counters`, those that are no drop."""
DROPS: Final = tuple(name for name in Counters.__slots__ if name not in TRAFFIC)
SHARES: Final = (0.01, 0.05, 0.2)
"""Of heartbeats that were lost: one that people notice in a call, one that slows transfers, one that needs mending."""

_AT: Final = {port_type: at for at, port_type in enumerate(PortType)}
_Samples = Mapping[tuple[str, ...], float]


class Metrics(ServerObserver, Collector):
    """Counts what happens on one server, and tells it in Prometheus' format."""

    def __init__(self, server: Server, watch: Watch, rendezvous: RendezvousFactory, loop_delays: Histogram) -> None:
        """Begins to observe `server` and the events of `watch`. `loop_delays`: how late the reactor was, seconds."""
        self.registry = CollectorRegistry()
        """Of these metrics alone: the library's global one is the program's into which we are built."""
        self._server = server
        self._rendezvous = rendezvous
        self._loop_delays = loop_delays
        self._traffic = TrafficTotals(server.sessions)
        self._transfers = TransferTotals(server.sessions)
        self._round_trips = {port_type: Histogram() for port_type in PortType}
        self._jitters = {port_type: Histogram() for port_type in PortType}
        self._lost = dict.fromkeys(PortType, 0)
        self._opened = 0
        self._ended: Counter[CloseReason] = Counter()
        self._events: Counter[EventKind] = Counter()
        self.registry.register(self)
        self.registry.register(ProcessMetrics())
        server.observers.append(self)
        watch.listeners.append(self._happened)

    # --- ServerObserver ----------------------------------------------------------------------------------------------

    def session_opened(self, client: Client) -> None:
        """See `ServerObserver`."""
        self._opened += 1
        self._traffic.session_opened(client)

    def session_ended(self, client: Client, reason: CloseReason) -> None:
        """See `ServerObserver`."""
        self._ended[reason] += 1
        self._traffic.session_ended(client, reason)
        self._transfers.session_ended(client)

    def heartbeat_measured(self, client: Client, port_type: PortType, round_trip: float) -> None:
        """See `ServerObserver`."""
        self._round_trips[port_type].observe(round_trip)
        path = client.conn.handlers[_AT[port_type]].path
        if path.answered > 1:  # one round trip has none
            self._jitters[port_type].observe(path.jitter)

    def heartbeats_lost(self, client: Client, port_type: PortType, count: int) -> None:
        """See `ServerObserver`."""
        self._lost[port_type] += count

    def file_begun(self, client: Client, direction: Direction, progress: FileProgress) -> None:
        """See `ServerObserver`."""
        self._transfers.file_begun(direction)

    def file_done(self, client: Client, direction: Direction, progress: FileProgress) -> None:
        """See `ServerObserver`."""
        self._transfers.file_done(direction, progress)

    def file_failed(self, client: Client, direction: Direction, error: FileError) -> None:
        """See `ServerObserver`."""
        self._transfers.file_failed(direction, error)

    def _happened(self, event: Event) -> None:
        self._events[event.kind] += 1

    # --- Collector ---------------------------------------------------------------------------------------------------

    def collect(self) -> Iterator[Metric]:
        """Every metric, as of now."""
        yield InfoMetricFamily(
            "bittrrt_build", "What is running.",
            {"version": __version__, "python": platform.python_version(), "twisted": twisted.__version__},
        )  # fmt: skip
        yield from self._session_metrics()
        yield from self._path_metrics()
        yield from self._datagram_metrics()
        yield from self._data_metrics()
        yield from self._transfer_metrics()
        yield from self._rendezvous_metrics()
        yield _counter(
            "bittrrt_events_total", "What happened, as the page tells it.", ["kind"],
            {(kind,): self._events[kind] for kind in get_args(EventKind)},
        )  # fmt: skip
        delays = HistogramMetricFamily(
            "bittrrt_loop_delay_seconds", "How late the reactor called, ten times a second: all waits as long."
        )
        self._loop_delays.add_to(delays)
        yield delays

    def _session_metrics(self) -> Iterator[Metric]:
        server, manager = self._server, self._server.port_manager
        yield GaugeMetricFamily("bittrrt_sessions", "Sessions that are live.", len(server.sessions))
        yield CounterMetricFamily("bittrrt_sessions_opened_total", "Sessions that began.", self._opened)
        yield _counter(
            "bittrrt_sessions_ended_total", "Sessions that ended, by why.", ["reason"],
            {(reason.value,): self._ended[reason] for reason in CloseReason},
        )  # fmt: skip
        states: _Samples = {
            ("free",): manager.get_available_port_count(),
            ("used",): len(PortType) * len(server.sessions),
            ("resting",): manager.get_resting_port_count(),
        }
        yield _gauge("bittrrt_ports", "UDP ports of the server's ranges; a session takes three.", ["state"], states)

    def _path_metrics(self) -> Iterator[Metric]:
        outcomes: dict[tuple[str, ...], float] = {}
        for port_type, round_trips in self._round_trips.items():
            outcomes[port_type.value, "measured"] = round_trips.count
            outcomes[port_type.value, "lost"] = self._lost[port_type]
        yield _counter(
            "bittrrt_heartbeats_total", "Heartbeats that the server answered, by whether its answer was returned.",
            ["port", "outcome"], outcomes,
        )  # fmt: skip
        yield _histogram("bittrrt_round_trip_seconds", "Round trips, one a heartbeat.", self._round_trips)
        yield _histogram(
            "bittrrt_jitter_seconds", "Jitter of RFC 3550, as it was after each heartbeat.", self._jitters
        )  # fmt: skip
        states, losing = self._ports_now()
        yield _gauge(
            "bittrrt_session_ports", "Ports of live sessions; silent: nothing was heard for two and a half heartbeats.",
            ["port", "state"], states,
        )  # fmt: skip
        yield _gauge(
            "bittrrt_session_ports_losing", "Ports of live sessions that lost this share of their last 100 heartbeats.",
            ["port", "share"], losing,
        )  # fmt: skip

    def _ports_now(self) -> tuple[_Samples, _Samples]:
        """How the ports of the live sessions are: by state, and by what they lose."""
        states: dict[tuple[str, ...], float] = {}
        losing: dict[tuple[str, ...], float] = {}
        silent_before = self._server.clock.monotonic() - SILENT_HEARTBEATS * self._server.settings.heartbeat_seconds
        for port_type, live in self._traffic.live.items():
            paths = live.paths.values()
            heard = [path.last_heard for path in paths if path.last_heard is not None]
            silent = sum([last < silent_before for last in heard])
            counts: dict[PortState, int] = {
                "waiting": len(paths) - len(heard), "alive": len(heard) - silent, "silent": silent,
            }  # fmt: skip
            states |= {(port_type.value, state): count for state, count in counts.items()}
            losses = [loss for path in paths if (loss := path.loss)]
            losing |= {(port_type.value, str(share)): sum([loss >= share for loss in losses]) for share in SHARES}
        return states, losing

    def _datagram_metrics(self) -> Iterator[Metric]:
        ports = {port_type.value: totals for port_type, totals in self._traffic.ports().items()}
        for name, prefix, text in (
            ("bittrrt_datagrams_total", "", "Datagrams: sent, and authentic and new ones received."),
            ("bittrrt_datagram_bytes_total", "bytes_", "Bytes of UDP payload in them."),
        ):
            yield _counter(name, text, ["port", "direction"], {
                (port, direction): totals.datagrams[prefix + direction]
                for port, totals in ports.items() for direction in ("received", "sent")
            })  # fmt: skip
        yield _counter(
            "bittrrt_datagrams_dropped_total", "Datagrams that came and were not believed or not used, or did not go.",
            ["port", "reason"],
            {(port, name): totals.datagrams[name] for port, totals in ports.items() for name in DROPS},
        )  # fmt: skip
        yield _counter(
            "bittrrt_kernel_dropped_datagrams_total", "Datagrams that found the kernel's receive buffer full.",
            ["port"], {(port,): totals.overflowed for port, totals in ports.items()},
        )  # fmt: skip
        yield _counter(
            "bittrrt_send_errors_total", "Datagrams that the kernel did not send, by its error.", ["port", "error"],
            {(port, name): count for port, totals in ports.items() for name, count in totals.unsent.items()},
        )  # fmt: skip
        yield _counter(
            "bittrrt_receive_errors_total", "Reads that failed, by the kernel's error.", ["port", "error"],
            {(port, name): count for port, totals in ports.items() for name, count in totals.unread.items()},
        )  # fmt: skip

    def _data_metrics(self) -> Iterator[Metric]:
        data = self._traffic.data()
        yield _counter(
            "bittrrt_stream_bytes_total", "Bytes of files, streams and control messages, each counted once.",
            ["direction"], {("received",): data.received.new, ("sent",): data.sent.fresh},
        )  # fmt: skip
        for name, text, value in (
            ("retransmitted_bytes", "Bytes of streams sent again.", data.sent.retransmitted),
            ("duplicate_bytes", "Bytes of streams that came again.", data.received.duplicate),
            ("lost_datagrams", "Datagrams of data that were taken for lost.", data.sent.lost_datagrams),
            ("false_losses", "Datagrams that were taken for lost and had arrived.", data.sent.false_losses),
            ("late_messages", "Messages dropped as a newer one had come.", data.received.messages_late),
        ):
            yield CounterMetricFamily(f"bittrrt_{name}_total", text, value)

    def _transfer_metrics(self) -> Iterator[Metric]:
        transfers = self._transfers
        under_way = transfers.look()
        yield _gauge(
            "bittrrt_transfers", "Files on their way; put: to the server, get: from it.", ["direction"],
            {(direction,): under_way[direction] for direction in DIRECTIONS},
        )  # fmt: skip
        for name, text, counted in (
            ("transfers_begun", "Files that were begun, or gone on with.", transfers.begun),
            ("transfers_done", "Files that arrived whole.", transfers.done),
            ("transfers_interrupted", "Files on their way when their session ended.", transfers.interrupted),
            ("transfer_bytes", "Bytes of files that arrived.", transfers.moved),
        ):
            yield _counter(
                f"bittrrt_{name}_total", text, ["direction"], {(way,): counted[way] for way in DIRECTIONS}
            )  # fmt: skip
        yield _counter(
            "bittrrt_transfers_failed_total", "Files, and other things asked for, that did not arrive, by why.",
            ["direction", "reason"],
            {(way, reason.value): transfers.failed[way, reason] for way in DIRECTIONS for reason in Reason},
        )  # fmt: skip

    def _rendezvous_metrics(self) -> Iterator[Metric]:
        refusals = self._server.refusals + self._rendezvous.refusals
        yield _counter(
            "bittrrt_handshakes_refused_total", "Clients that were refused, by why.", ["reason"],
            {(reason.value,): refusals[reason] for reason in RefusalReason},
        )  # fmt: skip
        yield CounterMetricFamily(
            "bittrrt_connections_turned_away_total", "TCP connections closed at once, as too many were open.",
            self._rendezvous.turned_away,
        )  # fmt: skip
        yield CounterMetricFamily(
            "bittrrt_connections_unfinished_total", "TCP connections that ended before they had asked anything.",
            self._rendezvous.unfinished,
        )  # fmt: skip


class MetricsResource(Resource):
    """`/metrics`, for a web site to mount. Whether who asks may read it is the site's to say.

    Prometheus asks for OpenMetrics and gets that; everybody else gets its older text format.
    """

    isLeaf = True

    def __init__(self, metrics: Metrics) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._metrics = metrics

    def render_GET(self, request: Any) -> bytes:
        """Everything, as of now."""
        encode, content_type = choose_encoder(request.getHeader("accept") or "")
        request.setHeader("content-type", content_type)
        return encode(self._metrics.registry)


def _counter(name: str, text: str, labels: Iterable[str], samples: _Samples) -> Metric:
    return _with_samples(CounterMetricFamily(name, text, labels=list(labels)), samples)


def _gauge(name: str, text: str, labels: Iterable[str], samples: _Samples) -> Metric:
    return _with_samples(GaugeMetricFamily(name, text, labels=list(labels)), samples)


def _with_samples(family: CounterMetricFamily | GaugeMetricFamily, samples: _Samples) -> Metric:
    for labels, value in samples.items():
        family.add_metric(labels, value)
    return family


def _histogram(name: str, text: str, by_port: Mapping[PortType, Histogram]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=["port"])
    for port_type, histogram in by_port.items():
        histogram.add_to(family, port_type.value)
    return family
