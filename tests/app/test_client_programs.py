"""`bittrrt` and `twistd bittrrt-client` as processes, against a real server, through all that goes wrong."""

from __future__ import annotations

import json
import os
import signal
import time

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.files.authorized_clients import AuthorizedClients
from bittrrt.files.home import Home
from bittrrt.files.identity import load_or_create_identity
from bittrrt.files.known_servers import KnownServers

from .programs import HOST, Machines, Program


class ClientProgramTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.machines = self.enterContext(Machines())

    def assert_one_line(self, program: Program, pattern: str) -> None:
        """It ends with a failure, and all that it says is one line that matches."""
        status, out, err = program.end()
        self.assertNotEqual(status, 0)
        self.assertEqual(out, "")
        self.assertRegex(err, rf"\AError: .*{pattern}.*\n\Z")


class PingTests(ClientProgramTests):
    def test_json_is_an_object_a_heartbeat_and_a_summary(self) -> None:
        self.machines.introduce()
        self.machines.serve()
        status, out, err = self.machines.ping("--count", "2", "--json").end()
        self.assertEqual((status, err), (0, ""))
        *beats, summary = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([beat["heartbeat"] for beat in beats], [1, 2])
        self.assertTrue(all(beat["complete"] for beat in beats))
        complete = {name: port["complete"] for name, port in summary["ports"].items()}
        self.assertEqual(complete, {"ctrl": 2, "up": 2, "dn": 2})
        self.assertEqual(summary["troubles"], [])

    def test_ctrl_c_ends_with_the_summary(self) -> None:
        self.machines.introduce()
        server = self.machines.serve()
        ping = self.machines.ping()
        ping.wait_for("heartbeat 2:")
        ping.send(signal.SIGINT)
        status, out, err = ping.end()
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, r"(?m)^port .* last .* min .* median .* p99 .* jitter .* lost .* there .* back")
        server.wait_for("ended: goodbye")

    def test_it_ends_when_nobody_takes_its_output(self) -> None:
        self.machines.introduce()
        server = self.machines.serve()
        with open("/dev/full", "wb") as full:
            self.assert_one_line(self.machines.ping("--json", out=full), "cannot write the output: No space left")
        server.wait_for("ended: goodbye")
        reading, writing = os.pipe()
        os.close(reading)
        with open(writing, "wb") as closed:
            status, _, err = self.machines.ping(out=closed).end()
        self.assertEqual((status, err), (1, ""))

    def test_heartbeats_come_back_after_the_server_was_killed(self) -> None:
        self.machines.introduce()
        server = self.machines.serve()
        ping = self.machines.ping("--json")
        ping.wait_for('"complete":true')
        server.send(signal.SIGKILL)
        server.end()
        ping.wait_for("refuses TCP connections", "err")
        self.machines.serve()
        started = time.monotonic()
        ping.wait_for('"complete":true', after=ping.said())
        self.assertLess(time.monotonic() - started, 10.0)
        ping.wait_for("a new session is open", "err")

    def test_a_revoked_client_is_told_within_a_heartbeat(self) -> None:
        self.machines.introduce()
        self.machines.serve()
        ping = self.machines.ping()
        ping.wait_for("heartbeat 1:")
        revoke = self.machines.bittrrt("clients", "revoke", "laptop", at="server")
        self.assertEqual(revoke.end().status, 0)
        status, _, err = ping.end()
        self.assertNotEqual(status, 0)
        self.assertEqual([line for line in err.splitlines() if "revoked" not in line], [])
        self.assert_one_line(self.machines.ping(), "has revoked this client's key: ask the server's owner")

    def test_a_client_that_was_never_let_in_is_told(self) -> None:
        fingerprint = self.machines.introduce()
        (self.machines.server_home.path / "authorized_clients").write_text(f"# {fingerprint} laptop\n")
        self.machines.serve()
        self.assert_one_line(self.machines.ping(), "does not know this client's key: ask the server's owner")

    def test_another_server_key_is_refused(self) -> None:
        self.machines.introduce()
        (self.machines.server_home.path / "identity.pem").unlink()
        self.machines.serve()
        self.assert_one_line(self.machines.ping(), r"is not the one pinned in \S+ line 1: this can be an attack")

    def test_a_server_that_does_not_run_is_named(self) -> None:
        self.machines.introduce()
        self.assert_one_line(self.machines.ping(), "refuses TCP connections: start the server there")


