"""What one server process takes for many sessions, and how it grows.

    python bench/many_sessions.py [--sessions 500,5000] [--seconds 20]

Real sessions, opened by the real rendezvous, from a client process on the other core; 5 s heartbeats on all three ports
of each. The round trip is the client's: from its sending to its reading of the first answer, its own queue included.
"""

from __future__ import annotations

import argparse
import gc
import os
import time
from typing import Any

from rig import ServerProcess, Watcher, run, run_each, running_server
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from bittrrt.app.descriptors import allow_many_files
from bittrrt.link.quantiles import Quantiles
from bittrrt.net.client_connection import ClientConnection, HeartbeatRound
from bittrrt.net.session_opener import SessionOpener
from bittrrt.settings import Settings

AT_A_TIME = 4  # connections that the server takes from one address before it knows whose they are
SETTLE = 6.0  # seconds: every session has had its first heartbeat
CATCH_UP = 2.0  # seconds, after the collection
GOALS = "goals at 5,000: under 50 % of a core, p99 under 10 ms, under 60 KB a session, nothing lost"


class Crowd(Watcher):
    """Watches all sessions; counts while it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.round_trips = Quantiles()
        self.counting = False

    def heartbeat_finished(self, connection: ClientConnection, beat: HeartbeatRound) -> None:
        if self.counting:
            super().heartbeat_finished(connection, beat)
            for round_trip in beat.first.values():
                self.round_trips.add(round_trip)


async def measure(reactor: Any, server: ServerProcess, sessions: int, seconds: float) -> None:
    """Open, settle, measure, print one row."""
    crowd, opener = Crowd(), SessionOpener(reactor, Settings(), server.client, server.server)
    opened: list[ClientConnection] = []
    memory, began = server.memory(), time.monotonic()
    todo = iter(range(sessions))

    async def open_some() -> None:
        for _ in todo:
            opened.append(await opener.open(crowd))

    openers = [Deferred.fromCoroutine(open_some()) for _ in range(AT_A_TIME)]
    for one in openers:
        await one
    opening = time.monotonic() - began
    await deferLater(reactor, SETTLE)
    gc.collect()
    gc.freeze()  # the crowd's own pauses are not the server's
    await deferLater(reactor, CATCH_UP)
    cpu, at, own = server.cpu_seconds(), time.monotonic(), time.process_time()
    crowd.counting = True
    await deferLater(reactor, seconds)
    crowd.counting = False
    took = time.monotonic() - at
    share, own_share = (server.cpu_seconds() - cpu) / took, (time.process_time() - own) / took
    each = (server.memory() - memory) / sessions / 1000
    times = [(crowd.round_trips.quantile(q) or 0) * 1000 for q in (0.5, 0.99)]
    print(
        f"{sessions:8d} {share:7.1%} {own_share:7.1%} {times[0]:9.2f} {times[1]:9.2f}"
        f" {crowd.round_trips.maximum * 1000:9.2f} {each:9.1f} {crowd.heartbeats:11d} {crowd.incomplete:5d}"
        f" {server.descriptors():7d} {opening / sessions * 1000:8.2f}",
        flush=True,
    )
    for why in set(crowd.ended):
        print(f"  {crowd.ended.count(why)} sessions ended: {why}", flush=True)
    for connection in opened:
        connection.close()


def run_size(sessions: int, seconds: float) -> None:
    """One size, in a process of its own: a reactor runs only once."""
    allow_many_files()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    options = ("--port-ranges", "10000-29999", "--max-sessions-per-key", "100000")
    with running_server(*options, pin=cores[0]) as server:
        run(lambda reactor: measure(reactor, server, sessions, seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", default="500,1000,2000,5000")
    parser.add_argument("--seconds", type=float, default=20)
    arguments = parser.parse_args()
    print("sessions  server  client  median ms    p99 ms    max ms   KB each  heartbeats  lost  files   open ms")
    run_each(arguments.sessions, run_size, arguments.seconds)
    print(GOALS)


if __name__ == "__main__":
    main()
