"""`bittrrt join`: what is pinned when, and what is said of a link that was used."""

from __future__ import annotations

import socket
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.app import join as module
from bittrrt.errors import ClientRejected, InviteUsed, LinkError, ServerKeyChanged
from bittrrt.files.home import Home
from bittrrt.files.identity import load_or_create_identity
from bittrrt.files.known_servers import KnownServers
from bittrrt.net.rendezvous_client import Answer
from bittrrt.settings import Settings
from bittrrt.wire.datagram import PortType
from bittrrt.wire.invite import InviteLink
from bittrrt.wire.messages import Joined

from .fake_session import FakeOpener, complete_round, path_report, port_report

OURS = "SHA256:" + "A" * 43
OTHER = "SHA256:" + "B" * 42 + "A"


class JoinTests(SynchronousTestCase):
    def setUp(self) -> None:
        home = Home(Path(self.enterContext(TemporaryDirectory())) / "home")
        self.identity, _ = load_or_create_identity(home)
        self.known = KnownServers(home)
        self.opener = FakeOpener()
        self.said: list[str] = []
        self.answer: Answer | LinkError = Answer(Joined("laptop"), b"", "192.0.2.7", 0.1)
        self.shown = OURS
        self.patch(module, "rendezvous", self.rendezvous)
        self.patch(module, "SessionOpener", lambda *_, **__: self.opener)
        self.patch(click, "echo", lambda text, err=False: self.said.append(text))

    async def rendezvous(self, *args: Any) -> Answer:
        check_key, make_message = args[-2:]
        check_key(self.shown)
        make_message(b"exporter")
        if isinstance(self.answer, LinkError):
            raise self.answer
        return self.answer

    def join(self) -> Deferred[int]:
        link = InviteLink("far.example", 6711, OURS, bytes(16))
        return Deferred.fromCoroutine(module.join(Clock(), Settings(), self.identity, self.known, link))

    def beat(self, *missing: PortType, number: int = 1) -> None:
        self.opener.observer.heartbeat_finished(self.opener.connection, complete_round(number, missing=missing))

    def pinned(self) -> list[str]:
        return [server.fingerprint for server in self.known.servers()]

    def test_the_server_is_pinned_and_its_ports_are_tried(self) -> None:
        running = self.join()
        self.assertEqual(self.pinned(), [OURS])
        self.assertNoResult(running)
        self.beat()
        self.assertEqual(self.successResultOf(running), 0)
        self.assertEqual(self.said[1:], ["All three answer, round trip 20.10 ms. Next: bittrrt ping far.example"])
        self.assertEqual(self.opener.connection.closed, 1)

    def test_a_name_that_would_do_something_to_the_terminal_is_escaped(self) -> None:
        self.answer = Answer(Joined("\x1b[2Jlaptop"), b"", "192.0.2.7", 0.02)
        running = self.join()
        self.beat()
        self.successResultOf(running)
        self.assertIn(r"calls this client '\x1b[2Jlaptop'. Trying", self.said[0])

    def test_a_dead_port_is_a_warning_and_the_server_is_joined(self) -> None:
        self.opener.connection.reports[PortType.UP] = port_report(6713, path_report(silent=9.0), there=1.0)
        running = self.join()
        for number in range(1, 5):
            self.assertNoResult(running)
            self.beat(PortType.UP, number=number)
        self.assertEqual(self.successResultOf(running), 0)
        self.assertRegex(self.said[-1], r"^Warning: up \(UDP port 6713\) is dead towards the server")

    def test_another_key_than_the_links_is_refused_before_anything_is_sent(self) -> None:
        self.shown = OTHER
        self.failureResultOf(self.join(), ServerKeyChanged)
        self.assertEqual((self.pinned(), self.opener.opened), ([], 0))

    def test_a_server_that_is_pinned_by_another_key_is_not_even_called(self) -> None:
        self.known.pin("far.example", 6711, OTHER)
        self.answer = AssertionError  # type: ignore[assignment]  # never asked for
        self.failureResultOf(self.join(), ServerKeyChanged)
        self.assertEqual(self.pinned(), [OTHER])

    def test_a_link_that_this_client_used_before_it_could_pin_works(self) -> None:
        self.answer = InviteUsed("used")
        running = self.join()
        self.assertEqual(self.pinned(), [])
        self.beat()
        self.assertEqual(self.successResultOf(running), 0)
        self.assertEqual(self.pinned(), [OURS])

    def test_a_link_that_somebody_else_used_is_said_to_be_used(self) -> None:
        self.answer, self.opener.error = InviteUsed("used"), ClientRejected("unknown")
        failure = self.failureResultOf(self.join(), InviteUsed)
        self.assertEqual(failure.getErrorMessage(), "used")
        self.assertEqual(self.pinned(), [])

    def test_a_used_link_of_a_server_that_is_known_is_said_to_be_used(self) -> None:
        self.known.pin("far.example", 6711, OURS)
        self.answer = InviteUsed("used")
        self.failureResultOf(self.join(), InviteUsed)
        self.assertEqual(self.opener.opened, 0)

    def test_a_machine_whose_name_is_no_name_is_called_client(self) -> None:
        for host, expected in (("laptop.example.net", "laptop"), ("", "client"), ("a b", "client")):
            self.patch(socket, "gethostname", lambda host=host: host)
            self.assertEqual(module.own_name(), expected)
