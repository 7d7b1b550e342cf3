"""Commands that begin to connect before they are all there, as processes, against a server that the test is."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.files.identity import load_or_create_identity
from bittrrt.files.known_servers import KnownServers

from .programs import DEADLINE, HOST, Machines, Program

ONE = "SHA256:" + "A" * 43
HANDSHAKE = b"\x16\x03"  # how a TLS record with a ClientHello begins, RFC 8446 section 5.1
COMMANDS = (["ping"], ["ls"], ["put", "-q", "/dev/null"], ["get", "-q"])


class BegunSessionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.machines = self.enterContext(Machines())
        self.server = self.enterContext(socket.create_server((HOST, 0)))
        self.server.settimeout(DEADLINE)
        self.where = f"{HOST}:{self.server.getsockname()[1]}"

    def join(self, where: str) -> None:
        """As if the client had joined that server."""
        host, _, port = where.rpartition(":")
        load_or_create_identity(self.machines.client_home)
        KnownServers(self.machines.client_home).pin(host, int(port), ONE)

    def accept(self) -> socket.socket:
        peer: socket.socket = self.enterContext(self.server.accept()[0])
        peer.settimeout(DEADLINE)
        return peer

    def each_command(self) -> Iterator[Program]:
        for command, *options in COMMANDS:
            yield self.machines.bittrrt(command, *options, self.where if command == "ping" else f"{self.where}:a")

    def assert_nobody_else_came(self) -> None:
        self.server.setblocking(False)
        self.assertRaises(BlockingIOError, self.server.accept)
        self.server.settimeout(DEADLINE)

    def test_tls_begins_on_the_connection_that_was_begun_and_there_is_no_other(self) -> None:
        self.join(self.where)
        for program in self.each_command():
            with self.accept() as peer:
                self.assertEqual(peer.recv(2), HANDSHAKE)
            status, out, err = program.end()
            self.assertEqual((status, out), (1, ""))
            self.assertRegex(err, rf"\AError: {self.where} closed the connection: .*\n\Z")
            self.assert_nobody_else_came()

    def test_a_port_where_nobody_listens_is_one_line(self) -> None:
        self.join(self.where)
        self.server.close()
        for program in self.each_command():
            status, out, err = program.end()
            self.assertEqual((status, out), (1, ""))
            self.assertRegex(err, rf"\AError: {self.where} refuses TCP connections: .*\n\Z")

    def test_ctrl_c_when_only_the_connection_has_begun_is_at_most_one_line(self) -> None:
        self.join(self.where)
        program = self.machines.bittrrt("put", "/dev/null", f"{self.where}:a")
        peer = self.accept()
        program.send(signal.SIGINT)
        status, out, err = program.end()
        self.assertIn(status, (-signal.SIGINT, 130), err)
        self.assertEqual(out, "")
        self.assertRegex(err, r"\A(stopped; .*\n)?\Z")  # the line is for a program that was there by then
        while peer.recv(4096):  # until it is closed
            pass

    def test_what_is_wrong_here_is_told_and_nothing_is_left_open(self) -> None:
        host, _, port = self.where.rpartition(":")
        KnownServers(self.machines.client_home).pin(host, int(port), ONE)
        status, _, err = self.machines.bittrrt("ping", self.where).end()
        self.assertEqual(status, 1)
        self.assertRegex(err, r"\AError: this end has no key yet in .*\n\Z")
        self.assertEqual(self.accept().recv(2), b"")

    def test_wrong_arguments_reach_no_server(self) -> None:
        self.join(self.where)
        for arguments, line in (
            (["put", "--quiet", "--json", "a", f"{self.where}:"], "--quiet and --json exclude each other"),
            (["get", "--quiet", "--json", f"{self.where}:a"], "--quiet and --json exclude each other"),
            (
                ["get", f"{self.where}:a", f"{self.where}:b", f"other:{self.where}"],
                "the files are at different servers",
            ),
            (["get", f"{self.where}:a", "/dev/null/x"], "/dev/null: a file, where a folder has to be"),
            (["ping", "far.example"], "far.example is not known here"),
            (["put", "a", "b"], "b: no HOST: before it"),
        ):
            status, _, err = self.machines.bittrrt(*arguments).end()
            self.assertEqual(status, 1)
            self.assertTrue(err.startswith(f"Error: {line}"), err)
        self.assert_nobody_else_came()

    def test_a_server_goes_by_a_name_too(self) -> None:
        self.machines.introduce()
        self.machines.serve()
        (server,) = KnownServers(self.machines.client_home).servers()
        KnownServers(self.machines.client_home).pin("localhost", server.port, server.fingerprint)
        status, _, err = self.machines.bittrrt("ping", f"localhost:{server.port}", "--count", "1", "-i", "100").end()
        self.assertEqual((status, err), (0, ""))
