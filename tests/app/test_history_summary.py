"""Minutes put together: counts exactly, percentiles as well as percentiles of minutes allow."""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.app.history_summary import summarize
from bittrrt.files.history import MinuteRow
from bittrrt.link.quantiles import Quantiles
from tests.files.history_rows import NOW, minute, minutes, silent_minute


class SummaryTests(SynchronousTestCase):
    def test_slots_cover_the_time_and_are_whole_minutes(self) -> None:
        for count, most, slots, seconds in ((1, 30, 1, 60), (30, 30, 30, 60), (31, 30, 16, 120), (1440, 30, 30, 2880)):
            up = summarize([], NOW, NOW + 60 * count, most)["up"]
            self.assertEqual((len(up.slots), up.seconds), (slots, seconds))
            self.assertEqual((up.edges[0], len(up.edges)), (NOW, slots + 1))
            self.assertGreaterEqual(up.edges[-1], NOW + 60 * count)

    def test_every_row_is_counted_once_in_its_slot(self) -> None:
        rows = [*minutes(7), silent_minute(NOW + 420), minute(NOW - 60), minute(NOW + 9000)]
        ports = summarize(rows, NOW, NOW + 480, 4)
        self.assertEqual([slot.answered for slot in ports["up"].slots], [24, 24, 24, 12])
        self.assertEqual([slot.lost for slot in ports["up"].slots], [0, 0, 0, 12])
        self.assertEqual(ports["up"].slots[3].loss, 0.5)
        self.assertEqual((ports["ctrl"].whole.answered, ports["ctrl"].whole.loss), (84, 0.0))

    def test_what_was_not_measured_is_no_figure(self) -> None:
        up = summarize([silent_minute()], NOW, NOW + 120, 2)["up"]
        self.assertEqual([slot.loss for slot in up.slots], [1.0, None])
        self.assertEqual((up.whole.round_trips.quantile(0.5), up.whole.minimum, up.whole.maximum), (None, None, None))

    def test_the_extremes_are_exact_and_percentiles_near_those_of_all_round_trips(self) -> None:
        chance = random.Random(5)
        every, rows = Quantiles(), []
        for number in range(500):
            level = 20 + 10 * chance.random() ** 2  # a path that changes from minute to minute
            times = [level + chance.expovariate(1 / 3) for _ in range(60)]
            for time in times:
                every.add(time)
            rows.append(_row_of(NOW + 60 * number, times))
        whole = summarize(rows, NOW, NOW + 30_000, 30)["up"].whole
        self.assertAlmostEqual(whole.minimum or 0.0, every.minimum, 3)
        self.assertAlmostEqual(whole.maximum or 0.0, every.maximum, 3)
        for fraction, within in ((0.05, 0.03), (0.25, 0.03), (0.5, 0.03), (0.75, 0.03), (0.95, 0.1)):
            near, exact = whole.round_trips.quantile(fraction), every.quantile(fraction)
            assert near is not None
            assert exact is not None
            self.assertLess(abs(near / exact - 1), within, f"{fraction}: {near} {exact}")


def _row_of(at: int, times: list[float]) -> MinuteRow:
    quantiles = Quantiles()
    for time in times:
        quantiles.add(time)
    p5, p25, median, p75, p95, p99 = quantiles.quantiles((0.05, 0.25, 0.5, 0.75, 0.95, 0.99))
    return minute(
        at, answered=len(times), min_ms=quantiles.minimum, p5_ms=p5, p25_ms=p25, median_ms=median, p75_ms=p75,
        p95_ms=p95, p99_ms=p99, max_ms=quantiles.maximum,
    )  # fmt: skip
