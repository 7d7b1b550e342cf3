"""The real programs as processes, and a server and a client that have homes and ports of their own.

A program's output is read by threads; a test waits for a line of it until a deadline, and never sleeps.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Final, NamedTuple

import bittrrt
from bittrrt.app.invitation import ServerEndpoint, make_invitation
from bittrrt.files.authorized_clients import AuthorizedClients
from bittrrt.files.home import Home
from bittrrt.files.identity import load_or_create_identity
from bittrrt.files.known_servers import KnownServers

DEADLINE: Final = 20.0  # seconds: far more than anything takes, on a machine that has other work too
HOST: Final = "127.0.0.1"
CHECKOUT: Final = Path(bittrrt.__file__).parents[1]

_TWISTD: Final = "from twisted.scripts.twistd import run; run()"
_BITTRRT: Final = "from bittrrt.app.program import main; main()"


class Ended(NamedTuple):
    """What is left of a program."""

    status: int
    out: str
    err: str


class Program:
    """One process, with its output as it comes."""

    def __init__(
        self,
        script: str,
        *args: str,
        directory: Path,
        environment: dict[str, str] | None = None,
        out: IO[bytes] | None = None,
    ) -> None:
        """Run a script in Python. Its standard output goes to `out`, or is read."""
        inherited = {name: value for name, value in os.environ.items() if name not in ("BITTRRT_HOME", "NOTIFY_SOCKET")}
        self._process = subprocess.Popen(
            [sys.executable, "-c", script, *args],
            stdin=subprocess.PIPE,
            stdout=out or subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=directory,
            env={**inherited, "PYTHONPATH": str(CHECKOUT), "PYTHONUNBUFFERED": "1", **(environment or {})},
        )
        self._texts = {"out": "", "err": ""}
        self._changed = threading.Condition()
        self._readers = [
            threading.Thread(target=self._read, args=(name, pipe), daemon=True)
            for name, pipe in (("out", self._process.stdout), ("err", self._process.stderr))
            if pipe is not None
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, name: str, pipe: IO[bytes]) -> None:
        with pipe:
            while chunk := os.read(pipe.fileno(), 65536):
                with self._changed:
                    self._texts[name] += chunk.decode(errors="replace")
                    self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def wait_for(self, pattern: str, stream: str = "out", after: int = 0) -> re.Match[str]:
        """The first match in what the program has said after so many characters, as soon as it is there."""
        deadline = time.monotonic() + DEADLINE
        with self._changed:
            while not (match := re.compile(pattern).search(self._texts[stream], after)):
                left = deadline - time.monotonic()
                over = not any(reader.is_alive() for reader in self._readers)
                if left <= 0 or over:
                    raise AssertionError(f"no {pattern!r} in std{stream}; the program said: {self._texts}")
                self._changed.wait(min(left, 1.0))
        return match

    def said(self, stream: str = "out") -> int:
        """How many characters the program has said so far."""
        with self._changed:
            return len(self._texts[stream])

    def tell(self, text: str) -> None:
        """Write to its standard input, and close that."""
        assert self._process.stdin
        self._process.stdin.write(text.encode())
        self._process.stdin.close()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def end(self) -> Ended:
        """Wait until it ends by itself."""
        status = self._process.wait(DEADLINE)
        for reader in self._readers:
            reader.join(DEADLINE)
        return Ended(status, self._texts["out"], self._texts["err"])

    def kill(self) -> None:
        """End it, if it has not ended."""
        self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join(DEADLINE)
        if self._process.stdin:
            self._process.stdin.close()


@contextmanager
def heeding_interrupts() -> Iterator[None]:
    """Let Ctrl-C end what is started, also where this process ignores it, as one that a script starts with `&` does."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Machines:
    """A server's and a client's machine, in one directory that goes away; use as a context manager."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.directory = Path()

    def __enter__(self) -> Machines:
        self._stack.enter_context(heeding_interrupts())
        self.directory = Path(self._stack.enter_context(TemporaryDirectory()))
        for name in ("server", "client"):
            (self.directory / name).mkdir()
        self.server_home, self.client_home = Home(self.directory / "server/home"), Home(self.directory / "client/home")
        self.port, *udp = free_ports(12)
        self.port_ranges = ",".join(map(str, udp))
        return self

    def __exit__(self, *failure: object) -> None:
        self._stack.close()

    def introduce(self) -> str:
        """Make both identities, and let the client in as `laptop`, as `join` does. The client's fingerprint."""
        server, _ = load_or_create_identity(self.server_home)
        client, _ = load_or_create_identity(self.client_home)
        KnownServers(self.client_home).pin(HOST, self.port, server.fingerprint)
        AuthorizedClients(self.server_home).authorize(client.fingerprint, "laptop")
        return client.fingerprint

    def link(self, lifetime: float = 60.0, now: float | None = None) -> str:
        """A link of the server's, as `invite` makes it."""
        server, _ = load_or_create_identity(self.server_home)
        endpoint = ServerEndpoint(HOST, self.port)
        now = time.time() if now is None else now
        return str(make_invitation(self.server_home, server, endpoint, now=now, lifetime=lifetime)[0])

    def start(
        self,
        script: str,
        *args: str,
        at: str,
        environment: dict[str, str] | None = None,
        out: IO[bytes] | None = None,
    ) -> Program:
        """A program at one of the two machines; it is killed at the end."""
        program = Program(script, *args, directory=self.directory / at, environment=environment, out=out)
        self._stack.callback(program.kill)
        return program

    def server_options(self, *more: str) -> list[str]:
        """Options of `twistd bittrrt`."""
        return [
            f"--home={self.server_home.path}", f"--interface={HOST}", f"--port={self.port}",
            f"--port-ranges={self.port_ranges}", "--port-quarantine=0", "--heartbeat=500",
            "--admin=none", *more,
        ]  # fmt: skip

    def serve(self, *more: str, environment: dict[str, str] | None = None) -> Program:
        """`twistd -n bittrrt`, as soon as it serves."""
        args = ["-n", "--pidfile=", "bittrrt", *self.server_options(*more)]
        server = self.start(_TWISTD, *args, at="server", environment=environment)
        server.wait_for("BittrRt serves on")
        return server

    def twistd(self, *args: str, at: str = "server", environment: dict[str, str] | None = None) -> Program:
        """`twistd` with any arguments."""
        return self.start(_TWISTD, *args, at=at, environment=environment)

    def bittrrt(self, *args: str, at: str = "client", out: IO[bytes] | None = None) -> Program:
        """`bittrrt` with the home of one of the machines."""
        return self.start(_BITTRRT, "--home", str(self.directory / at / "home"), *args, at=at, out=out)

    def ping(self, *args: str, out: IO[bytes] | None = None) -> Program:
        """`bittrrt ping` of the server, ten heartbeats a second."""
        return self.bittrrt("ping", f"{HOST}:{self.port}", "--interval", "100", *args, out=out)


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that are free for TCP and for UDP."""
    found: list[int] = []
    with ExitStack() as stack:
        while len(found) < count:
            udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            tcp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            udp.bind((HOST, 0))
            try:
                tcp.bind(udp.getsockname())
            except OSError:
                continue
            found.append(udp.getsockname()[1])
    return found
