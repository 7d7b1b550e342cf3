"""How long one scrape of a server's metrics holds its reactor, and how large the answer is.

    python bench/scrape.py [--sessions 1000,5000] [--scrapes 50]

Real sessions on real sockets, in this process; nobody beats, so that nothing but the scrape takes time. The counters
of traffic are given numbers, and one port in a hundred drops and losses, as on a day like others.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from pathlib import Path
from random import Random

from rig import run_each
from twisted.web.test.requesthelper import DummyRequest

from bittrrt.app.descriptors import allow_many_files
from bittrrt.app.histogram import Histogram
from bittrrt.app.metrics import TRAFFIC, Metrics, MetricsResource
from bittrrt.app.watch import Watch
from bittrrt.files.authorized_clients import AuthorizedClients
from bittrrt.files.home import Home
from bittrrt.files.identity import load_or_create_identity
from bittrrt.files.invites import Invites
from bittrrt.link.encryptor import CommEncryptor
from bittrrt.net.client import Client
from bittrrt.net.rendezvous_server import RendezvousFactory
from bittrrt.net.server import Server
from bittrrt.net.tls import ConnectionCreator
from bittrrt.settings import Settings
from bittrrt.wire.messages import Open, Welcome

GOAL = "goal at 5,000: about 20 ms"
EXPORTER = bytes(32)


def age(client: Client, random: Random, now: float) -> None:
    """Let the session have been there for a while."""
    for handler in client.conn.handlers:
        for name in TRAFFIC:
            setattr(handler.counters, name, random.randrange(1_000_000))
        handler.path.last_heard = now
        if random.random() < 0.01:
            handler.counters.replayed = random.randrange(1_000)
            handler.path.count_lost(3)


def run_size(sessions: int, scrapes: int) -> None:
    """Open, scrape, print one row; in a process of its own, which ends with its sockets."""
    from twisted.internet import reactor

    allow_many_files()
    random = Random(1)
    with tempfile.TemporaryDirectory() as directory:
        home = Home(Path(directory) / "home")
        identity, _ = load_or_create_identity(home)
        authorized = AuthorizedClients(home)
        authorized.authorize(identity.fingerprint, "bench")
        settings = Settings(interface="127.0.0.1", port_ranges="10000-29999", max_sessions_per_key=100_000)
        server = Server(settings, identity.fingerprint, authorized, Invites(home), reactor=reactor)
        rendezvous = RendezvousFactory(server, ConnectionCreator(identity), reactor)
        page = MetricsResource(Metrics(server, Watch(server), rendezvous, Histogram()))
        for _ in range(sessions):
            answer = server.open(Open(CommEncryptor().get_public_key()), identity.fingerprint, EXPORTER)
            if not isinstance(answer, Welcome):
                raise SystemExit(f"no session: {answer}")
        for client in server.sessions.values():
            age(client, random, time.monotonic())
        gc.collect()
        took = []
        body = b""
        for _ in range(scrapes):
            began = time.perf_counter()
            body = page.render_GET(DummyRequest([b""]))
            took.append((time.perf_counter() - began) * 1000)
        took.sort()
        print(
            f"{sessions:8d} {took[len(took) // 2]:10.1f} {took[-1]:8.1f}"
            f" {body.count(b'bittrrt_'):7d} {len(body) / 1000:7.1f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", default="0,1000,5000")
    parser.add_argument("--scrapes", type=int, default=50)
    arguments = parser.parse_args()
    print("sessions  median ms   max ms  series      KB")
    run_each(arguments.sessions, run_size, arguments.scrapes)
    print(GOAL)


if __name__ == "__main__":
    main()
