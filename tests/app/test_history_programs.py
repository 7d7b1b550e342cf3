"""The real programs: what server and clients have recorded is there for `bittrrt history`, at both ends."""

from __future__ import annotations

import json
import signal
import sqlite3
from contextlib import closing
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.files.history import FILE_NAME

from .programs import HOST, Machines, Program


class HistoryProgramTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.machines = self.enterContext(Machines())
        self.machines.introduce()
        self.where = f"{HOST}:{self.machines.port}"

    def history(self, at: str, *args: str) -> list[dict[str, Any]]:
        """The rows."""
        status, out, err = self.machines.bittrrt("history", "--json", *args, at=at).end()
        self.assertEqual((status, err), (0, ""))
        return [json.loads(line) for line in out.splitlines()]

    def stop(self, program: Program) -> None:
        program.send(signal.SIGTERM)
        self.assertNotIn("Traceback", program.end().out)

    def answered(self, rows: list[dict[str, Any]]) -> dict[str, int]:
        sums: dict[str, int] = {}
        for row in rows:
            if row["row"] == "minute":
                sums[row["port"]] = sums.get(row["port"], 0) + row["answered"]
        return sums

    def test_both_ends_of_a_ping_know_of_it_afterwards(self) -> None:
        server = self.machines.serve()
        self.assertEqual(self.machines.ping("--count", "5").end().status, 0)
        self.stop(server)
        here, there = self.history("client", HOST), self.history("server", "laptop")
        self.assertEqual(self.answered(here), {"ctrl": 5, "up": 5, "dn": 5})
        self.assertEqual(set(self.answered(there)), {"ctrl", "up", "dn"})
        self.assertEqual({row["name"] for row in here}, {self.where})
        self.assertEqual({row["link"] for row in here if row["link"]}, {row["link"] for row in there if row["link"]})
        self.assertIn("opened", [row.get("kind") for row in there])
        table = self.machines.bittrrt("history", "laptop", at="server").end()
        self.assertRegex(table.out, r"\Alaptop a client of this server, .*\nport +beats +median ")

    def test_the_clients_service_and_a_ping_record_at_the_same_time(self) -> None:
        server = self.machines.serve()
        home = str(self.machines.client_home.path)
        client = self.machines.twistd(
            "-n", "--pidfile=", "bittrrt-client", "--home", home, "--heartbeat=100", "--history-days=3", self.where,
            at="client",
        )  # fmt: skip
        client.wait_for("is up")
        self.assertEqual(self.machines.ping("--count", "3").end().status, 0)
        self.stop(client)
        self.stop(server)
        rows = self.history("client", self.where)
        self.assertEqual(len({row["link"] for row in rows if row["row"] == "minute"}), 2)
        with closing(sqlite3.connect(self.machines.client_home.path / FILE_NAME)) as connection:
            self.assertEqual(connection.execute("SELECT days FROM kept").fetchall(), [(3,)])

    def test_who_wants_no_history_has_none(self) -> None:
        server = self.machines.serve("--history-days=0")
        self.assertEqual(self.machines.ping("--count", "1", "--no-history").end().status, 0)
        self.stop(server)
        for home in (self.machines.server_home, self.machines.client_home):
            self.assertFalse((home.path / FILE_NAME).exists())

    def test_a_link_does_not_need_its_history(self) -> None:
        for home in (self.machines.server_home, self.machines.client_home):
            (home.path / FILE_NAME).mkdir()
        server = self.machines.serve()
        status, out, err = self.machines.ping("--count", "2").end()
        self.assertEqual((status, out.count("heartbeat ")), (0, 2))
        self.assertRegex(err, r"\Ahistory is not kept: cannot open \S+/client/home/history\.db: unable to open .*\n\Z")
        server.wait_for(r"history is not kept: cannot open \S+/server/home/history\.db: ")
        self.stop(server)
        self.assertEqual(server.end().out.count("history is not kept"), 1)

    def test_output_that_nobody_takes_ends_it_with_one_line(self) -> None:
        self.stop(self.machines.serve())
        self.assertEqual(self.machines.bittrrt("history", at="server").end().status, 0)
        server = self.machines.serve()
        self.assertEqual(self.machines.ping("--count", "1").end().status, 0)
        self.stop(server)
        with open("/dev/full", "wb") as full:
            status, _, err = self.machines.bittrrt("history", "--json", at="server", out=full).end()
        self.assertEqual((status, err), (1, "Error: cannot write the output: No space left on device\n"))
