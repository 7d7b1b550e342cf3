"""The keeper of a link, with the whole rendezvous, on a simulated network."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.internet.defer import CancelledError, Deferred

from bittrrt.errors import ClientRejected, LinkError, NotBittrRt, PeerMisbehaved, ServerKeyChanged, Unreachable
from bittrrt.net.link_keeper import LinkKeeper
from bittrrt.net.session_opener import SessionOpener
from bittrrt.wire.datagram import PortType
from bittrrt.wire.messages import CloseReason

from .simulated_link import RecordingObserver, SimulatedLinkTestCase


class LinkKeeperTestCase(SimulatedLinkTestCase):
    def set_up_network(self, seed: int) -> None:
        super().set_up_network(seed)
        self.listen_for_clients()
        self.keep()

    def keep(self, opener: SessionOpener | None = None, **options: Any) -> None:
        """Begin to keep a link up."""
        self.keeper = LinkKeeper(opener or self.opener(), self.observer, jitter=self.network.random.random)
        self.kept = Deferred.fromCoroutine(self.keeper.run(**options))

    def is_up(self) -> bool:
        """Whether there is a session and the server has been heard within its last heartbeat."""
        connection = self.keeper.connection
        if connection is None or connection.ended or connection.suspected:
            return False
        heard = connection.last_heard()
        return heard is not None and self.client_clock.monotonic() - heard < 1.1

    def stop(self) -> None:
        stopped = Deferred.fromCoroutine(self.keeper.stop())
        self.network.run_for(0.1)
        self.successResultOf(stopped)
        self.successResultOf(self.kept)

    def restart_server(self) -> None:
        self.start_server()
        self.listen_for_clients()


class ComingBackTests(LinkKeeperTestCase):
    """Whatever happens to the server, the link is up again soon after it is back."""

    def test_it_opens_a_session_and_keeps_it(self) -> None:
        self.network.run_for(600)
        self.assertEqual(self.observer.events, ["up"])
        self.assertTrue(all(beat.complete for beat in self.observer.beats))
        self.stop()
        self.assert_nothing_left()

    def test_after_the_server_was_killed_and_started_again_it_is_up_within_ten_seconds(self) -> None:
        for seed, down_for in enumerate((0.05, 1.0, 5.0, 30.0, 600.0)):
            self.set_up_network(seed)
            self.network.run_until(self.is_up, within=1)
            self.network.run_for(2.3)
            self.kill_server()
            self.network.run_for(down_for)
            self.restart_server()
            taken = self.network.run_until(lambda: self.is_up() and self.server.sessions, within=10)
            self.assertGreater(taken, 0)
            self.network.run_for(5)
            self.assertTrue(self.observer.beats[-1].complete)
            self.stop()
            self.assert_nothing_left()

    def test_after_the_whole_path_was_gone_it_is_up_within_ten_seconds(self) -> None:
        for down_for in (4.0, 40.0):
            self.network.run_until(self.is_up, within=10)
            factories, self.network.tcp_factories = self.network.tcp_factories, {}
            self.network.cut = True
            self.network.run_for(down_for)
            self.assertFalse(self.is_up())
            self.network.cut = False
            self.network.tcp_factories = factories
            self.network.run_until(self.is_up, within=10)
        self.stop()
        self.network.run_for(10)
        self.assert_nothing_left()

    def test_a_server_that_is_killed_during_a_rendezvous_is_tried_again(self) -> None:
        self.stop()
        for delay in (0.01, 0.03, 0.05, 0.07):
            self.set_up_network(7)
            self.network.run_for(delay)
            self.kill_server()
            self.network.run_for(5)
            self.assertNoResult(self.kept)
            self.restart_server()
            self.network.run_until(self.is_up, within=10)
            self.stop()
            self.assert_nothing_left()

    def test_after_the_servers_goodbye_it_tries_until_the_server_is_back(self) -> None:
        self.network.run_until(self.is_up, within=1)
        self.stop_server()
        self.network.run_for(60)
        self.assertEqual([str(why) for why in self.observer.ends], ["the server is shutting down"])
        self.assertEqual({type(why) for why in self.observer.downs}, {Unreachable})
        self.assertLess(len(self.observer.downs), 30)
        self.restart_server()
        self.network.run_until(self.is_up, within=10)
        self.stop()
        self.assert_nothing_left()

    def test_a_new_session_has_the_ports_of_the_one_it_replaces(self) -> None:
        self.network.run_until(self.is_up, within=1)
        first = self.keeper.connection
        assert first is not None
        self.network.cut = True
        self.network.run_until(lambda: self.keeper.connection is not first, within=10)
        self.network.cut = False
        self.network.run_until(self.is_up, within=10)
        second = self.keeper.connection
        assert second is not None
        self.assertEqual(second.ports, first.ports)
        self.assertEqual(list(self.server.sessions), [second.link_id])
        self.assertEqual(len(self.network.sockets), 6)
        self.stop()
        self.assert_nothing_left()

    def test_a_session_that_revives_before_another_opens_goes_on(self) -> None:
        self.network.run_until(self.is_up, within=1)
        first = self.keeper.connection
        assert first is not None
        factories, self.network.tcp_factories = self.network.tcp_factories, {}
        self.network.cut = True
        self.network.run_until(lambda: first.suspected, within=5)
        self.network.run_for(0.1)
        self.network.cut = False
        self.network.run_until(self.is_up, within=5)
        self.network.tcp_factories = factories
        self.network.run_for(60)
        self.assertIs(self.keeper.connection, first)
        self.assertEqual(self.observer.events[:3], ["up", "suspected", "down"])
        self.assertEqual(self.observer.events[-1], "revived")
        self.stop()
        self.assert_nothing_left()

    def test_while_only_udp_is_blocked_sessions_are_opened_slower_and_slower(self) -> None:
        self.network.cut = True
        opened = []
        for _ in range(4):
            before = self.observer.events.count("up")
            self.network.run_for(60)
            opened.append(self.observer.events.count("up") - before)
        self.assertLessEqual(max(opened[1:]), 8)
        self.assertGreater(min(opened), 3)
        self.assertEqual(len(self.server.sessions), 1)
        self.assertLessEqual(len(self.network.sockets), 6)
        self.network.cut = False
        self.network.run_until(self.is_up, within=10)
        self.stop()
        self.assert_nothing_left()


class HopelessTests(LinkKeeperTestCase):
    """What no further try can mend is raised, and nothing is left."""

    def failure(self, within: float = 10) -> LinkError:
        self.network.run_until(lambda: self.kept.called, within)
        error = self.failureResultOf(self.kept).value
        assert isinstance(error, LinkError)
        self.network.run_for(self.server.settings.stale_after_seconds + 2)
        self.assert_nothing_left()
        return error

    def test_a_revoked_client(self) -> None:
        self.network.run_until(self.is_up, within=1)
        self.authorized.revoke("anna")
        self.assertIsInstance(self.failure(), ClientRejected)
        self.assertIn("revoked", str(self.observer.ends[0]))

    def test_an_end_that_breaks_the_rules(self) -> None:
        self.network.run_until(self.is_up, within=1)
        (client,) = self.server.sessions.values()
        self.server.close_session(client, CloseReason.MISBEHAVED)
        self.assertIsInstance(self.failure(), PeerMisbehaved)
        self.assertEqual(len(self.observer.ends), 1)
        self.assertEqual(self.server.sessions, {})

    def test_another_key_of_the_server(self) -> None:
        self.stop()
        self.keep(self.opener(pinned=self.client_identity))
        self.assertIsInstance(self.failure(), ServerKeyChanged)

    def test_a_heartbeat_too_slow_for_the_server(self) -> None:
        self.stop()
        opener = self.opener()
        opener._heartbeat = 3001
        self.keep(opener)
        error = self.failure()
        self.assertEqual(
            str(error),
            "a heartbeat every 3001 ms is too slow for this server, which ends a session after 6000 ms of silence:"
            " choose at most 3000",
        )

    def test_a_first_try_that_counts(self) -> None:
        self.stop()
        self.network.tcp_factories.clear()
        self.keep(first_try_counts=True)
        self.assertIsInstance(self.failure(), Unreachable)
        self.assertEqual(self.observer.downs, [])

    def test_a_later_failure_is_no_first_try(self) -> None:
        self.stop()
        self.keep(first_try_counts=True)
        self.network.run_until(self.is_up, within=1)
        self.stop_server()
        self.network.run_for(20)
        self.assertNoResult(self.kept)
        self.stop()
        self.assert_nothing_left()

    def test_a_server_with_an_unusable_key(self) -> None:
        self.stop()
        answer = self.server.open

        def with_zero_key(*arguments: Any) -> Any:
            return msgspec.structs.replace(answer(*arguments), public_key=bytes(32))

        self.patch(self.server, "open", with_zero_key)
        self.keep()
        self.assertIsInstance(self.failure(), NotBittrRt)


class StopTests(LinkKeeperTestCase):
    """`stop` at any moment."""

    def assert_stops_at(self, moment: float) -> None:
        self.network.run_for(moment)
        self.stop()
        self.assertEqual([own for own in self.network.sockets if own[0] != "192.0.2.1"], [])
        self.network.cut = False
        self.network.run_for(self.server.settings.stale_after_seconds + 2)
        self.assert_nothing_left()

    def test_while_a_session_opens_and_after(self) -> None:
        for step in range(30):
            self.set_up_network(step)
            self.assert_stops_at(step * 0.005)

    def test_while_a_session_is_replaced(self) -> None:
        for step in range(30):
            self.set_up_network(step)
            self.network.run_until(self.is_up, within=1)
            self.network.cut = True
            self.network.run_until(lambda: "suspected" in self.observer.events, within=5)
            self.assert_stops_at(step * 0.005)

    def test_while_it_waits_for_another_try(self) -> None:
        for step in range(5):
            self.set_up_network(step)
            self.network.run_until(self.is_up, within=1)
            self.stop_server()
            self.assert_stops_at(5 + step)

    def test_while_the_server_does_not_even_refuse(self) -> None:
        self.stop()
        self.network.tcp_ignored = True
        for moment in (0.0, 0.1, 0.4, 9.9, 10.1, 11.0):
            self.set_up_network(0)
            self.network.tcp_ignored = True
            self.assert_stops_at(moment)

    def test_from_within_what_an_observer_is_told(self) -> None:
        for name in ("link_up", "link_down", "heartbeat_finished", "session_suspected", "session_ended"):
            self.observer_stops_at(name)
            self.network.run_until(lambda: self.kept.called, within=60)
            self.successResultOf(self.kept)
            self.network.cut = False
            self.network.run_for(self.server.settings.stale_after_seconds + 2)
            self.assert_nothing_left()

    def observer_stops_at(self, name: str) -> None:
        """Begin anew, make happen what `name` tells, and let who is told of it stop the keeper."""
        self.observer = RecordingObserver()
        self.set_up_network(0)
        network = self.network

        def stop(*_: Any) -> None:
            Deferred.fromCoroutine(self.keeper.stop())

        setattr(self.observer, name, stop)
        if name == "link_down":
            network.tcp_factories.clear()
        elif name.startswith("session"):
            network.run_until(self.is_up, within=1)
            network.cut = True
            if name == "session_ended":
                network.tcp_factories.clear()

    def test_while_the_session_before_is_being_closed(self) -> None:
        self.stop()
        opener = self.opener()
        opened = opener.open

        async def open_and_stop(*arguments: Any) -> Any:
            connection = await opened(*arguments)
            if "suspected" in self.observer.events:
                self.network.callLater(0, lambda: Deferred.fromCoroutine(self.keeper.stop()))
            return connection

        self.patch(opener, "open", open_and_stop)
        self.keep(opener)
        self.network.run_until(self.is_up, within=1)
        self.network.cut = True
        self.network.run_until(lambda: self.kept.called, within=10)
        self.successResultOf(self.kept)
        self.assertEqual(self.observer.events, ["up", "suspected"])
        self.network.run_for(self.server.settings.stale_after_seconds + 2)
        self.assert_nothing_left()

    def test_while_a_name_is_looked_up_which_cannot_be_cancelled(self) -> None:
        self.stop()
        opener = self.opener()

        async def look_up(*_: Any) -> Any:
            try:
                await Deferred()
            except CancelledError:
                raise Unreachable("no address is known") from None

        self.patch(opener, "open", look_up)
        self.keep(opener)
        self.network.run_for(1)
        self.stop()
        self.assertEqual(self.observer.downs, [])
        self.assert_nothing_left()

    def test_twice(self) -> None:
        self.network.run_for(1)
        self.stop()
        self.stop()
        self.assert_nothing_left()


class SessionOpenerTests(LinkKeeperTestCase):
    """One session by the whole rendezvous."""

    def test_the_session_beats_as_the_server_says(self) -> None:
        self.stop()
        opened = Deferred.fromCoroutine(self.opener().open(self.observer))
        self.network.run_for(1)
        connection = self.successResultOf(opened)
        self.assertEqual(connection.settings.heartbeat, self.settings.heartbeat)
        self.assertEqual(connection.link_id, self.session.link_id)
        self.assertEqual(connection.ports, self.session.conn.ports)
        self.network.run_for(3)
        self.assertEqual(set(self.observer.beats[-1].second), set(PortType))
        connection.close()
        self.network.run_for(1)
        self.assert_nothing_left()

    def test_a_host_by_its_address(self) -> None:
        self.stop()
        self.keep(self.opener(host="192.0.2.1"))
        self.network.run_until(self.is_up, within=1)
        self.stop()
        self.assert_nothing_left()
