"""`bittrrt top` as a process: without a server, without a terminal, and on one."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time

from twisted.trial.unittest import SynchronousTestCase

from .programs import CHECKOUT, DEADLINE, HOST, Machines, Program

_PAGE = "import sys; from tests.app.fake_page import main; main(sys.argv[1])"
_BITTRRT = "from bittrrt.app.program import main; main()"


class OnTerminal:
    """`bittrrt` with a terminal of its own, 80 columns and 24 lines."""

    def __init__(self, *args: str) -> None:
        self._master, self._slave = pty.openpty()
        self.before = self.modes()
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _BITTRRT, *args], stdin=self._slave, stdout=self._slave, stderr=self._slave,
            env=environment, start_new_session=True,
        )  # fmt: skip
        self.said = ""

    def modes(self) -> list[object]:
        return termios.tcgetattr(self._slave)

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + DEADLINE
        while text not in self.said:
            ready, _, _ = select.select([self._master], [], [], max(deadline - time.monotonic(), 0))
            if not ready:
                raise AssertionError(f"no {text!r} before {self.said[-2000:]!r}")
            self.said += os.read(self._master, 65536).decode(errors="replace")

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)
        os.close(self._slave)


class TopProgramTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.machines = self.enterContext(Machines())

    def serve_page(self) -> Program:
        home = self.machines.server_home
        home.ensure()
        page = self.machines.start(_PAGE, str(home.path), at="server")
        page.wait_for("the page is up")
        return page

    def on_terminal(self, at: str, *args: str) -> OnTerminal:
        terminal = OnTerminal("--home", str(self.machines.directory / at / "home"), "top", *args)
        self.addCleanup(terminal.close)
        return terminal

    def assert_ended_well(self, terminal: OnTerminal) -> None:
        """With status 0, and the terminal as it was before."""
        terminal.wait_for("\x1b[?1049l")
        self.assertEqual(terminal.process.wait(DEADLINE), 0)
        self.assertEqual(terminal.modes(), terminal.before)
        self.assertNotIn("Traceback", terminal.said)

    def test_without_a_server_it_says_so_in_one_line(self) -> None:
        status, out, err = self.machines.bittrrt("top", at="server").end()
        self.assertEqual((status, out), (1, ""))
        self.assertRegex(err, r"\AError: no server with a page runs here with \S+: start one with twistd bittrrt.*\n\Z")

    def test_without_a_terminal_it_is_one_look(self) -> None:
        self.serve_page()
        status, out, err = self.machines.bittrrt("top", at="server").end()
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, r"(?m)^> anna +192\.0\.2\.9 ")
        self.assertRegex(out, r"(?m)^put  anna +video\.mkv ")

    def test_on_a_terminal_it_goes_on_until_q(self) -> None:
        page = self.serve_page()
        terminal = self.on_terminal("server")
        terminal.wait_for("anna")
        terminal.press("s")
        terminal.wait_for("sorts: by name")
        page.kill()
        terminal.wait_for("does not answer any more; looking again")
        terminal.press("q")
        self.assert_ended_well(terminal)

    def test_ctrl_c_leaves_the_terminal_as_it_was(self) -> None:
        self.serve_page()
        terminal = self.on_terminal("server")
        terminal.wait_for("anna")
        terminal.process.send_signal(signal.SIGINT)
        self.assert_ended_well(terminal)

    def test_a_link_of_ones_own_is_drawn(self) -> None:
        self.machines.introduce()
        server = self.machines.serve()
        terminal = self.on_terminal("client", f"{HOST}:{self.machines.port}", "--interval", "100")
        terminal.wait_for("••")
        terminal.press("q")
        self.assert_ended_well(terminal)
        server.wait_for("ended: goodbye")

    def test_a_link_without_a_terminal_is_for_ping(self) -> None:
        self.machines.introduce()
        status, out, err = self.machines.bittrrt("top", f"{HOST}:{self.machines.port}").end()
        self.assertEqual((status, out), (1, ""))
        self.assertRegex(err, r"\AError: .* takes a terminal: run bittrrt ping 127\.0\.0\.1.*\n\Z")
