"""What the transport's bookkeeping costs: microseconds of CPU a datagram, sender and receiver, without any bytes.

python -m bench.transport_bookkeeping
"""

from __future__ import annotations

from collections import deque
from random import Random
from time import perf_counter

from bittrrt.link.burst import Burst
from bittrrt.link.model import Model
from bittrrt.link.path_mtu import PathMtu
from bittrrt.link.receiver import Receiver
from bittrrt.link.replay import ReplayFilter
from bittrrt.link.round_trip import RoundTrip
from bittrrt.link.sender import Sender
from bittrrt.wire.acknowledgement import pack_acknowledgement, parse_acknowledgement_untrusted

BURSTS = 20_000
STEP = 0.0002  # seconds of simulated time from one burst to the next: 300 MB/s
LATENCY = 0.01  # seconds from sending to arrival
SIZE = 10**13  # bytes; never reached


def measure(loss: float) -> tuple[float, float, float]:
    """Microseconds a datagram of the sender and of the receiver, and datagrams in an acknowledgement."""
    random, now = Random(1), 0.0
    round_trip = RoundTrip()
    round_trip.add(0.01, now)
    model = Model(now, round_trip=round_trip, random=random)
    sender = Sender(now, congestion=model, round_trip=round_trip, path_mtu=PathMtu(now, fixed=1452), credit=SIZE)
    sender.open_channel(1, now, credit=SIZE).supply(SIZE)
    received = ReplayFilter().received
    receiver = Receiver(received, window=SIZE)
    receiver.open_channel(1, window=SIZE)
    sequence = acknowledgements = datagrams = 0
    sending = receiving = 0.0
    flight: deque[tuple[float, int, Burst]] = deque()
    for _ in range(BURSTS):
        now += STEP
        started = perf_counter()
        burst = sender.next_burst(now)
        if burst is not None:
            sender.burst_sent(burst, sequence, now)
            sending += perf_counter() - started
            flight.append((now, sequence, burst))
            sequence += burst.datagrams
            datagrams += burst.datagrams
        if not flight or flight[0][0] > now - LATENCY:
            sender.on_timeout(now)
            continue
        _, first, burst = flight.popleft()
        offset, length, count = burst.offset, burst.length, burst.datagrams
        lost = random.randrange(count) if random.random() < loss * count else None
        runs = [(0, count)] if lost is None else [(0, lost), (lost + 1, count)]
        for begin, end in runs:
            if begin < end:
                received.add_span(first + begin, first + end - 1)
                at, until = offset + begin * burst.chunk_size, min(offset + end * burst.chunk_size, offset + length)
                started = perf_counter()
                receiver.data_received(1, at, max(until - at, 0), now)
                receiving += perf_counter() - started
        received.forget_spans_below(first - 8192)
        started = perf_counter()
        acknowledgement = receiver.acknowledgement(now)
        payload = pack_acknowledgement(acknowledgement) if acknowledgement else b""
        receiving += perf_counter() - started
        if payload:
            acknowledgements += 1
            started = perf_counter()
            parsed = parse_acknowledgement_untrusted(payload)
            sender.acknowledged(parsed, now, sequences_used=sequence)
            sending += perf_counter() - started
    return sending / datagrams * 1e6, receiving / datagrams * 1e6, datagrams / max(acknowledgements, 1)


def main() -> None:
    print("loss   sender us/datagram   receiver us/datagram   datagrams/acknowledgement")
    for loss in (0.0, 0.01, 0.05):
        sender, receiver, each = measure(loss)
        print(f"{loss:4.0%} {sender:20.3f} {receiver:22.3f} {each:27.1f}")


if __name__ == "__main__":
    main()
