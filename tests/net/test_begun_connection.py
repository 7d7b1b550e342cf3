"""A connection that is begun early: what becomes of it until it is taken, on real sockets over loopback."""

from __future__ import annotations

import errno
import select
import socket
import threading
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.net import begun_connection
from bittrrt.net.begun_connection import HELD_FOR, Begun, BegunConnection
from bittrrt.net.clock import Clock

HOST = "127.0.0.1"
PATIENCE = 20  # seconds: far more than loopback takes


class BegunConnectionTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.now = 100.0
        self.server = self.enterContext(socket.create_server((HOST, 0)))
        self.server.settimeout(PATIENCE)
        self.port = self.server.getsockname()[1]

    def begin(self, host: str = HOST, port: int | None = None) -> BegunConnection:
        connection = BegunConnection(host, port or self.port, Clock(monotonic=lambda: self.now))
        self.addCleanup(connection.close)
        return connection

    def accept(self) -> socket.socket:
        """The server's end."""
        peer: socket.socket = self.enterContext(self.server.accept()[0])
        peer.settimeout(PATIENCE)
        return peer

    def assert_nobody_comes(self) -> None:
        self.server.setblocking(False)
        self.assertRaises(BlockingIOError, self.server.accept)


class AddressTests(BegunConnectionTestCase):
    def test_it_is_connected_while_nobody_looks_and_taken_once(self) -> None:
        connection = self.begin()
        peer = self.accept()
        begun = connection.take()
        assert begun is not None
        with begun.socket:
            self.assertEqual((begun.address, begun.port, begun.settled), (HOST, self.port, True))
            self.assertFalse(begun.socket.getblocking())
            self.assertEqual(begun.socket.getsockname(), peer.getpeername())
            self.assertIsNone(connection.take())
            connection.close()  # it is no longer its own to close
            begun.socket.send(b"hello")
            self.assertEqual(peer.recv(5), b"hello")
        self.assert_nobody_comes()

    def test_nobody_takes_it_and_it_is_closed(self) -> None:
        connection = self.begin()
        peer = self.accept()
        connection.close()
        connection.close()
        self.assertEqual(peer.recv(1), b"")

    def test_one_that_is_refused_is_not_handed_out(self) -> None:
        self.server.close()
        self.assertIsNone(self.begin().take())

    def test_one_that_the_server_has_closed_or_reset_is_not_handed_out(self) -> None:
        for linger in (b"\0" * 8, b"\1\0\0\0\0\0\0\0"):  # struct linger: off, or on with no time, which is a reset
            connection = self.begin()
            peer = self.accept()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            peer.close()
            assert connection._begun is not None
            self.assertTrue(select.select([connection._begun.socket], [], [], PATIENCE)[0])
            self.assertIsNone(connection.take())

    def test_one_that_a_server_may_soon_be_tired_of_is_closed_instead(self) -> None:
        for age, fresh in ((HELD_FOR, True), (HELD_FOR + 0.001, False)):
            connection = self.begin()
            peer = self.accept()
            self.now += age
            begun = connection.take()
            self.assertEqual(begun is not None, fresh)
            if begun is not None:
                begun.socket.close()
            self.assertEqual(peer.recv(1), b"")


class NameTests(BegunConnectionTestCase):
    """Names are looked up by a fake: it answers when the test lets it."""

    def setUp(self) -> None:
        super().setUp()
        self.found: list[Any] = []
        self.answering = threading.Event()
        self.addCleanup(self.answering.set)
        self.patch(begun_connection, "_look_up", self.look_up)

    def look_up(self, name: bytes, port: int, flags: int = 0) -> list[Any]:
        self.assertEqual((name, port), (b"server.example", self.port))
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "not an address")
        self.answering.wait(PATIENCE)
        if not self.found:
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return self.found

    def begin_by_name(self) -> tuple[BegunConnection, threading.Thread]:
        """The connection, and the thread that looks the name up."""
        before = set(threading.enumerate())
        connection = self.begin("server.example")
        (thread,) = set(threading.enumerate()) - before
        self.assertTrue(thread.daemon)  # a program that has ended waits for no look-up
        return connection, thread

    def finish(self, thread: threading.Thread) -> None:
        self.answering.set()
        thread.join(PATIENCE)
        self.assertFalse(thread.is_alive())

    def taken(self) -> Begun:
        """What is taken of a connection by name that the server has accepted."""
        connection, thread = self.begin_by_name()
        self.finish(thread)
        self.accept()
        begun = connection.take()
        assert begun is not None
        self.addCleanup(begun.socket.close)
        return begun

    def address(self, host: str = HOST, family: int = socket.AF_INET) -> Any:
        return family, socket.SOCK_STREAM, 0, "", (host, self.port)

    def test_it_goes_to_the_address_that_the_name_stands_for(self) -> None:
        self.found = [self.address()]
        begun = self.taken()
        self.assertEqual((begun.address, begun.port, begun.settled), (HOST, self.port, True))

    def test_addresses_that_there_is_no_way_to_are_passed_over(self) -> None:
        self.found = [self.address(family=0xFFFF), self.address("255.255.255.255"), self.address()]
        begun = self.taken()
        self.assertEqual((begun.address, begun.settled), (HOST, True))

    def test_of_several_addresses_one_that_does_not_answer_yet_is_not_settled(self) -> None:
        self.found = [self.address(), self.address("127.0.0.2")]
        self.patch(socket.socket, "connect_ex", lambda *_: errno.EINPROGRESS)  # its SYN is lost
        connection, thread = self.begin_by_name()
        self.finish(thread)
        begun = connection.take()
        assert begun is not None
        with begun.socket:
            self.assertEqual((begun.address, begun.settled), (HOST, False))

    def test_a_name_without_an_address_gives_nothing(self) -> None:
        connection, thread = self.begin_by_name()
        self.finish(thread)
        self.assertIsNone(connection.take())

    def test_a_look_up_that_takes_too_long_begins_nothing_any_more(self) -> None:
        self.found = [self.address()]
        connection, thread = self.begin_by_name()
        self.assertIsNone(connection.take())
        self.finish(thread)
        self.assert_nobody_comes()
