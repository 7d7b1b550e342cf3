"""A network in memory, on a fake clock: UDP that loses, repeats, delays and rewrites, and a TCP that does not.

    SimulatedPort.write -> SimulatedSocket.sendto -> SimulatedNetwork.carry --delay--> arrive -> SimulatedPort.doRead
    connectTCP --delay--> RendezvousFactory.buildProtocol, then SimulatedStream at both ends

It is the reactor too. All that is random comes from one seed.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Any, cast

from twisted.internet import error as failures
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IHostnameResolver, IReactorPluggableNameResolver, IReactorTime, ITransport
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from bittrrt.link.read_buffer import ReadBuffer
from bittrrt.net.port import LinkPort
from bittrrt.net.read_turn import TurnReader

SERVER_HOST = "192.0.2.1"
CLIENT_HOST = "198.51.100.7"

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Sent:
    """One datagram, as it left a socket."""

    data: bytes
    source: Address
    """As the other end sees it."""
    destination: Address


@implementer(IReactorTime, IReactorPluggableNameResolver)
class SimulatedNetwork(Clock):
    """The reactor of every host, and what lies between them."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.random = Random(seed)
        self.loss = 0.0
        """The share of datagrams that is lost."""
        self.duplication = 0.0
        """The share that arrives twice."""
        self.delay = (0.010, 0.010)
        """The least and the most that a datagram takes, in seconds; it comes late, and so out of order, in between."""
        self.largest: int | None = None
        """Bytes of a datagram that gets through; None: any does, and the kernel would not let a program find out."""
        self.largest_sent = 65_507
        """Bytes of a datagram that the sending machine lets out."""
        self.gathering = 0.0
        """Seconds that what arrives waits, so that it is read together with what follows."""
        self.cut = False
        """Whether no datagram arrives."""
        self.blocked_to: set[int] = set()
        """Ports that nothing reaches."""
        self.blocked_from: set[int] = set()
        """Ports that nothing comes back from."""
        self.held_elsewhere: set[int] = set()
        """Ports that other programs listen on."""
        self.socket_limit: int | None = None
        """How many sockets the process may have."""
        self.unroutable = False
        """Whether sending fails at once, as behind a firewall on this machine."""
        self.sent: list[Sent] = []
        """Every datagram since the list was emptied last."""
        self.sockets: dict[Address, SimulatedSocket] = {}
        self.readers: set[Any] = set()
        self.streams: set[SimulatedStream] = set()
        """Ends of TCP connections that are open."""
        self.tcp_factories: dict[Address, Any] = {}
        self.tcp_ignored = False
        """Whether attempts to connect are not even refused."""
        self.names = {"server.example": SERVER_HOST}
        self._public: dict[Address, Address] = {}  # what a NAT shows of a socket's own address
        self._next_port = 40_000

    # --- time ---

    def step(self, until: float) -> bool:
        """Jump to the next wake-up, if it is due by then."""
        due = min((call.getTime() for call in self.getDelayedCalls()), default=None)
        if due is None or due > until:
            return False
        self.rightNow = max(due, self.rightNow)  # exactly: what `advance` adds up may fall short of it by a rounding
        self.advance(0)
        return True

    def run_for(self, seconds: float) -> None:
        """Let that much time pass, from one wake-up to the next."""
        until = self.seconds() + seconds
        while self.step(until):
            pass
        self.advance(until - self.seconds())

    def run_until(self, happened: Callable[[], object], within: float) -> float:
        """Let time pass until `happened()`; how long it took. Raises `AssertionError` if it takes longer."""
        began = self.seconds()
        while not happened():
            if not self.step(began + within):
                raise AssertionError(f"it did not happen within {within} s")
        return self.seconds() - began

    # --- UDP ---

    def addReader(self, reader: Any) -> None:
        self.readers.add(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.discard(reader)

    def removeWriter(self, writer: Any) -> None:
        """Nobody has to wait to write here."""

    def bind(self, socket: SimulatedSocket, address: Address) -> Address:
        host, number = address
        if self.socket_limit is not None and len(self.sockets) >= self.socket_limit:
            raise OSError(errno.EMFILE, "Too many open files")
        if not number:
            self._next_port += 1
            number = self._next_port
        bound = (host or CLIENT_HOST, number)
        if number in self.held_elsewhere or bound in self.sockets:
            raise OSError(errno.EADDRINUSE, "Address already in use")
        self.sockets[bound] = socket
        return bound

    def move(self, host: str, port_shift: int = 0) -> None:
        """From now on the world sees the client's sockets at another address, and not where it saw them before."""
        for own in self.sockets:
            if own[0] != SERVER_HOST:
                self._public[own] = (host, own[1] + port_shift)

    def carry(self, data: bytes, own: Address, destination: Address) -> None:
        """A socket sent something."""
        if self.unroutable:
            raise OSError(errno.EPERM, "Operation not permitted")
        if len(data) > self.largest_sent:
            raise OSError(errno.EMSGSIZE, "Message too long")
        source = self._public.get(own, own)
        self.sent.append(Sent(data, source, destination))
        if self.largest is not None and len(data) > self.largest:
            return
        if self.cut or destination[1] in self.blocked_to or source[1] in self.blocked_from:
            return
        copies = 1 + (self.random.random() < self.duplication)
        for _ in range(copies):
            if self.random.random() >= self.loss:
                self.inject(data, source, destination, self.random.uniform(*self.delay))

    def inject(self, data: bytes, source: Address, destination: Address, delay: float = 0.0) -> None:
        """Let a datagram arrive that anybody may have sent, from any address."""
        self.callLater(delay, self._arrive, data, source, destination)

    def _arrive(self, data: bytes, source: Address, destination: Address) -> None:
        owns = [own for own, public in self._public.items() if public == destination]
        own = owns[0] if owns else destination
        socket = self.sockets.get(own)
        if socket is None or (not owns and own in self._public):
            return
        socket.arrived.append((data, source))
        if not self.gathering:
            self._read(socket)
        elif len(socket.arrived) == 1:
            self.callLater(self.gathering, self._read, socket)

    def _read(self, socket: SimulatedSocket) -> None:
        for port in list(self.readers):
            while port in self.readers and port.socket is socket and socket.arrived:
                port.doRead()

    # --- names and TCP ---

    @property
    def nameResolver(self) -> SimulatedResolver:
        return SimulatedResolver(self.names)

    def installNameResolver(self, resolver: Any) -> Any:
        raise NotImplementedError("there is one already")

    def connectTCP(self, host: str, port: int, factory: Any, timeout: float = 30.0, bindAddress: Any = None) -> Any:
        return SimulatedConnector(self, (host, port), factory, timeout)


@implementer(IHostnameResolver)
class SimulatedResolver:
    """The names of the network, and IPv4 addresses."""

    def __init__(self, names: dict[str, str]) -> None:
        self._names = names

    def resolveHostName(
        self,
        resolutionReceiver: Any,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Any = None,
        transportSemantics: str = "TCP",
    ) -> Any:
        resolutionReceiver.resolutionBegan(self)
        host = self._names.get(hostName, hostName if hostName.replace(".", "").isdigit() else None)
        if host is not None:
            resolutionReceiver.addressResolved(IPv4Address("TCP", host, portNumber))
        resolutionReceiver.resolutionComplete()
        return self


class SimulatedSocket:
    """What `LinkPort` needs of a UDP socket."""

    def __init__(self, network: SimulatedNetwork) -> None:
        self._network = network
        self._address = ("", 0)
        self.arrived: deque[tuple[bytes, Address]] = deque()

    def bind(self, address: Address) -> None:
        self._address = self._network.bind(self, address)

    def getsockname(self) -> Address:
        return self._address

    def fileno(self) -> int:
        return 3

    def close(self) -> None:
        self._network.sockets.pop(self._address, None)

    def setsockopt(self, *option: int) -> None:
        """Its buffers are as large as they need to be."""

    def getsockopt(self, *option: int) -> int:
        return 0

    def sendto(self, data: bytes, address: Address) -> int:
        self._network.carry(bytes(data), self._address, address)
        return len(data)

    def recvfrom(self, size: int) -> tuple[bytes, Address]:
        if not self.arrived:
            raise BlockingIOError(errno.EAGAIN, "nothing")
        data, address = self.arrived.popleft()
        return data[:size], address

    def recvfrom_into(self, buffer: memoryview) -> tuple[int, Address]:
        data, address = self.recvfrom(len(buffer))
        buffer[: len(data)] = data
        return len(data), address


_reader = TurnReader(ReadBuffer())


class SimulatedPort(LinkPort):
    """The port itself, on a socket of the network that its reactor is."""

    offload = False

    def make_reader(self) -> TurnReader:
        return _reader

    def createInternetSocket(self) -> Any:
        return SimulatedSocket(cast("SimulatedNetwork", self.reactor))

    def probe_path_mtu(self) -> bool:
        return cast("SimulatedNetwork", self.reactor).largest is not None


@implementer(ITransport)
class SimulatedStream:
    """One end of a TCP connection. What is written arrives in order, after the network's least delay."""

    disconnecting = False

    def __init__(self, network: SimulatedNetwork, own: Address, peer: Address) -> None:
        self.network = network
        self.protocol: Any = None
        self.other: SimulatedStream | None = None
        self._own, self._peer = own, peer
        self.received = b""
        """All that has arrived."""

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", *self._peer)

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", *self._own)

    def write(self, data: bytes) -> None:
        if self in self.network.streams and not self.disconnecting:
            self._later(lambda other: other.arrive(data))

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        if not self.disconnecting:
            self.disconnecting = True
            self._later(lambda other: other.lost(failures.ConnectionDone()))
            self.network.callLater(self.network.delay[0], self.lost, failures.ConnectionDone())

    def abortConnection(self) -> None:
        if self in self.network.streams:
            self.disconnecting = True
            self._later(lambda other: other.lost(failures.ConnectionLost()))
            self.network.callLater(0, self.lost, failures.ConnectionAborted())

    def registerProducer(self, producer: Any, streaming: bool) -> None: ...

    def unregisterProducer(self) -> None: ...

    def arrive(self, data: bytes) -> None:
        if self in self.network.streams:
            self.received += data
            self.protocol.dataReceived(data)

    def lost(self, why: Exception) -> None:
        if self in self.network.streams:
            self.network.streams.remove(self)
            self.protocol.connectionLost(Failure(why))

    def _later(self, what: Callable[[SimulatedStream], None]) -> None:
        assert self.other is not None
        self.network.callLater(self.network.delay[0], what, self.other)


class SimulatedConnector:
    """One attempt to connect."""

    def __init__(self, network: SimulatedNetwork, server: Address, factory: Any, timeout: float) -> None:
        self._network, self._server, self._factory = network, server, factory
        factory.doStart()
        factory.startedConnecting(self)
        if network.tcp_ignored:
            self._call = network.callLater(timeout, self._fail, failures.TimeoutError())
        else:
            self._call = network.callLater(2 * network.delay[0], self._connect)

    def getDestination(self) -> IPv4Address:
        return IPv4Address("TCP", *self._server)

    def stopConnecting(self) -> None:
        self._call.cancel()
        self._fail(failures.ConnectionAborted())

    def _fail(self, why: Exception) -> None:
        self._factory.clientConnectionFailed(self, Failure(why))
        self._factory.doStop()

    def _connect(self) -> None:
        listening = self._network.tcp_factories.get(self._server)
        if listening is None:
            self._fail(failures.ConnectionRefusedError())
            return
        client = (CLIENT_HOST, 50_000)
        here = SimulatedStream(self._network, client, self._server)
        there = SimulatedStream(self._network, self._server, client)
        here.other, there.other = there, here
        self._network.streams |= {here, there}
        there.protocol = listening.buildProtocol(there.getPeer())
        here.protocol = self._factory.buildProtocol(here.getPeer())
        if there.protocol is None:
            self._network.streams.remove(there)
            here.write = lambda data: None  # type: ignore[method-assign]
            self._network.callLater(0, here.lost, failures.ConnectionDone())
        else:
            there.protocol.makeConnection(there)
        here.protocol.makeConnection(here)