class JoinTests(ClientProgramTests):
    def test_a_used_link_lets_nobody_else_in(self) -> None:
        link = self.machines.link()
        self.machines.serve()
        self.assertEqual(self.machines.bittrrt("join", link).end().status, 0)
        other = self.machines.bittrrt("--home", str(self.machines.directory / "other"), "join", link)
        self.assert_one_line(other, "this link was used before, and works only once: ask")

    def test_a_link_works_as_long_as_it_was_made_for(self) -> None:
        self.machines.link()
        self.machines.serve()
        made = self.machines.bittrrt("invite", "--expires", "1s", "--host", f"{HOST}:{self.machines.port}", at="server")
        status, link, _ = made.end()
        self.assertEqual(status, 0)
        expires = int(self.machines.server_home.read_lines("invites")[-1].partition("expires=")[2].split()[0])
        self.assertLess(expires, time.time() + 3)
        old = self.machines.link(lifetime=1.0, now=time.time() - 10)
        self.assertNotEqual(link.strip(), old)
        self.assert_one_line(self.machines.bittrrt("join", old), "this link has expired: ask")

    def test_a_link_that_was_changed_is_refused(self) -> None:
        link = self.machines.link()
        self.machines.serve()
        last = "A" if link[-2] != "A" else "Q"
        changed = self.machines.bittrrt("join", f"{link[:-2]}{last}{link[-1]}")
        cut_short = self.machines.bittrrt("join", link[:-3])
        self.assert_one_line(changed, "never made this link: ask")
        self.assert_one_line(cut_short, "this is no BittrRt link")

    def test_a_link_with_another_servers_key_is_refused(self) -> None:
        link = self.machines.link()
        other, _ = load_or_create_identity(Home(self.machines.directory / "other"))
        (self.machines.server_home.path / "identity.pem").write_text(
            (self.machines.directory / "other/identity.pem").read_text()
        )
        self.machines.serve()
        self.assert_one_line(self.machines.bittrrt("join", link), "shows another key .*Nothing was sent")
        self.assertEqual(KnownServers(self.machines.client_home).servers(), [])
        self.assertIsNone(AuthorizedClients(self.machines.server_home).lookup(other.fingerprint))

    def test_a_server_that_does_not_run_is_named(self) -> None:
        self.assert_one_line(self.machines.bittrrt("join", self.machines.link()), "refuses TCP connections")


class ClientServiceTests(ClientProgramTests):
    def test_it_keeps_the_link_up_across_a_restart_of_the_server(self) -> None:
        self.machines.introduce()
        server = self.machines.serve()
        where = f"{HOST}:{self.machines.port}"
        home = str(self.machines.client_home.path)
        client = self.machines.twistd(
            "-n", "--pidfile=", "bittrrt-client", "--home", home, "--heartbeat", "100", where, at="client"
        )
        client.wait_for("link [0-9a-f]{8} with 127.0.0.1 is up")
        server.send(signal.SIGTERM)
        server.end()
        client.wait_for("the server is shutting down")
        before = client.said()
        server = self.machines.serve()
        client.wait_for("link [0-9a-f]{8} with 127.0.0.1 is up", after=before)
        client.send(signal.SIGTERM)
        status, out, err = client.end()
        self.assertEqual((status, err), (-signal.SIGTERM, ""))
        self.assertNotIn("Traceback", out)
        server.wait_for("ended: goodbye")

    def test_a_server_that_was_never_joined_ends_it_with_one_line(self) -> None:
        status, out, err = self.machines.twistd("-n", "--pidfile=", "bittrrt-client", "far.example", at="client").end()
        self.assertEqual((status, out), (1, ""))
        self.assertRegex(err, r"\Abittrrt-client: far.example is not known here: ask its owner for a link .*\n\Z")
