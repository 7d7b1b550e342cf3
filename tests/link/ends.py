"""Two ends of a session over a network in memory: what the shell in `net/` does around the core, without a socket.

A checksum stands for the encryption: what was damaged on the way is dropped before anything of it is believed.
"""

from __future__ import annotations

import struct
from random import Random
from zlib import crc32

from bittrrt.link.burst import Burst
from bittrrt.link.congestion import Congestion
from bittrrt.link.cubic import Cubic
from bittrrt.link.model import Model
from bittrrt.link.pacer import WRITES_A_TURN, Pacer
from bittrrt.link.path_mtu import PathMtu
from bittrrt.link.receiver import WINDOW, Receiver
from bittrrt.link.replay import ReplayFilter
from bittrrt.link.round_trip import RoundTrip
from bittrrt.link.sender import Sender
from bittrrt.wire.acknowledgement import pack_acknowledgement, parse_acknowledgement_untrusted
from bittrrt.wire.datagram import OVERHEAD
from tests.network import Network, Path

IP_UDP = 28  # bytes
_HEAD = struct.Struct(">BIQQI")  # kind, channel, sequence, offset, length
DATA, ACKNOWLEDGEMENT, HEARTBEAT, ECHO = range(4)


def congestion_named(name: str, now: float, round_trip: RoundTrip, random: Random) -> Congestion:
    return Cubic(round_trip=round_trip) if name == "cubic" else Model(now, round_trip=round_trip, random=random)


class Stored:
    """What one channel of the receiving end wrote: the bytes, and how often each."""

    def __init__(self, size: int, keep: bool) -> None:
        self.data = bytearray(size if keep else 0)
        self.times_written = bytearray(size if keep else 0)
        self.written = 0

    def write(self, first: int, payload: bytes) -> None:
        self.data[first : first + len(payload)] = payload
        for at in range(first, first + len(payload)):
            self.times_written[at] += 1


