"""How late the reactor is, on a clock that a test holds up."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.app.loop_delay import INTERVAL, LoopDelay


class LoopDelayTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Clock()
        self.held_up = 0.0
        self.loop_delay = LoopDelay(self.reactor, lambda: self.reactor.seconds() + self.held_up)
        self.loop_delay.start()

    def test_a_loop_that_nobody_holds_up_is_on_time(self) -> None:
        self.reactor.pump([INTERVAL] * 10)
        self.assertEqual((self.loop_delay.delays.count, round(self.loop_delay.delays.sum, 9)), (10, 0.0))

    def test_the_time_that_somebody_held_it_up_is_told_once(self) -> None:
        self.held_up = 0.25
        self.reactor.pump([INTERVAL] * 4)
        self.assertEqual((self.loop_delay.delays.count, round(self.loop_delay.delays.sum, 9)), (4, 0.25))

    def test_it_ends(self) -> None:
        self.loop_delay.stop()
        self.loop_delay.stop()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
