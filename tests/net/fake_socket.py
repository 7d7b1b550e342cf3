"""A port on a socket whose kernel does as it is told, and protocols that keep what they get."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable
from typing import Any

from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.link.read_buffer import ReadBuffer, Reads
from bittrrt.net.port import LinkPort
from bittrrt.net.read_turn import SocketAddress, TurnReader

UDP_SEGMENT, UDP_GRO, SO_RXQ_OVFL = 103, 104, 40
PEER = ("192.0.2.1", 6712)
OTHER = ("192.0.2.2", 6712)


class FakeReactor(Clock):
    """A clock that remembers who wants to read and to write."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[object] = set()
        self.writers: set[object] = set()

    def addReader(self, reader: object) -> None:
        self.readers.add(reader)

    def removeReader(self, reader: object) -> None:
        self.readers.discard(reader)

    def addWriter(self, writer: object) -> None:
        self.writers.add(writer)

    def removeWriter(self, writer: object) -> None:
        self.writers.discard(writer)


class FakeSocket:
    """A socket whose kernel does as it is told."""

    def __init__(self) -> None:
        self.arrived: list[tuple[bytes, Any] | OSError] = []
        self.sent: list[tuple[bytes, int]] = []
        """What went out, and the segment size it was to be cut to; 0: a plain datagram."""
        self.send_errors: list[int] = []
        """Error numbers that the next sends end with; 0: that one passes."""
        self.segment_error = 0
        """The error number of every send with segmentation."""
        self.options: dict[tuple[int, int], int] = {}
        self.refused_options: set[tuple[int, int]] = set()
        self.largest_option = 2**31
        self.reads = 0
        self.closed = False

    def bind(self, address: Any) -> None: ...

    def getsockname(self) -> tuple[str, int]:
        return ("127.0.0.1", 40_000)

    def fileno(self) -> int:
        return 7

    def close(self) -> None:
        self.closed = True

    def setsockopt(self, level: int, option: int, value: int) -> None:
        if (level, option) in self.refused_options:
            raise OSError(errno.ENOPROTOOPT, "no such option")
        if value > self.largest_option:
            raise OSError(errno.ENOBUFS, "too large")
        self.options[level, option] = value

    def getsockopt(self, level: int, option: int) -> int:
        return self.options.get((level, option), 212_992)

    def _next(self) -> tuple[bytes, Any]:
        self.reads += 1
        if not self.arrived:
            raise BlockingIOError(errno.EAGAIN, "nothing")
        first = self.arrived.pop(0)
        if isinstance(first, OSError):
            raise first
        return first

    def recvfrom(self, size: int) -> tuple[bytes, Any]:
        data, address = self._next()
        return data[:size], address

    def recvfrom_into(self, buffer: memoryview) -> tuple[int, Any]:
        data, address = self._next()
        buffer[: len(data)] = data
        return len(data), address

    def _send(self, data: bytes, size: int) -> int:
        number = self.send_errors.pop(0) if self.send_errors else 0
        if size and self.segment_error:
            number = self.segment_error
        if number:
            raise OSError(number, "as told")
        self.sent.append((bytes(data), size))
        return len(data)

    def sendto(self, data: bytes, address: Any) -> int:
        return self._send(data, 0)

    def sendmsg(self, buffers: Iterable[bytes], controls: Iterable[Any], flags: int, address: Any) -> int:
        ((level, kind, size),) = controls
        assert (level, kind) == (socket.IPPROTO_UDP, UDP_SEGMENT)
        return self._send(b"".join(buffers), struct.unpack("=H", size)[0])


class Single(DatagramProtocol):
    """Keeps what it gets, one at a time."""

    noisy = False

    def __init__(self) -> None:
        self.datagrams: list[bytes] = []
        self.addresses: list[Any] = []
        self.raises: list[BaseException] = []
        self.stop_at = -1

    def _keep(self, datagrams: list[bytes], address: Any) -> None:
        self.datagrams += datagrams
        self.addresses.append(address)
        if len(self.datagrams) == self.stop_at:
            port: Any = self.transport
            port.stopListening()
        if self.raises:
            raise self.raises.pop(0)

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self._keep([datagram], addr)


class Bursts(Single):
    """Keeps what it gets, burst by burst."""

    def __init__(self) -> None:
        super().__init__()
        self.bursts: list[list[bytes]] = []

    def burst_received(self, datagrams: list[bytes], address: SocketAddress) -> None:
        self.bursts.append(datagrams)
        self._keep(datagrams, address)


class Turns(Bursts):
    """Keeps what it gets, turn by turn."""

    def reads_received(self, buffer: ReadBuffer, reads: Reads, address: SocketAddress) -> None:
        self.burst_received(buffer.all_datagrams(reads), address)


class PlainPort(LinkPort):
    """As on a system without segmentation, coalescing, and calls that take many datagrams."""

    offload = False

    def make_reader(self) -> TurnReader:
        return TurnReader(ReadBuffer())


class OffloadPort(LinkPort):
    """As on Linux, wherever the test runs: for fake sockets."""

    offload = True

    def make_reader(self) -> TurnReader:
        return TurnReader(ReadBuffer())


class FakeKernelTestCase(SynchronousTestCase):
    """A port on a fake socket."""

    port_class: type[LinkPort] = OffloadPort

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.socket = FakeSocket()
        self.protocol = Bursts()
        self.port = self.listen(self.protocol)

    def listen(self, protocol: Single) -> Any:
        port: Any = self.port_class(0, protocol, "127.0.0.1", self.reactor)  # type: ignore[arg-type]
        port.createInternetSocket = lambda: self.socket
        port.startListening()
        return port

    def arrive(self, *datagrams: bytes, address: Any = PEER) -> None:
        self.socket.arrived += [(datagram, address) for datagram in datagrams]
