"""The client's end of one session: three handlers, and the heartbeat that drives them.

LoopingCall -> beat -> three `begin_heartbeat` ... heartbeat_answered -> round complete -> observer
timer ---------------> rounds that are late, Liveness: probe, suspected, stale
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ..errors import ClientRejected, LinkClosed, LinkError, LinkLost, PeerMisbehaved
from ..link.encryptor import CommEncryptor
from ..link.link import Link
from ..link.liveness import Liveness, Verdict
from ..link.loss_direction import DirectionReport, LossDirection
from ..link.path import PathReport
from ..link.peer_address import Address
from ..settings import Settings
from ..wire.datagram import Opened, PortType
from ..wire.endpoint import show_host_port
from ..wire.heartbeat import Heartbeat
from ..wire.messages import Close, CloseReason, Observed
from .clock import SYSTEM_CLOCK, Clock
from .connection import read_link_message, send_link_message
from .data_plane_owner import DataPlaneOwner
from .handlers import ClientPortHandler, PortHandler, last_heard
from .looping import keep_looping
from .port import LinkPort
from .streams import DataPlaneListener

MAX_ROUNDS: Final = 64  # heartbeats under way at the same time; as many as a port awaits answers of

_GOODBYES: Final = {
    CloseReason.GOODBYE: LinkClosed("the server ended the session"),
    CloseReason.SHUTDOWN: LinkClosed("the server is shutting down"),
    CloseReason.REPLACED: LinkClosed("another session of this client took this one's place"),
    CloseReason.STALE: LinkLost("the server had not heard this client for too long, and ended the session"),
    CloseReason.MISBEHAVED: PeerMisbehaved(
        "the server ended the session as this end broke the rules of the link: are both of the same version?"
    ),
    CloseReason.REVOKED: ClientRejected(
        "the server's owner has revoked this client's key: ask for a new link and run: bittrrt join LINK"
    ),
}


@dataclass(slots=True)
class HeartbeatRound:
    """One heartbeat, as sent on all three ports at once. Round trips in seconds; a port is missing where none came."""

    number: int
    client_ms: int
    """When it began, by this end's clock, ms since 1970."""
    sent_at: float
    first: dict[PortType, float] = field(default_factory=dict)
    """Round trips of the first answers, `echo=1`."""
    second: dict[PortType, float] = field(default_factory=dict)
    """Round trips of the second ones, `echo=0`."""

    @property
    def complete(self) -> bool:
        """Whether the whole countdown was answered on all three ports."""
        return len(self.second) == len(PortType)


@dataclass(frozen=True, slots=True)
class PortReport:
    """What the client knows of one port at one moment."""

    number: int
    """The server's UDP port."""
    path: PathReport
    direction: DirectionReport
    seen_as: str | None
    """The address from which the server says our datagrams come."""


class SessionObserver(Protocol):
    """Who watches a session, as `bittrrt ping` does."""

    def heartbeat_finished(self, connection: ClientConnection, beat: HeartbeatRound) -> None:
        """A heartbeat's countdown is complete on all ports, or what is missing is given up."""

    def session_suspected(self, connection: ClientConnection) -> None:
        """Not even probes are answered."""

    def session_revived(self, connection: ClientConnection) -> None:
        """A suspected session is heard again."""

    def session_ended(self, connection: ClientConnection, why: LinkError) -> None:
        """The session is over; its sockets are closed."""


