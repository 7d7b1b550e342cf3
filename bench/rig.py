"""What the benches share: a real server in a process of its own, a client that has joined it, and its figures."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bittrrt.files.authorized_clients import AuthorizedClients
from bittrrt.files.home import Home
from bittrrt.files.identity import Identity, load_or_create_identity
from bittrrt.files.known_servers import KnownServer

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class ServerProcess:
    """`twistd bittrrt`, running."""

    pid: int
    server: KnownServer
    client: Identity
    home: Path

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    def memory(self) -> int:
        """Bytes of it that are in memory."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE

    def descriptors(self) -> int:
        """Files and sockets that it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))


@contextlib.contextmanager
def running_server(*options: str, pin: int | None = None) -> Iterator[ServerProcess]:
    """A server that has let one client in, on a free TCP port; `pin` is the core that it has to keep to."""
    with tempfile.TemporaryDirectory() as directory:
        port = free_tcp_port()
        home = Home(Path(directory) / "server")
        identity, _ = load_or_create_identity(home)
        client, _ = load_or_create_identity(Home(Path(directory) / "client"))
        AuthorizedClients(home).authorize(client.fingerprint, "bench")
        command = [
            sys.executable, "-m", "twisted", "bittrrt", "--home", str(home.path), "--interface", "127.0.0.1",
            "--port", str(port), *options,
        ]  # fmt: skip
        log = Path(directory) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, cwd=directory,
                env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
            )  # fmt: skip
        try:
            if pin is not None:
                os.sched_setaffinity(process.pid, {pin})
            _wait_for(port, process, log)
            yield ServerProcess(process.pid, KnownServer("127.0.0.1", port, identity.fingerprint, 0), client, home.path)
        finally:
            process.terminate()
            process.wait(30)


def free_tcp_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def allow_many_files() -> None:
    """As many descriptors as the system lets us have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(200):
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise SystemExit(f"the server did not start:\n{log.read_text()}")
