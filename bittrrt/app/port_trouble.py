"""Which UDP port is dead, which way, and what a person can do about it."""

from __future__ import annotations

from ..link.path import MIN_PATIENCE, SILENT_HEARTBEATS
from ..net.client_connection import ClientConnection, PortReport
from ..wire.datagram import PortType


def port_troubles(connection: ClientConnection) -> list[str]:
    """A line for each port that is silent; one for all if all are."""
    reports = {port_type: connection.report(port_type) for port_type in PortType}
    silent = {port_type: report for port_type, report in reports.items() if is_silent(report, connection)}
    if len(silent) == len(reports):
        first, last = min(connection.ports.values()), max(connection.ports.values())
        return [
            f"nothing comes back on UDP ports {first}-{last}: let them in at the server's firewall, and out of here"
        ]
    return [dead_port_line(port_type, report) for port_type, report in silent.items()]


def is_silent(report: PortReport, connection: ClientConnection) -> bool:
    """Whether a port has missed several heartbeats in a row."""
    limit = max(SILENT_HEARTBEATS * connection.settings.heartbeat_seconds, MIN_PATIENCE)
    if report.path.silent is None:
        return report.path.lost > 0
    return report.path.silent > limit


def dead_port_line(port_type: PortType, report: PortReport) -> str:
    """Which way a port on which nothing comes back is dead, as far as that shows, and what to do."""
    where = f"{port_type.value} (UDP port {report.number}) is dead"
    if report.direction.to_peer > 0.5:
        return (
            f"{where} towards the server: what we send does not arrive. Let UDP port {report.number} in at the server's"
            " firewall, and out here"
        )
    if report.direction.from_peer > 0.5:
        return (
            f"{where} from the server to here: its answers do not arrive. Let UDP from port {report.number} in at this"
            " end's firewall, and out at the server's"
        )
    return f"{where}: nothing comes back. Look at the firewalls at both ends"
