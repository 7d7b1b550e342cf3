"""`bittrrt check` on a simulated network: every verdict, and what is not tried after each failure."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import Factory, Protocol

from bittrrt.app.check import HEARTBEAT, Check
from bittrrt.app.check_display import CheckDisplay, Style
from bittrrt.app.check_rendezvous import StrangerOpener
from bittrrt.app.check_verdicts import Finding
from bittrrt.app.running import INTERRUPTED
from bittrrt.files.identity import Identity, passing_identity
from bittrrt.files.known_servers import KnownServer
from bittrrt.files.share import Shares
from bittrrt.net import rendezvous_server
from bittrrt.net.client import Client
from bittrrt.net.server_transfers import FileService, serve_files
from bittrrt.net.session_opener import SessionOpener
from bittrrt.net.streams import DataPlaneListener
from bittrrt.net.switchboard import OpenDataPlane
from bittrrt.net.takers import Takers
from bittrrt.wire.datagram import PortType
from bittrrt.wire.messages import CloseReason
from tests.net.simulated_link import SimulatedLinkTestCase, clock_on
from tests.net.simulated_network import CLIENT_HOST, SERVER_HOST, SimulatedPort

from .fake_session import FakeReactor

AHEAD_MS = 200
SESSION = ["ctrl", "up", "dn", "path-mtu", "round-trip", "jitter", "loss", "clock", "nat"]
ALL = ["name", "tcp", "tls", "key", "authorisation", *SESSION]


class CheckTestCase(SimulatedLinkTestCase):
    """A server that shows no files, and a client that checks it."""

    def setUp(self) -> None:
        super().setUp()
        self.factory = self.listen_for_clients()
        clock = self.server.clock
        service = FileService(Shares(None), Takers(), maybeDeferred, self.network, clock)

        def files(client: Client, open_plane: OpenDataPlane) -> DataPlaneListener:
            return serve_files(client, open_plane, service, service.shares.of({}))

        self.server.services.files = files
        self.network.largest = 1500 - 28
        self.client_clock = clock_on(self.network, origin=5000.0, ahead_ms=AHEAD_MS)

    def start(
        self,
        host: str = "server.example",
        port: int | None = None,
        *,
        pinned: Identity | None = None,
        joined: bool = True,
        style: Style = Style.JSON,
    ) -> None:
        """Begin a check; `pinned` in the server's place."""
        port = port or self.settings.port
        server = KnownServer(host, port, (pinned or self.server_identity).fingerprint, 1)

        def make_opener(watcher: Any) -> Any:
            if not joined:
                return StrangerOpener(self.network, passing_identity(), host, port, watcher)
            return SessionOpener(
                self.network, self.settings, self.client_identity, server, heartbeat=HEARTBEAT,
                clock=self.client_clock, port_class=SimulatedPort, watcher=watcher,
            )  # fmt: skip

        self.out = StringIO()
        self.reactor = FakeReactor()
        display = CheckDisplay(style, f"{host}:{port}", self.out)
        check = Check(self.network, host, port, make_opener, display, clock=self.client_clock)
        self.running: Deferred[int] = Deferred.fromCoroutine(check.run(self.reactor))

    def findings(self, within: float = 30.0, **options: Any) -> dict[str, Finding]:
        """What a whole check tells; nothing of it may be left."""
        self.start(**options)
        self.network.run_until(lambda: self.running.called, within)
        status = self.successResultOf(self.running)
        *lines, summary = [json.loads(line) for line in self.out.getvalue().splitlines()]
        found = {line["step"]: Finding(**line) for line in lines}
        self.assertEqual(list(found), ALL)
        bad = [step for step, finding in found.items() if finding.verdict == "bad"]
        self.assertEqual(summary["bad"], bad)
        self.assertEqual(status, 1 if bad else 0)
        for finding in found.values():
            self.assertNotIn("\n", finding.text)
        self.network.run_for(0.5)
        self.assertEqual([own for own in self.network.sockets if own[0] != SERVER_HOST], [])
        self.assertEqual(self.network.streams, set())
        return found

    def assert_ends_at(self, step: str, pattern: str, found: dict[str, Finding]) -> None:
        """All before the step is well, it is bad for that reason, and nothing after it is tried."""
        at = ALL.index(step)
        verdicts = [finding.verdict for finding in found.values()]
        self.assertEqual(verdicts, ["ok"] * at + ["bad"] + ["not tried"] * (len(ALL) - at - 1))
        self.assertRegex(found[step].text, pattern)
        self.assertEqual({finding.text for finding in list(found.values())[at + 1 :]} - {f"{step} failed"}, set())

    def port(self, port_type: PortType) -> int:
        """The number that the next session's port will have: the lowest free ones, in order."""
        return 6712 + list(PortType).index(port_type)


