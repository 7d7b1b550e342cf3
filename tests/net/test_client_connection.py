"""The client's end of a session, against a real server on a simulated network."""

from __future__ import annotations

from bittrrt.app.port_trouble import port_troubles
from bittrrt.errors import ClientRejected, LinkClosed, LinkError, LinkLost
from bittrrt.net.client_connection import MAX_ROUNDS
from bittrrt.wire.datagram import PortType
from bittrrt.wire.messages import CloseReason

from .simulated_link import CLIENT_AHEAD_MS, SimulatedLinkTestCase, with_seeds
from .simulated_network import CLIENT_HOST, SERVER_HOST


class HeartbeatTests(SimulatedLinkTestCase):
    """The countdown on all three ports, and what it tells."""

    def test_the_whole_countdown_is_answered_on_all_three_ports(self) -> None:
        connection = self.open()
        self.network.run_for(4.5)
        self.assertEqual([beat.number for beat in self.observer.beats], [1, 2, 3, 4, 5])
        for beat in self.observer.beats:
            self.assertTrue(beat.complete)
            for round_trip in [*beat.first.values(), *beat.second.values()]:
                self.assertAlmostEqual(round_trip, 0.020)
        for port_type in PortType:
            report = connection.report(port_type)
            self.assertEqual((report.path.answered, report.path.lost, report.path.loss), (5, 0, 0.0))
            self.assertEqual((report.direction.to_peer, report.direction.from_peer), (0.0, 0.0))
            assert report.path.minimum is not None
            self.assertAlmostEqual(report.path.minimum, 0.020)
            self.assertLess(report.path.jitter, 1e-6)
            own = connection.handlers[port_type].transport.getHost()  # type: ignore[union-attr]
            self.assertEqual(report.seen_as, f"{CLIENT_HOST}:{own.port}")

    def test_it_costs_twelve_datagrams_and_each_port_is_told_at_first_how_it_is_seen(self) -> None:
        self.open()
        self.network.run_for(0.5)
        told = len(self.network.sent) - 3 * 4  # on every port whose client was heard by then
        self.assertTrue(3 <= told <= 3 * 3)
        self.network.sent.clear()
        self.network.run_for(1.0)
        self.assertEqual(len(self.network.sent), 3 * 4)

    def test_both_ends_know_the_other_clock_to_within_half_a_round_trip(self) -> None:
        connection = self.open()
        self.network.run_for(2.5)
        for port_type, server_handler in zip(PortType, self.session.conn.handlers, strict=True):
            here = connection.report(port_type).path.offset
            there = server_handler.path.report(self.network.seconds()).offset
            assert here is not None
            assert there is not None
            self.assertApproximates(here.offset_ms, -CLIENT_AHEAD_MS, here.error_ms)
            self.assertApproximates(there.offset_ms, CLIENT_AHEAD_MS, there.error_ms)
            self.assertLess(here.error_ms, 12)

    def test_a_heartbeat_of_its_own_pace(self) -> None:
        self.open(heartbeat=125)
        self.network.run_for(1.1)
        self.assertEqual(len(self.observer.beats), 9)

    @with_seeds(1, 2, 3)
    def test_on_a_bad_network_every_heartbeat_is_finished_once_and_in_bounded_time(self) -> None:
        network = self.network
        network.loss, network.duplication, network.delay = 0.2, 0.2, (0.005, 0.3)
        connection = self.open(heartbeat=200)
        network.run_for(60)
        self.assertFalse(connection.ended)
        connection.stop_beating()
        network.run_until(lambda: not connection.rounds_under_way, within=6)
        numbers = [beat.number for beat in self.observer.beats]
        self.assertEqual(sorted(set(numbers)), list(range(1, connection.beats + 1)))
        got_through = 0.8 * 0.8 + 0.2 * (1 - 0.2**2)
        first_answers = sum(len(beat.first) for beat in self.observer.beats)
        self.assertApproximates(first_answers / (3 * len(numbers)), got_through**2, 0.06)
        for port_type in PortType:
            path = connection.report(port_type).path
            self.assertEqual(path.answered + path.lost, len(numbers))
            self.assertApproximates(path.loss, 1 - got_through**2, 0.2)
            direction = connection.report(port_type).direction
            self.assertApproximates(direction.to_peer, 1 - got_through, 0.12)
            self.assertApproximates(direction.from_peer, 1 - got_through, 0.12)

    @with_seeds(4)
    def test_no_more_heartbeats_are_under_way_than_its_bound(self) -> None:
        self.network.loss = 1.0
        connection = self.open(heartbeat=10)
        most = 0
        until = self.network.seconds() + 3
        while self.network.step(until):
            most = max(most, connection.rounds_under_way)
        self.assertEqual(most, MAX_ROUNDS)

    def test_a_heartbeat_that_raises_is_logged_and_the_next_one_comes(self) -> None:
        def fail(connection: object) -> None:
            self.observer.on_beat = lambda connection: None
            self.network.blocked_to.clear()
            raise RuntimeError("a bug of the observer")

        connection = self.open()
        self.network.blocked_to = {connection.ports[PortType.UP]}
        self.observer.on_beat = fail
        self.network.run_for(20)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertFalse(connection.ended)
        self.assertTrue(self.observer.beats[-1].complete)


