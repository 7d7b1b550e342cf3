"""The fast port: Twisted's UDP port, by the burst instead of by the datagram.

    write_batch([d1 .. d45])                                               reads_received(buffer, reads, address)
          |                                                                                ^
    one buffer, d1 d2 .. d45, all of one size but the last               one buffer, a slot a read: see `read_turn`
          |                                                                                |
    sendmsg, UDP_SEGMENT = size  ->  one walk through both kernels  ->   recvmmsg, UDP_GRO = size

One system call sends up to 64 datagrams and 65,487 bytes, and one takes 64 such reads; bench/port_speed.py prints what
that gains. It is Linux's; everywhere else, and wherever the kernel says no, every datagram has a call of its own, and
nothing else changes.

A port starts lean, for heartbeats: no buffer, one read an event. `prepare_for_bulk` makes it one for data.

What the network or the kernel does to a datagram is never an exception, only a number in `LinkPort.counters`: a
datagram that cannot be sent is a lost one, and losses are the sender's daily work. The socket is never connected and
never asked for errors (IP_RECVERR): either way one ICMP message, which anybody can forge, would close the port.
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from twisted.internet import base, udp
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.protocol import AbstractDatagramProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..link.full_burst import MAX_BATCH, MAX_SEGMENTS
from ..link.pacer import TICK
from ..link.read_buffer import MAX_READ, SLOTS, ReadBuffer, Reads
from .read_turn import SO_RXQ_OVFL, UDP_GRO, SocketAddress, Turn, TurnReader, reader_of

Buffer: TypeAlias = bytes | bytearray | memoryview

MAX_KEPT: Final = 2  # batches; more of them in waiting would only age

RECEIVE_BUFFER: Final = 4 * 1024 * 1024  # 40 ms at 100 MB/s: as long as a disk may hold the reactor up
SEND_BUFFER: Final = 256 * 1024  # Linux gives twice that; a larger one hides drops behind a long queue of our own

BYTES_A_TURN: Final = 256 * 1024  # of a port prepared for bulk, going by the largest read of its last turn
LEAST_READS: Final = 4  # a turn
FIRST_READS: Final = 8  # of the first turn
SEVERAL: Final = 4  # reads of a turn from which on more are awaited
WORTH_A_WAIT: Final = 48  # reads of a turn that was awaited: with fewer, 500 Mbit/s, nobody is short of time
HASTY_TURNS: Final = 64  # that follow one which was not worth its wait, until the next wait
ROOMY: Final = 4 * 1024 * 1024  # bytes as the kernel tells them: enough for 10 ms at 1 Gbit/s, should a tick come late

# Linux's numbers, from its uapi headers: Python's socket module does not name them.
_UDP_SEGMENT: Final = 103
_IP_MTU_DISCOVER: Final = 10
_IPV6_MTU_DISCOVER: Final = 23
_PMTUDISC_PROBE: Final = 3  # of both

_SEGMENT_SIZE: Final = struct.Struct("=H")

_log = Logger()


@dataclass(slots=True)
class PortCounters:
    """What the kernel gave a port, and what went wrong below it."""

    unsent: dict[str, int] = field(default_factory=dict)
    """Datagrams that were not sent, by the name of the kernel's error, such as `ENOBUFS`."""
    unread: dict[str, int] = field(default_factory=dict)
    """Reads that failed, by the name of the kernel's error."""
    overflowed: int = 0
    """Datagrams that the kernel dropped, its receive buffer being full. Bulk ports on Linux know, as they read on."""
    receive_buffer: int = 0
    """Bytes, as the kernel tells them: Linux tells twice what it was asked for. 0: not asked, the kernel's default."""
    send_buffer: int = 0
    """The same, of the send buffer."""

    def count_unsent(self, error: OSError, datagrams: int) -> None:
        """That many datagrams were lost to `error`."""
        name = _name_of(error)
        self.unsent[name] = self.unsent.get(name, 0) + datagrams

    def count_unread(self, error: OSError) -> None:
        """A read failed with `error`."""
        name = _name_of(error)
        self.unread[name] = self.unread.get(name, 0) + 1