class WellTests(CheckTestCase):
    def test_a_link_that_is_well(self) -> None:
        found = self.findings()
        self.assertEqual({finding.verdict for finding in found.values()}, {"ok"})
        self.assertEqual(found["name"].text, f"server.example is {SERVER_HOST} (IPv4)")
        self.assertAlmostEqual(found["tcp"].values["connect_ms"], 20.0, places=2)
        self.assertIn("TLSv1.3 with bittrrt/1", found["tls"].text)
        self.assertEqual(found["key"].values, {"fingerprint": self.server_identity.fingerprint})
        for port_type in PortType:
            finding = found[port_type.value]
            self.assertEqual((finding.values["port"], finding.values["answered"]), (self.port(port_type), 20))
        self.assertEqual(found["path-mtu"].values, {"bytes": 1472, "searched": True})
        self.assertAlmostEqual(found["round-trip"].values["min_ms"], 20.0, places=2)
        self.assertEqual(found["loss"].text, "none of 60 heartbeats")
        self.assertLess(abs(found["clock"].values["offset_ms"] + AHEAD_MS), found["clock"].values["error_ms"])
        self.assertEqual(found["nat"].values["seen_as"]["up"].rpartition(":")[0], CLIENT_HOST)
        self.assertIn("none: the server sees this machine's own address", found["nat"].text)

    def test_it_is_over_as_soon_as_the_burst_is(self) -> None:
        self.start()
        self.assertLess(self.network.run_until(lambda: self.running.called, 30), 4.0)

    def test_for_people_it_is_a_line_a_step_and_a_verdict(self) -> None:
        self.start(style=Style.PEOPLE)
        self.network.run_until(lambda: self.running.called, 30)
        lines = self.out.getvalue().splitlines()
        self.assertEqual([line.split()[1] for line in lines[:-1]], ALL)
        self.assertRegex(lines[1], rf"^ok         tcp            {SERVER_HOST}:6711 answers in 20\.00 ms$")
        self.assertEqual(lines[-1], "server.example:6711: all is well")


