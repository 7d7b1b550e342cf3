"""The server's sessions: who gets one, when they end, and that nothing is left of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from twisted.internet.defer import Deferred

from bittrrt.errors import SettingsError
from bittrrt.link.encryptor import CommEncryptor
from bittrrt.net.server import QUIET
from bittrrt.wire.invite import prove, verifier_of
from bittrrt.wire.messages import CloseReason, Join, Joined, Open, RefusalReason, Refused, Welcome

from .simulated_link import EXPORTER, NOW_MS, SimulatedLinkTestCase
from .simulated_network import SERVER_HOST


class ServerTestCase(SimulatedLinkTestCase):
    def ask_for_session(self, replaces: str = "", fingerprint: str = "") -> Welcome | Refused:
        """What the server says to a client that is never heard of again."""
        message = Open(CommEncryptor().get_public_key(), replaces)
        return self.server.open(message, fingerprint or self.client_identity.fingerprint, EXPORTER)

    def refusal(self, replaces: str = "", fingerprint: str = "") -> RefusalReason:
        answer = self.ask_for_session(replaces, fingerprint)
        assert isinstance(answer, Refused), answer
        self.assertGreater(self.server.refusals[answer.reason], 0)
        return answer.reason

    def set(self, **settings: Any) -> None:
        """Start the server anew with these settings."""
        self.sweeping.stop()
        self.start_server(msgspec.structs.replace(self.settings, **settings))

    def ports(self) -> list[int]:
        return sorted(number for session in self.server.sessions.values() for number in session.conn.ports.values())

    def close_all(self) -> None:
        """End every session; then nothing may be left."""
        closed: Deferred[Any] = self.server.close()
        self.network.run_for(0.1)
        self.successResultOf(closed)
        self.assert_nothing_left()


class PortTests(ServerTestCase):
    """Three ports a session, from the range, and back again."""

    def test_a_session_has_the_three_lowest_ports_and_sockets_on_them(self) -> None:
        answer = self.ask_for_session()
        assert isinstance(answer, Welcome)
        self.assertEqual((answer.ctrl, answer.up, answer.dn), (6712, 6713, 6714))
        self.assertEqual((answer.heartbeat, answer.stale_after), (1000, 6000))
        self.assertEqual(sorted(self.network.sockets), [(SERVER_HOST, number) for number in (6712, 6713, 6714)])
        self.close_all()

    def test_a_thousand_sessions_opened_gone_stale_and_recycled_leave_nothing(self) -> None:
        self.set(max_sessions_per_key=1000, port_quarantine=3000)
        opened, refused = 0, 0
        while opened < 1000:
            answer = self.ask_for_session()
            if isinstance(answer, Welcome):
                opened += 1
                self.assertTrue({answer.ctrl, answer.up, answer.dn} <= set(range(6712, 6742)))
            else:
                self.assertEqual(answer, Refused(RefusalReason.NO_PORTS))
                refused += 1
                self.network.run_for(1.0)
            self.assertLessEqual(len(self.network.sockets), 30)
            self.assertEqual(len(set(self.ports())), len(self.network.sockets))
        self.assertGreater(refused, 100)
        self.network.run_for(self.server.settings.stale_after_seconds + 2)
        self.assert_nothing_left()
        self.assertEqual(self.server._stale_at, [])

    def test_a_released_port_rests_before_it_is_used_again(self) -> None:
        self.ask_for_session()
        self.server.close_session(self.session, CloseReason.GOODBYE)
        self.network.run_for(1)
        self.ask_for_session()
        self.assertEqual(self.ports(), [6715, 6716, 6717])
        self.network.run_for(10)
        self.ask_for_session()
        self.assertEqual(self.ports(), [6712, 6713, 6714])
        self.close_all()

    def test_ports_that_other_programs_hold_are_set_aside(self) -> None:
        self.network.held_elsewhere = {6712, 6714, 6715}
        self.ask_for_session()
        self.assertEqual(self.ports(), [6713, 6716, 6717])
        self.assertEqual(self.server.port_manager.get_resting_port_count(), 3)
        self.network.held_elsewhere.clear()
        self.network.run_for(31)  # in which the first session goes stale
        self.ask_for_session()
        self.assertEqual(self.ports(), [6712, 6713, 6714])
        self.close_all()

    def test_with_fewer_than_three_ports_left_it_refuses_and_nothing_leaks(self) -> None:
        self.network.held_elsewhere = set(range(6714, 6742))
        for _ in range(3):
            self.assertEqual(self.refusal(), RefusalReason.NO_PORTS)
            self.network.run_for(0.1)
            self.assertEqual((self.network.sockets, self.server.sessions), ({}, {}))
        self.network.run_for(31)
        self.assertEqual(self.refusal(), RefusalReason.NO_PORTS)
        self.network.held_elsewhere.clear()
        self.network.run_for(31)
        self.assertIsInstance(self.ask_for_session(), Welcome)
        self.close_all()

    def test_without_descriptors_it_is_busy_and_nothing_leaks(self) -> None:
        for limit in (0, 1, 2):
            self.network.socket_limit = limit
            self.assertEqual(self.refusal(), RefusalReason.BUSY)
            self.network.run_for(11)
            self.assertEqual((self.network.sockets, self.server.sessions), ({}, {}))
            self.assertEqual(self.server.port_manager.get_available_port_count(), 30)
        self.network.socket_limit = 3
        self.assertIsInstance(self.ask_for_session(), Welcome)
        self.close_all()


class AdmissionTests(ServerTestCase):
    """Whose session it may be."""

    def test_no_socket_is_opened_for_a_key_that_is_not_known_or_revoked(self) -> None:
        self.assertEqual(self.refusal(fingerprint=self.server_identity.fingerprint), RefusalReason.UNKNOWN_CLIENT)
        self.authorized.revoke("anna")
        self.assertEqual(self.refusal(), RefusalReason.REVOKED_CLIENT)
        self.assertEqual(self.network.sockets, {})
        self.assert_nothing_left()

    def test_a_key_that_no_link_can_be_made_of_is_malformed(self) -> None:
        answer = self.ask(Open(bytes(32)))
        self.assertEqual(answer, Refused(RefusalReason.MALFORMED))
        self.assert_nothing_left()

    def test_a_key_holds_so_many_sessions_and_no_more(self) -> None:
        sessions = [self.open() for _ in range(4)]
        self.network.run_for(2)
        self.assertEqual(self.refusal(), RefusalReason.TOO_MANY_SESSIONS)
        self.assertEqual(len(self.server.sessions), 4)
        sessions[0].close()
        self.network.run_for(1)
        self.assertIsInstance(self.ask_for_session(), Welcome)
        self.close_all()
        self.assertEqual(len(self.observer.ends), 3)

    def test_a_quiet_session_of_the_key_is_given_up_for_a_new_one(self) -> None:
        self.set(max_sessions_per_key=2)
        alive = self.open()
        self.ask_for_session()
        self.network.run_for(QUIET * self.server.settings.stale_after_seconds + 0.1)
        self.assertIsInstance(self.ask_for_session(), Welcome)
        self.assertIn(alive.link_id, self.server.sessions)
        self.assertEqual(len(self.server.sessions), 2)
        self.assertEqual(self.refusal(), RefusalReason.TOO_MANY_SESSIONS)
        alive.close()
        self.close_all()

    def test_another_keys_sessions_do_not_count(self) -> None:
        self.set(max_sessions_per_key=1)
        self.authorized.authorize(self.server_identity.fingerprint, "bert")
        self.assertIsInstance(self.ask_for_session(), Welcome)
        self.assertIsInstance(self.ask_for_session(fingerprint=self.server_identity.fingerprint), Welcome)
        self.close_all()

    def test_an_unreadable_list_of_clients_leaves_things_as_they_were(self) -> None:
        path = self.authorized.path
        path.unlink()
        path.mkdir()
        self.assertIsInstance(self.ask_for_session(), Welcome)
        self.network.run_for(3)
        self.assertEqual(len(self.server.sessions), 1)
        self.close_all()


class ReplacingTests(ServerTestCase):
    """A client that comes back for the session that it had."""

    def test_the_new_session_takes_over_the_ports_even_when_there_are_no_others(self) -> None:
        self.set(max_sessions_per_key=1)
        connection = self.open()
        self.network.run_for(1.5)
        self.network.held_elsewhere = set(range(6715, 6742))
        answer = self.ask_for_session(replaces=connection.link_id)
        assert isinstance(answer, Welcome)
        self.assertEqual((answer.ctrl, answer.up, answer.dn), (6712, 6713, 6714))
        self.assertEqual(len(self.server.sessions), 1)
        self.assertNotIn(connection.link_id, self.server.sessions)
        self.assertEqual(len([own for own in self.network.sockets if own[0] == SERVER_HOST]), 3)
        self.network.sent.clear()
        self.network.run_for(2)
        self.assertEqual([sent for sent in self.network.sent if sent.source[0] == SERVER_HOST], [])
        self.assertGreater(self.session.conn.ctrl_handler.counters.not_authentic, 0)
        connection.close()
        self.network.held_elsewhere.clear()
        self.close_all()

    def test_the_session_of_another_key_is_not_replaced(self) -> None:
        connection = self.open()
        self.authorized.authorize(self.server_identity.fingerprint, "bert")
        answer = self.ask_for_session(connection.link_id, self.server_identity.fingerprint)
        assert isinstance(answer, Welcome)
        self.assertEqual(answer.ctrl, 6715)
        self.assertIn(connection.link_id, self.server.sessions)
        connection.close()
        self.close_all()

    def test_a_session_that_the_server_does_not_know_is_no_obstacle(self) -> None:
        self.assertIsInstance(self.ask_for_session(replaces="0" * 32), Welcome)
        self.close_all()

    def test_with_an_unusable_key_the_session_before_goes_on(self) -> None:
        connection = self.open()
        self.network.run_for(1.5)
        self.assertEqual(self.ask(Open(bytes(32), connection.link_id)), Refused(RefusalReason.MALFORMED))
        self.network.run_for(2)
        self.assertTrue(self.observer.beats[-1].complete)
        connection.close()
        self.close_all()


class EndTests(ServerTestCase):
    """How sessions end."""

    def test_a_session_that_is_never_heard_goes_stale(self) -> None:
        self.ask_for_session()
        self.network.run_for(5.5)
        self.assertEqual(len(self.server.sessions), 1)
        self.network.run_for(1.5)
        self.assert_nothing_left()

    def test_a_session_that_falls_silent_goes_stale_after_its_last_word(self) -> None:
        connection = self.open()
        self.network.run_for(10)
        self.network.cut = True
        self.network.run_for(5)
        self.assertEqual(len(self.server.sessions), 1)
        self.network.run_for(3)
        self.assertEqual(self.server.sessions, {})
        self.assertTrue(connection.ended)
        self.assert_nothing_left()

    def test_a_revoked_client_is_out_within_a_heartbeat_and_told_why(self) -> None:
        connection = self.open()
        self.network.run_for(2.5)
        self.authorized.revoke("anna")
        self.network.run_for(1.1)
        self.assertTrue(connection.ended)
        self.assertIn("has revoked this client's key", str(self.observer.ends[0]))
        self.assert_nothing_left()

    def test_a_client_whose_line_was_deleted_is_out_too_and_others_are_not(self) -> None:
        self.authorized.authorize(self.server_identity.fingerprint, "bert")
        connection = self.open()
        self.ask_for_session(fingerprint=self.server_identity.fingerprint)
        self.network.run_for(2.5)
        self.server_home.write("authorized_clients", f"{self.server_identity.fingerprint} bert\n")
        self.network.run_for(1.1)
        self.assertTrue(connection.ended)
        self.assertEqual([session.name for session in self.server.sessions.values()], ["bert"])
        self.close_all()

    def test_the_end_of_the_server_says_goodbye_to_everybody(self) -> None:
        connections = [self.open() for _ in range(3)]
        self.network.run_for(1.5)
        closed: Deferred[Any] = self.server.close()
        self.network.run_for(0.1)
        self.successResultOf(closed)
        self.assertTrue(all(connection.ended for connection in connections))
        self.assertEqual({str(why) for why in self.observer.ends}, {"the server is shutting down"})
        self.assert_nothing_left()

    def test_what_shows_of_a_client_is_no_secret(self) -> None:
        self.ask_for_session()
        self.assertEqual(repr(self.session), f"<Client anna link {self.session.link_id[:8]}>")
        self.close_all()


class JoinTests(ServerTestCase):
    """Being let in by an invite."""

    def setUp(self) -> None:
        super().setUp()
        self.fingerprint = "SHA256:" + "A" * 43
        self.token = self.invites.make("", 3600, NOW_MS / 1000)

    def join(self, token: bytes | None = None, exporter: bytes = EXPORTER, name: str = "box") -> Joined | Refused:
        token = self.token if token is None else token
        proof = prove(token, EXPORTER, self.server_identity.fingerprint, self.fingerprint)
        return self.server.join(Join(verifier_of(token), proof, name), self.fingerprint, exporter)

    @contextmanager
    def full_disk(self, *names: str) -> Iterator[None]:
        """While it lasts, these files of the server cannot be written."""
        write = self.server_home.write

        def write_or_fail(name: str, text: str) -> None:
            if name in names:
                raise SettingsError(f"cannot write {name}: No space left on device")
            write(name, text)

        patch = self.patch(self.server_home, "write", write_or_fail)
        yield
        patch.restore()

    def test_it_lets_the_key_in_by_the_clients_name_or_the_owners(self) -> None:
        self.assertEqual(self.join(), Joined("box"))
        self.assertEqual(self.join(self.invites.make("kitchen", 3600, NOW_MS / 1000)), Joined("kitchen"))
        self.assertIsInstance(self.ask_for_session(fingerprint=self.fingerprint), Welcome)
        self.close_all()

    def test_a_hostile_name_is_not_taken(self) -> None:
        self.assertEqual(self.join(name="x\n@revoked y"), Joined("client"))
        self.assertEqual(self.server.authorized.lookup(self.fingerprint).name, "client")  # type: ignore[union-attr]

    def test_it_works_once(self) -> None:
        self.join()
        self.assertEqual(self.join(), Refused(RefusalReason.INVITE_USED))

    def test_it_expires(self) -> None:
        self.network.run_for(3601)
        self.assertEqual(self.join(), Refused(RefusalReason.INVITE_EXPIRED))

    def test_one_that_was_never_made_is_unknown(self) -> None:
        self.assertEqual(self.join(bytes(16)), Refused(RefusalReason.INVITE_UNKNOWN))

    def test_a_proof_for_another_tls_session_or_key_is_worth_nothing_and_does_not_use_it_up(self) -> None:
        self.assertEqual(self.join(exporter=b"other"), Refused(RefusalReason.INVITE_UNKNOWN))
        honest, self.fingerprint = self.fingerprint, "SHA256:" + "B" * 43
        proof = prove(self.token, EXPORTER, self.server_identity.fingerprint, honest)
        message = Join(verifier_of(self.token), proof, "thief")
        self.assertEqual(self.server.join(message, self.fingerprint, EXPORTER), Refused(RefusalReason.INVITE_UNKNOWN))
        self.fingerprint = honest
        self.assertEqual(self.join(), Joined("box"))

    def test_on_a_full_disk_nobody_is_let_in_and_nothing_is_used_up(self) -> None:
        with self.full_disk("invites"):
            self.assertEqual(self.join(), Refused(RefusalReason.BUSY))
        self.assertIsNone(self.server.authorized.lookup(self.fingerprint))
        self.assertEqual(self.join(), Joined("box"))

    def test_where_only_the_list_of_clients_cannot_be_written_nothing_is_used_up_either(self) -> None:
        with self.full_disk("authorized_clients"):
            self.assertEqual(self.join(), Refused(RefusalReason.BUSY))
        self.assertIsNone(self.server.authorized.lookup(self.fingerprint))
        self.assertEqual(self.join(), Joined("box"))
        self.assertEqual(self.join(), Refused(RefusalReason.INVITE_USED))