class DeadPortTests(SimulatedLinkTestCase):
    """One port of three that does not get through: named, with its direction, and no reason to end."""

    def test_a_port_that_is_blocked_to_the_server_is_named(self) -> None:
        connection = self.open()
        number = connection.ports[PortType.UP]
        self.network.blocked_to = {number}
        self.network.run_for(30)
        (line,) = port_troubles(connection)
        self.assertEqual(
            line,
            f"up (UDP port {number}) is dead towards the server: what we send does not arrive. Let UDP port {number} in"
            " at the server's firewall, and out here",
        )
        self.assertEqual(self.observer.events, [])
        self.assertEqual(len(self.server.sessions), 1)

    def test_a_port_that_is_blocked_from_the_server_is_named(self) -> None:
        connection = self.open()
        number = connection.ports[PortType.DN]
        self.network.blocked_from = {number}
        self.network.run_for(30)
        (line,) = port_troubles(connection)
        self.assertEqual(
            line,
            f"dn (UDP port {number}) is dead from the server to here: its answers do not arrive. Let UDP from port"
            f" {number} in at this end's firewall, and out at the server's",
        )
        self.assertEqual(self.observer.events, [])

    def test_a_port_that_dies_in_mid_session_is_named_too(self) -> None:
        connection = self.open()
        self.network.run_for(60)
        self.assertEqual(port_troubles(connection), [])
        self.network.blocked_to = {connection.ports[PortType.CTRL]}
        self.network.run_for(10)
        (line,) = port_troubles(connection)
        self.assertTrue(line.startswith(f"ctrl (UDP port {connection.ports[PortType.CTRL]}) is dead"), line)
        self.network.run_for(120)
        (line,) = port_troubles(connection)
        self.assertIn("towards the server", line)
        self.network.blocked_to.clear()
        self.network.run_for(5)
        self.assertEqual(port_troubles(connection), [])
        self.assertFalse(connection.ended)

    def test_all_three_dead_are_one_line(self) -> None:
        connection = self.open()
        self.network.cut = True
        self.network.run_for(7)
        (line,) = port_troubles(connection)
        self.assertEqual(
            line,
            "nothing comes back on UDP ports 6712-6714: let them in at the server's firewall, and out of here",
        )


