from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.link.path_mtu import LADDER, PathMtu


def search(path_mtu: PathMtu, limit: int, now: float = 0.0) -> float:
    """Answer every probe that fits `limit`, until the search rests. Returns when that is."""
    for _ in range(100):
        size = path_mtu.next_probe(now)
        if size is None:
            due = path_mtu.next_timeout()
            if due is None or due > now + 100:
                return now
            now = due
            continue
        path_mtu.probe_sent(size, now, 0.1)
        if size <= limit:
            path_mtu.probe_answered(size, now + 0.05)
    raise AssertionError("the search does not end")


class PathMtuTests(SynchronousTestCase):
    def test_it_finds_the_highest_step_that_fits(self) -> None:
        for limit in (1200, 1460, 1472, 9000, 65_487):
            path_mtu = PathMtu(0.0)
            search(path_mtu, limit)
            self.assertEqual(path_mtu.size, max(step for step in LADDER if step <= limit))

    def test_three_lost_probes_end_the_search_until_ten_minutes_later(self) -> None:
        path_mtu = PathMtu(0.0)
        end = search(path_mtu, 1472)
        self.assertIsNone(path_mtu.next_probe(end + 500))
        self.assertEqual(path_mtu.next_probe(end + 601), 8952)

    def test_one_lost_probe_does_not_end_it(self) -> None:
        path_mtu = PathMtu(0.0)
        path_mtu.probe_sent(path_mtu.next_probe(0.0) or 0, 0.0, 0.1)
        self.assertIsNone(path_mtu.next_probe(0.05))
        self.assertEqual(path_mtu.next_probe(0.1), 1452)

    def test_the_search_is_settled_when_nothing_is_due_or_on_its_way(self) -> None:
        path_mtu = PathMtu(0.0)
        self.assertFalse(path_mtu.settled(0.0))
        path_mtu.probe_sent(path_mtu.next_probe(0.0) or 0, 0.0, 0.1)
        self.assertFalse(path_mtu.settled(0.05))
        end = search(path_mtu, 1472, now=0.1)
        self.assertTrue(path_mtu.settled(end))
        self.assertFalse(path_mtu.settled(end + 601))
        search(path_mtu, 65_487, now=end + 601)
        self.assertTrue(path_mtu.settled(end + 5000))

    def test_a_black_hole_falls_back_and_is_searched_again(self) -> None:
        path_mtu = PathMtu(0.0)
        now = search(path_mtu, 8952)
        self.assertFalse(path_mtu.probe_timeouts(2, now))
        self.assertTrue(path_mtu.probe_timeouts(3, now))
        self.assertEqual(path_mtu.size, 1200)
        self.assertIsNone(path_mtu.next_probe(now + 9))
        self.assertEqual(path_mtu.next_probe(now + 10), 1452)

    def test_a_fixed_size_is_held(self) -> None:
        path_mtu = PathMtu(0.0, fixed=1452)
        self.assertIsNone(path_mtu.next_timeout())
        self.assertIsNone(path_mtu.next_probe(1.0))
        self.assertFalse(path_mtu.probe_timeouts(9, 1.0))
        self.assertEqual(path_mtu.size, 1452)
        for size in (500, 70_000):
            self.assertRaises(ValueError, PathMtu, 0.0, fixed=size)

    def test_a_size_that_this_machine_refuses_is_not_tried_on(self) -> None:
        path_mtu = PathMtu(0.0)
        path_mtu.probe_refused(path_mtu.next_probe(0.0) or 0, 0.0)
        self.assertIsNone(path_mtu.next_probe(1.0))

    def test_answers_to_what_was_not_asked_change_nothing(self) -> None:
        path_mtu = PathMtu(0.0)
        path_mtu.probe_answered(65_487, 0.0)
        self.assertEqual(path_mtu.size, 1200)
