"""How a connection that was begun is taken over, wherever it stands: real sockets over loopback."""

from __future__ import annotations

import select
import socket
from typing import Any

from twisted.internet import error as failures
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.trial.unittest import SynchronousTestCase, TestCase

from bittrrt.net.begun_connection import Begun
from bittrrt.net.connecting import CONNECT_TIME_LIMIT, connect

from .fake_socket import FakeReactor

HOST = "127.0.0.1"
PATIENCE = 20  # seconds


class Greeting(Protocol):
    """Says one word and takes its leave."""

    def __init__(self) -> None:
        self.over: Deferred[None] = Deferred()
        self.source: tuple[str, int] | None = None

    def connectionMade(self) -> None:
        transport: Any = self.transport
        self.source = (transport.getHost().host, transport.getHost().port)
        transport.write(b"hello")
        transport.loseConnection()

    def connectionLost(self, reason: Any = None) -> None:
        self.over.callback(None)


class GreetingFactory(ClientFactory):
    protocol = Greeting
    noisy = False


def listening(test: SynchronousTestCase) -> socket.socket:
    server: socket.socket = test.enterContext(socket.create_server((HOST, 0)))
    server.settimeout(PATIENCE)
    return server


def begun_to(server: socket.socket, how_far: str, *, settled: bool = True) -> Begun:
    """A connection that stands there."""
    attempt = socket.socket()
    attempt.setblocking(False)
    host, port = server.getsockname()
    if how_far != "untouched":
        attempt.connect_ex((host, port))
    if how_far == "connected":
        select.select([], [attempt], [], PATIENCE)
        attempt.getpeername()
    return Begun(attempt, host, port, settled)


class AdoptionTests(TestCase):
    def setUp(self) -> None:
        self.server = listening(self)
        self.port = self.server.getsockname()[1]

    def connect(self, begun: Begun | None) -> Deferred[Any]:
        return Deferred.fromCoroutine(connect(reactor, HOST, self.port, GreetingFactory(), begun))

    def assert_greeted_once(self, expected: tuple[str, int] | None = None) -> None:
        peer, source = self.server.accept()
        with peer:
            peer.settimeout(PATIENCE)
            self.assertEqual(peer.recv(100), b"hello")
        self.assertEqual(source, expected or source)
        self.server.setblocking(False)
        self.assertRaises(BlockingIOError, self.server.accept)
        self.server.settimeout(PATIENCE)

    async def test_it_goes_on_wherever_it_stands_and_nothing_else_is_opened(self) -> None:
        for how_far in ("untouched", "begun", "connected"):
            for settled in (True, False):
                begun = begun_to(self.server, how_far, settled=settled)
                protocol = await self.connect(begun)
                await protocol.over
                self.assert_greeted_once(protocol.source)
                self.assertEqual(begun.socket.fileno(), -1)

    async def test_without_one_it_connects_by_itself(self) -> None:
        await (await self.connect(None)).over
        self.assert_greeted_once()

    async def test_one_to_an_address_that_is_not_asked_for_is_closed(self) -> None:
        elsewhere = listening(self)
        begun = begun_to(elsewhere, "connected", settled=False)
        peer = self.enterContext(elsewhere.accept()[0])
        await (await self.connect(begun)).over
        self.assert_greeted_once()
        self.assertEqual(peer.recv(1), b"")
        self.assertEqual(begun.socket.fileno(), -1)

    async def test_a_refusal_is_twisteds_own_error(self) -> None:
        for how_far in ("untouched", "begun"):
            with socket.create_server((HOST, 0)) as server:
                begun = begun_to(server, "untouched")
            if how_far == "begun":
                begun.socket.connect_ex((begun.address, begun.port))
            with self.assertRaises(failures.ConnectionRefusedError):
                await connect(reactor, HOST, begun.port, GreetingFactory(), begun)
            self.assertEqual(begun.socket.fileno(), -1)

    def test_it_can_be_cancelled(self) -> None:
        for how_far in ("untouched", "begun", "connected"):
            begun = begun_to(self.server, how_far)
            connecting = self.connect(begun)
            connecting.cancel()
            self.failureResultOf(connecting, failures.ConnectingCancelledError)
            self.assertEqual(begun.socket.fileno(), -1)


class TimeLimitTests(SynchronousTestCase):
    def test_an_attempt_that_nobody_answers_is_given_up(self) -> None:
        clock = FakeReactor()  # which tells no socket that it may write, and so that it is connected
        begun = begun_to(listening(self), "untouched")
        connecting = Deferred.fromCoroutine(connect(clock, HOST, begun.port, GreetingFactory(), begun))
        clock.advance(0)
        clock.advance(CONNECT_TIME_LIMIT - 0.001)
        self.assertNoResult(connecting)
        clock.advance(0.001)
        self.failureResultOf(connecting, failures.TimeoutError)
        self.assertEqual(begun.socket.fileno(), -1)
        self.assertEqual(clock.getDelayedCalls(), [])
