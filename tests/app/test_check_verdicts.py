"""What `bittrrt check` makes of figures that no simulated path of its own tests has, and how it looks on a terminal."""

from __future__ import annotations

import os
from io import StringIO
from unittest import mock

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.app.check_display import CheckDisplay, Style
from bittrrt.app.check_verdicts import (
    Finding,
    PortBurst,
    judge_clock,
    judge_jitter,
    judge_loss,
    judge_name,
    judge_nat,
    judge_round_trip,
    judge_tls,
)
from bittrrt.link.path import PathReport
from bittrrt.net.tls import TlsTerms
from bittrrt.wire.datagram import PortType

from .fake_session import path_report, port_report

OWN_PORTS = dict.fromkeys(PortType, 50_000)


def burst_of(
    *round_trips: float, answered: int = 20, path: PathReport | None = None, seen_as: str | None = "192.0.2.9:50000"
) -> dict[PortType, PortBurst]:
    """The same figures on every port."""
    return {
        port_type: PortBurst(
            port_report(6712, path or path_report(), seen_as=seen_as), 20, answered, list(round_trips or (0.02,))
        )
        for port_type in PortType
    }


class VerdictTests(SynchronousTestCase):
    def test_an_address_is_no_name_and_a_name_has_all_its_addresses(self) -> None:
        self.assertIn("is an address", judge_name("2001:db8::1", ["2001:db8::1"]).text)
        finding = judge_name("far.example", ["192.0.2.1", "2001:db8::1"])
        self.assertEqual(finding.text, "far.example is 192.0.2.1, 2001:db8::1 (IPv4 and IPv6)")

    def test_a_library_that_cannot_tell_the_group_leaves_it_out(self) -> None:
        self.assertEqual(judge_tls(TlsTerms("TLSv1.3", "bittrrt/1", None)).text, "TLSv1.3 with bittrrt/1")

    def test_a_median_far_above_the_least_is_a_queue(self) -> None:
        self.assertEqual(judge_round_trip(burst_of(0.02, 0.03, 0.06)).verdict, "ok")
        finding = judge_round_trip(burst_of(0.02, 0.09, 0.1))
        self.assertEqual(finding.verdict, "warning")
        self.assertIn("stand in a queue", finding.text)
        self.assertEqual(judge_round_trip(burst_of(0.3, 0.36, 0.4)).verdict, "ok")

    def test_much_jitter_is_a_warning(self) -> None:
        report = path_report()
        self.assertEqual(judge_jitter(burst_of(path=report)).verdict, "ok")
        rough = PathReport(0.02, 0.02, 0.02, 0.05, 3, 0, 0.0, None, 0.0)
        self.assertEqual(judge_jitter(burst_of(path=rough)).verdict, "warning")

    def test_a_heartbeat_or_two_are_a_warning_and_one_in_ten_is_bad(self) -> None:
        for answered, verdict in ((20, "ok"), (19, "warning"), (17, "bad")):
            self.assertEqual(judge_loss(burst_of(answered=answered)).verdict, verdict)

    def test_clocks_that_nothing_was_heard_of_are_not_judged(self) -> None:
        self.assertEqual(judge_clock(burst_of(path=path_report(None))).verdict, "not tried")

    def test_an_address_that_is_our_own_is_no_nat(self) -> None:
        finding = judge_nat(burst_of(), "192.0.2.9", OWN_PORTS)
        self.assertEqual((finding.verdict, finding.values["nat"], finding.values["ports_kept"]), ("ok", False, True))
        changed = judge_nat(burst_of(seen_as="192.0.2.9:1"), "192.0.2.9", OWN_PORTS)
        self.assertRegex(changed.text, "though with other ports$")

    def test_a_nat_with_an_address_for_each_port_is_a_warning(self) -> None:
        burst = burst_of()
        burst[PortType.UP].report = port_report(6713, path_report(), seen_as="[2001:db8::7]:50000")
        finding = judge_nat(burst, "10.0.0.2", OWN_PORTS)
        self.assertEqual(finding.verdict, "warning")
        self.assertIn("sees 192.0.2.9, 2001:db8::7 for our 10.0.0.2, ports are kept: one port", finding.text)
        self.assertEqual(finding.values["seen_as"]["up"], "[2001:db8::7]:50000")

    def test_a_server_that_did_not_say_where_it_sees_us_leaves_it_open(self) -> None:
        self.assertEqual(judge_nat(burst_of(seen_as=None), "10.0.0.2", OWN_PORTS).verdict, "not tried")

    def test_what_a_hostile_server_says_is_shown_as_text(self) -> None:
        finding = judge_nat(burst_of(seen_as="\x1b[2J[bold]:7"), "10.0.0.2", OWN_PORTS)
        self.assertTrue(finding.text.isprintable(), finding.text)
        self.assertIn(r"'\x1b[2J[bold]:7'", finding.text)


class Terminal(StringIO):
    """A file that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class DisplayTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.enterContext(mock.patch.dict(os.environ, {"COLUMNS": "80", "LINES": "24", "TERM": "xterm"}))
        self.finding = Finding(step="tcp", verdict="ok", text="answers")

    def test_a_terminal_shows_what_is_done_and_then_each_line(self) -> None:
        out = Terminal()
        display = CheckDisplay(Style.PEOPLE, "far.example:6711", out)
        display.start()
        self.addCleanup(display.stop)
        display.now("connecting")
        display.tell(self.finding)
        display.tell(replace(self.finding, step="tls", verdict="bad", text="[bold]no[/bold] TLS"))
        display.skip(["key", "clock"], "tls failed")
        display.stop()
        self.assertEqual(display.summary(), 1)
        self.assertIn("connecting", out.getvalue())
        self.assertRegex(out.getvalue(), r"ok *\x1b\[0mtcp +answers")
        self.assertIn("[bold]no[/bold] TLS", out.getvalue())
        self.assertIn("key, clock: tls failed", out.getvalue())
        self.assertTrue(out.getvalue().endswith("far.example:6711: not well: tls\n"))

    def test_a_warning_is_not_bad(self) -> None:
        out = StringIO()
        display = CheckDisplay(Style.PEOPLE, "far.example:6711", out)
        display.tell(replace(self.finding, verdict="warning"))
        self.assertEqual(display.summary(), 0)
        self.assertTrue(out.getvalue().endswith("far.example:6711: it works; not all is well: tcp\n"))

    def test_output_that_nobody_takes_is_told_once(self) -> None:
        class Full(StringIO):
            def write(self, text: str) -> int:
                raise OSError(28, "No space left on device")

        told: list[OSError] = []
        display = CheckDisplay(Style.JSON, "far.example:6711", Full())
        display.on_unwritable = told.append
        display.tell(self.finding)
        display.tell(self.finding)
        self.assertEqual(len(told), 1)
