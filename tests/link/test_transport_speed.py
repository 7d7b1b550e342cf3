"""The speeds that the transport is to reach, in simulated time. `bench/transport_simulation.py` prints more of them."""

from __future__ import annotations

from statistics import median

from twisted.trial.unittest import SynchronousTestCase

from tests.link.competitors import TcpBbr, TcpCubic, TcpFlow
from tests.link.profiles import Profile, Reached, fairness_of_two, share_beside_tcp, transfer

LONG = Profile(100, 100, loss_percent=1)


class SpeedTests(SynchronousTestCase):
    def reaches(self, profile: Profile, megabytes: float, megabits: float, *, setup: float = 0.0) -> Reached:
        reached = transfer(profile, megabytes, setup=setup)
        self.assertTrue(reached.done, f"{profile}: {reached}")
        self.assertGreater(reached.megabits, megabits, f"{profile}")
        self.assertLess(reached.sent_per_delivered, 1.03 / (1 - profile.loss_percent / 100), f"{profile}")
        return reached

    def test_a_long_path_with_loss_is_filled(self) -> None:
        self.reaches(LONG, 128, 85)

    def test_a_short_transfer_with_its_set_up_is_fast_on_a_long_path(self) -> None:
        self.reaches(LONG, 32, 60, setup=0.4)

    def test_random_loss_of_5_percent_does_not_slow_it_down(self) -> None:
        self.reaches(Profile(100, 100, loss_percent=5), 64, 70)

    def test_a_start_that_loses_many_by_chance_is_not_taken_for_a_queue(self) -> None:
        for profile, seed, megabits in ((Profile(100, 40, loss_percent=20), 5, 40), (Profile(50, 40, 35), 19, 10)):
            self.assertGreater(transfer(profile, 8, seed=seed, setup=0.1).megabits, megabits, f"{profile}")

    def test_a_satellite_path_is_filled(self) -> None:
        self.reaches(Profile(20, 600, loss_percent=2), 32, 11, setup=3.0)

    def test_jitter_and_reordering_are_not_taken_for_a_queue(self) -> None:
        self.reaches(Profile(50, 20, loss_percent=5, jitter_ms=10, reordering_percent=2), 24, 40)

    def test_a_fast_path_is_filled(self) -> None:
        self.reaches(Profile(1000, 10), 100, 850)

    def test_a_queue_that_is_too_short_to_probe_in_is_not_overrun(self) -> None:
        self.reaches(Profile(100, 40, queue=0.1), 32, 80)

    def test_heartbeats_pass_a_bulk_transfer_without_much_delay(self) -> None:
        reached = self.reaches(Profile(100, 20), 64, 85)
        self.assertLess(reached.heartbeat_p99, 2 * reached.idle_round_trip + 0.005)

    def test_cubic_fills_a_clean_path(self) -> None:
        self.assertGreater(transfer(Profile(50, 20), 16, congestion="cubic").megabits, 42)


class FairnessTests(SynchronousTestCase):
    def assert_share(self, profile: Profile, kind: type[TcpFlow], *, lead: float = 0.0, seconds: float = 30.0) -> None:
        share = share_beside_tcp(profile, kind, seconds=seconds, lead=lead)
        self.assertTrue(0.35 < share < 0.65, f"{profile}: {share}")

    def test_beside_tcp_cubic_it_takes_its_share(self) -> None:
        for profile in (Profile(40, 40), Profile(20, 80), Profile(50, 10)):
            self.assert_share(profile, TcpCubic)

    def test_where_a_window_takes_ten_seconds_to_come_back_it_leaves_room_to_who_came_later(self) -> None:
        self.assert_share(Profile(30, 200), TcpCubic, lead=1.3, seconds=40)

    def test_where_few_datagrams_fit_in_the_queue_it_yields_to_overflows_that_take_none_of_its_own(self) -> None:
        self.assert_share(Profile(5, 50), TcpCubic)
        self.assert_share(Profile(20, 60), TcpCubic, lead=1.3)

    def test_a_slow_path_is_not_crushed_by_the_start(self) -> None:
        self.assert_share(Profile(10, 40), TcpCubic)

    def test_beside_tcp_bbr_it_takes_its_share(self) -> None:
        for profile in (Profile(20, 60), Profile(20, 80), Profile(30, 40)):
            self.assert_share(profile, TcpBbr)
        self.assert_share(Profile(30, 40), TcpBbr, lead=1.3)

    def test_where_tcp_bbr_was_first_and_a_round_trip_is_long_it_takes_its_share_all_the_same(self) -> None:
        for profile in (Profile(30, 200), Profile(60, 150)):
            self.assert_share(profile, TcpBbr, lead=-1.3, seconds=40)

    def test_where_few_datagrams_fit_in_the_queue_it_neither_crushes_tcp_bbr_nor_is_crushed(self) -> None:
        for profile in (Profile(3, 60), Profile(5, 50), Profile(10, 40)):
            for lead in (0.0, 1.3, -1.3):
                self.assert_share(profile, TcpBbr, lead=lead)

    def test_a_second_transfer_gets_as_much_as_the_first(self) -> None:
        for profile in (Profile(20, 40), Profile(20, 80), Profile(100, 100)):
            index = fairness_of_two(profile)
            self.assertGreater(index, 0.95, f"{profile}")

    def test_a_second_transfer_gets_as_much_where_the_path_loses_one_datagram_in_two_thousand(self) -> None:
        profile = Profile(50, 40, loss_percent=0.05)
        self.assertGreater(median(fairness_of_two(profile, seconds=30, seed=seed) for seed in (3, 4, 5)), 0.95)