class LivenessTests(SimulatedLinkTestCase):
    """Silence: probes, suspicion, revival, the end."""

    def test_silence_is_probed_then_suspected_then_the_end(self) -> None:
        connection = self.open(heartbeat=2000)
        self.network.run_for(3.0)
        beats = connection.beats
        self.network.cut = True
        self.network.sent.clear()
        self.network.run_for(3.05)
        self.assertEqual(self.observer.events, ["suspected"])
        self.assertEqual(connection.beats - beats, 2)
        self.assertEqual(len(self.network.sent), 3 * (2 + 3))
        self.assertTrue(connection.suspected)
        self.network.run_for(4)
        self.assertEqual(self.observer.events, ["suspected", "ended"])
        (why,) = self.observer.ends
        self.assertIsInstance(why, LinkLost)
        self.assertEqual(str(why), "nothing was heard from the server for 6 s")
        self.assertTrue(connection.ended)
        self.network.run_for(5)
        self.assert_nothing_left()

    def test_a_suspected_session_that_is_heard_again_goes_on(self) -> None:
        connection = self.open()
        self.network.run_for(3.0)
        self.network.cut = True
        self.network.run_until(lambda: connection.suspected, within=4)
        self.network.cut = False
        self.network.run_until(lambda: not connection.suspected, within=1.1)
        self.assertEqual(self.observer.events, ["suspected", "revived"])
        self.network.run_for(60)
        self.assertEqual(self.observer.events, ["suspected", "revived"])
        self.assertTrue(self.observer.beats[-1].complete)

    def test_at_the_end_what_is_under_way_is_told_as_lost(self) -> None:
        connection = self.open(heartbeat=2000)
        self.network.run_for(3.0)
        self.network.cut = True
        self.network.run_until(lambda: connection.ended, within=10)
        self.assertEqual(connection.rounds_under_way, 0)
        self.assertEqual(self.observer.beats[-1].first, {})

    def test_what_a_replaced_session_still_awaits_is_told_as_lost(self) -> None:
        connection = self.open()
        self.network.run_for(1.5)
        self.network.cut = True
        self.network.run_for(1.0)
        told = len(self.observer.beats)
        under_way = connection.rounds_under_way
        self.assertGreater(under_way, 0)
        connection.close(CloseReason.REPLACED)
        self.assertEqual(len(self.observer.beats), told + under_way)
        self.network.cut = False
        self.network.run_for(30)

    def test_a_lost_heartbeat_alone_raises_no_suspicion(self) -> None:
        connection = self.open(heartbeat=2000)
        self.network.run_for(3.5)
        self.network.cut = True
        self.network.run_for(1.0)
        self.network.cut = False
        self.network.run_for(1.0)
        self.assertEqual(self.observer.events, [])
        self.assertFalse(connection.suspected)

    @with_seeds(5, 6)
    def test_hours_of_heartbeats_with_loss_move_the_epochs_on_and_end_no_session(self) -> None:
        self.network.loss, self.network.delay = 0.1, (0.010, 0.060)
        connection = self.open(heartbeat=2000)
        server_end = self.session
        self.network.run_for(3600)
        self.network.sent.clear()
        self.assertNotIn("ended", self.observer.events)
        self.assertGreater(connection.encryptor.send_epoch, 25)
        self.assertLessEqual(connection.encryptor.send_epoch, 30)
        self.assertGreater(server_end.ce.send_epoch, 25)
        self.assertIs(self.session, server_end)
        for handler in [*connection.handlers.values(), *server_end.conn.handlers]:
            self.assertEqual(handler.counters.dropped, 0)
        self.network.loss = 0.0
        self.network.run_for(20)
        self.assertTrue(self.observer.beats[-1].complete)


