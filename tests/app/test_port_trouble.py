"""The lines about dead ports: which, which way, what to do."""

from __future__ import annotations

from typing import cast

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.app.port_trouble import port_troubles
from bittrrt.net.client_connection import ClientConnection
from bittrrt.wire.datagram import PortType

from .fake_session import FakeConnection, path_report, port_report


class PortTroubleTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.connection = FakeConnection()

    def lines(self) -> list[str]:
        return port_troubles(cast("ClientConnection", self.connection))

    def silence(self, port_type: PortType, *, there: float = 0.0, back: float = 0.0) -> None:
        number = self.connection.ports[port_type]
        self.connection.reports[port_type] = port_report(number, path_report(silent=9.0), there=there, back=back)

    def test_a_link_that_is_well_has_none(self) -> None:
        self.assertEqual(self.lines(), [])

    def test_a_port_that_is_dead_towards_the_server_is_to_be_let_in_there(self) -> None:
        self.silence(PortType.UP, there=1.0)
        (line,) = self.lines()
        self.assertRegex(line, r"^up \(UDP port 6713\) is dead towards the server: .* in at the server's firewall")

    def test_a_port_that_is_dead_on_the_way_back_is_to_be_let_in_here(self) -> None:
        self.silence(PortType.DN, back=1.0)
        (line,) = self.lines()
        self.assertRegex(line, r"^dn \(UDP port 6714\) is dead from the server to here: .* in at this end's firewall")

    def test_a_port_that_is_dead_who_knows_which_way_has_a_line_too(self) -> None:
        self.silence(PortType.CTRL)
        (line,) = self.lines()
        self.assertRegex(line, r"^ctrl \(UDP port 6712\) is dead: nothing comes back\. Look at the firewalls")

    def test_all_three_have_one_line(self) -> None:
        for port_type in PortType:
            self.silence(port_type)
        (line,) = self.lines()
        self.assertRegex(line, r"^nothing comes back on UDP ports 6712-6714: ")

    def test_a_port_that_was_never_heard_is_dead_once_a_heartbeat_is_lost(self) -> None:
        number = self.connection.ports[PortType.UP]
        self.connection.reports[PortType.UP] = port_report(number, path_report(None, silent=None))
        self.assertEqual(self.lines(), [])
        self.connection.reports[PortType.UP] = port_report(number, path_report(None, silent=None, lost=1))
        self.assertEqual(len(self.lines()), 1)

    def test_one_lost_heartbeat_is_no_trouble(self) -> None:
        number = self.connection.ports[PortType.UP]
        self.connection.reports[PortType.UP] = port_report(number, path_report(silent=1.9, lost=1))
        self.assertEqual(self.lines(), [])
