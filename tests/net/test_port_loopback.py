"""The fast port on real sockets, over loopback."""

from __future__ import annotations

import select
import socket
import sys
from pathlib import Path
from typing import Any
from unittest import SkipTest

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol
from twisted.trial.unittest import SynchronousTestCase, TestCase

from bittrrt.link.full_burst import MAX_BATCH
from bittrrt.net.port import LinkPort, PortCounters
from bittrrt.net.read_turn import SocketAddress

from .fake_socket import Bursts, FakeReactor, PlainPort, Single


class LoopbackTests(SynchronousTestCase):
    """Real sockets over IPv4, with what this kernel has."""

    port_class: type[LinkPort] = LinkPort
    interface = "127.0.0.1"
    bulk = True

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.received = Bursts()
        try:
            self.receiver = self.listen(self.received)
            self.sender = self.listen(Single())
        except CannotListenError as error:
            raise SkipTest(f"cannot listen on {self.interface}: {error}") from None
        self.target = self.receiver.socket.getsockname()

    def listen(self, protocol: Single) -> Any:
        port: Any = self.port_class(0, protocol, self.interface, self.reactor)  # type: ignore[arg-type]
        port.startListening()
        self.addCleanup(self.reactor.advance, 0)
        self.addCleanup(port.stopListening)
        if self.bulk:
            port.prepare_for_bulk()
        return port

    def read(self, port: Any, datagrams: int) -> None:
        """Turn after turn until so many datagrams came."""
        while len(port.protocol.datagrams) < datagrams:
            readable, _, _ = select.select([port.socket], [], [], 10)
            self.assertTrue(readable, f"{len(port.protocol.datagrams)} of {datagrams} datagrams came")
            self.assertIsNone(port.doRead())

    def test_a_datagram_arrives_with_the_address_of_its_sender(self) -> None:
        self.assertTrue(self.sender.write(b"hello", self.target))
        self.read(self.receiver, 1)
        self.assertEqual(self.received.datagrams, [b"hello"])
        self.assertEqual(self.received.addresses, [self.sender.socket.getsockname()])

    def test_batches_of_every_size_arrive_in_order(self) -> None:
        sent: list[bytes] = []
        for count, size, last in ((1, 0, 1), (1, 0, 1200), (2, 1452, 1), (45, 1452, 1452), (64, 1000, 7), (64, 1, 1)):
            batch = [bytes([number]) * size for number in range(count - 1)] + [b"\xff" * last]
            self.assertTrue(self.sender.write_batch(batch, self.target))
            sent += batch
            self.read(self.receiver, len(sent))  # as they come: a kernel without a large buffer takes these too
        self.assertEqual(self.received.datagrams, sent)
        self.assertEqual(self.sender.counters.unsent, {})

    def test_the_largest_datagram_arrives_whole(self) -> None:
        self.sender.write_batch([b"x" * MAX_BATCH], self.target)
        if self.sender.counters.unsent:
            raise SkipTest(f"this system does not send it: {self.sender.counters.unsent}")
        self.read(self.receiver, 1)
        self.assertEqual(self.received.datagrams, [b"x" * MAX_BATCH])

    def test_a_protocol_without_bursts_gets_each_datagram(self) -> None:
        protocol = Single()
        receiver = self.listen(protocol)
        self.sender.write_batch([b"aa", b"bb", b"c"], receiver.socket.getsockname())
        self.read(receiver, 3)
        self.assertEqual(protocol.datagrams, [b"aa", b"bb", b"c"])
        self.assertEqual(protocol.addresses, [self.sender.socket.getsockname()] * 3)

    def test_five_ports_share_a_buffer_and_nothing_else(self) -> None:
        receivers = [self.listen(Bursts()) for _ in range(5)]
        for _ in range(2):
            for number, receiver in enumerate(receivers):
                self.sender.write_batch([bytes([number]) * 1200] * 3, receiver.socket.getsockname())
        for receiver in receivers:
            self.read(receiver, 6)
        for number, receiver in enumerate(receivers):
            self.assertEqual(receiver.protocol.datagrams, [bytes([number]) * 1200] * 6)

    def test_what_the_kernel_gave_is_told(self) -> None:
        counters = self.receiver.counters
        self.assertGreaterEqual(counters.receive_buffer, 64 * 1024)
        self.assertGreaterEqual(counters.send_buffer, 64 * 1024)

    def test_a_datagram_that_is_too_long_is_lost(self) -> None:
        self.assertIs(self.sender.write(bytes(70_000), self.target), False)
        self.assertEqual(self.sender.counters.unsent, {"EMSGSIZE": 1})

    def test_a_port_that_is_taken_cannot_be_listened_on(self) -> None:
        taken = LinkPort(self.target[1], Single(), self.interface, self.reactor)  # type: ignore[arg-type]
        self.assertRaises(CannotListenError, taken.startListening)
        self.assertIsNone(taken.stopListening())


