"""Where the page is served, with real sockets and processes: endpoints, the secret, and what is said where it fails."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import stat
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.app import tap
from bittrrt.app.admin_file import ADMIN_FILE, AdminAddress, known_page
from bittrrt.app.admin_page import check_admin, page_url
from bittrrt.errors import SettingsError
from bittrrt.settings import DEFAULT_ADMIN, Settings

from .programs import DEADLINE, HOST, Machines, Program, free_ports


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=DEADLINE)
        self._path = path

    def connect(self) -> None:
        """See `HTTPConnection`."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(self._path))


def get(connection: http.client.HTTPConnection, path: str, **headers: str) -> tuple[int, bytes]:
    """Status and body."""
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


class AdminPageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.machines = self.enterContext(Machines())
        self.machines.introduce()
        (self.port,) = free_ports(1)

    def serve(self, *more: str) -> Program:
        return self.machines.serve(f"--admin=tcp:{self.port}:interface={HOST}", *more)

    def admin_file(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.machines.server_home.read(ADMIN_FILE))
        return found

    def test_programs_of_the_machine_find_it_and_its_secret_and_nobody_else_is_told(self) -> None:
        server = self.serve()
        server.wait_for("The page is at")
        told = self.admin_file()
        self.assertEqual(told["url"], f"http://{HOST}:{self.port}/")
        path = self.machines.server_home.path / ADMIN_FILE
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        connection = http.client.HTTPConnection(HOST, self.port, timeout=DEADLINE)
        self.addCleanup(connection.close)
        status, body = get(connection, "/api/access", Authorization=f"Bearer {told['secret']}")
        self.assertEqual((status, json.loads(body)), (200, {"look": True, "act": True}))
        printed = self.machines.bittrrt("page", at="server").end()
        self.assertEqual(printed.out, f"{told['url']}#secret={told['secret']}\n")
        server.send(signal.SIGTERM)
        out = server.end().out
        self.assertNotIn(told["secret"], out)
        self.assertNotIn("Traceback", out)
        self.assertFalse(path.exists())

    def test_an_open_page_does_not_keep_the_server_from_its_end(self) -> None:
        server = self.serve()
        server.wait_for("The page is at")
        with socket.create_connection((HOST, self.port), DEADLINE) as page:
            page.sendall(b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertIn(b"200 OK", page.recv(100))
            server.send(signal.SIGTERM)
            self.assertEqual(server.end().status, -signal.SIGTERM)

    def test_it_works_on_a_unix_socket_where_the_secret_is_needed_to_look(self) -> None:
        path = self.machines.directory / "page.sock"
        server = self.machines.serve(f"--admin=unix:{path}:mode=600")
        server.wait_for("The page is at")
        connection = UnixConnection(path)
        self.addCleanup(connection.close)
        self.assertEqual(get(connection, "/api/state")[0], 401)
        secret = self.admin_file()["secret"]
        status, body = get(connection, "/api/state", Authorization=f"Bearer {secret}")
        self.assertEqual((status, json.loads(body)["sessions"]), (200, []))

    def test_a_port_that_is_taken_ends_the_server_with_one_line_if_it_was_asked_for(self) -> None:
        with socket.create_server((HOST, self.port)):
            options = self.machines.server_options(f"--admin=tcp:{self.port}:interface={HOST}")
            status, out, err = self.machines.twistd("-n", "--pidfile=", "bittrrt", *options).end()
        self.assertEqual((status, out), (1, ""))
        self.assertEqual(
            err,
            f"bittrrt: cannot serve the page on tcp:{self.port}:interface={HOST}: Address already in use. Choose"
            " another with --admin, or none\n",
        )

    def test_where_only_the_default_is_taken_the_server_works_without_a_page(self) -> None:
        try:
            taken = socket.create_server((HOST, 6780))
        except OSError:
            pass  # as well: somebody else has it
        else:
            self.addCleanup(taken.close)
        options = [option for option in self.machines.server_options() if not option.startswith("--admin")]
        server = self.machines.twistd("-n", "--pidfile=", "bittrrt", *options)
        server.wait_for("no page: cannot serve the page on tcp:6780:interface=127.0.0.1: Address already in use")
        server.wait_for("BittrRt serves on")
        self.assertFalse((self.machines.server_home.path / ADMIN_FILE).exists())
        self.assertEqual(self.machines.ping("--count", "1").end().status, 0)
        printed = self.machines.bittrrt("page", at="server").end()
        self.assertEqual((printed.status, printed.out), (1, ""))
        self.assertIn("no server with a page runs with", printed.err)


class EndpointTests(SynchronousTestCase):
    def line(self, *args: str) -> str:
        options = tap.Options()
        options.parseOptions(list(args))
        return str(self.assertRaises(SettingsError, check_admin, options.settings))

    def test_what_is_no_endpoint_is_told(self) -> None:
        for text in ("tcp:x", "nothing", "tcp", "tcp:1:interface=999.1.1.1", "ssl:443:privateKey=/nowhere"):
            self.assertRegex(self.line(f"--admin={text}"), "(is no endpoint, as in tcp:6780|cannot serve the page on)")

    def test_none_and_the_default_need_no_check(self) -> None:
        check_admin(Settings(admin="none"))
        check_admin(Settings())
        self.assertEqual(DEFAULT_ADMIN, "tcp:6780:interface=127.0.0.1")

    def test_what_a_browser_opens(self) -> None:
        for description, host, number, url in (
            (DEFAULT_ADMIN, "127.0.0.1", 6780, "http://127.0.0.1:6780/"),
            ("tcp6:6780:interface=\\:\\:1", "::1", 6780, "http://[::1]:6780/"),
            ("ssl:443:interface=10.0.0.1", "10.0.0.1", 443, "https://10.0.0.1:443/"),
            ("unix:/run/page:mode=600", "", 0, "http+unix://%2Frun%2Fpage/"),
        ):
            self.assertEqual(page_url(description, host, number), url)
        self.assertNotIn("0.0.0.0", page_url("tcp:6780", "0.0.0.0", 6780))

    def test_the_secret_is_in_no_repr_and_in_the_fragment_of_the_link(self) -> None:
        file = AdminAddress("http://127.0.0.1:6780/", "secret" * 7)
        self.assertNotIn(file.secret, repr(file))
        self.assertEqual(file.link, f"http://127.0.0.1:6780/#secret={file.secret}")

    def test_a_file_that_others_can_read_is_not_used(self) -> None:
        machines = self.enterContext(Machines())
        home = machines.server_home
        home.write(ADMIN_FILE, "{}")
        self.assertRaises(SettingsError, known_page, home)
        (home.path / ADMIN_FILE).chmod(0o644)
        self.assertIn("chmod 600", str(self.assertRaises(SettingsError, known_page, home)))