class ClientConnection(DataPlaneOwner):
    """A session that is open, from the client's side."""

    is_server = False
    accept_data: Callable[[ClientConnection], DataPlaneListener] | None = None
    """Who takes what the server sends unasked, if anybody does."""

    log = Logger()

    def __init__(
        self,
        settings: Settings,
        encryptor: CommEncryptor,
        server: Address,
        ports: Mapping[PortType, int],
        *,
        observer: SessionObserver,
        reactor: Any,
        stale_after: float,
        clock: Clock = SYSTEM_CLOCK,
        port_class: type[LinkPort] = LinkPort,
    ) -> None:
        """`settings.heartbeat` is the client's own; `stale_after`, in seconds, is the server's."""
        self.settings = settings
        self.encryptor = encryptor
        self.ports = dict(ports)
        self.observer = observer
        self.clock = clock
        self.link = self._link = Link(encryptor)
        self.handlers = {
            port_type: ClientPortHandler(
                settings,
                encryptor,
                port_type,
                (server[0], number, *server[2:]),
                link=self._link,
                listener=self,
                clock=clock,
            )
            for port_type, number in self.ports.items()
        }
        self.beats = 0
        """Heartbeats begun."""
        self.ended = False
        self._reactor = reactor
        self._port_class = port_class
        self._server = server
        self._sockets: list[LinkPort] = []
        self._rounds: dict[int, HeartbeatRound] = {}  # under way, by client_ms
        self._direction = LossDirection()
        self._seen_as: dict[PortType, str] = {}
        self._stale_after = stale_after
        self._liveness = Liveness(stale_after, clock.monotonic())
        self._beating = LoopingCall(self.beat)
        self._beating.clock = reactor
        self._timer: Any = None
        self._timer_due = 0.0

    def start(self) -> None:
        """Open three sockets and begin to beat. Raises `LinkError` if the system has none left."""
        interface = "::" if ":" in str(self._server[0]) else ""
        try:
            for handler in self.handlers.values():
                socket = self._port_class(0, handler, interface, reactor=self._reactor)
                socket.startListening()
                self._sockets.append(socket)
        except CannotListenError as error:
            self._stop()
            raise LinkError(f"no UDP socket can be opened here: {error.socketError.strerror}") from None
        self._start_beating()

    def close(self, reason: CloseReason = CloseReason.GOODBYE) -> Deferred[Any]:
        """Say goodbye and stop. Fires when the sockets are closed; the observer is not told of the end."""
        if reason is CloseReason.REPLACED:
            self._give_up_rounds()
        if not self.ended:
            for handler in self.handlers.values():
                send_link_message(handler, Close(reason))
        return self._stop()

    @property
    def link_id(self) -> str:
        """What names the session at both ends, in hexadecimal."""
        return self.encryptor.link_id.hex()

    @property
    def own_ports(self) -> dict[PortType, int]:
        """This end's UDP ports, as the machine itself knows them; none once the session is over."""
        return {
            port_type: socket.getHost().port  # type: ignore[no-untyped-call]
            for port_type, socket in zip(self.handlers, self._sockets, strict=False)
        }

    @property
    def suspected(self) -> bool:
        """Whether not even probes are answered."""
        return self._liveness.suspected

    @property
    def rounds_under_way(self) -> int:
        """Heartbeats that are neither complete nor given up."""
        return len(self._rounds)

    def last_heard(self) -> float | None:
        """When anything authentic was heard last, on any port."""
        return last_heard(self.handlers.values())

    def report(self, port_type: PortType) -> PortReport:
        """What is known of one port now."""
        return PortReport(
            number=self.ports[port_type],
            path=self.handlers[port_type].path.report(self.clock.monotonic()),
            direction=self._direction.report(port_type),
            seen_as=self._seen_as.get(port_type),
        )

    def stop_beating(self) -> None:
        """Begin no more heartbeats; those under way are still finished."""
        if self._beating.running:
            self._beating.stop()

    # --- the heartbeat ---

    def _start_beating(self) -> None:
        interval = self.settings.heartbeat_seconds
        keep_looping(self._beating, interval, self.log, "a heartbeat failed", lambda: not self.ended)

    def beat(self) -> None:
        """Begin the next heartbeat, on all three ports."""
        self._finish_late_rounds()
        if self.ended:  # by the observer, who was told
            return
        self.beats += 1
        self._begin_round(self.beats)

    def _begin_round(self, number: int) -> None:
        client_ms = self.clock.wall_ms()
        while client_ms in self._rounds:
            client_ms += 1
        now = self.clock.monotonic()
        self._rounds[client_ms] = HeartbeatRound(number, client_ms, now)
        # Sealed before the first is sent, so that no port's round trip holds the work for another.
        sealed = [(handler, handler.seal_heartbeat(client_ms)) for handler in self.handlers.values()]
        for handler, datagram in sealed:
            if datagram is not None:
                handler.begin_heartbeat(client_ms, datagram)
        self._liveness.sent(now, max(h.path.round_trip.probe_timeout() for h in self.handlers.values()))
        self._arm()

    def heartbeat_answered(self, handler: ClientPortHandler, heartbeat: Heartbeat, round_trip: float) -> None:
        """See `ClientPortListener`."""
        self._heard(self.clock.monotonic())
        beat = self._rounds.get(heartbeat.client_ts3)
        if beat is None:
            return
        if heartbeat.echo > 0:
            beat.first[handler.port_type] = round_trip
            return
        beat.second[handler.port_type] = round_trip
        if beat.complete:
            self._finish(beat)

    def _finish_late_rounds(self) -> None:
        now = self.clock.monotonic()
        patience = self._patience()
        while self._rounds and not self.ended:
            oldest = next(iter(self._rounds.values()))
            if now < oldest.sent_at + patience and len(self._rounds) < MAX_ROUNDS:  # the sum for which the timer is set
                break
            self._finish(oldest)

    def _finish(self, beat: HeartbeatRound) -> None:
        del self._rounds[beat.client_ms]
        replay = self._link.replay
        judging = not self._data_flowed()
        for port_type, handler in self.handlers.items():
            handler.forget_heartbeat(beat.client_ms)
            if port_type in beat.second:
                self._direction.completed(port_type)
            else:
                if judging:
                    self._direction.missed(port_type, port_type in beat.first, replay.accepted)
                if port_type not in beat.first:
                    handler.path.count_lost(1)
        if judging:
            self._direction.judge(replay.accepted, replay.missing, settled=not self._rounds)
        else:
            self._direction.pass_over(replay.missing)
        self.observer.heartbeat_finished(self, beat)

    def _data_flowed(self) -> bool:
        """Whether data may have made gaps of its own since a heartbeat was judged last; then none is laid to them."""
        plane = self.data_plane
        return plane is not None and plane.flowed()

    def _give_up_rounds(self) -> None:
        """No answer can come any more: what is under way is lost."""
        while self._rounds and not self.ended:
            self._finish(next(iter(self._rounds.values())))

    def _patience(self) -> float:
        """Two answers one after the other: twice what one may take."""
        return 2 * max(handler.path.patience() for handler in self.handlers.values())

    # --- the timer ---

    def _arm(self) -> None:
        if self.ended:
            return
        due = self._liveness.next_timeout()
        if self._rounds:
            due = min(due, next(iter(self._rounds.values())).sent_at + self._patience())
        if self._timer is not None and self._timer.active():
            if self._timer_due <= due:
                return  # it will look again; moving a timer to sooner would search all of the reactor's
            self._timer.cancel()
        self._timer_due = due
        self._timer = self._reactor.callLater(max(due - self.clock.monotonic(), 0.0), self._timed_out)

    def _timed_out(self) -> None:
        self._finish_late_rounds()
        if self.ended:
            return
        heard = self.last_heard()
        if heard is not None and heard > self._liveness.last_heard:
            self._heard(heard)
        match self._liveness.timed_out(self.clock.monotonic()):
            case Verdict.PROBE:
                self._begin_round(self.beats)
                return
            case Verdict.SUSPECT:
                self.observer.session_suspected(self)
            case Verdict.STALE:
                self._end(LinkLost(f"nothing was heard from the server for {self._stale_after:.0f} s"))
        self._arm()

    def _heard(self, at: float) -> None:
        was_suspected = self._liveness.suspected
        self._liveness.heard(at)
        if was_suspected:
            self.observer.session_revived(self)

    # --- what the ports hear ---

    @property
    def handlers_by_type(self) -> dict[PortType, PortHandler]:
        return dict(self.handlers)

    @property
    def reactor(self) -> Any:
        return self._reactor

    def _wanted_by(self) -> DataPlaneListener | None:
        return None if self.accept_data is None else self.accept_data(self)

    def peer_misbehaved(self, why: PeerMisbehaved) -> None:
        for handler in self.handlers.values():
            send_link_message(handler, Close(CloseReason.MISBEHAVED))
        self._end(why)

    def _beat_for_data(self) -> None:
        self._begin_round(self.beats)

    def _link_message_received(self, handler: PortHandler, opened: Opened) -> None:
        match read_link_message(handler, opened):
            case Close(reason):
                self._end(_GOODBYES[reason])
            case Observed(port, host, number):
                self._seen_as[port] = show_host_port(host, number)

    def plain_received(self, handler: PortHandler, datagram: bytes, address: Address) -> None:
        """See `PortListener`: never called, as a client's handlers always have an encryptor."""

    def peer_found(self, handler: PortHandler) -> None:
        """See `PortListener`: never called, as the server does not move."""

    # --- the end ---

    def _end(self, why: LinkError) -> None:
        self._give_up_rounds()
        if not self.ended:
            self._stop()
            self.observer.session_ended(self, why)

    def _stop(self) -> Deferred[Any]:
        self.ended = True
        self.close_data_plane()
        self.stop_beating()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        sockets, self._sockets = self._sockets, []
        return DeferredList([maybeDeferred(socket.stopListening) for socket in sockets])
