"""`bittrrt check` as a process, against a real server and against what is none."""

from __future__ import annotations

import json
import signal
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from .programs import HOST, Machines, Program


class QuietHandler(BaseHTTPRequestHandler):
    """A web server's, without its log."""

    def log_message(self, *args: object) -> None:
        pass


class CheckProgramTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.machines = self.enterContext(Machines())
        self.machines.introduce()

    def check(self, *args: str, port: int | None = None, **options: Any) -> Program:
        return self.machines.bittrrt("check", f"{HOST}:{port or self.machines.port}", *args, **options)

    def assert_bad(self, step: str, pattern: str, program: Program) -> None:
        status, out, err = program.end()
        self.assertEqual((status, err), (1, ""))
        self.assertRegex(out, rf"(?m)^bad        {step} +.*{pattern}")
        self.assertTrue(out.endswith(f": not well: {step}\n"), out)

    def test_a_server_that_is_well(self) -> None:
        server = self.machines.serve()
        status, out, err = self.check("--json").end()
        self.assertEqual((status, err), (0, ""))
        *steps, summary = [json.loads(line) for line in out.splitlines()]
        self.assertEqual({step["verdict"] for step in steps} - {"ok", "warning"}, set())
        self.assertEqual((len(steps), summary["summary"], summary["bad"]), (14, True, []))
        server.wait_for("ended: goodbye")

    def test_a_server_that_does_not_run(self) -> None:
        self.assert_bad("tcp", "refuses TCP connections: start the server there", self.check())

    def test_another_key(self) -> None:
        (self.machines.server_home.path / "identity.pem").unlink()
        self.machines.serve()
        self.assert_bad("key", r"is not the one pinned in \S+ line 1: this can be an attack", self.check())

    def test_a_revoked_client(self) -> None:
        self.machines.serve()
        self.machines.bittrrt("clients", "revoke", "laptop", at="server").end()
        self.assert_bad("authorisation", "has revoked this client's key", self.check())

    def test_a_web_server(self) -> None:
        web = HTTPServer((HOST, 0), QuietHandler)
        self.addCleanup(web.server_close)
        thread = threading.Thread(target=web.handle_request, daemon=True)
        thread.start()
        self.assert_bad("tls", "does not speak BittrRt's TLS: check the port", self.unknown_at(web.server_port))
        thread.join(20)

    def unknown_at(self, port: int) -> Program:
        """A check of a server that was never joined, by an end that has no home, and has none after it."""
        home = self.machines.directory / "none"
        program = self.machines.bittrrt("--home", str(home), "check", f"{HOST}:{port}")
        self.addCleanup(lambda: self.assertFalse(home.exists()))
        return program

    def test_a_server_that_was_never_joined(self) -> None:
        self.machines.serve()
        self.assert_bad("key", "was never joined from here", self.unknown_at(self.machines.port))

    def test_ctrl_c_ends_it_at_once_and_in_order(self) -> None:
        server = self.machines.serve()
        check = self.check()
        check.wait_for("this client is let in")
        check.send(signal.SIGINT)
        status, out, err = check.end()
        self.assertEqual((status, err), (130, ""))
        self.assertNotIn("UDP port", out)
        server.wait_for("ended: goodbye")

    def test_ctrl_c_while_nobody_answers_ends_it_at_once(self) -> None:
        with socket.create_server((HOST, 0)) as silent:
            check = self.check(port=silent.getsockname()[1])
            check.wait_for(r"ok +tcp")
            check.send(signal.SIGINT)
            self.assertEqual(check.end()[::2], (130, ""))

    def test_it_ends_when_nobody_takes_its_output(self) -> None:
        self.machines.serve()
        with open("/dev/full", "wb") as full:
            status, _, err = self.check("--json", out=full).end()
        self.assertEqual(status, 1)
        self.assertRegex(err, r"\AError: cannot write the output: No space left.*\n\Z")

    def test_several_ports_of_a_host_are_to_be_told_apart(self) -> None:
        with (self.machines.client_home.path / "known_servers").open("a") as file:
            file.write(f"{HOST}:7 SHA256:{'A' * 43}\n")
        status, out, err = self.machines.bittrrt("check", HOST).end()
        self.assertEqual((status, out), (1, ""))
        self.assertRegex(err, r"\AError: 127.0.0.1 is known here on 2 ports: say which, as one of .*\n\Z")