class RendezvousTests(CheckTestCase):
    def test_a_name_that_nobody_knows(self) -> None:
        self.assert_ends_at("name", "check the spelling, or your DNS", self.findings(host="nowhere.example"))

    def test_a_port_that_refuses(self) -> None:
        self.assert_ends_at("tcp", "refuses TCP connections: start the server there", self.findings(port=7000))

    def test_a_port_that_does_not_answer(self) -> None:
        self.network.tcp_ignored = True
        self.assert_ends_at("tcp", "does not answer: check the address, and that the firewall", self.findings())

    def test_something_else_that_listens_and_talks(self) -> None:
        class Web(Protocol):
            def dataReceived(self, data: bytes) -> None:
                assert self.transport is not None
                self.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        self.network.tcp_factories[SERVER_HOST, 80] = Factory.forProtocol(Web)
        self.assert_ends_at("tls", "does not speak BittrRt's TLS: check the port", self.findings(port=80))

    def test_something_else_that_listens_and_is_silent(self) -> None:
        self.network.tcp_factories[SERVER_HOST, 80] = Factory.forProtocol(Protocol)
        self.assert_ends_at("tls", "no BittrRt server listens there, or one that is over", self.findings(port=80))

    def test_another_key_than_the_one_that_is_pinned(self) -> None:
        found = self.findings(pinned=self.client_identity)
        self.assert_ends_at("key", "is not the one pinned in known_servers line 1: this can be an attack", found)
        self.assertEqual(self.server.refusals.total(), 0)

    def test_a_server_that_was_never_joined_is_told_nothing(self) -> None:
        found = self.findings(joined=False)
        self.assert_ends_at("key", "was never joined from here: ask its owner for a link", found)
        self.assertIn(self.server_identity.fingerprint, found["key"].text)
        self.assertEqual(self.server.refusals.total(), 0)

    def test_a_client_that_is_revoked(self) -> None:
        self.authorized.revoke("anna")
        self.assert_ends_at("authorisation", "has revoked this client's key: ask the server's owner", self.findings())

    def test_a_client_that_is_unknown(self) -> None:
        (self.server_home.path / "authorized_clients").write_text("")
        self.assert_ends_at("authorisation", "does not know this client's key", self.findings())

    def test_a_client_that_holds_too_many_sessions(self) -> None:
        for _ in range(self.settings.max_sessions_per_key):
            self.open()
        self.network.run_for(0.1)
        self.start()
        self.network.run_until(lambda: self.running.called, 5)
        found = {line["step"]: line for line in map(json.loads, self.out.getvalue().splitlines()[:-1])}
        self.assertIn("as many sessions of this client as it allows: end one", found["authorisation"]["text"])

    def test_a_server_whose_words_would_move_the_cursor(self) -> None:
        self.patch(rendezvous_server, "encode_message", lambda _: b'{"type":"joined","name":"x","\\u001b[2J":1}')
        found = self.findings()
        self.assert_ends_at("authorisation", r"its answer makes no sense: .*\\x1b\[2J", found)
        self.assertTrue(found["authorisation"].text.isprintable())

    def test_ctrl_c_while_connecting_leaves_nothing(self) -> None:
        self.network.tcp_ignored = True
        self.start()
        self.network.run_for(1)
        self.reactor.before_shutdown[0]()
        self.assertEqual(self.successResultOf(self.running), INTERRUPTED)
        self.assertEqual(len(self.network.getDelayedCalls()), 1)  # the server's sweep


class PortTests(CheckTestCase):
    def test_one_port_is_dead_towards_the_server(self) -> None:
        for port_type in PortType:
            with self.subTest(port_type):
                self.set_up_again()
                self.network.blocked_to = {self.port(port_type)}
                found = self.findings()
                self.assert_one_dead(port_type, "is dead towards the server: .* in at the server's firewall", found)

    def test_one_port_is_dead_on_the_way_back(self) -> None:
        for port_type in PortType:
            with self.subTest(port_type):
                self.set_up_again()
                self.network.blocked_from = {self.port(port_type)}
                found = self.findings()
                self.assert_one_dead(port_type, "is dead from the server to here: .* at this end's firewall", found)

    def set_up_again(self) -> None:
        self.stop_server()
        self.setUp()

    def assert_one_dead(self, dead: PortType, pattern: str, found: dict[str, Finding]) -> None:
        expected = dict.fromkeys(ALL, "ok") | {dead.value: "bad"}
        if dead is not PortType.DN:
            expected["path-mtu"] = "not tried"
        self.assertEqual({step: finding.verdict for step, finding in found.items()}, expected)
        self.assertRegex(found[dead.value].text, rf"^{dead.value} \(UDP port {self.port(dead)}\) {pattern}")
        self.assertEqual(found["loss"].text, "none of 40 heartbeats")

    def test_no_udp_at_all(self) -> None:
        self.network.cut = True
        found = self.findings()
        verdicts = {step: finding.verdict for step, finding in found.items()}
        self.assertEqual({verdicts.pop(port_type.value) for port_type in PortType}, {"bad"})
        self.assertEqual({verdicts[step] for step in SESSION[3:]}, {"not tried"})
        self.assertIn("nothing comes back on UDP port 6712", found["ctrl"].text)

    def test_a_port_that_lets_little_through_is_a_warning(self) -> None:
        real, passed = self.network.carry, iter(range(10**6))

        def limited(data: bytes, own: Any, destination: Any) -> None:
            if destination[1] != self.port(PortType.DN) or next(passed) % 5 == 0:
                real(data, own, destination)

        self.patch(self.network, "carry", limited)
        found = self.findings()
        self.assertEqual((found["dn"].verdict, found["loss"].verdict), ("warning", "bad"))
        self.assertRegex(found["dn"].text, r"^on UDP port 6714 only \d+ of 20 heartbeats came back")

    def test_the_servers_end_in_the_middle_is_told(self) -> None:
        self.start()
        self.network.run_for(1)
        self.server.close_session(self.session, CloseReason.SHUTDOWN)
        self.network.run_until(lambda: self.running.called, 10)
        lines = [json.loads(line) for line in self.out.getvalue().splitlines()]
        self.assertEqual(lines[5]["text"], "the server is shutting down; check again")
        self.assertEqual([line["verdict"] for line in lines[5:-1]], ["bad"] + ["not tried"] * 8)
        self.assertEqual(self.successResultOf(self.running), 1)

    def test_ctrl_c_in_the_middle_says_goodbye(self) -> None:
        self.start()
        self.network.run_for(1)
        self.reactor.before_shutdown[0]()
        self.network.run_for(0.5)
        self.assertEqual(self.successResultOf(self.running), INTERRUPTED)
        self.assert_nothing_left()

    def test_ctrl_c_after_the_end_does_nothing(self) -> None:
        self.findings()
        self.assertIsNone(self.reactor.before_shutdown[0]())


