from __future__ import annotations

import math

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.link.congestion import Sample
from bittrrt.link.conservation import SEVERAL, Conservation

SIZE = 1000  # bytes, of a datagram


class ConservationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.conservation = Conservation()
        self.delivered = 100_000

    def limit(self, *, lost: int = 0, before: int, in_flight: int = 40_000, window: int = 50_000) -> float:
        """What may be in flight after two datagrams arrived that were sent when `before` bytes had arrived."""
        self.delivered += 2 * SIZE
        sample = Sample(0.0, 2 * SIZE, lost * SIZE, in_flight, self.delivered, before, 0.0, False, 0.1)
        return self.conservation.limit(sample, window, SIZE)

    def test_without_a_loss_there_is_no_limit(self) -> None:
        self.assertEqual(self.limit(before=50_000), math.inf)

    def test_for_a_round_after_a_loss_no_more_leaves_than_arrives(self) -> None:
        self.assertEqual(self.limit(lost=1, before=50_000), 42_000)
        loss_at = self.delivered
        self.assertEqual(self.limit(before=loss_at - 1, window=42_000), 42_000)
        self.assertEqual(self.limit(lost=1, before=loss_at - 1, window=43_000, in_flight=30_000), 42_000)
        self.assertEqual(self.limit(before=loss_at), math.inf)

    def test_a_loss_after_that_round_begins_another(self) -> None:
        self.limit(lost=1, before=50_000)
        self.assertEqual(self.limit(lost=1, before=self.delivered), 42_000)
        self.assertEqual(self.limit(before=self.delivered - 1, window=42_000), 42_000)

    def test_while_several_are_sent_again_it_grows_back_by_what_arrives(self) -> None:
        self.limit(lost=1, before=50_000)
        loss_at = self.delivered
        self.limit(lost=SEVERAL, before=loss_at - 1)
        repaired_at = self.delivered
        self.assertEqual(self.limit(before=loss_at, window=42_000), 44_000)
        self.assertEqual(self.limit(lost=3, before=loss_at, window=44_000), 43_000)
        self.assertEqual(self.limit(before=repaired_at), math.inf)

    def test_losses_that_a_timer_finds_count_too(self) -> None:
        nothing_arrived = Sample(0.0, 0, SIZE, 40_000, self.delivered, -1, 0.0, False, 0.0)
        self.assertEqual(self.conservation.limit(nothing_arrived, 50_000, SIZE), 40_000)
