"""What the benches share: a real server in a process of its own, a client that has joined it, and its figures."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from bittrrt.errors import LinkError
from bittrrt.files.authorized_clients import AuthorizedClients
from bittrrt.files.home import Home
from bittrrt.files.identity import Identity, load_or_create_identity
from bittrrt.files.known_servers import KnownServer
from bittrrt.net.client_connection import ClientConnection, HeartbeatRound

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
            "--port", str(port), "--admin", "none", *options,
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


class Watcher:
    """Counts the heartbeats of the sessions that it watches."""

    def __init__(self) -> None:
        self.heartbeats = 0
        self.incomplete = 0
        self.ended: list[str] = []

    def heartbeat_finished(self, connection: ClientConnection, beat: HeartbeatRound) -> None:
        """See `SessionObserver`, as for the rest."""
        self.heartbeats += 1
        self.incomplete += not beat.complete

    def session_suspected(self, connection: ClientConnection) -> None: ...

    def session_revived(self, connection: ClientConnection) -> None: ...

    def session_ended(self, connection: ClientConnection, why: LinkError) -> None:
        self.ended.append(str(why))


def run(measure: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
    """Run `measure(reactor)`, and the reactor as long as that takes."""
    from twisted.internet import reactor

    failures: list[Failure] = []

    def start() -> None:
        finished = Deferred.fromCoroutine(measure(reactor))
        finished.addErrback(failures.append)
        finished.addBoth(lambda _: cast("Any", reactor).callLater(0.5, cast("Any", reactor).stop))

    cast("Any", reactor).callWhenRunning(start)
    cast("Any", reactor).run()
    for failure in failures:
        failure.raiseException()


def run_each(sizes: str, run_size: Callable[..., None], *arguments: object) -> None:
    """Run `run_size(size, *arguments)` for each of some numbers, as in `500,5000`, in a process of its own.

    A reactor runs only once, and what one size left in memory is not the next one's.
    """
    for size in sizes.split(","):
        process = multiprocessing.get_context("spawn").Process(target=run_size, args=(int(size), *arguments))
        process.start()
        process.join()


def free_tcp_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(200):
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise SystemExit(f"the server did not start:\n{log.read_text()}")
