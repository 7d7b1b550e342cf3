from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.link.congestion import Sample
from bittrrt.link.contention import (
    ANSWER_ROUNDS,
    ANSWERED_ROUNDS,
    CALM_ROUNDS,
    LOSS_ROUNDS,
    SOON_OVERFLOWS,
    UNANSWERED_DATAGRAMS,
    Contention,
)
from bittrrt.link.rounds import Round


class ContentionTests(SynchronousTestCase):
    """On a path of ten rounds a second that loses nothing by itself."""

    def setUp(self) -> None:
        self.contention = Contention()
        self.round = Round()
        self.now = 0.0

    def rounds(
        self,
        count: int,
        lost: int,
        *,
        datagrams: int = 100,
        settled: bool = True,
        longest: float = 0.1,
        enough: float = 0.0,
    ) -> None:
        """So many rounds, each with a queue, and with so many datagrams of which `lost` are lost."""
        for _ in range(count):
            self.round.begin(0)
            self.now += 0.1
            self.round.add(Sample(self.now, (datagrams - lost) * 1000, lost * 1000, 0, 0, 0, 0.0, False, longest))
            self.contention.round_ended(self.round, own=0.0, queued=True, occupied=True, settled=settled, enough=enough)

    def overflow(self, lost: int, *, then: float) -> None:
        """An overflow at a round trip of 0.1 s, and the round trips after it."""
        self.rounds(1, lost)
        self.contention.overflowed(self.round, 1000)
        self.rounds(ANSWER_ROUNDS, 0, longest=then)

    def fall_to(self, share: float) -> None:
        """The own rate is so much of what it was when this end yields."""
        self.rounds(2, 0)
        self.rounds(1, 0, datagrams=int(100 * share))
        self.contention.yielding(soon=False)

    def test_loss_in_round_after_round_shows_that_nobody_yields(self) -> None:
        self.rounds(LOSS_ROUNDS - 1, 3)
        self.assertFalse(self.contention.holds)
        self.rounds(1, 3)
        self.assertTrue(self.contention.holds)

    def test_a_queue_that_overflows_now_and_then_is_of_flows_that_yield(self) -> None:
        for _ in range(20):
            self.rounds(2, 10)
            self.rounds(6, 0)
        self.assertFalse(self.contention.holds)

    def test_losses_of_the_start_show_nothing(self) -> None:
        self.rounds(LOSS_ROUNDS - 1, 10, settled=False)
        self.rounds(LOSS_ROUNDS, 0)
        self.rounds(1, 10)
        self.assertFalse(self.contention.holds)

    def test_overflows_that_follow_one_another_soon_show_it(self) -> None:
        for soon in (*[True] * (SOON_OVERFLOWS - 1), False, *[True] * (SOON_OVERFLOWS - 1)):
            self.contention.yielding(soon=soon)
        self.assertFalse(self.contention.holds)
        self.contention.yielding(soon=True)
        self.assertTrue(self.contention.holds)

    def test_overflows_after_which_the_queue_stays_full_show_it(self) -> None:
        self.overflow(UNANSWERED_DATAGRAMS - 1, then=0.09)
        self.assertFalse(self.contention.holds)
        self.overflow(1, then=0.09)
        self.assertTrue(self.contention.holds)

    def test_an_answer_shows_that_somebody_yields(self) -> None:
        self.overflow(UNANSWERED_DATAGRAMS - 1, then=0.09)
        self.overflow(20, then=0.08)
        self.overflow(UNANSWERED_DATAGRAMS - 1, then=0.09)
        self.assertFalse(self.contention.holds)

    def test_overflows_that_come_again_before_they_are_answered_show_it(self) -> None:
        for rounds, holds in ((ANSWERED_ROUNDS - 1, False), (ANSWERED_ROUNDS, True)):
            self.setUp()
            for _ in range(UNANSWERED_DATAGRAMS + 1):
                self.rounds(1, 1)
                self.contention.overflowed(self.round, 1000)
                self.rounds(rounds - 1, 0, longest=0.09)
            self.assertEqual(self.contention.holds, holds)

    def test_a_queue_that_is_shorter_because_this_end_sends_less_is_no_answer(self) -> None:
        for settled, holds in ((True, False), (False, True)):
            self.setUp()
            self.rounds(1, UNANSWERED_DATAGRAMS)
            self.contention.overflowed(self.round, 1000)
            self.rounds(ANSWER_ROUNDS - 2, 0, longest=0.09)
            self.rounds(1, 0, longest=0.06, settled=settled)
            self.rounds(1, 0, longest=0.09)
            self.assertEqual(self.contention.holds, holds)

    def test_rounds_in_which_this_end_sends_less_show_nothing_alone(self) -> None:
        self.rounds(1, UNANSWERED_DATAGRAMS)
        self.contention.overflowed(self.round, 1000)
        self.rounds(ANSWER_ROUNDS, 0, longest=0.1, settled=False)
        self.assertFalse(self.contention.holds)

    def test_a_rate_that_comes_down_to_a_quarter_shows_it(self) -> None:
        self.fall_to(0.25)
        self.assertTrue(self.contention.holds)
        self.assertAlmostEqual(self.contention.half, 0.5e6)

    def test_a_rate_that_comes_down_to_a_third_leaves_room_to_a_flow_that_yields(self) -> None:
        self.fall_to(0.34)
        self.assertFalse(self.contention.holds)

    def test_calm_shows_that_somebody_yields_again(self) -> None:
        self.rounds(LOSS_ROUNDS, 8)
        self.rounds(2 * CALM_ROUNDS, 5)
        self.assertTrue(self.contention.holds)
        self.rounds(CALM_ROUNDS, 0)
        self.assertFalse(self.contention.holds)

    def test_calm_of_a_share_that_is_still_coming_back_shows_nothing(self) -> None:
        self.rounds(LOSS_ROUNDS, 4, datagrams=50)
        self.rounds(CALM_ROUNDS // 2, 0, datagrams=50)
        self.rounds(CALM_ROUNDS // 2, 0)
        self.assertTrue(self.contention.holds)
        self.rounds(CALM_ROUNDS, 0)
        self.assertFalse(self.contention.holds)

    def test_a_rate_that_fell_and_is_back_shows_that_somebody_did_yield(self) -> None:
        self.fall_to(0.25)
        self.rounds(CALM_ROUNDS, 2, datagrams=70)
        self.assertTrue(self.contention.holds)
        self.rounds(CALM_ROUNDS // 3 * 2, 2, datagrams=95)
        self.assertFalse(self.contention.holds)

    def test_what_came_back_is_not_enough_if_it_is_known_to_be_less_than_half(self) -> None:
        for enough, held in ((1.1e6, True), (0.9e6, False)):
            self.setUp()
            self.fall_to(0.25)
            self.rounds(CALM_ROUNDS, 2, enough=enough)
            self.assertEqual(self.contention.holds, held)

    def test_what_came_back_with_much_loss_was_taken_from_somebody_who_does_not_yield(self) -> None:
        self.fall_to(0.25)
        self.rounds(2 * CALM_ROUNDS, 5, datagrams=95)
        self.assertTrue(self.contention.holds)

    def test_that_is_not_believed_if_the_rate_falls_again(self) -> None:
        for _ in range(2):
            self.fall_to(0.25)
            self.rounds(CALM_ROUNDS, 2, datagrams=95)
        self.assertTrue(self.contention.holds)
