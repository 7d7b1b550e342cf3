"""What `bittrrt check` makes of what it measured: is it well, and if not, what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from msgspec import Struct

from ..errors import SettingsError
from ..files.names import shown_untrusted
from ..link.clock_offset import surest
from ..link.quantiles import Quantiles
from ..net.client_connection import PortReport
from ..net.tls import TlsTerms
from ..wire.datagram import PortType
from ..wire.endpoint import parse_host_port, show_host_port
from .port_trouble import dead_port_line

Verdict = Literal["ok", "warning", "bad", "not tried"]

FEW_ANSWERS: Final = 0.5  # share of a port's heartbeats; with less it is worth a line, though it is not dead
QUEUE: Final = 0.05  # seconds that the median is above the least: more than the timers of any machine or radio add
ROUGH: Final = 0.03  # seconds of jitter; ITU-T G.1010 has about that for conversation, as buffers take it up
LOSSY: Final = 0.1  # share of heartbeats; with more, sound breaks up and files take several times as long
CLOCK_OFF_MS: Final = 1000.0  # beyond it, log lines of the two ends are hard to put side by side
USUAL_MTU: Final = 1452  # bytes of UDP payload: what Ethernet takes, over IPv4 and over IPv6


class Finding(Struct, frozen=True, kw_only=True):
    """What one step has shown: JSON as it is."""

    step: str
    """`name`, `tcp`, `tls`, `key`, `authorisation`, `ctrl`, `up`, `dn`, `path-mtu`, `round-trip`, `jitter`, `loss`,
    `clock`, `nat`."""
    verdict: Verdict
    text: str
    """One line for a person: what was found, and what to do if it is not well."""
    values: dict[str, Any] = {}
    """What was measured. Times end in `_ms`, and are milliseconds."""


@dataclass(slots=True)
class PortBurst:
    """One port's share of a burst of heartbeats."""

    report: PortReport
    """As it was at the burst's end."""
    begun: int = 0
    answered: int = 0
    """Heartbeats whose first answer came."""
    round_trips: list[float] = field(default_factory=list)
    """Of all answers, seconds."""

    @property
    def dead(self) -> bool:
        """Whether nothing came back at all."""
        return not self.answered


Burst = Mapping[PortType, PortBurst]


def judge_name(host: str, addresses: Sequence[str]) -> Finding:
    """The addresses that `host` stands for."""
    values = {"addresses": list(addresses)}
    if list(addresses) == [host]:
        return Finding(step="name", verdict="ok", text=f"{host} is an address, no name has to be known", values=values)
    kinds = sorted({"IPv6" if ":" in address else "IPv4" for address in addresses})
    text = f"{host} is {', '.join(addresses)} ({' and '.join(kinds)})"
    return Finding(step="name", verdict="ok", text=text, values=values)


def judge_tls(terms: TlsTerms) -> Finding:
    """What TLS agreed on. A server that does not agree on TLS 1.3 does not get so far."""
    group = "" if terms.group is None else f", keys agreed on by {terms.group}"
    return Finding(
        step="tls",
        verdict="ok",
        text=f"{terms.version} with {terms.protocol}{group}",
        values={"version": terms.version, "protocol": terms.protocol, "group": terms.group},
    )


def judge_ports(burst: Burst) -> list[Finding]:
    """A finding for each port, both directions in one."""
    all_dead = all(port.dead for port in burst.values())
    return [_judge_port(port_type, port, all_dead=all_dead) for port_type, port in burst.items()]


def _judge_port(port_type: PortType, port: PortBurst, *, all_dead: bool) -> Finding:
    report, direction = port.report, port.report.direction
    values = {
        "port": report.number,
        "begun": port.begun,
        "answered": port.answered,
        "loss_to_server": None if all_dead else round(direction.to_peer, 4),
        "loss_from_server": None if all_dead else round(direction.from_peer, 4),
    }
    count = f"{port.answered} of {port.begun} heartbeats came back"
    verdict: Verdict = "ok"
    text = f"UDP port {report.number} is open both ways: {count}"
    if all_dead:
        verdict = "bad"
        text = (
            f"nothing comes back on UDP port {report.number}, and which way is dead cannot be told as all are: let it"
            " in at the server's firewall, and out of here"
        )
    elif port.dead:
        verdict, text = "bad", dead_port_line(port_type, report)
    elif port.answered < port.begun * FEW_ANSWERS:
        verdict = "warning"
        text = f"on UDP port {report.number} only {count}: something on the way may limit it"
    return Finding(step=port_type.value, verdict=verdict, text=text, values=values)


def judge_path_mtu(size: int, *, searched: bool) -> Finding:
    """The largest datagram that arrived, bytes of UDP payload; `searched` says that larger ones were tried."""
    verdict: Verdict = "ok"
    text = f"datagrams of {size} bytes arrive"
    if not searched:
        text += ", as on every path; this system does not let a program find out whether larger ones do"
    elif size < USUAL_MTU:
        verdict = "warning"
        text += (
            f", of {USUAL_MTU} they do not, as behind a tunnel or VPN: all works, at more cost; a larger MTU there"
            " would help"
        )
    return Finding(step="path-mtu", verdict=verdict, text=text, values={"bytes": size, "searched": searched})


