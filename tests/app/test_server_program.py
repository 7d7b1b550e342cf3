"""`twistd bittrrt` as a process: its first start, its neighbours, its end."""

from __future__ import annotations

import os
import pwd
import select
import signal
import socket
import stat
from unittest import skipUnless

from twisted.trial.unittest import SynchronousTestCase

from .programs import DEADLINE, HOST, Machines


class ServerProgramTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.machines = self.enterContext(Machines())

    def test_the_first_start_prints_the_line_that_lets_a_client_in(self) -> None:
        server = self.machines.serve()
        line = server.wait_for(r"(?m)^bittrrt join (bittrrt://\S+)$")
        home = self.machines.server_home.path
        self.assertEqual(stat.S_IMODE(home.stat().st_mode), 0o700)
        self.assertEqual(stat.S_IMODE((home / "identity.pem").stat().st_mode), 0o600)
        join = self.machines.bittrrt("join", "-")
        join.tell(f"{line[1]}\n")
        status, out, err = join.end()
        self.assertEqual((status, err), (0, ""))
        self.assertIn("All three answer", out)
        status, out, err = self.machines.ping("--count", "2").end()
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(out.count("lost"), 1, out)  # the column's head

    def test_later_starts_print_no_link(self) -> None:
        self.machines.introduce()
        server = self.machines.serve()
        server.send(signal.SIGTERM)
        self.assertNotIn("bittrrt://", server.end().out)

    def test_a_second_server_on_the_port_ends_with_one_line(self) -> None:
        self.machines.introduce()
        self.machines.serve()
        second = self.machines.twistd("-n", "--pidfile=", "bittrrt", *self.machines.server_options())
        status, out, err = second.end()
        self.assertEqual((status, out), (1, ""))
        self.assertEqual(
            err,
            f"bittrrt: cannot listen on {HOST} port {self.machines.port}: Address already in use. Choose another with"
            " --port or --interface\n",
        )

    def test_a_client_is_told_when_the_server_shuts_down(self) -> None:
        self.machines.introduce()
        server = self.machines.serve()
        ping = self.machines.ping()
        ping.wait_for("heartbeat 2:")
        server.send(signal.SIGTERM)
        ping.wait_for("the server is shutting down\n", "err")
        status, out, _ = server.end()
        self.assertEqual(status, -signal.SIGTERM)  # as twistd ends; systemd takes it for a success
        self.assertIn("ended: shutdown", out)
        self.assertNotIn("Traceback", out)

    def test_systemd_is_told_when_it_is_ready_and_when_it_stops(self) -> None:
        self.machines.introduce()
        path = str(self.machines.directory / "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(path)
            manager.settimeout(DEADLINE)
            server = self.machines.serve(environment={"NOTIFY_SOCKET": path})
            self.assertEqual(manager.recv(64), b"READY=1")
            server.send(signal.SIGTERM)
            self.assertEqual(manager.recv(64), b"STOPPING=1")
            self.assertEqual(server.end().status, -signal.SIGTERM)

    def test_a_daemon_has_its_pidfile_and_its_log(self) -> None:
        directory = self.machines.directory
        files = [f"--pidfile={directory}/pid", f"--logfile={directory}/log"]
        status, out, err = self.machines.twistd(*files, "bittrrt", *self.machines.server_options()).end()
        self.assertEqual((status, err), (0, ""))
        self.assertIn("bittrrt join bittrrt://", out)
        pid = int((directory / "pid").read_text())
        try:
            self.machines.introduce()
            self.assertEqual(self.machines.ping("--count", "1").end().status, 0)
        finally:
            os.kill(pid, signal.SIGTERM)
        wait_until_gone(pid)
        self.assertFalse((directory / "pid").exists())
        self.assertIn("BittrRt serves on", (directory / "log").read_text())

    def test_options_that_make_no_server_end_it_with_one_line(self) -> None:
        status, out, err = self.machines.twistd("-n", "--pidfile=", "bittrrt", "--port-ranges=7000-7001").end()
        self.assertEqual((status, out), (1, ""))
        self.assertEqual(err, "bittrrt: port-ranges: 7000-7001 is fewer than the three ports of one session\n")

    @skipUnless(os.geteuid() == 0, "only root can become another user")
    def test_it_goes_on_as_another_user(self) -> None:
        nobody = pwd.getpwnam("nobody")
        self.machines.introduce()
        for path in (self.machines.directory, self.machines.directory / "server"):
            path.chmod(0o755)
        args = ["-n", "--pidfile=", f"--uid={nobody.pw_uid}", f"--gid={nobody.pw_gid}", "bittrrt"]
        server = self.machines.twistd(*args, *self.machines.server_options("--max-sessions-per-key=1"))
        server.wait_for("BittrRt serves on")
        home = self.machines.server_home.path
        owners = {path.stat().st_uid for path in (home, *home.iterdir())}
        self.assertEqual(owners, {nobody.pw_uid})
        link = self.machines.bittrrt("invite", "--host", HOST, at="server").end().out.strip()
        self.assertEqual(self.machines.bittrrt("join", link).end().status, 0)
        self.assertEqual(self.machines.ping("--count", "1").end().status, 0)


def wait_until_gone(pid: int) -> None:
    """Wait for the end of a process that is no child of ours: its descriptor becomes readable."""

    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ready, _, _ = select.select([descriptor], [], [], DEADLINE)
        assert ready, f"process {pid} still runs after {DEADLINE} s"
    finally:
        os.close(descriptor)
