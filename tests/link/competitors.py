"""Flows to share a bottleneck with: TCP CUBIC and TCP BBR (version 1), as plainly as they can be written.

They are written apart from the program's own, in packets rather than bytes, so that the same mistake is not made twice.
"""

from __future__ import annotations

import math
from collections import deque

from tests.network import Network, Path

PACKET = 1500  # bytes on the link
PAYLOAD = 1448
DUPLICATES = 3  # packets that overtake one until it is lost; fewer if there are no more
ACKNOWLEDGED_TOGETHER = 2  # RFC 5681 section 4.2
ACKNOWLEDGEMENT_DELAY = 0.04  # seconds; Linux's


class TcpFlow:
    """A sender with endless data, and its receiver, which acknowledges every other packet over an unlimited path.

    So two packets leave back to back, and a short queue drops the second of them.
    """

    def __init__(self, network: Network, path: Path, back_delay: float) -> None:
        self.network = network
        self.path = path
        self.back_delay = back_delay
        self.window = 10.0  # packets
        self.unacknowledged: list[int] = []  # at the receiver
        self.expected = 0  # there
        self.heard_at = 0.0
        self.latest = 1.0  # seconds, round trip
        self.probed = False  # since then
        self.in_flight: dict[
            int, tuple[float, int, float, float]
        ] = {}  # number -> when sent; delivered then, and when; when
        # that one had been sent
        self.next_number = 0
        self.delivered = 0
        self.delivered_at = 0.0
        self.first_sent_at = 0.0
        self.lost = 0
        self.minimum = float("inf")
        self.recovery_until = -1
        self.newest = -1
        self.resend_check = False

    @property
    def delivered_bytes(self) -> int:
        return self.delivered * PAYLOAD

    def start(self) -> None:
        self.delivered_at = self.heard_at = self.network.now
        self.network.at(self.network.now + 0.02, self._check)
        self.push()

    def push(self) -> None:
        while len(self.in_flight) < int(self.window):
            self.transmit()

    def transmit(self) -> None:
        number = self.next_number
        self.next_number += 1
        if not self.in_flight:
            self.first_sent_at = self.delivered_at = self.network.now
        self.in_flight[number] = (self.network.now, self.delivered, self.delivered_at, self.first_sent_at)
        self.path.send(number.to_bytes(8, "big"), PACKET, self._arrived)

    def _arrived(self, packet: bytes) -> None:
        number = int.from_bytes(packet, "big")
        self.unacknowledged.append(number)
        if len(self.unacknowledged) == ACKNOWLEDGED_TOGETHER or number != self.expected:
            self._acknowledge()
        else:
            self.network.at(self.network.now + ACKNOWLEDGEMENT_DELAY, self._acknowledge_late, number)
        self.expected = number + 1

    def _acknowledge_late(self, number: int) -> None:
        if number in self.unacknowledged:
            self._acknowledge()

    def _acknowledge(self) -> None:
        numbers, self.unacknowledged = self.unacknowledged, []
        self.network.at(self.network.now + self.back_delay, self._acknowledgement, numbers)

    def _acknowledgement(self, numbers: list[int]) -> None:
        for number in numbers:
            self._acknowledged(number)
        self.push()

    def _acknowledged(self, number: int) -> None:
        record = self.in_flight.pop(number, None)
        if record is None:
            return
        now = self.network.now
        self.newest = max(self.newest, number)
        sent_at, delivered, delivered_at, first_sent_at = record
        self.heard_at, self.latest, self.probed = now, now - sent_at, False
        self.delivered += 1
        self.delivered_at = now
        self.minimum = min(self.minimum, now - sent_at)
        self.first_sent_at = max(self.first_sent_at, sent_at)
        elapsed = max(now - delivered_at, sent_at - first_sent_at, 1e-9)
        self.on_acknowledged(now, now - sent_at, (self.delivered - delivered) / elapsed, delivered)
        while self.in_flight:
            oldest = next(iter(self.in_flight))
            if oldest > number - min(DUPLICATES, len(self.in_flight)):
                break
            del self.in_flight[oldest]
            self.lost += 1
            self._lost(oldest, now)

    def _lost(self, number: int, now: float) -> None:
        if number > self.recovery_until:
            self.recovery_until = self.next_number - 1
            self.on_loss(now)

    def _check(self) -> None:
        """A probe after two round trips of silence (RFC 8985 section 7), a timeout after a second."""
        now = self.network.now
        silence = now - self.heard_at
        if silence > 1.0:
            self.in_flight.clear()
            self.window = 2.0
            self.heard_at = self.delivered_at = now
            self.push()
        elif silence > 2 * self.latest and not self.probed and self.in_flight:
            self.probed = True
            self.transmit()
        self.network.at(now + 0.02, self._check)

    def on_acknowledged(self, now: float, round_trip: float, rate: float, delivered: int) -> None:
        raise NotImplementedError

    def on_loss(self, now: float) -> None:
        raise NotImplementedError


