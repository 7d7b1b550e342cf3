from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.link.pacer import MAX_TOKENS, TICK, Pacer


class PacerTests(SynchronousTestCase):
    def test_late_ticks_keep_the_rate(self) -> None:
        random, now, sent = Random(1), 0.0, 0
        pacer = Pacer(12_500_000, now)
        while now < 2.0:
            now += random.uniform(0.0011, 0.0013)
            while pacer.available(now) >= pacer.quantum:
                pacer.spend(1452)
                sent += 1452
        self.assertLess(abs(sent / now - 12_500_000), 100_000)

    def test_a_long_sleep_is_not_made_up_for(self) -> None:
        pacer = Pacer(1_000_000, 0.0)
        self.assertEqual(pacer.available(10.0), 5000)
        self.assertTrue(pacer.clipped)

    def test_a_fast_sender_keeps_four_writes_or_a_ticks_worth_if_that_is_more(self) -> None:
        self.assertEqual(Pacer(100e6, 0.0).available(10.0), MAX_TOKENS)
        self.assertEqual(Pacer(1e9, 0.0).available(10.0), 1e9 * TICK)

    def test_it_tells_when_the_tokens_will_do(self) -> None:
        pacer = Pacer(1_000_000, 0.0)
        pacer.spend(3000)
        time = pacer.time_of(1000)
        self.assertLess(pacer.available(time - 1e-6), 1000)
        self.assertGreaterEqual(pacer.available(time) + 1e-6, 1000)

    def test_a_new_rate_counts_from_now_on(self) -> None:
        pacer = Pacer(1_000_000, 0.0)
        pacer.spend(1000)
        pacer.set_rate(2_000_000, 0.001)
        self.assertAlmostEqual(pacer.available(0.002), 3000)

    def test_a_burst_waits_until_it_may_leave_whole_and_late_ticks_keep_its_rate(self) -> None:
        random, now, bursts = Random(1), 0.0, 0
        pacer = Pacer(500_000, now)
        pacer.burst = 2904
        while now < 2.0:
            now += random.uniform(0.0011, 0.0031)
            if pacer.available(now) >= pacer.quantum:
                pacer.spend(2904)
                bursts += 1
        self.assertLess(abs(bursts * 2904 / now - 500_000), 3000)
