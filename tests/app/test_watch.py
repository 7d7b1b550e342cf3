"""What a server is seen to do: its sessions, live and over, its events, and its files."""

from __future__ import annotations

from typing import Any

from bittrrt.app.views import SessionView
from bittrrt.app.watch import KEPT_EVENTS, KEPT_SECONDS, KEPT_SESSIONS, Watch
from bittrrt.errors import NotAFile
from bittrrt.link.encryptor import CommEncryptor
from bittrrt.net.client import Client
from bittrrt.net.server_observer import Direction, ServerObserver
from bittrrt.net.tally import FileProgress
from bittrrt.wire.datagram import PortType
from bittrrt.wire.messages import CloseReason, Open, RefusalReason
from tests.net.simulated_link import EXPORTER, NOW_MS, SimulatedLinkTestCase
from tests.net.simulated_network import CLIENT_HOST


class WatchTestCase(SimulatedLinkTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.watch = Watch(self.server)

    def kinds(self) -> list[str]:
        return [event.kind for event in self.watch.events]

    def the_session(self) -> SessionView:
        (link,) = self.server.sessions
        session = self.watch.session(link)
        assert session is not None
        return session


class SessionTests(WatchTestCase):
    def test_a_live_session_is_shown_with_the_figures_of_its_ports(self) -> None:
        self.open()
        self.assertEqual([port.state for port in self.the_session().ports], ["waiting"] * 3)
        self.network.run_for(5.5)
        session = self.the_session()
        self.assertEqual((session.name, session.fingerprint), ("anna", self.client_identity.fingerprint))
        self.assertEqual((session.opened_ms, session.closed_ms), (NOW_MS, None))
        self.assertEqual([port.port for port in session.ports], ["ctrl", "up", "dn"])
        for port in session.ports:
            self.assertEqual((port.state, port.answered, port.lost, port.loss), ("alive", 6, 0, 0.0))
            assert port.smoothed_ms is not None
            assert port.minimum_ms is not None
            self.assertLessEqual(port.minimum_ms, port.smoothed_ms)
            self.assertTrue(port.address.startswith(f"{CLIENT_HOST}:"), port.address)
            self.assertEqual(port.received, 12)
            self.assertEqual(round(port.clock_offset_ms or 0), 5000)

    def test_one_silent_port_is_shown_as_silent(self) -> None:
        connection = self.open()
        self.network.run_for(2.5)
        self.network.blocked_to = {connection.ports[PortType.UP]}
        self.network.run_for(4.0)
        self.assertEqual([port.state for port in self.the_session().ports], ["alive", "silent", "alive"])

    def test_a_session_that_is_over_stays_for_a_while_with_why(self) -> None:
        connection = self.open()
        self.network.run_for(2.5)
        connection.close()
        self.network.run_for(0.5)
        (closed,) = self.watch.closed_sessions()
        self.assertEqual(closed.why, "said goodbye")
        self.assertEqual(closed.ports[0].answered, 3)
        self.assertEqual(self.watch.session(closed.link), closed)
        self.network.run_for(KEPT_SECONDS)
        self.assertEqual(self.watch.closed_sessions(), [])

    def test_the_owner_ends_a_session(self) -> None:
        connection = self.open()
        self.network.run_for(1.5)
        self.assertFalse(self.watch.end_session("00"))
        self.assertTrue(self.watch.end_session(connection.link_id))
        self.network.run_for(0.5)
        self.assertEqual(self.watch.closed_sessions()[0].why, "the server's owner ended it")
        self.assertEqual(self.observer.events, ["ended"])

    def test_what_is_kept_is_bounded_whatever_clients_do(self) -> None:
        for _ in range(KEPT_SESSIONS + 10):
            self.server.open(Open(CommEncryptor().get_public_key()), self.client_identity.fingerprint, EXPORTER)
            self.server.close_session(self.session, CloseReason.GOODBYE)
            self.network.run_for(31.0)
        self.assertLessEqual(len(self.watch.closed_sessions()), KEPT_SESSIONS)
        self.assertEqual(len(self.watch.events), KEPT_EVENTS)
        numbers = [event.number for event in self.watch.events]
        self.assertEqual(numbers, list(range(numbers[0], numbers[0] + KEPT_EVENTS)))


class EventTests(WatchTestCase):
    def test_a_session_is_opened_roams_and_goes_stale(self) -> None:
        connection = self.open()
        self.network.run_for(2.5)
        self.network.move("203.0.113.5", 0)
        self.network.run_for(1.0)
        self.network.blocked_to = set(connection.ports.values())
        self.network.run_for(self.settings.stale_after_seconds + 2)
        self.assertEqual(self.kinds(), ["opened", "roamed", "roamed", "roamed", "stale", "recycled"])
        self.assertIn(f"from {CLIENT_HOST}:", self.watch.events[1].text)
        self.assertIn("to 203.0.113.5:", self.watch.events[1].text)
        self.assertIn("free again in 10 s", self.watch.events[-1].text)

    def test_who_is_refused_and_who_is_revoked_is_told(self) -> None:
        self.open()
        self.server.open(Open(CommEncryptor().get_public_key()), "SHA256:" + "x" * 43, EXPORTER)
        self.authorized.revoke("anna")
        self.network.run_for(1.5)
        self.assertEqual(self.kinds(), ["opened", "refused", "revoked", "recycled"])
        self.assertEqual(self.watch.server().refusals, {RefusalReason.UNKNOWN_CLIENT.value: 1})

    def test_listeners_hear_each_event_once(self) -> None:
        heard: list[str] = []
        self.watch.listeners.append(lambda event: heard.append(event.kind))
        self.open()
        self.assertEqual(heard, ["opened"])

    def test_heartbeats_are_told_with_their_ports_and_lost_ones_too(self) -> None:
        seen: list[tuple[str, float]] = []

        class Beats(ServerObserver):
            def heartbeat_measured(self, client: Client, port_type: PortType, round_trip: float) -> None:
                seen.append((port_type.value, round_trip))

            def heartbeats_lost(self, client: Client, port_type: PortType, count: int) -> None:
                seen.append((port_type.value, -count))

        self.server.observers.append(Beats())
        connection = self.open()
        self.network.run_for(0.5)
        self.assertEqual(sorted(port for port, _ in seen), ["ctrl", "dn", "up"])
        self.assertTrue(all(0 < round_trip < 1 for _, round_trip in seen))
        seen.clear()
        self.network.blocked_from = {connection.ports[PortType.DN]}
        self.network.run_for(6.0)
        self.assertGreater(sum(-count for port, count in seen if port == "dn" and count < 0), 0)

    def test_an_observer_that_fails_hurts_nobody(self) -> None:
        class Broken(ServerObserver):
            def session_opened(self, client: Client) -> None:
                raise ZeroDivisionError

        self.server.observers.insert(0, Broken())
        self.open()
        self.assertEqual(self.kinds(), ["opened"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class FakeFiles:
    """Files on their way, as a session's transfers tell of them."""

    def __init__(self, *files: tuple[Direction, int, FileProgress]) -> None:
        self.files = list(files)

    def under_way(self) -> list[tuple[Direction, int, FileProgress]]:
        return self.files


class TransferTests(WatchTestCase):
    def test_a_file_is_shown_with_the_rate_since_it_was_looked_at_last(self) -> None:
        self.open()
        there = [1000]
        progress = FileProgress("a <b>", 9000, 1000, lambda: there[0])
        files: Any = FakeFiles(("put", 3, progress))
        self.session.files = files
        (transfer,) = self.the_session().transfers
        self.assertEqual((transfer.name, transfer.moved, transfer.already, transfer.rate), ("a <b>", 1000, 1000, 0))
        self.network.run_for(2.0)
        there[0] = 5000
        (transfer,) = self.the_session().transfers
        self.assertEqual((transfer.moved, transfer.rate, transfer.limited_by), (5000, 2000, None))
        files.files.clear()
        self.assertEqual(self.the_session().transfers, [])
        self.assertEqual(self.watch._meters, {})

    def test_large_files_and_failures_are_events_and_small_files_are_none(self) -> None:
        self.open()
        self.session.file_done("put", FileProgress("small", 10, 0, lambda: 10))
        self.session.file_done("get", FileProgress("large", 2_000_000, 0, lambda: 2_000_000))
        self.session.file_failed("get", NotAFile("x: no such file"))
        self.assertEqual(
            [event.text for event in self.watch.events][1:],
            ["anna fetched large, 2,000,000 bytes", "anna, get: x: no such file"],
        )