class End:
    """One end. Give each the other's `arrive` by `connect`."""

    def __init__(
        self,
        network: Network,
        out: Path,
        *,
        congestion: str = "model",
        datagram_size: int = 1452,
        window: int = WINDOW,
        heartbeat: float = 0.0,
        disk_rate: float = 0.0,
    ) -> None:
        self.network = network
        self.out = out
        self.random = Random(network.random.random())
        self.round_trip = RoundTrip()
        self.path_mtu = PathMtu(network.now, fixed=datagram_size)
        self.window = window
        self.sender: Sender
        self._congestion = congestion
        self.filter = ReplayFilter()
        self.receiver = Receiver(self.filter.received, window=window)
        self.sequence = 0
        self.sources: dict[int, bytes] = {}
        self.stored: dict[int, Stored] = {}
        self.dropped_damaged = 0
        self.dropped_repeated = 0
        self.acknowledgements = 0
        self.heartbeats: list[tuple[float, float]] = []
        self.payload_sent = 0
        self.least_in_flight = 0
        self.credit_exceeded = 0
        self._disk_free_at = 0.0
        self.disk_rate = disk_rate
        self._heartbeat = heartbeat
        self._inbox: list[tuple[int, int, int, int, int, bytes]] = []
        self._reading = False
        self._wake_at = float("inf")
        self._peer: End

    def connect(self, peer: End, round_trip: float | None = None) -> None:
        """`round_trip`: what heartbeats measured before, seconds."""
        self._peer = peer
        if round_trip is not None:
            self.round_trip.add(round_trip, self.network.now)
        now = self.network.now
        self.sender = Sender(
            now,
            congestion=congestion_named(self._congestion, now, self.round_trip, self.random),
            round_trip=self.round_trip,
            path_mtu=self.path_mtu,
            credit=peer.window,
        )
        if self._heartbeat:
            self._send_heartbeat()

    def send(self, channel: int, source: bytes | int, *, urgent: bool = False, limit: float | None = None) -> None:
        """Begin to send `source`, or so many bytes that are only counted."""
        size = source if isinstance(source, int) else len(source)
        if not isinstance(source, int):
            self.sources[channel] = source
        self._peer.receiver.open_channel(channel, size=size, window=self._peer.window)
        self._peer.stored[channel] = Stored(size, not isinstance(source, int))
        now = self.network.now
        pacer = None if limit is None else Pacer(limit, now)
        opened = self.sender.open_channel(channel, now, credit=self._peer.window, urgent=urgent, limit=pacer)
        opened.supply(size, finished=True)
        self.pump()

    @property
    def done(self) -> bool:
        return all(channel.done for channel in self.sender.channels.values())

    # --- sending -----------------------------------------------------------------------------------------------------

    def pump(self) -> None:
        now = self.network.now
        self.sender.on_timeout(now)
        writes = 0
        while writes < WRITES_A_TURN:
            burst = self.sender.next_burst(now)
            if burst is None:
                break
            self._write(burst)
            writes += burst.writes
        self.least_in_flight = min(self.least_in_flight, self.sender.in_flight)
        acknowledgement = self.receiver.acknowledgement(now)
        if acknowledgement is not None:
            self.acknowledgements += 1
            self._datagram(ACKNOWLEDGEMENT, 0, 0, pack_acknowledgement(acknowledgement))
        self._arm(again=writes >= WRITES_A_TURN)

    def _write(self, burst: Burst) -> None:
        source = self.sources.get(burst.channel)
        first_sequence = self.sequence
        end = burst.offset + burst.length
        for at in range(burst.offset, max(end, burst.offset + 1), burst.chunk_size):
            length = min(burst.chunk_size, end - at)
            payload = source[at : at + length] if source is not None else b""
            self._datagram(DATA, burst.channel, at, payload, length)
        self.payload_sent += burst.length
        if end > self.sender.channels[burst.channel].credit or self.sender.fresh_sent > self.sender.credit:
            self.credit_exceeded += 1
        self.sender.burst_sent(burst, first_sequence, self.network.now)

    def _datagram(self, kind: int, channel: int, offset: int, payload: bytes, length: int | None = None) -> None:
        length = len(payload) if length is None else length
        datagram = _HEAD.pack(kind, channel, self.sequence, offset, length) + payload
        self.sequence += 1
        datagram += crc32(datagram).to_bytes(4, "big")
        self.out.send(datagram, length + OVERHEAD + IP_UDP, self._peer.arrive)

    def _send_heartbeat(self) -> None:
        self._datagram(HEARTBEAT, 0, int(self.network.now * 1e9), bytes(40))
        self.network.at(self.network.now + self._heartbeat, self._send_heartbeat)

    def _arm(self, again: bool) -> None:
        times = [time for time in (self.sender.next_timeout(), self.receiver.next_timeout()) if time is not None]
        if not times:
            return
        now = self.network.now
        wait = max(min(times) - now, 0.0)
        if again and wait == 0:
            wake = now + 0.00005
        else:  # a timer rings up to 0.3 ms late, and after 5 ms now and then
            late = 0.004 if self.random.random() < 0.002 else 0.0
            wake = now + max(wait, 0.001) + self.random.uniform(0.1, 0.3) / 1000 + late
        if wake < self._wake_at or self._wake_at <= now:
            self._wake_at = wake
            self.network.at(wake, self._wake, wake)

    def _wake(self, wake: float) -> None:
        if wake == self._wake_at:
            self._wake_at = float("inf")
            self.pump()

    # --- receiving ---------------------------------------------------------------------------------------------------

    def arrive(self, datagram: bytes) -> None:
        if len(datagram) < _HEAD.size + 4 or crc32(datagram[:-4]) != int.from_bytes(datagram[-4:], "big"):
            self.dropped_damaged += 1
            return
        kind, channel, sequence, offset, length = _HEAD.unpack_from(datagram)
        if not self.filter.accept(sequence):
            self.dropped_repeated += 1
            return
        self._inbox.append((kind, channel, sequence, offset, length, datagram[_HEAD.size : -4]))
        if not self._reading:
            self._reading = True
            self.network.at(self.network.now + 0.0001, self._read)

    def _read(self) -> None:
        """One read turn: runs of datagrams that follow one another are taken together."""
        self._reading = False
        inbox, self._inbox = self._inbox, []
        at, count = 0, len(inbox)
        while at < count:
            kind, channel, sequence, offset, length, payload = inbox[at]
            at += 1
            if kind == DATA:
                begin = at - 1
                while at < count and inbox[at][:4] == (DATA, channel, sequence + at - begin, offset + length):
                    length += inbox[at][4]
                    at += 1
                self._data(channel, offset, length, [item[5] for item in inbox[begin:at]])
            elif kind == ACKNOWLEDGEMENT:
                acknowledgement = parse_acknowledgement_untrusted(payload)
                self.sender.acknowledged(acknowledgement, self.network.now, sequences_used=self.sequence)
            elif kind == HEARTBEAT:
                self._datagram(ECHO, 0, offset, bytes(40))
            else:
                self.heartbeats.append((self.network.now, self.network.now - offset / 1e9))
        self.pump()

    def _data(self, channel: int, offset: int, length: int, payloads: list[bytes]) -> None:
        new = self.receiver.data_received(channel, offset, length, self.network.now)
        stored = self.stored[channel]
        for first, last in new:
            stored.written += last - first + 1
            if stored.data:
                stored.write(first, b"".join(payloads)[first - offset : last + 1 - offset])
            self._consume(channel, last - first + 1)

    def _consume(self, channel: int, count: int) -> None:
        if not self.disk_rate:
            self.receiver.consumed(channel, count)
            return
        self._disk_free_at = max(self._disk_free_at, self.network.now) + count / self.disk_rate
        self.network.at(self._disk_free_at, self._consumed, channel, count)

    def _consumed(self, channel: int, count: int) -> None:
        self.receiver.consumed(channel, count)
        self.pump()
