"""Losses told apart by direction: by hand, and over a seeded path that loses one way only."""

from __future__ import annotations

import random
from collections.abc import Callable
from statistics import fmean

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.link.loss_direction import MAX_PENDING, DirectionReport, LossDirection
from bittrrt.link.replay import ReplayFilter
from bittrrt.wire.datagram import PortType

CTRL, UP, DN = PortType
Survives = Callable[[PortType, random.Random], bool]
Answers = dict[PortType, tuple[bool, bool]]  # whether the first and the second answer came


def keeps(share: float) -> Survives:
    """A direction that loses `1 - share` on every port."""
    return lambda port, chance: chance.random() < share


def all_but(*blocked: PortType) -> Survives:
    """A direction in which some ports are blocked."""
    return lambda port, chance: port not in blocked


class SimulatedPath:
    """A client's heartbeats on three ports to a server that numbers all it sends; what comes back, and what is told.

    A heartbeat that misses an answer ends `patience` heartbeats later, as at the client.
    """

    def __init__(self, seed: int, to_server: Survives, to_client: Survives, patience: int = 0) -> None:
        self.chance = random.Random(seed)
        self.to_server = to_server
        self.to_client = to_client
        self.patience = patience
        self.server_sequence = 0
        self.replay = ReplayFilter()
        self.direction = LossDirection()
        self.under_way: list[Answers] = []

    def answer(self, port: PortType) -> bool:
        """One datagram there and its answer back."""
        if not self.to_server(port, self.chance):
            return False
        sequence = self.server_sequence
        self.server_sequence += 1
        return self.to_client(port, self.chance) and self.replay.accept(sequence)

    def beat(self) -> None:
        """One heartbeat on every port."""
        first = {port: self.answer(port) for port in PortType}
        answers = {port: (first[port], first[port] and self.answer(port)) for port in PortType}
        self.under_way.append(answers)
        if all(second for _, second in answers.values()):
            self.finish(self.under_way.pop())
        while len(self.under_way) > self.patience:
            self.finish(self.under_way.pop(0))

    def finish(self, answers: Answers) -> None:
        for port, (first, second) in answers.items():
            if second:
                self.direction.completed(port)
            else:
                self.direction.missed(port, first, self.replay.accepted)
        self.direction.judge(self.replay.accepted, self.replay.missing, settled=not self.under_way)

    def run(self, beats: int) -> dict[PortType, DirectionReport]:
        for _ in range(beats):
            self.beat()
        return {port: self.direction.report(port) for port in PortType}


class HandTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.direction = LossDirection()

    def report(self, port: PortType = CTRL) -> tuple[float, float]:
        report = self.direction.report(port)
        return report.to_peer, report.from_peer

    def test_nothing_is_lost_at_first(self) -> None:
        self.assertEqual(self.report(), (0.0, 0.0))
        self.direction.completed(CTRL)
        self.assertEqual(self.report(), (0.0, 0.0))

    def test_a_miss_without_a_gap_was_lost_on_its_way_there(self) -> None:
        self.direction.missed(CTRL, False, 10)
        self.direction.judge(11, 0, settled=True)
        self.assertEqual(self.report(), (1.0, 0.0))

    def test_a_miss_with_a_gap_was_lost_on_its_way_back(self) -> None:
        self.direction.missed(CTRL, False, 10)
        self.direction.judge(11, 1, settled=True)
        self.assertEqual(self.report(), (0.0, 1.0))

    def test_a_missed_second_answer_counts_its_first_as_two_that_arrived(self) -> None:
        self.direction.missed(CTRL, True, 10)
        self.direction.judge(11, 0, settled=True)
        self.assertEqual(self.report(), (0.5, 0.0))
        self.direction.missed(UP, True, 11)
        self.direction.judge(12, 1, settled=True)
        self.assertEqual(self.report(UP), (0.0, 0.5))

    def test_it_is_judged_only_once_something_newer_has_come(self) -> None:
        self.direction.missed(CTRL, False, 10)
        self.direction.judge(10, 0, settled=True)
        self.assertEqual(self.report(), (0.0, 0.0))
        self.direction.judge(11, 1, settled=True)
        self.assertEqual(self.report(), (0.0, 1.0))

    def test_a_gap_explains_one_miss_only(self) -> None:
        self.direction.missed(CTRL, False, 10)
        self.direction.judge(11, 1, settled=True)
        self.direction.missed(UP, False, 11)
        self.direction.judge(12, 1, settled=True)
        self.assertEqual((self.report(CTRL), self.report(UP)), ((0.0, 1.0), (1.0, 0.0)))

    def test_misses_of_one_time_share_the_gaps(self) -> None:
        self.direction.missed(CTRL, False, 10)
        self.direction.missed(UP, False, 10)
        self.direction.judge(11, 1, settled=True)
        self.assertEqual(self.report(CTRL), (0.5, 1.0))
        self.assertEqual(self.report(UP), (0.5, 1.0))

    def test_a_gap_that_cost_no_heartbeat_explains_none_that_is_missed_later(self) -> None:
        self.direction.judge(10, 5, settled=True)
        self.direction.missed(CTRL, False, 10)
        self.direction.judge(11, 5, settled=True)
        self.assertEqual(self.report(), (1.0, 0.0))

    def test_a_gap_is_kept_for_a_heartbeat_that_is_still_under_way(self) -> None:
        self.direction.judge(10, 1, settled=False)
        self.direction.missed(CTRL, False, 10)
        self.direction.judge(11, 1, settled=True)
        self.assertEqual(self.report(), (0.0, 1.0))

    def test_what_was_missing_and_came_late_after_all_does_no_harm(self) -> None:
        self.direction.missed(CTRL, False, 10)
        self.direction.judge(11, 1, settled=True)
        self.direction.judge(12, 0, settled=True)
        self.direction.missed(UP, False, 12)
        self.direction.judge(13, 1, settled=True)
        self.assertEqual(self.report(UP), (0.0, 1.0))

    def test_a_long_silence_takes_bounded_memory(self) -> None:
        for _ in range(10_000):
            self.direction.missed(CTRL, False, 10)
        self.direction.judge(11, 0, settled=True)
        self.assertEqual(self.report(), (1.0, 0.0))
        self.assertEqual(len(self.direction._outcomes[CTRL]), MAX_PENDING)


