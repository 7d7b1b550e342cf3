"""One port is blocked: what it carried goes by another one, by itself, and returns when the port is open again."""

from __future__ import annotations

from functools import partial
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.link.round_trip import RoundTrip
from bittrrt.net.handlers import PortHandler
from bittrrt.net.port_choice import LEAST_BURSTS, PATIENCE, PEER_DELAY, PortChoice
from bittrrt.wire.datagram import PortType

from .simulated_data import RecordingDataListener, SimulatedDataTestCase
from .simulated_link import with_seeds

DATA = Random(5).randbytes(1_500_000)
LIMIT = 150_000.0  # bytes a second: ten seconds
OUTAGE = 3.0  # seconds at most from a block to data that arrives again: two heartbeats, and probes in between


class BlockedPortTests(SimulatedDataTestCase):
    def block(self, port_type: PortType, *, to: bool = True, back: bool = True) -> None:
        number = self.session.conn.ports[port_type]
        self.network.blocked_to |= {number} if to else set()
        self.network.blocked_from |= {number} if back else set()

    def unblock(self) -> None:
        self.network.blocked_to.clear()
        self.network.blocked_from.clear()

    def sent_by(self, *, down: bool) -> dict[PortType, int]:
        handlers = self.session.conn.handlers_by_type if down else self.connection.handlers_by_type
        return {port_type: handler.counters.bytes_sent for port_type, handler in handlers.items()}

    def assert_it_goes_on(self, port_type: PortType, *, down: bool, to: bool = True, back: bool = True) -> None:
        """Data flows while `port_type` is blocked, and by its own port again afterwards."""
        _, sink, outcome = self.send(DATA, down=down, limit=LIMIT)
        self.network.run_for(2)
        self.assertGreater(sink.written, LIMIT)
        self.block(port_type, to=to, back=back)
        self.network.run_for(OUTAGE)
        before = sink.written
        self.network.run_for(2)
        self.assertGreater(sink.written - before, 1.5 * LIMIT)
        self.unblock()
        self.network.run_for(2)
        own = PortType.DN if down else PortType.UP
        before_by_port = self.sent_by(down=down)
        self.network.run_until(lambda: outcome, 30)
        moved = {kind: count - before_by_port[kind] for kind, count in self.sent_by(down=down).items()}
        self.assertEqual(max(moved, key=lambda kind: moved[kind]), own)
        self.assertEqual(outcome, [None])
        self.assert_whole(DATA, sink)

    @with_seeds(1, 2, 3)
    def test_a_put_goes_on_while_up_is_blocked(self) -> None:
        self.network.loss = 0.02
        self.network.delay = (0.01, 0.03)
        self.assert_it_goes_on(PortType.UP, down=False)

    @with_seeds(1, 2, 3)
    def test_a_get_goes_on_while_dn_is_blocked(self) -> None:
        self.network.loss = 0.02
        self.network.delay = (0.01, 0.03)
        self.assert_it_goes_on(PortType.DN, down=True)

    def test_one_direction_that_is_blocked_is_enough(self) -> None:
        for down, own in ((False, PortType.UP), (True, PortType.DN)):
            for to in (False, True):
                self.set_up_network(1)
                self.assert_it_goes_on(own, down=down, to=to, back=not to)

    def test_control_messages_go_on_while_ctrl_is_blocked(self) -> None:
        self.block(PortType.CTRL)
        for sender, listener in ((self.client_plane, self.there), (self.server_plane, self.here)):
            for number in range(3):
                sender.send_control(b"%d" % number)
            self.network.run_until(partial(self.has_heard, listener), OUTAGE)

    @staticmethod
    def has_heard(listener: RecordingDataListener) -> bool:
        return len(listener.controls) == 3

    def test_a_link_that_is_black_for_a_while_goes_on_by_its_own_ports(self) -> None:
        _, sink, outcome = self.send(DATA, limit=LIMIT)
        self.network.run_for(1)
        self.network.cut = True
        self.network.run_for(4)
        self.network.cut = False
        self.network.run_until(lambda: outcome, 60)
        self.assert_whole(DATA, sink)
        sent = self.sent_by(down=False)
        self.assertGreater(sent[PortType.UP], 0.9 * sum(sent.values()))

    def test_random_loss_moves_nothing(self) -> None:
        self.network.loss = 0.2
        _, sink, outcome = self.send(DATA[:500_000], limit=LIMIT)
        self.network.run_until(lambda: outcome, 120)
        self.assert_whole(DATA[:500_000], sink)
        sent = self.sent_by(down=False)
        self.assertGreater(sent[PortType.UP], 0.97 * sum(sent.values()))


class FakeHandler:
    """As much of a port as the choice looks at."""

    def __init__(self) -> None:
        self.path = self
        self.answered = 0
        self.room = 1000.0
        self.prepared = 0

    def room_for_burst(self) -> float:
        return self.room

    def prepare_for_bulk(self) -> None:
        self.prepared += 1

    def probe_path_mtu(self) -> None:
        pass


class PolicyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.ports = [FakeHandler() for _ in range(3)]
        self.own, self.second, self.third = self.ports
        round_trip = RoundTrip()
        round_trip.add(0.1, 0.0)
        self.patience = PATIENCE * (round_trip.probe_timeout() + PEER_DELAY)
        handlers: tuple[PortHandler, ...] = tuple(self.ports)  # type: ignore[arg-type]
        self.choice = PortChoice(handlers, round_trip)

    def choose(self, now: float) -> object:
        return self.choice.choose(self.own, now)  # type: ignore[arg-type]

    def send(self, port: FakeHandler, first: int, now: float) -> None:
        self.choice.sent(port, first, first, now)  # type: ignore[arg-type]

    def fall_silent(self, port: FakeHandler, first: int) -> None:
        for number in range(LEAST_BURSTS):
            self.send(port, first + number, 0.0)

    def test_its_own_port_is_kept_for_as_long_as_an_acknowledgement_may_take(self) -> None:
        self.fall_silent(self.own, 10)
        self.assertIs(self.choose(self.patience * 0.99), self.own)
        self.assertIs(self.choose(self.patience * 1.01), self.second)
        self.choose(self.patience * 1.02)
        self.assertEqual((self.own.prepared, self.second.prepared), (0, 1))

    def test_one_burst_alone_says_nothing(self) -> None:
        self.send(self.own, 10, 0.0)
        self.assertIs(self.choose(1000.0), self.own)

    def test_an_acknowledgement_of_anything_that_left_by_it_keeps_it(self) -> None:
        self.fall_silent(self.own, 10)
        self.choice.acknowledged(((30, 40), (10, 10)))
        self.assertIs(self.choose(1000.0), self.own)

    def test_an_acknowledgement_of_other_ports_does_not(self) -> None:
        self.fall_silent(self.own, 10)
        self.choice.acknowledged(((20, 40), (1, 9)))
        self.assertIs(self.choose(1000.0), self.second)

    def test_a_heartbeat_that_was_answered_brings_it_back(self) -> None:
        self.fall_silent(self.own, 10)
        self.assertIs(self.choose(1000.0), self.second)
        self.own.answered += 1
        self.assertIs(self.choose(1000.1), self.own)

    def test_a_substitute_that_is_silent_or_has_no_room_is_passed_over(self) -> None:
        self.fall_silent(self.own, 10)
        self.fall_silent(self.second, 20)
        self.assertIs(self.choose(1000.0), self.third)
        self.third.room = 0.0
        self.assertIs(self.choose(1000.0), self.own)