class EndTests(SimulatedLinkTestCase):
    """The goodbyes, either way."""

    def test_the_clients_goodbye_ends_the_session_at_the_server(self) -> None:
        connection = self.open()
        self.network.run_for(1.5)
        closed = connection.close()
        self.network.run_for(0.1)
        self.successResultOf(closed)
        self.assertEqual(self.observer.events, [])
        self.assert_nothing_left()

    def test_a_goodbye_on_any_one_port_will_do(self) -> None:
        connection = self.open()
        self.network.run_for(1.5)
        self.network.blocked_to = {connection.ports[PortType.CTRL], connection.ports[PortType.DN]}
        connection.close()
        self.network.run_for(0.1)
        self.assert_nothing_left()

    def test_a_second_close_says_nothing_more(self) -> None:
        connection = self.open()
        self.network.run_for(1.5)
        connection.close()
        self.network.sent.clear()
        self.successResultOf(connection.close())
        self.assertEqual(self.network.sent, [])
        self.network.run_for(0.1)
        self.assert_nothing_left()

    def test_a_session_that_is_closed_before_it_is_heard_leaves_nothing(self) -> None:
        connection = self.open()
        connection.close()
        self.network.run_for(self.server.settings.stale_after_seconds + 2)
        self.assert_nothing_left()

    def test_closed_from_within_a_heartbeat_it_says_nothing_after_its_goodbye(self) -> None:
        connection = self.open()
        self.observer.on_beat = lambda connection: connection.close()
        self.network.blocked_from = {connection.ports[PortType.UP]}
        self.network.run_for(1.0)
        self.network.cut = True
        self.network.run_until(lambda: connection.ended, within=6)
        self.network.sent.clear()
        self.network.run_for(20)
        self.assertEqual([sent for sent in self.network.sent if sent.destination[0] == SERVER_HOST], [])
        self.assertEqual(len(self.observer.beats), 1)
        self.assert_nothing_left()

    def test_closed_while_a_heartbeat_begins_it_does_not_send_that_one(self) -> None:
        self.network.cut = True
        connection = self.open(heartbeat=10)
        self.observer.on_beat = lambda connection: connection.close()
        self.network.run_until(lambda: connection.ended, within=2)
        self.assertEqual((connection.beats, len(self.observer.beats)), (MAX_ROUNDS, 1))
        self.assertEqual(len(self.network.sent), 3 * MAX_ROUNDS + 3)
        self.network.run_for(10)
        self.assert_nothing_left()

    def test_closed_when_several_heartbeats_are_late_it_tells_of_no_other(self) -> None:
        connection = self.open(heartbeat=500)
        self.network.run_for(1.75)
        told = len(self.observer.beats)
        self.network.cut = True
        self.network.run_for(1.5)
        self.assertGreater(connection.rounds_under_way, 1)
        self.observer.on_beat = lambda connection: connection.close()
        self.network.advance(4)  # the machine slept
        self.assertTrue(connection.ended)
        self.assertEqual(len(self.observer.beats) - told, 1)

    def test_the_servers_reasons_become_lines_for_a_person(self) -> None:
        for reason, kind, line in [
            (CloseReason.SHUTDOWN, LinkClosed, "the server is shutting down"),
            (CloseReason.GOODBYE, LinkClosed, "the server ended the session"),
            (CloseReason.REPLACED, LinkClosed, "another session of this client took this one's place"),
            (CloseReason.STALE, LinkLost, "the server had not heard this client for too long, and ended the session"),
            (
                CloseReason.REVOKED,
                ClientRejected,
                "the server's owner has revoked this client's key: ask for a new link and run: bittrrt join LINK",
            ),
        ]:
            connection = self.open()
            self.network.run_for(1.5)
            self.server.close_session(self.session, reason)
            self.network.run_for(0.1)
            self.assertTrue(connection.ended)
            why = self.observer.ends.pop()
            self.assertEqual((type(why), str(why)), (kind, line))
        self.assertEqual(self.observer.ends, [])
        self.assert_nothing_left()

    def test_every_reason_has_its_line(self) -> None:
        for reason in CloseReason:
            connection = self.open()
            self.network.run_for(0.5)
            self.server.close_session(self.session, reason)
            self.network.run_for(0.1)
            self.assertTrue(connection.ended)
        self.assertEqual(len({str(why) for why in self.observer.ends}), len(CloseReason))

    def test_without_descriptors_it_raises_one_line_and_leaves_nothing(self) -> None:
        for limit in (3, 4, 5):  # three are the server's
            self.network.socket_limit = limit
            error = self.assertRaises(LinkError, self.open)
            self.assertTrue(str(error).startswith("no UDP socket can be opened here: "), str(error))
            self.assertIn("Too many open files", str(error))
            self.network.run_for(self.server.settings.stale_after_seconds + 2)
        self.assert_nothing_left()

    def test_a_socket_that_refuses_to_send_is_counted_and_the_end_comes_by_staleness(self) -> None:
        connection = self.open()
        self.network.run_for(1.5)
        self.network.unroutable = True
        self.network.run_for(10)
        self.assertTrue(connection.ended)
        self.assertGreater(connection.handlers[PortType.UP].counters.unsent, 3)
        self.network.run_for(10)
        self.assert_nothing_left()