class PathTests(CheckTestCase):
    def test_a_path_of_small_datagrams_is_a_warning(self) -> None:
        self.network.largest = 1400
        finding = self.findings()["path-mtu"]
        self.assertEqual((finding.verdict, finding.values), ("warning", {"bytes": 1200, "searched": True}))

    def test_a_size_that_cannot_be_found_out_is_no_warning(self) -> None:
        self.network.largest = None
        finding = self.findings()["path-mtu"]
        self.assertEqual((finding.verdict, finding.values), ("ok", {"bytes": 1200, "searched": False}))

    def test_a_server_that_takes_no_data_leaves_the_size_untried(self) -> None:
        self.server.services.files = None
        found = self.findings()
        self.assertEqual(found["path-mtu"].verdict, "not tried")
        self.assertIn("takes no data", found["path-mtu"].text)
        self.assertEqual(found["clock"].verdict, "ok")

    def test_loss_is_told_by_direction(self) -> None:
        real, sent = self.network.carry, iter(range(10**6))

        def lossy(data: bytes, own: Any, destination: Any) -> None:
            if destination[0] != SERVER_HOST or next(sent) % 40:
                real(data, own, destination)

        self.patch(self.network, "carry", lossy)
        loss = self.findings()["loss"]
        self.assertEqual(loss.verdict, "warning")
        self.assertGreater(loss.values["loss_to_server"], 0.01)
        self.assertEqual(loss.values["loss_from_server"], 0.0)

    def test_clocks_that_are_far_apart_are_a_warning(self) -> None:
        self.client_clock = clock_on(self.network, ahead_ms=-60_000)
        clock = self.findings()["clock"]
        self.assertEqual(clock.verdict, "warning")
        self.assertRegex(clock.text, r"^the server's is \+60000\.\d ms from ours, give or take 11\.\d: .* NTP")

    def test_a_nat_is_told_with_the_address_that_it_shows(self) -> None:
        real = self.network.bind

        def bind(socket: Any, address: Any) -> Any:
            bound = real(socket, address)
            self.network.move("203.0.113.5", port_shift=1000)
            return bound

        self.patch(self.network, "bind", bind)
        nat = self.findings()["nat"]
        self.assertEqual((nat.verdict, nat.values["nat"], nat.values["ports_kept"]), ("ok", True, False))
        self.assertEqual(nat.text, f"the server sees 203.0.113.5 for our {CLIENT_HOST}, ports are changed")
