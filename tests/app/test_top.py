"""`bittrrt top` on a fake clock: what is asked and drawn when, what keys do, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from rich.text import Text
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.app.admin_client import AdminClient, ServerState
from bittrrt.app.terminal import Keys, Screen
from bittrrt.app.top import LOST, LinkTop, ServerTop
from bittrrt.errors import LinkError, LinkLost, ServerBusy, Unreachable
from bittrrt.net.clock import Clock
from bittrrt.net.session_opener import SessionOpener
from bittrrt.wire.datagram import PortType

from .fake_page import NOW_MS, server_state, session_view
from .fake_session import FakeOpener, FakeReactor, complete_round, path_report, port_report


class FakeScreen:
    """Keeps what is drawn."""

    def __init__(self, *, is_terminal: bool = True) -> None:
        self.is_terminal = is_terminal
        self.size = 80, 24
        self.pictures: list[list[str]] = []
        self.taken = False

    def start(self) -> None:
        self.taken = True

    def stop(self) -> None:
        self.taken = False

    def draw(self, lines: list[Text]) -> None:
        self.pictures.append([line.plain for line in lines])

    @property
    def picture(self) -> str:
        return "\n".join(self.pictures[-1])


class FakeKeys:
    """Presses what a test says."""

    def __init__(self) -> None:
        self.press: Callable[[str], None] = lambda key: None
        self.listening = False

    def make(self, pressed: Callable[[str], None]) -> Keys:
        self.press = pressed
        return cast("Keys", self)

    def start(self, reactor: Any) -> None:
        self.listening = True

    def stop(self) -> None:
        self.listening = False


class FakeClient:
    """Answers with what a test says, after so many seconds."""

    def __init__(self, reactor: FakeReactor) -> None:
        self._reactor = reactor
        self.answer: ServerState | LinkError = server_state(session_view())
        self.takes = 0.0
        self.asked = 0
        self.closed = False

    async def state(self) -> ServerState:
        self.asked += 1
        if self.takes:
            waiting: Deferred[None] = Deferred()
            self._reactor.callLater(self.takes, waiting.callback, None)
            await waiting
        if isinstance(self.answer, LinkError):
            raise self.answer
        return self.answer

    async def close(self) -> None:
        self.closed = True


class ServerTopTests(SynchronousTestCase):
    def start(self, *, is_terminal: bool = True, error: LinkError | None = None, takes: float = 0.0) -> None:
        self.reactor, self.keys = FakeReactor(), FakeKeys()
        self.client, self.screen = FakeClient(self.reactor), FakeScreen(is_terminal=is_terminal)
        self.client.takes = takes
        if error is not None:
            self.client.answer = error
        top = ServerTop(
            cast("AdminClient", self.client), cast("Screen", self.screen),
            clock=Clock(self.reactor.seconds, lambda: NOW_MS), make_keys=self.keys.make,
        )  # fmt: skip
        self.running: Deferred[int] = Deferred.fromCoroutine(top.run(self.reactor))

    def assert_over(self) -> None:
        """Everything was given back, and it was no error."""
        self.assertEqual(self.successResultOf(self.running), 0)
        self.assertEqual((self.screen.taken, self.keys.listening, self.client.closed), (False, False, True))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_it_looks_every_second_until_q(self) -> None:
        self.start()
        self.assertTrue(self.screen.taken)
        self.assertIn("anna", self.screen.picture)
        self.client.answer = server_state(session_view(name="bert"))
        self.reactor.pump([0.5])
        self.assertIn("anna", self.screen.picture)
        self.reactor.pump([0.5, 1.0])
        self.assertEqual(self.client.asked, 3)
        self.assertIn("bert", self.screen.picture)
        self.keys.press("q")
        self.assert_over()

    def test_a_key_shows_at_once(self) -> None:
        self.start()
        drawn = len(self.screen.pictures)
        self.keys.press("s")
        self.assertEqual(len(self.screen.pictures), drawn + 1)
        self.assertIn("sorts: by name", self.screen.picture)
        self.keys.press("q")
        self.assert_over()

    def test_a_server_that_takes_long_is_asked_seldom(self) -> None:
        self.start(takes=0.5)
        self.reactor.pump([0.5])
        self.assertEqual(self.client.asked, 1)
        self.reactor.pump([4.9])
        self.assertEqual(self.client.asked, 1)
        self.reactor.pump([0.1])
        self.assertEqual(self.client.asked, 2)
        self.keys.press("q")
        self.reactor.pump([0.5])
        self.assertEqual(self.successResultOf(self.running), 0)

    def test_a_server_that_goes_away_is_told_and_looked_for(self) -> None:
        self.start()
        self.client.answer = Unreachable("gone")
        self.reactor.pump([1.0])
        self.assertIn(LOST, self.screen.picture)
        self.assertIn("anna", self.screen.picture)
        self.client.answer = server_state(session_view(name="again"))
        self.reactor.pump([1.0])
        self.assertNotIn(LOST, self.screen.picture)
        self.assertIn("again", self.screen.picture)
        self.keys.press("q")
        self.assert_over()

    def test_no_server_at_first_is_an_error_and_the_terminal_is_left_alone(self) -> None:
        self.start(error=Unreachable("none runs here"))
        self.failureResultOf(self.running, Unreachable)
        self.assertEqual((self.screen.pictures, self.screen.taken, self.client.closed), ([], False, True))

    def test_without_a_terminal_it_is_one_look(self) -> None:
        self.start(is_terminal=False)
        self.assertEqual((len(self.screen.pictures), self.client.asked), (1, 1))
        self.assert_over()

    def test_ctrl_c_gives_the_terminal_back(self) -> None:
        self.start()
        self.reactor.before_shutdown[0]()
        self.assert_over()
        self.assertIsNone(self.reactor.before_shutdown[0]())


class LinkTopTests(SynchronousTestCase):
    def start(self, error: LinkError | None = None) -> None:
        self.opener, self.reactor, self.keys = FakeOpener(error), FakeReactor(), FakeKeys()
        self.screen = FakeScreen()
        self.top = LinkTop(cast("SessionOpener", self.opener), cast("Screen", self.screen), make_keys=self.keys.make)
        self.running: Deferred[int] = Deferred.fromCoroutine(self.top.run(self.reactor))

    def beat(self, round_trip: float = 0.02, missing: tuple[PortType, ...] = ()) -> None:
        self.opener.observer.heartbeat_finished(self.opener.connection, complete_round(1, round_trip, missing))

    def draw(self) -> str:
        self.opener.reactor.advance(1.0)
        self.assertLessEqual(len(self.screen.pictures[-1]), 24)
        self.assertLessEqual({len(line) for line in self.screen.pictures[-1]}, set(range(81)))
        return self.screen.picture

    def end(self) -> None:
        self.keys.press("q")
        self.assertEqual(self.successResultOf(self.running), 0)
        self.assertEqual((self.screen.taken, self.keys.listening), (False, False))
        self.assertEqual(self.opener.reactor.getDelayedCalls(), [])
        self.assertTrue(self.opener.connection.ended)

    def test_each_port_has_its_figures_and_its_plot(self) -> None:
        self.start()
        for round_trip in (0.020, 0.021, 0.040):
            self.beat(round_trip)
        self.beat(missing=(PortType.UP,))
        picture = self.draw()
        self.assertTrue(picture.startswith("far.example: 4 heartbeats, link 63470ddf is up"))
        self.assertIn("ctrl 6712  now 20.1 min 20.0 med 20.0 p99 40.0", picture)
        self.assertRegex(picture, r"up 6713 .* lost 25% there 0\.0% back 0\.0%")
        self.assertEqual(picture.count("•"), 11)
        self.assertEqual(picture.count("x"), 1 + "far.example".count("x"))
        self.assertEqual(len([line for line in self.screen.pictures[-1] if line.startswith("  40.00 ")]), 3)
        self.assertIn("the server's clock is -1.2 ms from ours, give or take 11.0", picture)
        self.end()

    def test_the_widest_figures_fit_80_columns(self) -> None:
        self.start()
        for port_type in PortType:
            self.opener.connection.reports[port_type] = port_report(65535, path_report(9.9949), there=1.0, back=0.0999)
        self.beat(9.9949)
        self.beat(missing=tuple(PortType))
        self.assertIn("ctrl 65535  now 9995 min 9995 med 9995 p99 9995 lost 50% there 100% back 10.0%", self.draw())
        self.end()

    def test_a_dead_port_has_its_line(self) -> None:
        self.start()
        self.opener.connection.reports[PortType.UP] = port_report(6713, path_report(silent=9.0), there=1.0)
        lines = self.draw().splitlines()
        at = next(i for i, line in enumerate(lines) if line.startswith("up (UDP port 6713) is dead towards the server"))
        self.assertIn("Let UDP port 6713 in at the server's firewall, and out here", " ".join(lines[at:]))
        self.end()

    def test_what_becomes_of_the_link_stands_at_the_top(self) -> None:
        self.start()
        self.top.session_suspected(cast("Any", self.opener.connection))
        self.assertIn("no answer on any port; asking for a new session", self.draw())
        self.top.session_revived(cast("Any", self.opener.connection))
        self.assertIn("link 63470ddf is heard again", self.draw())
        self.top.session_ended(cast("Any", self.opener.connection), LinkLost("lost"))
        self.assertIn("heartbeats, lost", self.draw())
        self.top.link_down(ServerBusy("busy"))
        self.assertIn("heartbeats, busy", self.draw())
        self.top.link_up(cast("Any", self.opener.connection))
        self.assertIn("is up", self.draw())
        self.end()

    def test_a_link_that_never_comes_up_is_an_error(self) -> None:
        self.start(ServerBusy("busy"))
        self.failureResultOf(self.running, ServerBusy)
        self.assertEqual((self.screen.pictures, self.screen.taken), ([], False))

    def test_ctrl_c_says_goodbye(self) -> None:
        self.start()
        self.draw()
        self.reactor.before_shutdown[0]()
        self.assertEqual(self.successResultOf(self.running), 0)
        self.assertTrue(self.opener.connection.ended)
        self.assertIsNone(self.reactor.before_shutdown[0]())
