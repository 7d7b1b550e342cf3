"""Sending: which bytes leave when, and what became of them. It holds no bytes, reads no clock, and opens no socket.

    supply ---> channels ---> next_burst ---> the shell reads, encrypts and writes it ---> burst_sent ---> in flight
                   ^                                                                                         |
                   +--- lost <------------------ acknowledged, on_timeout <----------------------------------+

The shell calls `next_burst` until it returns None, or until the bursts took `WRITES_A_TURN` writes: then it lets others
have their turn. It tells by `burst_sent` which sequences a burst got. It calls `on_timeout` when `next_timeout` has
passed. Sizes are bytes, times seconds of one monotonic clock.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from ..errors import AcknowledgedUnsent
from ..wire.acknowledgement import Acknowledgement
from ..wire.datagram import OVERHEAD
from .burst import Burst
from .congestion import Congestion, Sample
from .delivery_rate import DeliveryRate
from .full_burst import full_burst
from .in_flight import Found, InFlight, SentBurst
from .loss import LossTimer
from .pacer import WRITES_A_TURN, Pacer
from .path_mtu import PathMtu
from .round_trip import RoundTrip
from .send_channel import SendChannel
from .transfer_statistics import LimitedBy, Limits, SentTotals, TransferStatistics

PROBES: Final = 2  # datagrams at a probe timeout; RFC 9002 section 6.2.4 allows two, in case one is lost as well
FALSE_LOSS_MEMORY: Final = 3.0  # smoothed round trips for which a loss may prove false
LEAST_FALSE_LOSS_MEMORY: Final = 0.1  # seconds


class Sender:
    """Everything one end sends of a session's data."""

    def __init__(
        self, now: float, *, congestion: Congestion, round_trip: RoundTrip, path_mtu: PathMtu, credit: int
    ) -> None:
        """`credit`: bytes of all channels that the peer takes before it says more."""
        self.congestion = congestion
        self.round_trip = round_trip
        self.path_mtu = path_mtu
        self.credit = credit
        self.channels: dict[int, SendChannel] = {}
        self.fresh_sent = 0
        """Bytes of all channels sent for the first time; never over `credit`."""
        self.acknowledgements_refused = 0
        """Acknowledgements of what was never sent."""
        self.retransmitted = 0
        """Bytes of all channels sent again."""
        self.lost_datagrams = 0
        """Datagrams that were taken for lost."""
        self.false_losses = 0
        """Datagrams that were taken for lost and arrived after all."""
        self._in_flight = InFlight()
        self._loss = LossTimer(round_trip)
        self._delivery = DeliveryRate(now)
        self._pacer = Pacer(congestion.pacing_rate, now)
        self._limits = Limits(now)
        self._turns: deque[SendChannel] = deque()
        self._probes = 0  # datagrams that may leave in spite of window and pacing
        self._rested = False  # nothing was on its way, or to go, when `next_burst` looked last
        self._last_sent_at = now
        self._peer_window = 0  # bytes, the most credit ever seen ahead of what had arrived
        self._peer_room = 0  # bytes, the credit ahead of what had arrived when it last said
        congestion.set_datagram_size(path_mtu.size)

    # --- what there is to send ---------------------------------------------------------------------------------------

    def open_channel(
        self, number: int, now: float, *, credit: int, urgent: bool = False, limit: Pacer | None = None
    ) -> SendChannel:
        """A channel to send on. Say what it has by `supply`. Raises `ValueError` if it is open.

        `limit`: the tokens that it spends, besides those of the path. Channels of one transfer share them.
        """
        if number in self.channels:
            raise ValueError(f"channel {number} is open")
        channel = SendChannel(number, now, urgent=urgent, credit=credit, limit=limit)
        self.channels[number] = channel
        if urgent:
            self._turns.appendleft(channel)
        else:
            self._turns.append(channel)
        return channel

    def close_channel(self, number: int) -> None:
        """Nothing more of this channel is sent, nor sent again."""
        channel = self.channels.pop(number)
        self._turns.remove(channel)

    @property
    def in_flight(self) -> int:
        """Bytes on their way, whole datagrams."""
        return self._in_flight.bytes

    @property
    def delivered(self) -> int:
        """Bytes of whole datagrams that ever arrived."""
        return self._delivery.delivered

    @property
    def resting(self) -> bool:
        """Whether there is nothing to send, and nothing on its way: so it is all the time at an end that receives."""
        if self._rested:
            for channel in self._turns:
                if channel.waiting:
                    self._rested = False
        return self._rested

    def datagram_sent(self, sequence: int, size: int, now: float) -> None:
        """A datagram of `size` bytes that is never sent again has left, a lossy message: it counts in the window."""
        self._record(
            SentBurst(
                None,
                offset=0,
                length=size - OVERHEAD,
                chunk_size=max(size - OVERHEAD, 1),
                overhead=OVERHEAD,
                first=sequence,
                at=now,
            )
        )

    def next_burst(self, now: float, writes: int = WRITES_A_TURN) -> Burst | None:
        """What to send now; None if there is nothing, or it is not its time. Say `burst_sent` when it left.

        It takes no more than so many `writes`.
        """
        datagram_size = self.path_mtu.size
        if self._probes:
            return self._probe(datagram_size)
        room = self.congestion.window - self._in_flight.bytes
        if room < datagram_size and self._in_flight.bytes:
            self._limits.note("path", now)
            return None
        tokens = self._pacer.available(now)
        if tokens < min(self._pacer.quantum, room) or tokens < 1:
            self._limits.note("path", now)
            return None
        channel = self._next_channel(now)
        if channel is None:
            self._rested = not self._in_flight.bytes
            return None
        if channel.limit:
            tokens = min(tokens, channel.limit.available(now))
        chunk_size = datagram_size - OVERHEAD
        datagrams = int(min(room, max(tokens, datagram_size))) // datagram_size or 1
        full = full_burst(chunk_size)
        if datagrams > full:  # whole writes; what more the tokens allow may come to one by the next turn
            datagrams = min(datagrams // full, writes) * full
        return self._burst_of(channel, datagrams, chunk_size)

    def _burst_of(self, channel: SendChannel, datagrams: int, chunk_size: int) -> Burst | None:
        offered = channel.next_range(self.credit - self.fresh_sent)
        if offered is None:
            return None
        offset, length, retransmission = offered
        length = min(length, datagrams * chunk_size)
        return Burst(channel.number, offset, length, chunk_size, retransmission)

    def _next_channel(self, now: float) -> SendChannel | None:
        """Whose turn it is, urgent ones first; notes what holds back if it is nobody's."""
        chosen: SendChannel | None = None
        reason: LimitedBy = "own disk"
        fresh = self.credit - self.fresh_sent
        for channel in self._turns:
            if not channel.waiting:
                continue
            if not channel.lost and (fresh <= 0 or channel.next_offset >= channel.credit):
                reason = "peer's disk" if self._peer_room * 2 < self._peer_window else "window"
            elif channel.limit and channel.limit.available(now) < channel.limit.quantum:
                reason = "limit"
            else:
                chosen = channel
                break
        if chosen is None:
            self._delivery.application_is_limited(self._in_flight.bytes)
            self._limits.note(reason, now)
        elif self._pacer.clipped:
            self._limits.note("CPU", now)
        return chosen

    def _probe(self, datagram_size: int) -> Burst | None:
        """Data that shows whether the path lives: what is lost or new if there is any, else the oldest in flight."""
        chunk_size = datagram_size - OVERHEAD
        datagrams = self._probes
        for channel in self._turns:
            burst = self._burst_of(channel, datagrams, chunk_size)
            if burst is not None:
                return burst
        oldest = self._in_flight.oldest
        if oldest is not None and oldest.channel is not None and oldest.channel.number in self.channels:
            channel = oldest.channel
            for first, last in oldest.ranges_of(oldest.outstanding):
                for begin, end in channel.acknowledged.missing(first, last):  # not what got there by another datagram
                    length = min(end - begin + 1, datagrams * chunk_size)
                    return Burst(channel.number, begin, length, chunk_size, True)
        for channel in self._turns:
            if channel.waiting or oldest is not None:  # no credit: an empty datagram asks for it
                return Burst(channel.number, channel.next_offset, 0, chunk_size, False)
        self._probes = 0
        return None

    def burst_sent(self, burst: Burst, first_sequence: int, now: float) -> None:
        """`burst` has left with the sequences from `first_sequence` on."""
        channel = self.channels[burst.channel]
        if burst.length:
            channel.range_sent(burst.offset, burst.length, burst.retransmission)
            if burst.retransmission:
                self.retransmitted += burst.length
            else:
                self.fresh_sent += burst.length
        sent = SentBurst(
            channel,
            offset=burst.offset,
            length=burst.length,
            chunk_size=burst.chunk_size,
            overhead=OVERHEAD,
            first=first_sequence,
            at=now,
        )
        if channel.limit:
            channel.limit.spend(sent.size_of(sent.outstanding))
        if self._probes:
            self._probes = max(self._probes - burst.datagrams, 0)
        if len(self._turns) > 1 and not channel.urgent:
            self._turns.remove(channel)
            self._turns.append(channel)
        self._record(sent)

    def _record(self, sent: SentBurst) -> None:
        self._delivery.sending(sent, self._in_flight.bytes)
        self._in_flight.sent(sent)
        self._pacer.spend(sent.size_of(sent.outstanding))
        self._last_sent_at = sent.at
        self._rested = False

    # --- what became of it -------------------------------------------------------------------------------------------

    def acknowledged(self, acknowledgement: Acknowledgement, now: float, *, sequences_used: int) -> None:
        """Take in what the peer says. `sequences_used`: how many sequences the session has used on all its ports.

        Raises `AcknowledgedUnsent`, and believes nothing of it, if it acknowledges one that was never used.
        """
        if acknowledgement.spans and acknowledgement.spans[0][1] >= sequences_used:
            self.acknowledgements_refused += 1
            raise AcknowledgedUnsent(f"sequence {acknowledgement.spans[0][1]} of {sequences_used}")
        self._take_credit(acknowledgement)
        in_flight = self._in_flight.bytes
        found = self._in_flight.acknowledge(acknowledgement.spans)
        if not found:
            return
        size = in_flight - self._in_flight.bytes
        newest: SentBurst | None = None
        for item in found:
            burst, outstanding, lost = item
            if outstanding and (newest is None or burst.first > newest.first):
                newest = burst
                sequence = burst.first + outstanding.bit_length() - 1
            if lost:
                self._loss_was_false(lost)
            if burst.channel is not None:
                self._credit_channel(burst.channel, burst, outstanding | lost, now)
        if newest is None:
            return
        restarted = self._loss.timeouts > PROBES
        self._loss.acknowledged(sequence, newest.at, now)
        round_trip = self._measure(newest, acknowledgement.delay / 1e6, now)
        rate = self._delivery.acknowledged(size, newest, now, min(self.round_trip.minimum, 1.0) * 0.9)
        lost = self._find_losses(now)
        self._update(
            Sample(
                now,
                size,
                lost,
                self._in_flight.bytes,
                self._delivery.delivered,
                newest.delivered,
                rate,
                newest.application_limited,
                round_trip,
            )
        )
        if restarted:
            self.congestion.persistent_trouble()
        memory = max(FALSE_LOSS_MEMORY * self.round_trip.smoothed, LEAST_FALSE_LOSS_MEMORY)
        self._in_flight.forget_sent_before(now - memory)

    def _take_credit(self, acknowledgement: Acknowledgement) -> None:
        """Credit only grows: an acknowledgement that was overtaken changes nothing."""
        if acknowledgement.credit >= self.credit:
            self.credit = acknowledgement.credit
            self._peer_room = self.credit - acknowledgement.received
            self._peer_window = max(self._peer_window, self._peer_room)
        for number, credit in acknowledgement.channel_credits:
            channel = self.channels.get(number)
            if channel is not None and credit > channel.credit:
                channel.credit = credit

    @staticmethod
    def _credit_channel(channel: SendChannel, burst: SentBurst, bits: int, now: float) -> None:
        for first, last in burst.ranges_of(bits):
            channel.meter.add(channel.range_acknowledged(first, last), now)

    def _measure(self, newest: SentBurst, delay: float, now: float) -> float:
        """A round trip without the peer's delay, as RFC 9002 section 5.3 has it."""
        sample = now - newest.at
        if sample - delay >= self.round_trip.minimum:
            sample -= delay
        self.round_trip.add(sample, now)
        return sample

    def _loss_was_false(self, bits: int) -> None:
        self.false_losses += bits.bit_count()
        self._loss.loss_was_false()
        self.congestion.loss_was_false()

    def _find_losses(self, now: float) -> int:
        """Take for lost what is; returns its bytes."""
        if self._overtaken() is None:
            return 0
        found = self._in_flight.lose(self._loss.newest_acknowledged, now - self._loss.patience + 1e-9)
        size = 0
        for item in found:
            size += self._lost(item)
        if found:
            self._loss.losses_found(now)
        return size

    def _lost(self, found: Found) -> int:
        burst, bits, _ = found
        self.lost_datagrams += bits.bit_count()
        channel = burst.channel
        if channel is not None and channel.number in self.channels:
            channel.lost_datagrams += bits.bit_count()
            for first, last in burst.ranges_of(bits):
                channel.range_lost(first, last)
        return burst.size_of(bits)

    def _update(self, sample: Sample) -> None:
        self.congestion.update(sample)
        self._pacer.set_rate(self.congestion.pacing_rate, sample.now)
        self._pacer.burst = self.congestion.burst

    # --- time --------------------------------------------------------------------------------------------------------

    def next_timeout(self) -> float | None:
        """When to call `on_timeout` and `next_burst` again; None if only the shell or the peer can change anything."""
        if self.resting:
            return None
        loss, send = self._loss_time(), self._send_time()
        if loss is None or (send is not None and send < loss):
            return send
        return loss

    def on_timeout(self, now: float) -> None:
        """Look for losses, and probe if nothing was heard for too long. Calling it early does nothing."""
        due = self._loss_time()
        if due is None or now < due - 1e-9:
            return
        if self._overtaken():
            lost = self._find_losses(now)
            if lost:
                delivered = self._delivery.delivered
                self._update(Sample(now, 0, lost, self._in_flight.bytes, delivered, -1, 0.0, False, 0.0))
            return
        self._loss.timeouts += 1
        self._probes = PROBES
        self._last_sent_at = now  # the next one is due after this one
        if self.path_mtu.probe_timeouts(self._loss.timeouts, now):
            self.datagram_size_changed()

    def datagram_size_changed(self) -> None:
        """`path_mtu` has another size."""
        self.congestion.set_datagram_size(self.path_mtu.size)

    def _overtaken(self) -> SentBurst | None:
        """The oldest burst in flight, if something sent later than a part of it has arrived."""
        oldest = self._in_flight.oldest
        if oldest is None or oldest.lowest_outstanding > self._loss.newest_acknowledged:
            return None
        return oldest

    def _loss_time(self) -> float | None:
        oldest = self._overtaken()
        if oldest is not None:
            return oldest.at + self._loss.patience
        if self._in_flight.bytes or self._without_credit():
            return self._last_sent_at + self._loss.probe_after()
        return None

    def _without_credit(self) -> bool:
        """Whether there is something to send that only credit holds back."""
        fresh = self.credit - self.fresh_sent
        return any(channel.waiting and channel.next_range(fresh) is None for channel in self._turns)

    def _send_time(self) -> float | None:
        """When pacing and limits let the next burst go."""
        if self._probes:
            return self._last_sent_at
        room = self.congestion.window - self._in_flight.bytes
        if room < self.path_mtu.size and self._in_flight.bytes:
            return None
        fresh = self.credit - self.fresh_sent
        soonest: float | None = None
        for channel in self._turns:
            if channel.next_range(fresh) is None:
                continue
            time = channel.limit.time_of(channel.limit.quantum) if channel.limit else 0.0
            if soonest is None or time < soonest:
                soonest = time
        if soonest is None:
            return None
        return max(soonest, self._pacer.time_of(max(min(self._pacer.quantum, room), 1)))

    # --- for people --------------------------------------------------------------------------------------------------

    @property
    def totals(self) -> SentTotals:
        """Everything, of channels that are closed too."""
        return SentTotals(self.fresh_sent, self.retransmitted, self.lost_datagrams, self.false_losses)

    def statistics(self, number: int, now: float) -> TransferStatistics:
        """What the channel `number` does right now."""
        channel = self.channels[number]
        return TransferStatistics(
            rate=channel.meter.read(now),
            acknowledged=channel.acknowledged.count() - channel.skipped,
            sent=channel.sent,
            retransmitted=channel.retransmitted,
            lost_datagrams=channel.lost_datagrams,
            in_flight=self._in_flight.bytes,
            window=self.congestion.window,
            pacing_rate=self.congestion.pacing_rate,
            round_trip=self.round_trip.smoothed,
            minimum_round_trip=self.round_trip.minimum,
            path_mtu=self.path_mtu.size,
            limited_by=self._limits.most(now),
        )