class SimulatedTests(SynchronousTestCase):
    """Every share is compared with what the path really does."""

    def check(self, there: float, back: float) -> None:
        """The mean over seeds of what is told is what the path does, on every port and for every patience."""
        for patience in (0, 1, 3):
            reports = [SimulatedPath(seed, keeps(1 - there), keeps(1 - back), patience).run(200) for seed in range(20)]
            for port in PortType:
                told = f"{port}, patience {patience}, seeds 0 to 19"
                self.assertLess(abs(fmean(report[port].to_peer for report in reports) - there), 0.02, told)
                self.assertLess(abs(fmean(report[port].from_peer for report in reports) - back), 0.02, told)

    def test_a_clean_path_loses_nothing(self) -> None:
        for report in SimulatedPath(0, keeps(1), keeps(1)).run(200).values():
            self.assertEqual(report, DirectionReport(0.0, 0.0))

    def test_loss_on_the_way_there_is_told(self) -> None:
        self.check(0.02, 0.0)
        self.check(0.2, 0.0)

    def test_loss_on_the_way_back_is_told(self) -> None:
        self.check(0.0, 0.02)
        self.check(0.0, 0.2)

    def test_loss_both_ways_is_told_apart(self) -> None:
        self.check(0.05, 0.05)
        self.check(0.02, 0.2)
        self.check(0.2, 0.02)

    def test_a_port_blocked_on_its_way_there(self) -> None:
        for blocked in PortType:
            reports = SimulatedPath(1, all_but(blocked), keeps(1)).run(200)
            for port, report in reports.items():
                self.assertEqual(report, DirectionReport(1.0 if port is blocked else 0.0, 0.0))

    def test_a_port_blocked_on_its_way_back(self) -> None:
        for blocked in PortType:
            reports = SimulatedPath(1, keeps(1), all_but(blocked)).run(200)
            for port, report in reports.items():
                self.assertEqual(report, DirectionReport(0.0, 1.0 if port is blocked else 0.0))

    def test_a_port_blocked_each_way_and_one_that_works(self) -> None:
        reports = SimulatedPath(1, all_but(CTRL), all_but(UP)).run(200)
        self.assertGreater(reports[CTRL].to_peer, 0.45)  # they share the gaps evenly: the best that can be told
        self.assertGreater(reports[UP].from_peer, 0.45)
        self.assertEqual(reports[DN], DirectionReport(0.0, 0.0))

    def test_a_path_that_recovers_is_forgiven(self) -> None:
        path = SimulatedPath(1, keeps(0.5), keeps(0.5))
        path.run(100)
        path.to_server = path.to_client = keeps(1)
        for report in path.run(110).values():
            self.assertEqual(report, DirectionReport(0.0, 0.0))