class PlainLoopbackTests(LoopbackTests):
    """Real sockets, plain datagrams."""

    port_class = PlainPort


class LeanLoopbackTests(LoopbackTests):
    """Real sockets that were not prepared: what the kernel cut it also has to hand over one by one."""

    bulk = False

    def test_what_the_kernel_gave_is_told(self) -> None:
        self.assertEqual(self.receiver.counters, PortCounters())  # nothing was asked


class IPv6LoopbackTests(LoopbackTests):
    """Real sockets over IPv6; addresses have four parts."""

    interface = "::1"


class LinkLocalTests(LoopbackTests):
    """Real sockets on a link-local address, where nothing arrives without the scope."""

    def setUp(self) -> None:
        interfaces = Path("/proc/net/if_inet6")
        lines = interfaces.read_text().splitlines() if interfaces.exists() else []
        for address, _, _, scope, _, name in map(str.split, lines):
            if scope == "20":  # link-local
                text = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(address))
                self.interface = f"{text}%{name}"
                break
        else:
            raise SkipTest("no link-local address that this test knows how to find")
        super().setUp()

    def test_the_scope_is_in_the_address(self) -> None:
        self.sender.write(b"x", self.target)
        self.read(self.receiver, 1)
        self.assertNotEqual(self.received.addresses[0][3], 0)


class LinuxLoopbackTests(LoopbackTests):
    """What only Linux has."""

    def setUp(self) -> None:
        if sys.platform != "linux":
            raise SkipTest("Linux only")
        super().setUp()

    def test_a_batch_is_read_as_one_burst(self) -> None:
        if not self.receiver.coalescing:
            raise SkipTest("this kernel does not coalesce")
        batch = [b"x" * 1452] * 45
        self.sender.write_batch(batch, self.target)
        self.read(self.receiver, 1)
        self.assertEqual(self.received.bursts, [batch])

    def test_overflow_of_the_receive_buffer_is_counted(self) -> None:
        self.receiver.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        for _ in range(100):
            self.sender.write(bytes(1200), self.target)
        self.read(self.receiver, 1)
        self.sender.write(bytes(1200), self.target)
        self.read(self.receiver, len(self.received.datagrams) + 1)
        self.assertEqual(self.receiver.counters.overflowed, 101 - len(self.received.datagrams))

    def test_probing_sets_the_sockets_path_mtu_discovery(self) -> None:
        self.assertTrue(self.sender.probe_path_mtu())
        self.assertEqual(self.sender.socket.getsockopt(socket.IPPROTO_IP, 10), 3)


class ReactorTests(TestCase):
    """With the real reactor."""

    def test_a_burst_goes_there_and_back(self) -> None:
        done: Deferred[list[bytes]] = Deferred()

        class Echo(DatagramProtocol):
            noisy = False

            def burst_received(self, datagrams: list[bytes], address: SocketAddress) -> None:
                port: Any = self.transport
                port.write_batch(datagrams, address)

        class Collect(Bursts):
            def burst_received(self, datagrams: list[bytes], address: SocketAddress) -> None:
                super().burst_received(datagrams, address)
                if len(self.datagrams) == 45 and not done.called:
                    done.callback(self.datagrams)

        ports: list[Any] = []
        for protocol in (Echo(), Collect()):
            port: Any = LinkPort(0, protocol, "127.0.0.1")
            port.startListening()
            self.addCleanup(port.stopListening)
            port.prepare_for_bulk()
            ports.append(port)
        batch = [bytes([number]) * 1452 for number in range(45)]
        ports[1].write_batch(batch, ports[0].socket.getsockname())
        done.addTimeout(10, reactor)
        return done.addCallback(self.assertEqual, batch)  # type: ignore[return-value]
