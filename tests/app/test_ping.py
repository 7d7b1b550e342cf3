"""`bittrrt ping` on a session that a test makes up: table, lines, JSON, exit status."""

from __future__ import annotations

import json
import os
from io import StringIO
from typing import Any, cast
from unittest import mock

from rich.console import Console
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.app.ping import Ping
from bittrrt.errors import LinkError, LinkLost, ServerBusy
from bittrrt.net.session_opener import SessionOpener
from bittrrt.wire.datagram import PortType

from .fake_session import FakeOpener, FakeReactor, complete_round, path_report, port_report


class Terminal(StringIO):
    """A file that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class PingTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.enterContext(mock.patch.dict(os.environ, {"COLUMNS": "80", "LINES": "24", "TERM": "xterm"}))
        self.errors = StringIO()
        self.enterContext(mock.patch("sys.stderr", self.errors))
        self.reactor = FakeReactor()
        self.opener = FakeOpener()

    def start(self, count: int | None = None, *, as_json: bool = False, error: LinkError | None = None) -> StringIO:
        self.opener.error = error
        out = StringIO()
        self.ping = Ping(cast("SessionOpener", self.opener), count, json=as_json, out=out)
        self.running: Deferred[int] = Deferred.fromCoroutine(self.ping.run(self.reactor))
        self.addCleanup(self.reactor.before_shutdown[0])
        return out

    def beat(self, round_trip: float = 0.02, missing: tuple[PortType, ...] = ()) -> None:
        beat = complete_round(self.ping.heartbeats + 1, round_trip, missing)
        self.opener.observer.heartbeat_finished(self.opener.connection, beat)


class OutputTests(PingTestCase):
    def test_without_a_terminal_there_is_a_line_a_heartbeat_and_the_table_at_the_end(self) -> None:
        out = self.start(count=2)
        self.beat()
        self.beat(missing=(PortType.UP,))
        lines = out.getvalue().splitlines()
        self.assertEqual(lines[0], "heartbeat 1: ctrl 20.00 ms  up 20.00 ms  dn 20.00 ms")
        self.assertEqual(lines[1], "heartbeat 2: ctrl 20.00 ms  up lost  dn 20.00 ms")
        self.assertEqual(lines[2], "far.example: 2 heartbeats, link 63470ddf is up")
        self.assertEqual(lines[4].split(), ["ctrl", "6712", "20.10", "20.00", "20.00", "20.00", "0.10", *["0.0%"] * 3])
        self.assertEqual(lines[5].split()[-3:], ["50.0%", "0.0%", "0.0%"])
        self.assertEqual(lines[7], "the server's clock is -1.2 ms from ours, give or take 11.0")
        self.assertEqual(lines[8], "the server sees us at 192.0.2.9, ctrl 50000, up 50000, dn 50000")
        self.assertEqual(len(lines), 9)

    def test_without_a_terminal_a_trouble_is_told_when_it_shows_first(self) -> None:
        self.start(count=5)
        self.beat()
        with mock.patch("bittrrt.app.ping.port_troubles", return_value=["up is dead"]):
            self.beat(missing=(PortType.UP,))
            self.beat(missing=(PortType.UP,))
        self.assertEqual(self.errors.getvalue(), "up is dead\n")
        self.beat()
        with mock.patch("bittrrt.app.ping.port_troubles", return_value=["up is dead"]):
            self.beat(missing=(PortType.UP,))
        self.assertEqual(self.errors.getvalue(), "up is dead\nup is dead\n")

    def test_the_widest_table_has_every_cell_whole_in_80_columns(self) -> None:
        out = self.start(count=2)
        for port_type in PortType:
            self.opener.connection.reports[port_type] = port_report(
                65535, path_report(0.99999), there=1.0, back=1.0, seen_as=f"[2001:db8::1]:{port_type.value}"
            )
        self.beat(0.99999)
        self.beat(12.3456)
        lines = out.getvalue().splitlines()
        self.assertLessEqual(max(map(len, lines)), 80)
        self.assertNotIn("…", out.getvalue())
        row = next(line for line in lines if line.startswith("ctrl"))
        self.assertEqual(len(row.split()), 10)
        self.assertIn("the server sees us at [2001:db8::1], ctrl", out.getvalue())

    def test_a_terminal_shows_troubles_below_the_table(self) -> None:
        out = Terminal()
        self.ping = Ping(cast("SessionOpener", self.opener), 1, json=False, out=out)
        self.opener.connection.reports[PortType.UP] = port_report(6713, path_report(silent=9.0), there=1.0)
        self.running = Deferred.fromCoroutine(self.ping.run(self.reactor))
        self.beat()
        self.successResultOf(self.running)
        self.assertIn("up (UDP port 6713) is dead towards the server", out.getvalue())
        self.assertNotIn("heartbeat 1:", out.getvalue())
        self.assertEqual(self.errors.getvalue(), "")

    def test_an_address_that_would_do_something_to_the_terminal_is_escaped(self) -> None:
        out = self.start(count=1)
        for port_type in PortType:
            self.opener.connection.reports[port_type] = port_report(7, path_report(), seen_as="\x1b]0;title\x07:50000")
        self.beat()
        self.assertIn(r"the server sees us at '\x1b]0;title\x07', ctrl 50000", out.getvalue())
        self.assertNotIn("\x1b", out.getvalue())

    def test_a_link_that_comes_and_goes_is_told_beside_the_lines(self) -> None:
        self.start()
        self.ping.session_suspected(cast("Any", self.opener.connection))
        self.ping.link_down(ServerBusy("busy"))
        self.ping.session_revived(cast("Any", self.opener.connection))
        self.ping.session_ended(cast("Any", self.opener.connection), LinkLost("lost"))
        self.ping.link_up(cast("Any", self.opener.connection))
        self.assertEqual(self.errors.getvalue().splitlines(), [
            "no answer on any port; asking for a new session", "busy", "link 63470ddf is heard again", "lost",
            "a new session is open",
        ])  # fmt: skip

    def test_before_anything_came_back_the_table_has_no_figures(self) -> None:
        self.start()
        out = StringIO()
        for port_type in PortType:
            self.opener.connection.reports[port_type] = port_report(7, path_report(None, silent=None), seen_as=None)
        self.ping.link_up(cast("Any", self.opener.connection))
        Console(file=out, width=80).print(self.ping._table())
        self.assertEqual(out.getvalue().splitlines()[2].split()[:6], ["ctrl", "7", "-", "-", "-", "-"])
        self.assertNotIn("clock", out.getvalue())


class JsonTests(PingTestCase):
    def test_each_heartbeat_is_an_object_with_every_port(self) -> None:
        out = self.start(count=1, as_json=True)
        self.beat(missing=(PortType.DN,))
        beat, _ = [json.loads(line) for line in out.getvalue().splitlines()]
        self.assertEqual(list(beat), ["heartbeat", "client_ts3", "complete", "ports"])
        self.assertEqual((beat["heartbeat"], beat["client_ts3"], beat["complete"]), (1, 1_700_000_000_001, False))
        self.assertEqual(
            beat["ports"]["ctrl"],
            {"port": 6712, "round_trip_ms": 20.0, "second_round_trip_ms": 20.0, "jitter_ms": 0.1,
             "seen_as": "192.0.2.9:50000"},
        )  # fmt: skip
        self.assertIsNone(beat["ports"]["dn"]["round_trip_ms"])

    def test_the_summary_has_the_whole_run(self) -> None:
        out = self.start(count=2, as_json=True)
        self.beat(0.01)
        self.beat(0.03, missing=(PortType.DN,))
        summary = json.loads(out.getvalue().splitlines()[-1])
        self.assertEqual((summary["summary"], summary["host"], summary["heartbeats"]), (True, "far.example", 2))
        self.assertEqual(summary["troubles"], [])
        up, dn = summary["ports"]["up"], summary["ports"]["dn"]
        self.assertEqual((up["port"], up["answered"], up["complete"], up["loss"]), (6713, 2, 2, 0.0))
        self.assertEqual((up["min_ms"], up["max_ms"]), (10.0, 30.0))
        self.assertEqual((up["clock_offset_ms"], up["clock_error_ms"]), (-1.25, 11.0))
        self.assertEqual((dn["answered"], dn["complete"], dn["loss"], dn["max_ms"]), (1, 1, 0.5, 10.0))

    def test_ctrl_c_ends_it_with_the_summary_and_a_goodbye(self) -> None:
        out = self.start(as_json=True)
        self.beat()
        (before_shutdown,) = self.reactor.before_shutdown
        self.successResultOf(before_shutdown())
        self.assertTrue(json.loads(out.getvalue().splitlines()[-1])["summary"])
        self.assertEqual(self.successResultOf(self.running), 0)
        self.assertTrue(self.opener.connection.closed)
        self.assertIsNone(before_shutdown())

    def test_ctrl_c_before_the_first_heartbeat_shows_nothing(self) -> None:
        out = self.start(as_json=True)
        self.successResultOf(self.reactor.before_shutdown[0]())
        self.assertEqual(out.getvalue(), "")
        self.assertEqual(self.successResultOf(self.running), 1)


class ExitStatusTests(PingTestCase):
    def test_it_is_0_when_every_port_came_back_once(self) -> None:
        self.start(count=2)
        self.beat(missing=(PortType.UP,))
        self.beat(missing=(PortType.DN, PortType.CTRL))
        self.assertEqual(self.successResultOf(self.running), 0)

    def test_it_is_1_when_a_port_never_did(self) -> None:
        self.start(count=2)
        self.beat(missing=(PortType.UP,))
        self.beat(missing=(PortType.UP,))
        self.assertEqual(self.successResultOf(self.running), 1)

    def test_heartbeats_beyond_the_count_change_nothing(self) -> None:
        out = self.start(count=1)
        self.beat()
        shown = out.getvalue()
        self.beat()
        self.assertEqual(out.getvalue(), shown)

    def test_a_first_session_that_does_not_open_ends_it_whatever_the_reason(self) -> None:
        out = self.start(error=ServerBusy("busy"))
        self.failureResultOf(self.running, ServerBusy)
        self.assertEqual((out.getvalue(), self.opener.opened), ("", 1))