def judge_round_trip(burst: Burst) -> Finding:
    """The round trips of all live ports together."""
    times = Quantiles()
    for port in burst.values():
        for round_trip in port.round_trips:
            times.add(round_trip)
    low, median, high = times.minimum, times.quantile(0.5) or 0.0, times.quantile(0.9) or 0.0
    verdict: Verdict = "ok"
    text = f"least {_ms(low)} ms, half below {_ms(median)} ms, nine in ten below {_ms(high)} ms"
    if median - low > QUEUE and median > 2 * low:
        verdict = "warning"
        text += ": datagrams stand in a queue; look for what else fills the path, or limit it (put --limit)"
    values = {"min_ms": _round(low), "median_ms": _round(median), "p90_ms": _round(high)}
    return Finding(step="round-trip", verdict=verdict, text=text, values=values)


def judge_jitter(burst: Burst) -> Finding:
    """The worst of the live ports."""
    jitter = max(port.report.path.jitter for port in burst.values() if not port.dead)
    verdict: Verdict = "ok"
    text = f"{_ms(jitter)} ms from one round trip to the next"
    if jitter > ROUGH:
        verdict = "warning"
        text += ": too much for live sound or pictures; a cable instead of radio, or an emptier path, helps"
    return Finding(step="jitter", verdict=verdict, text=text, values={"jitter_ms": _round(jitter)})


def judge_loss(burst: Burst) -> Finding:
    """Heartbeats of live ports; what a dead one loses is said there."""
    live = [port for port in burst.values() if not port.dead]
    begun, answered = sum(port.begun for port in live), sum(port.answered for port in live)
    there = sum(port.report.direction.to_peer for port in live) / len(live)
    back = sum(port.report.direction.from_peer for port in live) / len(live)
    loss = 1 - answered / begun
    verdict: Verdict = "ok"
    text = f"none of {begun} heartbeats"
    if loss > 0:
        verdict = "bad" if loss > LOSSY else "warning"
        text = (
            f"{begun - answered} of {begun} heartbeats, {there * 100:.1f} % there and {back * 100:.1f} % back: radio,"
            " a bad cable or a full queue; try at another hour, or nearer to the router"
        )
    values = {"loss": round(loss, 4), "loss_to_server": round(there, 4), "loss_from_server": round(back, 4)}
    return Finding(step="loss", verdict=verdict, text=text, values=values)


def judge_clock(burst: Burst) -> Finding:
    """The server's clock against ours, by the port that knows it best."""
    offset = surest(port.report.path.offset for port in burst.values())
    if offset is None:
        return Finding(step="clock", verdict="not tried", text="no heartbeat came back to tell the server's time")
    verdict: Verdict = "ok"
    text = f"the server's is {offset}"
    if abs(offset.offset_ms) - offset.error_ms > CLOCK_OFF_MS:
        verdict = "warning"
        text += ": let both ends set theirs by NTP; the link does not need it, who compares their logs does"
    values = {"offset_ms": round(offset.offset_ms, 3), "error_ms": round(offset.error_ms, 3)}
    return Finding(step="clock", verdict=verdict, text=text, values=values)


def judge_nat(burst: Burst, own_host: str, own_ports: Mapping[PortType, int]) -> Finding:
    """Our address as the server sees it against the one that this machine has."""
    seen = {port_type: port.report.seen_as for port_type, port in burst.items() if port.report.seen_as is not None}
    if not seen:
        return Finding(step="nat", verdict="not tried", text="the server did not say where it sees us")
    places = {port_type: _place_untrusted(text) for port_type, text in seen.items()}
    hosts = sorted({host for host, _ in places.values()})
    kept = all(number == own_ports.get(port_type) for port_type, (_, number) in places.items())
    values = {
        "own_address": own_host,
        "seen_as": {port_type.value: _show(*place) for port_type, place in places.items()},
        "nat": hosts != [own_host],
        "ports_kept": kept,
    }
    verdict: Verdict = "ok"
    if hosts == [own_host]:
        text = f"none: the server sees this machine's own address, {own_host}"
        text += "" if kept else ", though with other ports"
    else:
        text = f"the server sees {', '.join(hosts)} for our {own_host}, ports are {'kept' if kept else 'changed'}"
    if len(hosts) > 1:
        verdict = "warning"
        text += (
            ": one port comes from another address than the next; all works, but ask your provider for one address"
            " (RFC 4787, REQ-2)"
        )
    return Finding(step="nat", verdict=verdict, text=text, values=values)


def _place_untrusted(seen_as: str) -> tuple[str, int]:
    """Host and port of what a server says; what is neither is shown as text and port 0."""
    try:
        host, port = parse_host_port(seen_as)
    except SettingsError:
        return shown_untrusted(seen_as), 0
    return host, port or 0


def _show(host: str, port: int) -> str:
    return show_host_port(host, port) if port else host


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f}" if seconds < 1 else f"{seconds * 1000:.0f}"


def _round(seconds: float) -> float:
    return round(seconds * 1000, 4)
