"""What the benches of broken transfers share: the real programs at two ends, each with a home and a folder of its own.

Either end's programs can be given a host, a user or a limit of their own by a command that goes before theirs.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from blake3 import blake3
from rig import free_tcp_port

from bittrrt.files.authorized_clients import AuthorizedClients
from bittrrt.files.home import Home
from bittrrt.files.identity import load_or_create_identity
from bittrrt.files.known_servers import KnownServers

CHECKOUT = Path(__file__).parent.parent
PATIENCE = 120.0  # seconds; far more than anything takes
_SERVER = "from twisted.scripts.twistd import run; run()"
_CLIENT = "from bittrrt.app.program import main; main()"


class Nowhere:
    """A sink of what nobody wants: with `paced`, its stream's window fills and stays full."""

    def write(self, offset: int, chunks: list[bytes | memoryview]) -> int:
        """See `StreamSink`."""
        return sum(map(len, chunks))


@dataclass(frozen=True)
class Ended:
    """What is left of a client."""

    status: int
    events: list[dict[str, Any]]
    """What it said with `--json`."""
    lines: list[str]
    """What else it said."""

    def last(self, *names: str) -> dict[str, Any]:
        """The last event of these names; an empty one if there was none."""
        return next((event for event in reversed(self.events) if event["event"] in names), {})


@dataclass
class Client:
    """A `bittrrt` command, running."""

    process: subprocess.Popen[str]

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    @property
    def output(self) -> IO[str]:
        """All that it says."""
        assert self.process.stdout is not None
        return self.process.stdout

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.communicate(timeout=PATIENCE)

    def end(self, patience: float = PATIENCE) -> Ended:
        """Wait for its end."""
        text = self.process.communicate(timeout=patience)[0].splitlines()
        events = [json.loads(line) for line in text if line.startswith("{")]
        lines = [event["text"] for event in events if event["event"] == "error"]
        lines += [line for line in text if line and not line.startswith("{")]
        return Ended(self.process.returncode, events, lines)


@dataclass
class Ends:
    """A server that can be killed and started again, and a client's machine."""

    base: Path
    host: str = "127.0.0.1"
    before_server: list[str] = field(default_factory=list)
    """A command that goes before the server's, as `ip netns exec right`."""
    before_client: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    """More options of the server."""
    heartbeat: int = 500
    """Milliseconds."""

    def __post_init__(self) -> None:
        self.there, self.here = self.base / "there", self.base / "here"
        self.there.mkdir()
        self.here.mkdir()
        self.port = free_tcp_port()
        self.log = self.base / "server.log"
        self.server: subprocess.Popen[bytes] | None = None
        server, client = Home(self.base / "server"), Home(self.base / "client")
        self.server_fingerprint = load_or_create_identity(server)[0].fingerprint
        self.client_identity = load_or_create_identity(client)[0]
        AuthorizedClients(server).authorize(self.client_identity.fingerprint, "bench")
        KnownServers(client).pin(self.host, self.port, self.server_fingerprint)

    @property
    def remote(self) -> str:
        """The server, as the command line names it."""
        return f"{self.host}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """Ours, with this checkout before what is installed."""
        return os.environ | {"PYTHONPATH": str(CHECKOUT), "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}

    def serve(self) -> int:
        """Start the server, and wait until it serves; its process id."""
        said = self.log.stat().st_size if self.log.exists() else 0
        command = [
            sys.executable, "-c", _SERVER, "-n", "--pidfile=", "bittrrt", "--home", str(self.base / "server"),
            "--port", str(self.port), "--interface", self.host, "--port-ranges", "20000-29999",
            "--root", str(self.there), "--heartbeat", str(self.heartbeat), *self.options,
        ]  # fmt: skip
        with self.log.open("ab") as log:
            self.server = subprocess.Popen(
                self.before_server + command, stdout=log, stderr=log, cwd=self.base, env=self.environment
            )
        self.until(lambda: "BittrRt serves on" in self.log.read_text(errors="replace")[said:])
        return self.server.pid

    def kill_server(self) -> None:
        """SIGKILL."""
        if self.server is not None:
            self.server.kill()
            self.server.wait(PATIENCE)

    def start(self, *arguments: str) -> Client:
        """Start a command of the client's."""
        command = [sys.executable, "-c", _CLIENT, "--home", str(self.base / "client"), *arguments]
        process = subprocess.Popen(
            self.before_client + command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", cwd=self.base, env=self.environment,
        )  # fmt: skip
        return Client(process)

    def until(self, happened: Callable[[], bool], patience: float = PATIENCE) -> None:
        """Wait for something; ends the bench if it does not come."""
        ends = time.monotonic() + patience
        while not happened():
            if time.monotonic() > ends or (self.server is not None and self.server.poll() is not None):
                raise SystemExit(f"waited in vain; the server's log:\n{self.log.read_text(errors='replace')}")
            time.sleep(0.002)

    def close(self) -> None:
        """End the server."""
        if self.server is not None:
            self.server.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.server.wait(10)
            self.server.kill()
            self.server.wait()


@contextlib.contextmanager
def two_ends(**options: Any) -> Iterator[Ends]:
    """Two ends in a directory that goes away, their server not yet running; `options` are fields of `Ends`."""
    with tempfile.TemporaryDirectory() as directory:
        ends = Ends(Path(directory), **options)
        try:
            yield ends
        finally:
            ends.close()


def digest_of(path: Path) -> bytes:
    """A file's BLAKE3; empty if there is none."""
    return blake3(path.read_bytes()).digest() if path.exists() else b""


def partial_in(folder: Path) -> Path | None:
    """The partial file in a folder, if there is one with bytes."""
    for path in folder.glob(".bittrrt-*.part"):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_size:
                return path
    return None


def peak_memory(pid: int) -> int:
    """Bytes that a process had in memory at most, so far."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