class LinkPort(udp.Port):
    """A UDP port that reads and writes bursts. Start it with `startListening`.

    Its protocol gets `burst_received(datagrams: list[bytes], address: SocketAddress)` if it has a method of that name:
    datagrams of one address, at least one, in the order of their arrival, of any sizes. If not, it gets
    `datagramReceived(datagram, address)` for each. A port prepared for bulk calls
    `reads_received(buffer: ReadBuffer, reads: Reads, address: SocketAddress)` instead, if it has that: what the buffer
    holds is good until it returns. What it raises is logged, and the port goes on.
    Unlike Twisted's own, this port logs neither its start nor its end: a server has 15,000 of them. (The protocol's
    `noisy = False` sees to the rest.)
    """

    offload = sys.platform == "linux"
    """Whether to ask the kernel for segmentation, coalescing and the count of its drops; False: plain datagrams."""

    def __init__(
        self,
        port: int,
        protocol: AbstractDatagramProtocol,
        interface: str = "",
        reactor: IReactorFDSet | None = None,
    ) -> None:
        super().__init__(port, protocol, interface, MAX_READ, reactor)  # type: ignore[no-untyped-call]
        self.counters = PortCounters()
        self._takes_bursts = hasattr(protocol, "burst_received")
        self._takes_reads = hasattr(protocol, "reads_received")
        self._reader: TurnReader | None = None  # of a port prepared for bulk
        self._most = FIRST_READS  # reads of its next turn
        self._awaiting: Any = None  # the call that ends a wait for more, until the turn that was awaited
        self._hasty_turns = 0  # that are still to come without a wait
        self.coalescing = False
        """Whether the kernel joins datagrams of one peer before they are read."""
        self.segmenting = self.offload
        """Whether the kernel is still asked to cut batches; one refusal ends it for this socket."""
        self._kept: list[tuple[bytes, int, SocketAddress]] = []  # a deque of its own would take 760 bytes a port

    # --- opening and closing -----------------------------------------------------------------------------------------

    def startListening(self) -> None:
        """Bind, and read from now on. Raises Twisted's `CannotListenError` for what cannot be bound to."""
        try:
            self.socket = self._bound_socket()
        except OSError as error:
            raise CannotListenError(self.interface, self.port, error) from error  # type: ignore[no-untyped-call]
        self.fileno = self.socket.fileno  # type: ignore[method-assign]  # as Twisted's own does
        self._realPortNumber = self.socket.getsockname()[1]
        self.connected = 1  # Twisted's word for listening
        self.disconnecting = False
        self.protocol.makeConnection(self)
        self.startReading()  # type: ignore[no-untyped-call]

    def _bound_socket(self) -> socket.socket:
        address: Any = (self.interface, self.port)
        if "%" in self.interface:  # bind() would forget the scope of a link-local address
            address = socket.getaddrinfo(self.interface, self.port, flags=socket.AI_NUMERICHOST)[0][4]
        opened = self.createInternetSocket()
        try:
            opened.bind(address)
        except OSError:
            opened.close()
            raise
        return opened

    def prepare_for_bulk(self) -> None:
        """Make this port, which listens, one that carries data: large buffers, coalesced reads, more reads an event."""
        self._reader = self.make_reader()
        self._ask_for_buffer(socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._ask_for_buffer(socket.SO_SNDBUF, SEND_BUFFER)
        self.counters.receive_buffer = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        self.counters.send_buffer = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        if self.offload:
            self._set(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
            self.coalescing = self._reader.joined and self._set(socket.IPPROTO_UDP, UDP_GRO, 1)

    def make_reader(self) -> TurnReader:
        """What reads this port's socket from `prepare_for_bulk` on."""
        return reader_of(self.addressFamily)

    def probe_path_mtu(self) -> bool:
        """Send datagrams as large as they are, never in fragments, so that RFC 8899 can probe; False: it cannot be had.

        What is larger than the interface's own MTU is then lost as EMSGSIZE.
        """
        if not self.offload:
            return False
        took = self._set(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_PROBE)
        if self.addressFamily == socket.AF_INET6:  # what went before is for the IPv4 peers of a port on `::`
            took = self._set(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE)
        return took

    def _set(self, level: int, option: int, value: int) -> bool:
        """Whether the kernel took the option."""
        try:
            self.socket.setsockopt(level, option, value)
        except OSError:
            return False
        return True

    def _ask_for_buffer(self, option: int, size: int) -> None:
        """Linux gives what it may of `size`; BSD gives all or nothing, so ask for less until there is something."""
        while size >= 64 * 1024 and not self._set(socket.SOL_SOCKET, option, size):
            size //= 2

    def connect(self, host: str, port: int) -> None:
        """Refused with RuntimeError: on a connected socket one ICMP message, which may be forged, ends the port."""
        raise RuntimeError(f"a LinkPort is never connected, not to {host} port {port} either")

    def stopListening(self) -> Deferred[None] | None:
        """Stop reading, and drop what was kept. The Deferred fires when the socket is closed; None if it is already."""
        if not self.disconnecting:  # a second call of Twisted's own would leave the first one's Deferred behind
            self.disconnecting = True
            self._kept.clear()
            self._await_nothing()
            super().stopListening()  # type: ignore[no-untyped-call]
        return getattr(self, "d", None)

    def connectionLost(self, reason: Failure | None = None) -> None:
        """The reactor's call: close the socket. As Twisted's own, less its line in the log."""
        self._kept.clear()
        self._await_nothing()
        self._realPortNumber = None
        base.BasePort.connectionLost(self, reason)  # type: ignore[no-untyped-call]
        try:
            self.protocol.doStop()
        finally:
            self.socket.close()
            del self.socket, self.fileno
            if hasattr(self, "d"):
                stopped = self.d
                del self.d
                stopped.callback(None)

    # --- reading -----------------------------------------------------------------------------------------------------

    def doRead(self) -> None:
        """The reactor's call: there is something to read. Takes a bounded part of it; the reactor calls again.

        A lean port reads one datagram. A bulk port reads a turn: it shares that, and the reactor's 4.4 us an event,
        among all that had come.
        """
        try:
            if self._reader is None:
                datagram, address = self.socket.recvfrom(MAX_READ)
                self._hand_on([datagram], address)
            else:
                self._take(self._reader, self._reader.read(self.socket, self._most))
        except BlockingIOError:
            pass
        except OSError as error:  # ECONNREFUSED and its like, where a system tells them unasked
            self.counters.count_unread(error)

    def _take(self, reader: TurnReader, turn: Turn) -> None:
        """Hand on what one turn brought."""
        if reader.overflowed is not None:
            self.counters.overflowed = reader.overflowed
        lengths = [length for _, reads in turn for length in reads.lengths]
        if self._awaiting is not None:
            self._awaiting = None
            self._hasty_turns = HASTY_TURNS if len(lengths) < WORTH_A_WAIT else 0
        for address, reads in turn:
            self._hand_on_reads(reader.buffer, reads, address)
            if self.disconnecting:
                return
        if self._hasty_turns:
            self._hasty_turns -= 1
        elif SEVERAL <= len(lengths) < self._most and self.counters.receive_buffer >= ROOMY:
            self._await_more()
        self._most = min(max(BYTES_A_TURN // max(*lengths, 1), LEAST_READS), SLOTS)

    def _await_more(self) -> None:
        """Read nothing for a tick: several came one by one, and nothing is left, so more are on their way.

        They then share a turn. At 1 Gbit/s, where nothing joins them, they came in fours, and that saves a third of
        what receiving costs.
        """
        self.stopReading()  # type: ignore[no-untyped-call]
        reactor: Any = self.reactor
        self._awaiting = reactor.callLater(TICK, self.startReading)

    def _await_nothing(self) -> None:
        awaiting, self._awaiting = self._awaiting, None
        if awaiting is not None and awaiting.active():
            awaiting.cancel()

    def _hand_on_reads(self, buffer: ReadBuffer, reads: Reads, source: SocketAddress) -> None:
        if not self._takes_reads:
            self._hand_on(buffer.all_datagrams(reads), source)
            return
        try:
            self.protocol.reads_received(buffer, reads, source)
        except BaseException:  # the reactor would drop the port
            _log.failure("{protocol} failed at a burst", protocol=self.protocol)

    def _hand_on(self, burst: list[bytes], source: SocketAddress) -> None:
        if self._takes_bursts:
            try:
                self.protocol.burst_received(burst, source)
            except BaseException:  # the reactor would drop the port
                _log.failure("{protocol} failed at a burst", protocol=self.protocol)
            return
        for datagram in burst:
            if self.disconnecting:
                return
            try:
                self.protocol.datagramReceived(datagram, source)
            except BaseException:  # the reactor would drop the port
                _log.failure("{protocol} failed at a datagram", protocol=self.protocol)

    # --- writing -----------------------------------------------------------------------------------------------------

    def write(self, datagram: bytes, addr: SocketAddress) -> bool:  # type: ignore[override]
        """Send one datagram, ahead of the batches that are kept. False: it is lost, and counted.

        `addr` is one that a socket gave. A host's name would be looked up on the spot, with the reactor waiting.
        """
        if not self.connected:  # a late timer of a session that has ended
            self.counters.count_unsent(_NOT_LISTENING, 1)
            return False
        try:
            self.socket.sendto(datagram, addr)
        except OSError as error:
            self.counters.count_unsent(error, 1)
            return False
        return True

    @property
    def can_write_batch(self) -> bool:
        """Whether a batch would be taken now."""
        return len(self._kept) < MAX_KEPT

    def write_batch(self, segments: Sequence[bytes], addr: SocketAddress) -> bool:
        """Send 1 to 64 datagrams, 65,487 bytes in all, all of one size but the last, which may be shorter.

        False: refused, as two batches wait already for the kernel's buffer; try again later. True: sent, or kept until
        the kernel has room, or lost as the network loses, and then counted. Raises `ValueError` for other sizes.
        """
        payload = b"".join(segments)
        segment_size = len(segments[0]) if segments else 0
        if not segment_size * (len(segments) - 1) < len(payload) <= segment_size * len(segments):
            raise ValueError(f"no batch: {len(payload)} bytes in {len(segments)} segments, the first of {segment_size}")
        return self.write_segments(payload, segment_size, addr)

    def write_segments(self, payload: Buffer, segment_size: int, addr: SocketAddress) -> bool:
        """`write_batch` of one `payload` that is cut every `segment_size` bytes. The caller may reuse it at once."""
        if not 0 < len(payload) <= min(MAX_BATCH, MAX_SEGMENTS * segment_size):
            raise ValueError(f"no batch: {len(payload)} bytes in segments of {segment_size}")
        if not self.connected:
            self.counters.count_unsent(_NOT_LISTENING, -(-len(payload) // segment_size))
            return True
        if len(self._kept) >= MAX_KEPT:
            return False
        rest = payload if self._kept else self._send(payload, segment_size, addr)
        if rest:
            self._kept.append((bytes(rest), segment_size, addr))
            self.startWriting()  # type: ignore[no-untyped-call]
        return True

    def doWrite(self) -> None:
        """The reactor's call: the kernel has room again. Sends what was kept, in its order."""
        while self._kept:
            payload, segment_size, addr = self._kept[0]
            rest = self._send(payload, segment_size, addr)
            if rest:
                self._kept[0] = (bytes(rest), segment_size, addr)
                return
            del self._kept[0]
        self.stopWriting()  # type: ignore[no-untyped-call]

    def _send(self, payload: Buffer, segment_size: int, addr: SocketAddress) -> Buffer:
        """Send a batch in one call if that can be. Returns what the kernel has no room for yet."""
        if not self.segmenting or len(payload) <= segment_size:
            return self._send_one_by_one(payload, segment_size, addr)
        control = (socket.IPPROTO_UDP, _UDP_SEGMENT, _SEGMENT_SIZE.pack(segment_size))
        try:
            self.socket.sendmsg((payload,), (control,), 0, addr)
        except BlockingIOError:
            return payload
        except OSError as error:
            if error.errno not in (errno.EIO, errno.EINVAL):
                self.counters.count_unsent(error, -(-len(payload) // segment_size))
                return b""
            # Either no segmentation here, or segments that pass nowhere: too long for the interface, a bad address.
            lost_before = sum(self.counters.unsent.values())
            rest = self._send_one_by_one(payload, segment_size, addr)
            self.segmenting = sum(self.counters.unsent.values()) > lost_before
            return rest
        return b""

    def _send_one_by_one(self, payload: Buffer, segment_size: int, addr: SocketAddress) -> Buffer:
        for at in range(0, len(payload), segment_size):
            try:
                self.socket.sendto(payload[at : at + segment_size], addr)
            except BlockingIOError:
                return payload[at:]
            except OSError as error:
                self.counters.count_unsent(error, 1)
        return b""


_NOT_LISTENING: Final = OSError(errno.ENOTCONN, "the port does not listen")


def _name_of(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, type(error).__name__)
