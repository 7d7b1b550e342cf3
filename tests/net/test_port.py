"""The fast port on fake sockets: reading, starting, stopping. On real ones: test_port_loopback.py."""

from __future__ import annotations

import errno
import socket
from typing import cast

from twisted.logger import ILogObserver, LogEvent, globalLogPublisher

from bittrrt.link.pacer import TICK
from bittrrt.link.read_buffer import SLOTS
from bittrrt.net.port import FIRST_READS, HASTY_TURNS, LEAST_READS, ROOMY, SEVERAL, WORTH_A_WAIT

from .fake_socket import OTHER, PEER, UDP_GRO, FakeKernelTestCase, Single, Turns


class ReadTests(FakeKernelTestCase):
    """From the kernel to the protocol."""

    def test_a_lean_port_reads_once_an_event(self) -> None:
        self.arrive(b"one", b"two")
        self.assertIsNone(self.port.doRead())
        self.assertEqual((self.protocol.bursts, self.socket.reads), ([[b"one"]], 1))
        self.port.doRead()
        self.assertEqual(self.protocol.datagrams, [b"one", b"two"])

    def test_a_flood_of_small_datagrams_is_read_in_bounded_turns(self) -> None:
        self.port.prepare_for_bulk()
        self.arrive(*[b"%d" % number for number in range(1000)])
        for _ in range(3):
            self.port.doRead()
        turns = [len(burst) for burst in self.protocol.bursts]
        self.assertEqual(turns, [FIRST_READS, SLOTS, SLOTS])
        self.assertEqual(self.protocol.datagrams, [b"%d" % number for number in range(sum(turns))])

    def test_a_flood_of_large_datagrams_is_bounded_by_its_bytes(self) -> None:
        self.port.prepare_for_bulk()
        self.arrive(*[bytes(60_000)] * 100)
        for _ in range(3):
            self.port.doRead()
        self.assertEqual([len(burst) for burst in self.protocol.bursts], [FIRST_READS, LEAST_READS, LEAST_READS])

    def test_an_empty_datagram_is_handed_on(self) -> None:
        for prepare in (lambda: None, self.port.prepare_for_bulk):
            prepare()
            self.arrive(b"")
            self.port.doRead()
        self.assertEqual(self.protocol.bursts, [[b""], [b""]])

    def test_a_burst_is_of_one_address(self) -> None:
        self.port.prepare_for_bulk()
        self.arrive(b"1", b"2")
        self.arrive(b"3", address=OTHER)
        self.arrive(b"4")
        self.port.doRead()
        self.assertEqual(self.protocol.bursts, [[b"1", b"2"], [b"3"], [b"4"]])
        self.assertEqual(self.protocol.addresses, [PEER, OTHER, PEER])

    def test_a_turn_goes_as_it_lies_to_who_takes_it_so(self) -> None:
        protocol = Turns()
        protocol.raises = [ZeroDivisionError()]
        port = self.listen(protocol)
        port.prepare_for_bulk()
        self.arrive(b"1", b"2")
        self.arrive(b"3", address=OTHER)
        self.assertIsNone(port.doRead())
        self.assertEqual(protocol.bursts, [[b"1", b"2"], [b"3"]])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_the_address_is_the_sockets_with_its_scope(self) -> None:
        address = ("fe80::1", 6712, 0, 3)
        self.arrive(b"x", address=address)
        self.port.doRead()
        self.assertEqual(self.protocol.addresses, [address])

    def test_an_exception_at_a_burst_is_logged_and_the_port_goes_on(self) -> None:
        self.port.prepare_for_bulk()
        self.protocol.raises = [ZeroDivisionError(), SystemExit()]
        self.arrive(b"1")
        self.arrive(b"2", address=OTHER)
        self.arrive(b"3")
        self.assertIsNone(self.port.doRead())
        self.assertEqual(self.protocol.datagrams, [b"1", b"2", b"3"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError, SystemExit)), 2)

    def test_an_exception_at_a_datagram_leaves_the_rest_of_the_burst(self) -> None:
        protocol = Single()
        protocol.raises = [ZeroDivisionError()]
        port = self.listen(protocol)
        port.prepare_for_bulk()
        self.arrive(b"1", b"2", b"3")
        self.assertIsNone(port.doRead())
        self.assertEqual(protocol.datagrams, [b"1", b"2", b"3"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_nothing_is_handed_on_after_stop_listening(self) -> None:
        self.port.prepare_for_bulk()
        self.protocol.stop_at = 1
        self.arrive(b"1")
        self.arrive(b"2", address=OTHER)
        self.arrive(b"3")
        self.port.doRead()
        self.assertEqual(self.protocol.datagrams, [b"1"])

    def test_nothing_is_handed_on_after_stop_listening_within_a_burst(self) -> None:
        protocol = Single()
        protocol.stop_at = 2
        port = self.listen(protocol)
        port.prepare_for_bulk()
        self.arrive(b"1", b"2", b"3")
        port.doRead()
        self.assertEqual(protocol.datagrams, [b"1", b"2"])

    def test_a_failed_read_is_counted_and_the_port_goes_on(self) -> None:
        self.socket.arrived = [OSError(errno.ECONNREFUSED, "an ICMP message")]
        self.arrive(b"x")
        self.assertIsNone(self.port.doRead())
        self.port.doRead()
        self.assertEqual(self.protocol.datagrams, [b"x"])
        self.assertEqual(self.port.counters.unread, {"ECONNREFUSED": 1})

    def test_an_event_without_a_datagram_is_no_error(self) -> None:
        self.assertIsNone(self.port.doRead())
        self.assertEqual((self.protocol.bursts, self.port.counters.unread), ([], {}))

    def test_a_kernel_without_coalescing_is_read_datagram_by_datagram(self) -> None:
        self.socket.refused_options = {(socket.IPPROTO_UDP, UDP_GRO)}
        self.port.prepare_for_bulk()
        self.assertFalse(self.port.coalescing)
        self.arrive(b"1", b"2")
        self.port.doRead()
        self.assertEqual(self.protocol.bursts, [[b"1", b"2"]])


class AwaitTests(FakeKernelTestCase):
    """Several that came one by one: what follows them shares a turn."""

    def setUp(self) -> None:
        super().setUp()
        self.socket.options[socket.SOL_SOCKET, socket.SO_RCVBUF] = ROOMY
        self.port.prepare_for_bulk()

    def turn(self, count: int) -> bool:
        """A turn that brings so many; whether the port reads on at once."""
        self.arrive(*[bytes(1200)] * count)
        self.port.doRead()
        return self.port in self.reactor.readers

    def test_after_several_the_port_waits_a_tick(self) -> None:
        self.assertTrue(self.turn(SEVERAL - 1))
        self.assertFalse(self.turn(SEVERAL))
        self.reactor.advance(TICK)
        self.assertIn(self.port, self.reactor.readers)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_after_a_wait_that_brought_few_the_port_is_in_haste(self) -> None:
        self.turn(SEVERAL)
        self.reactor.advance(TICK)
        for _ in range(HASTY_TURNS):
            self.assertTrue(self.turn(WORTH_A_WAIT - 1))
        self.assertFalse(self.turn(WORTH_A_WAIT - 1))

    def test_waits_that_bring_many_follow_one_another(self) -> None:
        self.turn(SEVERAL)
        for _ in range(3):
            self.reactor.advance(TICK)
            self.assertFalse(self.turn(WORTH_A_WAIT))

    def test_what_is_left_is_read_at_once(self) -> None:
        self.turn(1)
        self.arrive(*[bytes(1200)] * 10)
        self.assertTrue(self.turn(SLOTS))

    def test_a_small_receive_buffer_is_read_at_once(self) -> None:
        self.port.counters.receive_buffer = ROOMY - 1
        self.assertTrue(self.turn(SEVERAL))

    def test_stop_listening_ends_the_wait(self) -> None:
        self.turn(SEVERAL)
        stopped = self.port.stopListening()
        self.reactor.advance(0)
        self.successResultOf(stopped)
        self.assertEqual((self.reactor.readers, self.reactor.getDelayedCalls()), (set(), []))

    def test_a_port_that_is_closed_by_what_it_brought_does_not_wait(self) -> None:
        self.protocol.stop_at = SEVERAL
        self.turn(SEVERAL)
        self.reactor.advance(TICK)
        self.assertEqual((self.reactor.readers, self.reactor.getDelayedCalls()), (set(), []))


class OpenAndCloseTests(FakeKernelTestCase):
    """Starting, preparing and stopping."""

    def test_a_lean_port_sets_no_option(self) -> None:
        self.assertEqual(self.socket.options, {})

    def test_a_kernel_that_gives_all_or_nothing_is_asked_for_less(self) -> None:
        self.socket.largest_option = 1_500_000
        self.port.prepare_for_bulk()
        self.assertEqual((self.port.counters.receive_buffer, self.port.counters.send_buffer), (2**20, 2**18))

    def test_a_kernel_that_gives_no_buffer_leaves_its_own(self) -> None:
        self.socket.largest_option = 1
        self.port.prepare_for_bulk()
        self.assertEqual(self.port.counters.receive_buffer, 212_992)

    def test_probing_is_asked_of_both_ip_versions_on_ipv6(self) -> None:
        self.assertIs(self.port.probe_path_mtu(), True)
        self.assertEqual(self.socket.options, {(socket.IPPROTO_IP, 10): 3})
        self.port.addressFamily = socket.AF_INET6
        self.assertIs(self.port.probe_path_mtu(), True)
        self.assertEqual(self.socket.options, {(socket.IPPROTO_IP, 10): 3, (socket.IPPROTO_IPV6, 23): 3})
        self.socket.refused_options = {(socket.IPPROTO_IPV6, 23)}
        self.assertIs(self.port.probe_path_mtu(), False)

    def test_stop_listening_twice_is_one_stop(self) -> None:
        stopped = self.port.stopListening()
        self.assertIs(self.port.stopListening(), stopped)
        self.assertNoResult(stopped)
        self.reactor.advance(0)
        self.assertIsNone(self.successResultOf(stopped))
        self.assertTrue(self.socket.closed)
        self.assertIsNone(self.port.stopListening())
        self.assertEqual((self.reactor.readers, self.reactor.getDelayedCalls()), (set(), []))

    def test_a_port_starts_again_after_a_stop(self) -> None:
        for _ in range(2):
            stopped = self.port.stopListening()
            self.reactor.advance(0)
            self.successResultOf(stopped)
            self.port.startListening()
        self.arrive(b"x")
        self.port.doRead()
        self.assertEqual(self.protocol.datagrams, [b"x"])

    def test_a_failing_protocol_does_not_keep_the_socket_open(self) -> None:
        self.protocol.stopProtocol = lambda: 1 // 0  # type: ignore[method-assign]
        stopped = self.port.stopListening()
        self.assertRaises(ZeroDivisionError, self.reactor.advance, 0)
        self.assertTrue(self.socket.closed)
        self.successResultOf(stopped)

    def test_starting_and_stopping_log_nothing(self) -> None:
        events: list[LogEvent] = []
        observer = cast("ILogObserver", events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.listen(Single()).stopListening()
        self.reactor.advance(0)
        self.assertEqual(events, [])

    def test_connecting_is_refused(self) -> None:
        self.assertRaises(RuntimeError, self.port.connect, "192.0.2.1", 1)
