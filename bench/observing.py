"""What it costs a server, a heartbeat, that its sessions are watched and their metrics kept.

    python bench/observing.py [--sessions 5000] [--rounds 9]

Real handlers, keys and observers, without sockets, in one process: the server's whole work on a heartbeat, but for the
kernel's, with its observers and without, in turns, so that the two are compared on the same machine at the same time.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.task import Clock as FakeReactor

from bittrrt.app.histogram import Histogram
from bittrrt.app.metrics import Metrics
from bittrrt.app.watch import Watch
from bittrrt.files.authorized_clients import AuthorizedClients
from bittrrt.files.home import Home
from bittrrt.files.identity import load_or_create_identity
from bittrrt.files.invites import Invites
from bittrrt.link.counters import Counters
from bittrrt.link.encryptor import CommEncryptor
from bittrrt.link.link import Link
from bittrrt.net.handlers import PortHandler
from bittrrt.net.port import LinkPort
from bittrrt.net.rendezvous_server import RendezvousFactory
from bittrrt.net.server import Server
from bittrrt.net.tls import ConnectionCreator
from bittrrt.settings import Settings
from bittrrt.wire.datagram import HEARTBEAT_FLAGS
from bittrrt.wire.heartbeat import first_heartbeat
from bittrrt.wire.messages import Open, Welcome

ADDRESS = ("127.0.0.1", 50_000)
RATE = 3000  # heartbeats a second: 5,000 sessions of three ports, every five seconds
EXPORTER = bytes(32)


class NoSocket(LinkPort):
    """Keeps what is written last."""

    written = b""

    def startListening(self) -> None:
        self.connected = 1
        self.protocol.makeConnection(self)

    def write(self, datagram: bytes, addr: Any) -> bool:  # type: ignore[override]
        self.written = datagram
        return True


def open_session(server: Server, fingerprint: str) -> tuple[Link, tuple[PortHandler, ...]]:
    """The client's link, and the server's three handlers."""
    encryptor = CommEncryptor()
    answer = server.open(Open(encryptor.get_public_key()), fingerprint, EXPORTER)
    if not isinstance(answer, Welcome):
        raise SystemExit(f"no session: {answer}")
    encryptor.derive_shared_secret(answer.public_key, salt=EXPORTER)
    return Link(encryptor), server.sessions[encryptor.link_id.hex()].conn.handlers


def heartbeat(link: Link, handler: PortHandler, number: int, ignored: Counters) -> float:
    """One countdown on one port. Seconds that the server took for it."""
    port: Any = handler.transport
    first = link.seal(first_heartbeat(number), HEARTBEAT_FLAGS)
    began = time.perf_counter()
    handler.datagramReceived(first, ADDRESS)
    took = time.perf_counter() - began
    answer = link.open_untrusted(port.written, ignored)
    if answer is None:
        raise SystemExit("the server's answer cannot be read")
    returned = link.seal(answer.payload, HEARTBEAT_FLAGS)
    began = time.perf_counter()
    handler.datagramReceived(returned, ADDRESS)
    return took + time.perf_counter() - began


def measure(server: Server, fingerprint: str, sessions: int, rounds: int) -> None:
    """Beat with observers and without, in turns, and print what one heartbeat took."""
    opened = [open_session(server, fingerprint) for _ in range(sessions)]
    everybody, ignored = list(server.observers), Counters()
    took: dict[bool, list[float]] = {True: [], False: []}
    for number in range(2 * rounds):
        observed = bool(number % 2)
        server.observers[:] = everybody if observed else []
        total = sum(heartbeat(link, handler, number, ignored) for link, handlers in opened for handler in handlers)
        took[observed].append(total / sessions / 3 * 1e6)
    without, with_them = min(took[False]), min(took[True])  # whatever else the machine does only adds
    print(f"{sessions} sessions: {without:.1f} us a heartbeat, {with_them:.1f} us with observers")
    print(f"at {RATE} heartbeats a second {(with_them - without) * RATE / 1e6:.2%} of a core (goal: under 5 %)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    with TemporaryDirectory() as directory:
        home = Home(Path(directory) / "home")
        identity, _ = load_or_create_identity(home)
        authorized = AuthorizedClients(home)
        authorized.authorize(identity.fingerprint, "bench")
        settings = Settings(port_ranges="10000-29999", max_sessions_per_key=100_000)
        reactor = FakeReactor()
        server = Server(
            settings, identity.fingerprint, authorized, Invites(home), reactor=reactor, port_class=NoSocket
        )  # fmt: skip
        rendezvous = RendezvousFactory(server, ConnectionCreator(identity), reactor)
        Metrics(server, Watch(server), rendezvous, Histogram())
        measure(server, identity.fingerprint, arguments.sessions, arguments.rounds)


if __name__ == "__main__":
    main()
