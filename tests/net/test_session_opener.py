"""Opening a session: the rendezvous can begin before there is anything that could use its answer."""

from __future__ import annotations

import subprocess
import sys

from twisted.internet.defer import CancelledError, Deferred

from bittrrt.errors import Unreachable
from bittrrt.net.client_connection import ClientConnection
from bittrrt.net.session_opener import SessionOpener

from .simulated_link import SimulatedLinkTestCase
from .simulated_network import SERVER_HOST


class BeginTests(SimulatedLinkTestCase):
    def open_with(self, opener: SessionOpener, replaces: str = "") -> Deferred[ClientConnection]:
        return Deferred.fromCoroutine(opener.open(self.observer, replaces))

    def test_it_fires_when_the_client_hello_has_left_and_the_session_comes_of_that(self) -> None:
        self.listen_for_clients()
        opener = self.opener()
        begun = opener.begin()
        self.network.run_until(lambda: begun.called, 5)
        self.successResultOf(begun)
        self.assertEqual({stream.received for stream in self.network.streams}, {b""})  # it has not even arrived
        self.network.run_for(self.network.delay[1])
        server = next(stream for stream in self.network.streams if stream.getHost().host == SERVER_HOST)
        self.assertEqual(server.received[:1], b"\x16")  # a TLS handshake record, RFC 8446 section 5.1
        self.network.run_for(1.0)
        self.assertEqual(len(self.server.sessions), 1)
        opened = self.open_with(opener)
        connection = self.successResultOf(opened)  # the answer was waiting
        self.assertEqual(len(self.server.sessions), 1)
        connection.close()

    def test_the_next_session_has_a_rendezvous_of_its_own(self) -> None:
        self.listen_for_clients()
        opener = self.opener()
        opener.begin()
        first = self.open_with(opener)
        self.network.run_until(lambda: first.called, 5)
        one = self.successResultOf(first)
        second = self.open_with(opener, one.link_id)
        self.network.run_until(lambda: second.called, 5)
        other = self.successResultOf(second)
        self.assertNotEqual(one.link_id, other.link_id)
        one.close()
        other.close()

    def test_what_fails_is_told_by_open(self) -> None:
        for host in ("server.example", "no.such.host"):  # where nobody listens, and that has no address
            opener = self.opener(host=host)
            begun = opener.begin()
            self.network.run_for(1.0)
            self.successResultOf(begun)
            self.failureResultOf(self.open_with(opener), Unreachable)

    def test_who_opens_as_soon_as_it_fires_is_told_too(self) -> None:
        opener = self.opener()
        opened = opener.begin().addCallback(lambda _: self.open_with(opener))
        self.network.run_for(1.0)
        self.failureResultOf(opened, Unreachable)

    def test_it_can_be_cancelled_when_it_has_begun(self) -> None:
        self.network.tcp_ignored = True
        opener = self.opener()
        opener.begin()
        opened = self.open_with(opener)
        opened.cancel()
        self.failureResultOf(opened, CancelledError)
        self.assertEqual((self.network.streams, self.network.sockets), (set(), {}))


class ImportTests(SimulatedLinkTestCase):
    def modules_after(self, program: str) -> set[str]:
        done = subprocess.run(
            [sys.executable, "-c", f"{program}; import sys; print(*sys.modules)"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return set(done.stdout.split())

    def test_a_command_imports_nothing_that_takes_long_before_its_first_packet_has_left(self) -> None:
        modules = self.modules_after("from bittrrt.app.cli import main; main.get_command(None, 'put')")
        self.assertIn("bittrrt.net.begun_connection", modules)
        late = {"asyncio", "cryptography", "OpenSSL", "rich", "tomllib", "twisted", "bittrrt.wire.transfer_messages"}
        self.assertEqual(late & modules, set())

    def test_a_put_imports_what_only_a_session_needs_when_its_rendezvous_is_on_the_way(self) -> None:
        modules = self.modules_after("import bittrrt.app.put_get")
        self.assertIn("bittrrt.net.rendezvous_client", modules)
        late = ("client_connection", "data_plane", "transfer_link", "transfer_jobs", "client_transfers", "acceptor")
        self.assertEqual([name for name in late if f"bittrrt.net.{name}" in modules], [])
        self.assertNotIn("twisted.internet.endpoints", modules)
