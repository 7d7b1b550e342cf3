"""The data plane of one session, at either end: the shell that drives the transport core over the three UDP ports.

    send_control, open_sending --> Sender.next_burst --> source.read --> handler.send_burst --> Ctrl, Up or Dn
                                        ^
    burst_received --> acknowledgement -+--> done: the Deferred fires
                  +--> data --> Receiver.data_received --> sink.write --> consumed --> acknowledgement, on the same port
                  +--> message --> listener

After every input there is one pump: what is due is sent, acknowledgements first, then at most four writes, and one
timer is armed. A client's data leaves by Up and a server's by Dn, unless that is silent: see `port_choice`;
acknowledgements go back by the port that it came by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ..errors import PeerMisbehaved, Rejected, TakesNothing
from ..link.link import Link
from ..link.pacer import TICK, Pacer
from ..link.receiver import WINDOW
from ..link.transfer_statistics import ReceivedTotals, SentTotals, TransferStatistics
from ..wire.acknowledgement import parse_acknowledgement_untrusted
from ..wire.datagram import BINARY, DATA, FLOW_CONTROL, LINK_CHANNEL, UNLOSSY, PortType, Run
from ..wire.spans import SpanSet
from .clock import SYSTEM_CLOCK, Clock
from .handlers import PortHandler
from .receiving import Receiving
from .sending import Sending
from .streams import DataPlaneListener, StreamSink, StreamSource

WITHHELD_WAIT: Final = 0.02  # seconds until an address that has had its share is tried again
QUIET: Final = 0.3  # seconds; a client that hears no data that it waits for may have moved without knowing it
CLIENT_HEARTBEAT: Final = 1.0  # seconds, at most, while streams are open: it shows the server where the client is


class DataPlane:
    """Control messages, lossy messages and streams of one session. All calls are from the reactor's thread."""

    log = Logger()

    def __init__(
        self,
        link: Link,
        handlers: Mapping[PortType, PortHandler],
        listener: DataPlaneListener,
        *,
        is_server: bool,
        reactor: Any,
        clock: Clock = SYSTEM_CLOCK,
        congestion: str = "model",
        mtu: int | None = None,
        random: Random | None = None,
        failed: Callable[[PeerMisbehaved], None] | None = None,
        beat: Callable[[], None] | None = None,
        expected_round_trip: float | None = None,
    ) -> None:
        """`congestion`: `model` or `cubic`. `mtu`: bytes of UDP payload of every datagram, None to find out.

        `failed` is told after the listener when the peer has broken the rules. `beat`, of a client, sends a heartbeat.
        `expected_round_trip`, seconds: what to go by until one is measured.
        Raises `ValueError` for a `congestion` or `mtu` that is none.
        """
        self.listener = listener
        self._reactor = reactor
        self._clock = clock
        self._failed = failed
        self._beat = beat
        ctrl = handlers[PortType.CTRL]
        self._out = handlers[PortType.DN if is_server else PortType.UP]
        self._in = handlers[PortType.UP if is_server else PortType.DN]
        self._sending = Sending(
            link,
            ctrl,
            self._out,
            self._in,
            clock=clock,
            congestion=congestion,
            mtu=mtu,
            random=random or Random(),  # noqa: S311  when to probe for bandwidth is no secret
            failed=self._stream_failed,
            expected_round_trip=expected_round_trip,
        )
        now = clock.monotonic()
        self._receiving = Receiving(link, ctrl, listener, self._tell, now, is_server=is_server)
        self._next_number = 2 if is_server else 1
        self._bulk: set[PortHandler] = set()
        self._beat_at = now
        self._flowed = True
        self._closed = False
        self._timer: Any = None
        self._timer_due = 0.0

    def choose_sending(self, congestion: str, mtu: int | None) -> None:
        """Send in another way from now on; it does nothing while streams are being sent.

        See `__init__` for what there is to choose. Raises `ValueError` for what is none.
        """
        self._sending.choose(congestion, mtu)

    # --- control and messages ----------------------------------------------------------------------------------------

    def send_control(self, message: bytes) -> None:
        """Send a message of at most 8192 bytes, reliably and in order.

        Raises `ControlOverflow` when 4 MiB wait for the peer already; see `control_backlog`.
        """
        self._check_open()
        self._sending.control.put(message)
        self._pump_soon()

    @property
    def control_backlog(self) -> int:
        """Bytes of control messages that are not acknowledged."""
        return self._sending.control.backlog

    def control_arrived(self) -> Deferred[None]:
        """Fires when the peer has every control message sent until now; never, if the session ends before."""
        return self._sending.control.arrived()

    @property
    def max_message(self) -> int:
        """Bytes that a message may have now; it grows as the path MTU is found."""
        return self._sending.max_message

    def send_message(self, channel: int, data: bytes, *, urgent: bool = False) -> bool:
        """Send a message that may be lost, at once or not at all; False if it was dropped here.

        Raises `ValueError` for a channel that is none, or more bytes than `max_message`.
        """
        self._check_open()
        sent = self._sending.send_message(channel, data, urgent)
        self._arm()
        return sent

    # --- the path's size ---------------------------------------------------------------------------------------------

    def search_path_mtu(self) -> bool:
        """Find out how large datagrams may be, as sending a stream would. False: it cannot be found out here.

        The peer has to have a data plane, which it makes for the first control message: only then are probes answered.
        """
        self._check_open()
        searching = self._sending.search_path_mtu()
        self._pump_soon()
        return searching

    def found_path_mtu(self) -> int | None:
        """Bytes of UDP payload that a datagram to the peer may have; None while that is being found out."""
        return self._sending.found_path_mtu(self._clock.monotonic())

    # --- streams -----------------------------------------------------------------------------------------------------

    def new_channel(self) -> int:
        """A number for a channel that this end opens: odd ones are the client's, even ones the server's."""
        while self.used(self._next_number):
            self._next_number += 2  # a program chose it by itself
        number = self._next_number
        self._next_number += 2
        return number

    def used(self, channel: int) -> bool:
        """Whether the channel was ever open, either way."""
        return self._sending.used(channel) or self._receiving.used(channel)

    def open_sending(
        self,
        channel: int,
        source: StreamSource,
        size: int | None,
        *,
        skip: SpanSet | None = None,
        limit: Pacer | None = None,
        urgent: bool = False,
        trim: Callable[[int], None] | None = None,
        early: bool = False,
    ) -> Deferred[None]:
        """Send the `size` bytes of `source`, but for the offsets in `skip`, which the peer has.

        `limit`: tokens that it spends; streams may share them.

        With None for a `size` that is not known yet, say `supply`. `trim` is told, with every acknowledgement, the
        offset below which nothing is read again.

        `early`: the peer has not agreed to it, so no more than its first `EARLY` bytes go until `send_rest` is said. A
        peer takes one such stream a session.

        Fires when all is acknowledged, and the stream is closed then. Fails with `CancelledError` if it is closed
        before, and with the error of the source. Raises `ValueError` for a channel that was used already.
        """
        self._check_open()
        finished = self._sending.open(channel, source, size, skip, limit, urgent, trim, early)
        self._prepare_for_bulk(self._out)
        self._pump_soon()
        return finished

    def send_rest(self, channel: int, size: int, *, skip: SpanSet) -> None:
        """The peer has agreed to an early stream of `size` bytes: send all of it but for the offsets in `skip`.

        Raises `KeyError` if it is not open.
        """
        self._sending.send_rest(channel, size, skip)
        self._pump_soon()

    def supply(self, channel: int, end: int, *, finished: bool = False) -> None:
        """The source of a stream opened without a size can be read up to `end`; `finished`: there will be no more.

        Raises `KeyError` if it is not open, and `ValueError` for an `end` below that of before.
        """
        self._sending.supply(channel, end, finished)
        self._pump_soon()

    def open_receiving(
        self,
        channel: int,
        sink: StreamSink,
        size: int | None,
        *,
        have: SpanSet | None = None,
        window: int = WINDOW,
        paced: bool = False,
    ) -> None:
        """Write a stream of `size` bytes to `sink`; the offsets in `have` are there already, and do not come.

        With None for a `size` that is not known yet, say `end_receiving`.

        At most `window` bytes, and no less than 1 MiB, may be ahead of what has left memory. That is what `sink.write`
        took, unless `paced`: then say `stream_consumed`. Raises `ValueError` for a channel that was used already, or
        when 1023 are open.
        """
        self._check_open()
        if self._receiving.open(channel, sink, size, have, window, paced):
            self._reactor.callLater(0, self._take_early, channel)
        self._prepare_for_bulk(self._in)
        self._pump_soon()

    def _take_early(self, channel: int) -> None:
        try:
            self._receiving.take_early(channel)
        except Rejected as error:
            self._fail(error)
        self._pump()

    def stream_consumed(self, channel: int, count: int) -> None:
        """`count` bytes of a paced receiving stream have left memory."""
        self._receiving.consumed(channel, count)
        self._pump_soon()

    def widen_receiving(self, channel: int, window: int) -> None:
        """So many bytes may be ahead of what has left memory from now on: more than before."""
        self._receiving.widen(channel, window)
        self._pump_soon()

    def end_receiving(self, channel: int, size: int) -> None:
        """The peer says that a receiving stream opened without a size ends at `size`; it may be closed already.

        Raises `CreditExceeded` if the peer has sent more, or has said so before.
        """
        self._receiving.end(channel, size)

    def close_stream(self, channel: int) -> None:
        """Close it, either way; what still comes of it is counted and dropped, and so is what came early.

        Of one that was never opened: it is not going to be. Again does nothing.
        """
        self._receiving.close(channel)
        self._sending.close(channel)

    def statistics(self, channel: int, *, receiving: bool = False) -> TransferStatistics:
        """What a stream that is open does right now; `receiving`: the other direction of one that goes both ways.

        Raises `KeyError` for one that is not open.
        """
        if channel in self._sending.streams and not receiving:
            return self._sending.statistics(channel)
        return self._receiving.statistics(channel, self._sending.statistics(LINK_CHANNEL), self._clock.monotonic())

    @property
    def round_trip(self) -> float:
        """The smoothed round trip, seconds: an end that only receives knows it by its heartbeats."""
        known = self._in.path.round_trip
        by_data = self._sending.round_trip.smoothed
        return by_data if known.latest is None else max(by_data, known.smoothed)

    @property
    def sent_totals(self) -> SentTotals:
        """What was sent in all, of streams that are closed too; also when the plane is closed."""
        return self._sending.totals

    @property
    def received_totals(self) -> ReceivedTotals:
        """The same of what was received."""
        return self._receiving.totals

    @property
    def unexpected(self) -> int:
        """Datagrams of streams that were closed, or were not to be opened."""
        return self._receiving.unexpected

    @property
    def active(self) -> bool:
        """Whether anything but heartbeats is on its way, or expected."""
        return bool(self._sending.active or self._receiving.streams)

    def flowed(self) -> bool:
        """Whether anything flowed, or was about to, since this was asked last."""
        flowed, self._flowed = self._flowed or self.active, False
        return flowed

    def close(self) -> None:
        """Stop: every stream is closed, nothing is sent any more. Again does nothing."""
        if self._closed:
            return
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._receiving.close_all()
        for channel in list(self._sending.streams):
            self._sending.close(channel)
        self._tell(self.listener.data_plane_closed)

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError("the data plane is closed")

    def _prepare_for_bulk(self, handler: PortHandler) -> None:
        if handler not in self._bulk:
            self._bulk.add(handler)
            handler.prepare_for_bulk()

    # --- what comes --------------------------------------------------------------------------------------------------

    def burst_received(self, handler: PortHandler, runs: list[Run], now: float) -> None:
        """Authentic and new datagrams, none of them a heartbeat, came on a port at `now`."""
        self._flowed = True
        try:
            for run in runs:
                if self._closed:
                    return
                self._take(handler, run, now)
        except Rejected as error:
            self._fail(error)
            return
        self._pump()

    def _take(self, handler: PortHandler, run: Run, now: float) -> None:
        flags = run.flags
        if flags & DATA and flags & UNLOSSY:
            if run.channel != LINK_CHANNEL:
                self._prepare_for_bulk(handler)  # it may be another one than what the peer's data comes by
                self._receiving.take_data(handler, run, now)
            else:
                self._receiving.take_control(handler, run, now)
        elif flags & FLOW_CONTROL and flags & BINARY:
            self._sending.acknowledged(handler, parse_acknowledgement_untrusted(run.payload), now)
        elif flags & FLOW_CONTROL:
            self._receiving.take_probe(handler, now)
        elif flags & DATA and run.channel != LINK_CHANNEL:
            self._receiving.take_message(handler, run, now)
        else:
            handler.counters.unexpected += 1

    def _tell(self, method: Callable[..., None], *arguments: object) -> None:
        """What the listener raises is its own fault: it is logged, and the link goes on."""
        try:
            method(*arguments)
        except Exception:
            self.log.failure("{method} failed", method=method)

    def _stream_failed(self, channel: int, error: Exception) -> None:
        self._tell(self.listener.stream_failed, channel, error)

    def _fail(self, error: Rejected) -> None:
        why = PeerMisbehaved(f"the other end broke the rules of the link ({type(error).__name__}: {error})")
        self.close()
        self._tell(self.listener.data_plane_failed, why)
        if self._failed is not None:
            self._failed(why)

    # --- what goes, and when -----------------------------------------------------------------------------------------

    def _pump_soon(self) -> None:
        """Pump when the caller is done, so that what it does next goes with this."""
        self._arm_at(self._clock.monotonic(), 0.0)

    def _pump(self) -> None:
        """Send what is due, and arm the timer."""
        if self._closed:
            return
        now = self._clock.monotonic()
        self._receiving.acknowledge(now)
        self._arm(again=self._sending.send_due(now))

    def _arm(self, *, again: bool = False) -> None:
        """Arm the timer for what is due next. `again`: there may be more to send when others had their turn."""
        now = self._clock.monotonic()
        if self._timer is not None and self._timer_due <= (now if again else now + TICK):
            return  # nothing is looked for sooner, as below; most acknowledgements end here
        due = self._receiving.next_timeout()
        for time in (self._sending.next_timeout(), self._beat_due()):
            if time is not None and (due is None or time < due):
                due = time
        if due is None:
            return
        wait = due - now
        if self._sending.withheld:
            wait = max(wait, WITHHELD_WAIT)
        elif not again or wait > 0:
            wait = max(wait, TICK)
        self._arm_at(now, max(wait, 0.0))

    def _arm_at(self, now: float, wait: float) -> None:
        if self._closed:
            return
        due = now + wait
        if self._timer is not None:
            if self._timer_due <= due:
                return  # it will look again; moving a timer to sooner would search all of the reactor's
            self._timer.cancel()
        self._timer_due = due
        self._timer = self._reactor.callLater(wait, self._timed_out)

    def _timed_out(self) -> None:
        self._timer = None
        now = self._clock.monotonic()
        beat_due = self._beat_due()
        if self._beat is not None and beat_due is not None and now >= beat_due:
            self._beat_at = now
            self._beat()
        if self._sending.neglected(now):
            self._fail(TakesNothing("it is there, and has taken nothing of what it was sent for a minute"))
        self._pump()

    def _beat_due(self) -> float | None:
        """When a client should send a heartbeat for the sake of its streams: it may have moved without knowing it."""
        receiving = self._receiving
        if self._beat is None or not (self._sending.streams or receiving.streams):
            return None
        due = self._beat_at + CLIENT_HEARTBEAT
        if receiving.streams and receiving.data_at > self._beat_at:
            due = min(due, receiving.data_at + max(QUIET, self._sending.round_trip.smoothed))
        return due