class TcpCubic(TcpFlow):
    """RFC 9438 without pacing; slow start ends when the round trip has grown by an eighth, as HyStart does."""

    threshold = float("inf")
    most = 0.0
    epoch: float | None = None

    def on_acknowledged(self, now: float, round_trip: float, rate: float, delivered: int) -> None:
        if self.window < self.threshold:
            self.window += 1
            if self.window > 16 and round_trip > self.minimum + max(min(self.minimum / 8, 0.016), 0.004):
                self.threshold = self.window
            return
        if self.epoch is None:
            self.epoch = now
            self.most = max(self.most, self.window)
            self.origin = ((self.most - self.window) / 0.4) ** (1 / 3)
            self.reno = self.window
        self.reno += 3 * 0.3 / 1.7 / self.window
        target = 0.4 * (now - self.epoch + self.minimum - self.origin) ** 3 + self.most
        target = min(max(target, self.window), 1.5 * self.window)
        self.window = max(self.window + (target - self.window) / self.window, self.reno)

    def on_loss(self, now: float) -> None:
        self.most = self.window if self.window >= self.most else self.window * 0.85
        self.window = self.threshold = max(self.window * 0.7, 2.0)
        self.epoch = None


class TcpBbr(TcpFlow):
    """BBR version 1 (draft-cardwell-iccrg-bbr-congestion-control-00): paced, blind to loss."""

    GAINS = (1.25, 0.75, 1, 1, 1, 1, 1, 1)
    gain = 2.885
    state = "startup"
    round_ends = 0
    round_count = 0
    full = 0.0
    full_rounds = 0
    phase = 0
    phase_since = 0.0
    minimum_at = 0.0
    probe_until = 0.0
    next_send = 0.0
    sending = False
    excess_since = 0.0
    excess_packets = 0
    excess_round = 0
    lost_before = 0
    recovering = False
    repaired_until = -1
    conserving_until = -1
    prior = 0.0

    def start(self) -> None:
        self.rates: deque[tuple[int, float]] = deque()
        self.excess = [0.0, 0.0]
        self.estimate = float("inf")
        self.minimum_at = self.network.now
        super().start()

    @property
    def rate(self) -> float:
        return max((rate for _, rate in self.rates), default=0.0)

    def push(self) -> None:
        if not self.sending:
            self.sending = True
            self.network.at(max(self.next_send, self.network.now), self._send_pair)

    def _send_pair(self) -> None:
        """Two packets back to back, as `bbr_min_tso_segs` of Linux has it above 1.2 Mbit/s."""
        self.sending = False
        packets = min(2, int(self.window) - len(self.in_flight))
        if packets <= 0:
            return
        for _ in range(packets):
            self.transmit()
        rate = self.rate
        if rate:
            self.next_send = max(self.next_send, self.network.now - 0.001) + packets / (rate * self.gain * 0.99)
        self.push()

    def on_acknowledged(self, now: float, round_trip: float, rate: float, delivered: int) -> None:
        if round_trip <= self.estimate:
            self.estimate, self.minimum_at = round_trip, now
        if delivered >= self.round_ends:
            self.round_ends = self.delivered
            self.round_count += 1
            self._round_ended()
        self.rates.append((self.round_count, rate))
        best = self.rate
        self.rates = deque(
            (at, value) for at, value in self._thinned() if at > self.round_count - 10 and (value >= best * 0.5)
        )
        product = best * self.estimate
        self._move_on(now, product)
        self._learn_excess(now, best)
        self._set_window(product)

    def _learn_excess(self, now: float, rate: float) -> None:
        """Packets acknowledged beyond the rate, the most of five to ten rounds, no more than 0.1 s of the rate."""
        expected = rate * (now - self.excess_since)
        if self.excess_packets <= expected:
            self.excess_packets, self.excess_since, expected = 0, now, 0.0
        self.excess_packets += 1
        if self.round_count >= self.excess_round + 5:
            self.excess = [0.0, self.excess[0]]
            self.excess_round = self.round_count
        self.excess[0] = max(self.excess[0], min(self.excess_packets - expected, self.window))

    def _set_window(self, product: float) -> None:
        """As `bbr_set_cwnd` of Linux 6: some packets more than the products, and fewer in recovery from loss."""
        rate = self.rate
        gain = 2.885 if self.state in {"startup", "drain"} else 2.0
        target = gain * product + 3 * max(2.0, int(rate / 1000))
        if self.state != "startup":
            target += min(max(self.excess), 0.1 * rate)
        target = 2 * math.ceil(target / 2) + (2 if self.state == "probe" and self.phase == 0 else 0)
        losses, self.lost_before = self.lost - self.lost_before, self.lost
        self.window = max(self.window - losses, 1)
        if self.recovering and self.newest > self.repaired_until:
            self.recovering = False
            self.window = max(self.window, self.prior)
            self.conserving_until = -1
        if self.round_count <= self.conserving_until:
            self.window = max(self.window, len(self.in_flight) + 1)
        elif self.state == "startup":
            self.window = max(self.window + (self.window < target or self.delivered < 10), 4)
        else:
            self.window = max(min(self.window + 1, target), 4)
        if self.state == "probe round trip":
            self.window = min(self.window, 4)

    def _thinned(self) -> list[tuple[int, float]]:
        """One value a round."""
        best: dict[int, float] = {}
        for at, value in self.rates:
            best[at] = max(best.get(at, 0.0), value)
        return list(best.items())

    def _round_ended(self) -> None:
        if self.state != "startup":
            return
        if self.rate > self.full * 1.25:
            self.full, self.full_rounds = self.rate, 0
            return
        self.full_rounds += 1
        if self.full_rounds >= 3:
            self.state, self.gain = "drain", 1 / 2.885

    def _move_on(self, now: float, product: float) -> None:
        flight = len(self.in_flight)
        if self.state == "drain" and flight <= product:
            self.state, self.phase, self.phase_since = "probe", self.network.random.randrange(2, 8), now
        if self.state == "probe":
            elapsed = now - self.phase_since
            if elapsed > self.estimate and (self.phase != 0 or flight >= 1.25 * product or elapsed > 3 * self.estimate):
                self.phase, self.phase_since = (self.phase + 1) % 8, now
            self.gain = self.GAINS[self.phase]
        if self.state not in {"probe round trip", "startup"} and now - self.minimum_at > 10:
            self.state, self.gain, self.probe_until = "probe round trip", 1, 0.0
        elif self.state == "probe round trip":
            if not self.probe_until and flight <= 5:
                self.probe_until = now + 0.2
                self.estimate = float("inf")
            elif self.probe_until and now > self.probe_until and self.estimate < float("inf"):
                self.state, self.phase, self.phase_since = "probe", 2, now
                self.minimum_at = now

    def _lost(self, number: int, now: float) -> None:
        """Recovery ends when what was sent again has arrived; no other one begins before."""
        if self.recovering:
            if number <= self.recovery_until:
                self.repaired_until = self.next_number - 1
        else:
            self.recovery_until = self.repaired_until = self.next_number - 1
            self.on_loss(now)

    def on_loss(self, now: float) -> None:
        self.prior = max(self.window, self.prior) if self.state == "probe round trip" else self.window
        self.recovering = True
        self.conserving_until = self.round_count
        self.round_ends = self.delivered
        self.window = len(self.in_flight) + 1
