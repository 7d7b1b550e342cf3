"""`bittrrt status --json`: one object, with or without a server that runs here."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from .fake_page import FINGERPRINT, leave_address
from .programs import HOST, Machines

_PAGE = "import sys; from tests.app.fake_page import main; main(sys.argv[1])"


class StatusTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.machines = self.enterContext(Machines())

    def status(self, at: str) -> Any:
        status, out, err = self.machines.bittrrt("status", "--json", at=at).end()
        self.assertEqual((status, err, out.count("\n")), (0, "", 1))
        return json.loads(out)

    def test_without_a_home_it_is_empty_and_makes_none(self) -> None:
        self.assertEqual(self.status("client"), {
            "home": str(self.machines.client_home.path), "identity": None, "servers": [], "clients": [],
            "problems": [], "server": None, "sessions": [],
        })  # fmt: skip
        self.assertFalse(self.machines.client_home.path.exists())

    def test_it_has_whom_each_end_knows(self) -> None:
        fingerprint = self.machines.introduce()
        (self.machines.client_home.path / "known_servers").open("a").write("nonsense\n")
        here, there = self.status("client"), self.status("server")
        self.assertEqual(here["identity"], fingerprint)
        self.assertEqual(
            here["servers"], [{"host": HOST, "port": self.machines.port, "fingerprint": there["identity"]}]
        )
        self.assertEqual(there["clients"], [{"name": "laptop", "fingerprint": fingerprint, "revoked": False}])
        self.assertIn("known_servers line 2 is not used", here["problems"][0])

    def test_a_server_that_runs_here_is_asked(self) -> None:
        home = self.machines.server_home
        home.ensure()
        self.machines.start(_PAGE, str(home.path), at="server").wait_for("the page is up")
        status = self.status("server")
        self.assertEqual((status["server"]["fingerprint"], status["server"]["sessions"]), (FINGERPRINT, 1))
        (session,) = status["sessions"]
        self.assertEqual([port["port"] for port in session["ports"]], ["ctrl", "up", "dn"])
        self.assertEqual(status["problems"], [])

    def test_a_server_that_was_killed_is_a_problem_and_no_error(self) -> None:
        leave_address(self.machines.server_home, self.machines.port)
        status = self.status("server")
        self.assertIsNone(status["server"])
        self.assertIn("does not answer at http://127.0.0.1", status["problems"][0])
