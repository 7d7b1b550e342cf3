"""`bittrrt check`: from the server's name to the last of its UDP ports, what is well, what is not, and what to do.

name --> tcp --> tls --> key --> authorisation --> a burst of heartbeats --> ctrl, up, dn
         told by the one rendezvous that a session needs                     path-mtu, if ctrl and up are alive
                                                                             round-trip, jitter, loss, clock, nat
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import click
from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.task import deferLater

from ..errors import FileError, LinkError, LinkLost, PeerMisbehaved, ServerUnknown
from ..files.home import Home
from ..files.identity import load_identity, passing_identity
from ..files.known_servers import KnownServers
from ..net.client_connection import ClientConnection, HeartbeatRound
from ..net.client_transfers import ClientTransfers
from ..net.clock import SYSTEM_CLOCK, Clock
from ..net.data_plane import DataPlane
from ..net.session_opener import SessionOpener
from ..net.streams import DataPlaneListener
from ..settings import DEFAULT_PORT, Settings
from ..wire.datagram import PortType
from ..wire.endpoint import parse_host_port, show_host_port
from .check_display import CheckDisplay, Style
from .check_rendezvous import AFTER, MakeOpener, StrangerOpener, WatchedRendezvous
from .check_verdicts import (
    Finding,
    PortBurst,
    judge_clock,
    judge_jitter,
    judge_loss,
    judge_nat,
    judge_path_mtu,
    judge_ports,
    judge_round_trip,
)
from .running import INTERRUPTED, run_command

HEARTBEATS: Final = 20
HEARTBEAT: Final = 100  # milliseconds; a burst that no path notices, and two seconds for a person to wait
DATA_TIME_LIMIT: Final = 5.0  # seconds for the first control message and its answer
MTU_TIME_LIMIT: Final = 10.0  # seconds; three probes that are lost on a path of a second
LOOK_INTERVAL: Final = 0.05  # seconds, whether the search is over


class _Burst:
    """Watches a session until its first heartbeats are finished, the lost ones too. It beats on meanwhile: what comes
    then shows which way they were lost.
    """

    def __init__(self, progress: Callable[[int], None]) -> None:
        self._progress = progress
        self._rounds: dict[int, HeartbeatRound] = {}
        self.over: Deferred[None] = Deferred()
        self.ended: LinkError | None = None

    def heartbeat_finished(self, connection: ClientConnection, beat: HeartbeatRound) -> None:
        if beat.number <= HEARTBEATS and beat.number not in self._rounds:  # a probe has its heartbeat's number
            self._rounds[beat.number] = beat
            self._progress(len(self._rounds))
        if len(self._rounds) >= HEARTBEATS:
            self._finish()

    def session_suspected(self, connection: ClientConnection) -> None:
        """Silence shows in the heartbeats that are given up."""

    def session_revived(self, connection: ClientConnection) -> None:
        """Nothing to do."""

    def session_ended(self, connection: ClientConnection, why: LinkError) -> None:
        self.ended = why
        self._finish()

    def _finish(self) -> None:
        if not self.over.called:
            self.over.callback(None)

    def ports(self, connection: ClientConnection) -> dict[PortType, PortBurst]:
        """What it has shown, by port."""
        burst = {port_type: PortBurst(connection.report(port_type), len(self._rounds)) for port_type in PortType}
        for beat in self._rounds.values():
            for port_type, port in burst.items():
                port.answered += port_type in beat.first
                for answers in (beat.first, beat.second):
                    if port_type in answers:
                        port.round_trips.append(answers[port_type])
        return burst


class Check:
    """One check of one server."""

    def __init__(
        self,
        reactor: Any,
        host: str,
        port: int,
        make_opener: MakeOpener,
        display: CheckDisplay,
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._reactor = reactor
        self._clock = clock
        self._display = display
        self._rendezvous = WatchedRendezvous(host, port, clock, display)
        self._opener = make_opener(self._rendezvous)
        self._walking: Deferred[None] | None = None
        self._stopped: Deferred[None] = Deferred()
        self._unwritable: OSError | None = None
        display.on_unwritable = self._stop_for

    async def run(self, reactor: Any) -> int:
        """The exit status: 0 if nothing is bad, 1 if something is. Raises `OSError` once nobody takes the output."""
        reactor.addSystemEventTrigger("before", "shutdown", self._interrupted)
        self._display.start()
        self._walking = Deferred.fromCoroutine(self._walk())
        try:
            await self._walking
        except CancelledError:
            if self._unwritable is None:
                return INTERRUPTED
        finally:
            self._display.stop()
            self._stopped.callback(None)
        status = self._display.summary()
        if self._unwritable is not None:
            raise self._unwritable
        return status

    def _stop_for(self, error: OSError) -> None:
        self._unwritable = error
        self._reactor.callLater(0, self._interrupted)  # not from within what is to be interrupted

    def _interrupted(self) -> Deferred[None] | None:
        """Ctrl-C: say goodbye before the reactor ends."""
        if self._walking is None or self._stopped.called:
            return None
        self._walking.cancel()
        return self._stopped

    async def _walk(self) -> None:
        self._display.now("connecting")
        burst = _Burst(lambda done: self._display.now(f"heartbeats on the UDP ports: {done} of {HEARTBEATS}"))
        try:
            connection = await self._opener.open(burst)
        except LinkError as error:
            self._rendezvous.failed(error)
            return
        try:
            self._rendezvous.let_in()
            await self._measure(connection, burst)
        finally:
            await connection.close()

    async def _measure(self, connection: ClientConnection, burst: _Burst) -> None:
        own_ports = connection.own_ports
        await burst.over
        if burst.ended is not None and not isinstance(burst.ended, LinkLost):
            first, *rest = AFTER
            self._display.tell(Finding(step=first, verdict="bad", text=f"{burst.ended}; check again"))
            self._display.skip(rest, "the session ended")
            return
        ports = burst.ports(connection)
        self._tell_all(judge_ports(ports))
        if ports[PortType.CTRL].dead or ports[PortType.UP].dead or connection.ended:
            self._display.skip(["path-mtu"], "it takes ctrl and up, both ways")
        else:
            self._display.tell(await self._path_mtu(connection))
        if all(port.dead for port in ports.values()):
            self._display.skip(["round-trip", "jitter", "loss"], "no heartbeat came back")
        else:
            self._tell_all([judge_round_trip(ports), judge_jitter(ports), judge_loss(ports)])
        self._tell_all([judge_clock(ports), judge_nat(ports, self._rendezvous.own_host, own_ports)])

    def _tell_all(self, findings: list[Finding]) -> None:
        for finding in findings:
            self._display.tell(finding)

    # --- the path's size ---------------------------------------------------------------------------------------------

    async def _path_mtu(self, connection: ClientConnection) -> Finding:
        """Ask the server something, so that it answers probes, and let the data plane find out."""
        self._display.now("how large datagrams may be")
        planes: list[DataPlane] = []

        def open_plane(listener: DataPlaneListener) -> DataPlane:
            planes.append(connection.open_data_plane(listener))
            return planes[0]

        transfers = ClientTransfers(
            open_plane,
            in_thread=maybeDeferred,  # no file is moved, so nothing blocks
            reactor=self._reactor,
            clock=self._clock,
            violated=lambda why: connection.peer_misbehaved(PeerMisbehaved(why)),
        )
        try:
            with suppress(FileError):  # it shows no files, and has answered
                await transfers.look("").addTimeout(DATA_TIME_LIMIT, self._reactor)
            return await self._search(connection, planes[0])
        except (defer.TimeoutError, LinkError) as error:
            why = str(error) if isinstance(error, LinkError) else "the server takes no data, only heartbeats"
            return Finding(step="path-mtu", verdict="not tried", text=why)
        finally:
            await transfers.stop()

    async def _search(self, connection: ClientConnection, plane: DataPlane) -> Finding:
        searched = plane.search_path_mtu()
        deadline = self._clock.monotonic() + MTU_TIME_LIMIT
        while not connection.ended:
            size = plane.found_path_mtu()
            if size is not None:
                return judge_path_mtu(size, searched=searched)
            if self._clock.monotonic() > deadline:
                return Finding(step="path-mtu", verdict="not tried", text="the search took too long; check again")
            await deferLater(self._reactor, LOOK_INTERVAL)
        raise LinkLost("the session was lost meanwhile; check again")


@click.command("check")
@click.argument("host")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a step, and one at the end.")
@click.pass_context
def check_command(ctx: click.Context, host: str, as_json: bool) -> None:
    """Go step by step to HOST, and say what is well, what is not, and what to do.

    The name, TCP, TLS, the key, whether this client is let in, each UDP port in each direction, how large datagrams may
    be, round trip, jitter, loss, the clocks, and what NAT makes of our address. It takes some seconds.

    The exit status is 0 if nothing is bad, and 1 if something is. A warning is not bad.
    """
    from twisted.internet import reactor  # noqa: PLC0415  not before there is use for it

    name, port, make_opener = _opener_of(reactor, ctx.obj, host)
    display = CheckDisplay(Style.JSON if as_json else Style.PEOPLE, show_host_port(name, port))
    run_command(Check(reactor, name, port, make_opener, display).run)


def _opener_of(reactor: Any, settings: Settings, text: str) -> tuple[str, int, MakeOpener]:
    """Host and port of the server that a person means, and what opens sessions there."""
    home = Home(settings.home)
    known = KnownServers(home)
    identity = load_identity(home) or passing_identity()
    try:
        server = known.resolve(text)
    except ServerUnknown:
        host, port = parse_host_port(text)
        if port is None and any(server.host == host for server in known.servers()):
            raise  # there are several, and it says so
        number = port or DEFAULT_PORT
        return host, number, lambda watcher: StrangerOpener(reactor, identity, host, number, watcher)
    return (
        server.host,
        server.port,
        lambda watcher: SessionOpener(reactor, settings, identity, server, heartbeat=HEARTBEAT, watcher=watcher),
    )
