"""The pool of ports, on a fake clock."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bittrrt import PortManager
from bittrrt.errors import SettingsError
from bittrrt.net.port_manager import HELD_ELSEWHERE_REST, parse_port_ranges
from bittrrt.settings import Settings

RANGES = "8000-8003, 8010,8012-8013"
PORTS = [8000, 8001, 8002, 8003, 8010, 8012, 8013]
QUARANTINE = 120.0


class PoolMachine(RuleBasedStateMachine):
    """A pool beside its model: which ports are free, in use, or rest until when."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.pool = PortManager(port_ranges=RANGES, quarantine=QUARANTINE, now=self.clock.seconds)
        self.free = set(PORTS)
        self.in_use: set[int] = set()
        self.resting: dict[int, float] = {}

    def rest(self, port: int, seconds: float) -> None:
        self.in_use.discard(port)
        self.resting[port] = self.clock.seconds() + seconds

    @rule()
    def get_next_port(self) -> None:
        port = self.pool.get_next_port()
        assert port == min(self.free, default=None)
        if port is not None:
            self.free.remove(port)
            self.in_use.add(port)

    @rule(data=st.data())
    def release_port(self, data: st.DataObject) -> None:
        if self.in_use:
            port = data.draw(st.sampled_from(sorted(self.in_use)))
            assert self.pool.release_port(port)
            self.rest(port, QUARANTINE)

    @rule(data=st.data())
    def set_aside(self, data: st.DataObject) -> None:
        if self.in_use:
            port = data.draw(st.sampled_from(sorted(self.in_use)))
            assert self.pool.set_aside(port)
            self.rest(port, max(QUARANTINE, HELD_ELSEWHERE_REST))

    @rule(data=st.data())
    def release_what_is_not_in_use(self, data: st.DataObject) -> None:
        if self.free or self.resting:
            assert not self.pool.release_port(data.draw(st.sampled_from(sorted(self.free | set(self.resting)))))

    @rule(seconds=st.sampled_from([0.0, 1.0, 59.5, QUARANTINE / 2, QUARANTINE - 1, QUARANTINE, 1000.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        now = self.clock.seconds()
        rested = {port for port, until in self.resting.items() if until <= now}
        self.free |= rested
        self.resting = {port: until for port, until in self.resting.items() if port not in rested}

    @invariant()
    def the_same(self) -> None:
        spans = self.pool.get_spans()
        assert [port for first, last in spans for port in range(first, last + 1)] == sorted(self.free)
        assert all(before[1] + 1 < after[0] for before, after in pairwise(spans))
        assert self.pool.get_available_port_count() == len(self.free)
        assert self.pool.get_resting_port_count() == len(self.resting)
        assert len(self.free) + len(self.in_use) + len(self.resting) == len(PORTS)


class PoolTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()

    def pool(self, ranges: str = RANGES, quarantine: float = 0.0) -> PortManager:
        return PortManager(port_ranges=ranges, quarantine=quarantine, now=self.clock.seconds)

    def test_any_use_of_it_is_that_of_the_model(self) -> None:
        run_state_machine_as_test(PoolMachine, settings=settings(max_examples=60, stateful_step_count=40))

    def test_the_lowest_free_port_is_handed_out(self) -> None:
        pool = self.pool()
        self.assertEqual([pool.get_next_port() for _ in range(9)], [*PORTS, None, None])

    def test_released_ports_are_merged(self) -> None:
        pool = self.pool("8000-8001, 9000,9002-9003")
        self.assertEqual(pool.get_spans(), [(8000, 8001), (9000, 9000), (9002, 9003)])
        self.assertTrue(pool.release_port(9001))
        self.assertEqual(pool.get_spans(), [(8000, 8001), (9000, 9003)])
        self.assertEqual(pool.get_available_port_count(), 6)

    def test_a_released_port_rests_and_is_then_the_lowest_again(self) -> None:
        pool = self.pool(quarantine=120.0)
        self.assertEqual(pool.get_next_port(), 8000)
        pool.release_port(8000)
        self.assertEqual((pool.get_next_port(), pool.get_resting_port_count()), (8001, 1))
        self.clock.advance(119.9)
        self.assertEqual(pool.get_next_port(), 8002)
        self.clock.advance(0.1)
        self.assertEqual((pool.get_next_port(), pool.get_resting_port_count()), (8000, 0))

    def test_a_port_held_elsewhere_rests_even_without_a_quarantine(self) -> None:
        pool = self.pool()
        port = pool.get_next_port()
        assert port is not None
        self.assertTrue(pool.set_aside(port))
        self.assertEqual(pool.get_next_port(), 8001)
        self.clock.advance(HELD_ELSEWHERE_REST)
        self.assertEqual(pool.get_next_port(), port)

    def test_a_port_is_released_once(self) -> None:
        for quarantine in (0.0, 120.0):
            pool = self.pool(quarantine=quarantine)
            port = pool.get_next_port()
            assert port is not None
            self.assertEqual([pool.release_port(port), pool.release_port(port)], [True, False])

    def test_what_is_no_port_is_not_taken(self) -> None:
        for port in (0, -1, 65536):
            self.assertRaises(ValueError, self.pool().release_port, port)

    def test_the_ranges_are_those_of_the_configuration(self) -> None:
        for config in (Settings(port_ranges="7000-7001"), {"port_ranges": "7000-7001", "other": 1}):
            self.assertEqual(PortManager(config).get_spans(), [(7000, 7001)])
        self.assertEqual(PortManager().get_spans(), [(6712, 6999)])


class RangesTests(SynchronousTestCase):
    def test_ranges_as_people_write_them(self) -> None:
        for text, spans in {
            "8000-8001, 9000,9002-9003": [(8000, 8001), (9000, 9000), (9002, 9003)],
            " 1 - 65535 ": [(1, 65535)],
            "9001,9000": [(9000, 9001)],
            "10-20,15-30": [(10, 30)],
        }.items():
            self.assertEqual(parse_port_ranges(text).get_spans(), spans)

    def test_anything_else_is_refused_in_one_line(self) -> None:
        for text in ("", ",", "0", "65536", "2-1", "1-", "-1", "1--2", "1-2-3", "a", "1;2", "1,", "123456", "\u0661"):
            error = self.assertRaises(SettingsError, parse_port_ranges, text)
            self.assertNotIn("\n", str(error))

    @given(st.text(alphabet="0123456789-, x"))
    def test_any_text_is_ranges_or_raises_the_named_error_only(self, text: str) -> None:
        try:
            ports = parse_port_ranges(text)
        except SettingsError:
            return
        self.assertTrue(1 <= (ports.lowest or 0) <= (ports.highest or 0) <= 65535)
