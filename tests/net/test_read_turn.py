"""Reading in turns from real sockets: whatever takes the datagrams, the same comes of it."""

from __future__ import annotations

import socket
import struct
import sys
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.link.read_buffer import SLOTS, ReadBuffer
from bittrrt.net.read_turn import SO_RXQ_OVFL, UDP_GRO, MultiTurnReader, SocketAddress, TurnReader, reader_of

from .fake_socket import UDP_SEGMENT

DATAGRAMS = [b"one", b"", b"three" * 500, bytes(60_000), b"five"]


class TurnReaderTests(SynchronousTestCase):
    """A call a datagram, as everywhere."""

    family = socket.AF_INET
    interface = "127.0.0.1"

    def make_reader(self) -> TurnReader:
        return TurnReader(ReadBuffer())

    def setUp(self) -> None:
        self.reader = self.make_reader()
        try:
            self.receiver, self.one, self.other = (self.opened() for _ in range(3))
        except OSError as error:
            raise SkipTest(f"cannot listen on {self.interface}: {error}") from None

    def opened(self) -> socket.socket:
        opened = socket.socket(self.family, socket.SOCK_DGRAM)
        self.addCleanup(opened.close)
        opened.bind((self.interface, 0))
        opened.setblocking(False)
        return opened

    def send(self, sender: socket.socket, *datagrams: bytes) -> None:
        for datagram in datagrams:
            sender.sendto(datagram, self.receiver.getsockname())

    def read(self, most: int = SLOTS) -> list[tuple[SocketAddress, list[bytes]]]:
        """A turn's datagrams, by who sent them."""
        turn = self.reader.read(self.receiver, most)
        return [(address, self.reader.buffer.all_datagrams(reads)) for address, reads in turn]

    def test_datagrams_of_any_length_come_in_their_order(self) -> None:
        self.send(self.one, *DATAGRAMS)
        self.assertEqual(self.read(), [(self.one.getsockname(), DATAGRAMS)])

    def test_a_turn_again_finds_nothing_of_the_one_before(self) -> None:
        self.send(self.one, *DATAGRAMS)
        self.read()
        self.send(self.other, b"x")
        self.assertEqual(self.read(), [(self.other.getsockname(), [b"x"])])

    def test_what_one_sent_is_put_together_until_another_did(self) -> None:
        self.send(self.one, b"1", b"2")
        self.send(self.other, b"3")
        self.send(self.one, b"4", b"5")
        one, other = self.one.getsockname(), self.other.getsockname()
        self.assertEqual(self.read(), [(one, [b"1", b"2"]), (other, [b"3"]), (one, [b"4", b"5"])])

    def test_a_turn_takes_no_more_than_it_is_told_nor_than_there_are_slots(self) -> None:
        self.send(self.one, *[b"%d" % number for number in range(SLOTS + 9)])
        ((_, first),) = self.read(4)
        ((_, second),) = self.read(1000)
        ((_, third),) = self.read()
        self.assertEqual((len(first), len(second), len(third)), (4, SLOTS, 5))
        self.assertEqual(first + second + third, [b"%d" % number for number in range(SLOTS + 9)])

    def test_nothing_to_read_is_told_as_a_socket_tells_it(self) -> None:
        self.assertRaises(BlockingIOError, self.read)
        self.receiver.close()
        self.assertRaises(OSError, self.read)

    def test_two_sockets_may_be_read_in_turns(self) -> None:
        other_receiver = self.opened()
        self.send(self.one, b"to one")
        self.other.sendto(b"to the other", other_receiver.getsockname())
        ((address, reads),) = self.reader.read(other_receiver, 8)
        self.assertEqual(
            (address, self.reader.buffer.all_datagrams(reads)), (self.other.getsockname(), [b"to the other"])
        )
        self.assertEqual(self.read(), [(self.one.getsockname(), [b"to one"])])


class IPv6TurnReaderTests(TurnReaderTests):
    """Addresses of four parts."""

    family = socket.AF_INET6
    interface = "::1"


class MultiTurnReaderTests(TurnReaderTests):
    """One call a turn."""

    def make_reader(self) -> TurnReader:
        reader = reader_of(self.family)
        if not isinstance(reader, MultiTurnReader):
            raise SkipTest("this system has no recvmmsg")
        return reader

    def test_a_process_has_one_reader_for_a_family(self) -> None:
        self.assertIs(reader_of(self.family), self.reader)
        self.assertIs(reader_of(socket.AF_INET).buffer, reader_of(socket.AF_INET6).buffer)

    def test_what_the_kernel_has_joined_is_told_apart(self) -> None:
        control = (socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("=H", 1000))
        try:
            self.receiver.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
            self.one.sendmsg([b"abc" * 1000], [control], 0, self.receiver.getsockname())
        except OSError as error:
            raise SkipTest(f"this kernel does not join: {error}") from None
        self.send(self.one, b"alone")
        joined = [(b"abc" * 1000)[at : at + 1000] for at in range(0, 3000, 1000)]
        ((address, reads),) = self.reader.read(self.receiver, 8)
        self.assertEqual((reads.lengths, reads.sizes), ([3000, 5], [1000, 5]))
        self.assertEqual(address, self.one.getsockname())
        self.assertEqual(self.reader.buffer.all_datagrams(reads), [*joined, b"alone"])

    def test_the_kernels_count_of_drops_is_told_with_what_came_after_them(self) -> None:
        self.receiver.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
        self.receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self.send(self.one, *[bytes(1200)] * 100)
        ((_, came),) = self.read()
        self.assertIsNone(self.reader.overflowed)
        self.send(self.one, b"after")
        self.read()
        self.assertEqual(self.reader.overflowed, 100 - len(came))
        self.assertRaises(BlockingIOError, self.read)
        self.assertIsNone(self.reader.overflowed)


class IPv6MultiTurnReaderTests(MultiTurnReaderTests):
    """Addresses of four parts."""

    family = socket.AF_INET6
    interface = "::1"


class LinuxTests(SynchronousTestCase):
    def test_linux_has_the_call(self) -> None:
        if sys.platform != "linux":
            raise SkipTest("Linux only")
        self.assertTrue(reader_of(socket.AF_INET).joined)
