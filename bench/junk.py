"""What a flood of datagrams that nobody authenticated costs the server, and what it does to the heartbeats.

    python bench/junk.py [--datagrams 100000]

A real session over loopback; at its three ports come, from a third socket, random bytes, truncated, replayed and
reflected datagrams of the session itself, and ones of a wrong epoch. The cost is the server process's CPU time beyond
that of an idle stretch as long, reactor and system calls included.
"""

from __future__ import annotations

import argparse
import random
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from rig import ServerProcess, running_server
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from bittrrt.errors import LinkError
from bittrrt.net.client_connection import ClientConnection, HeartbeatRound
from bittrrt.net.link_keeper import SessionOpener
from bittrrt.settings import Settings
from bittrrt.wire.datagram import PortType

reactor: Any = global_reactor
HEARTBEAT_MS = 100
BURST = 32  # datagrams between two breaths of the flood, so that the socket's buffer holds them
GOAL_US = 10


class Watcher:
    """Counts the heartbeats."""

    heartbeats = incomplete = 0

    def heartbeat_finished(self, connection: ClientConnection, beat: HeartbeatRound) -> None:
        self.heartbeats += 1
        self.incomplete += not beat.complete

    def session_suspected(self, connection: ClientConnection) -> None: ...

    def session_revived(self, connection: ClientConnection) -> None: ...

    def session_ended(self, connection: ClientConnection, why: LinkError) -> None:
        raise SystemExit(str(why))


def kinds(sent: list[bytes], received: list[bytes]) -> dict[str, Callable[[random.Random], bytes]]:
    """Junk by its kind, made of what the session said."""
    return {
        "random": lambda chance: chance.randbytes(chance.randrange(0, 1400)),
        "truncated": lambda chance: chance.choice(sent)[: chance.randrange(0, 70)],
        "replayed": lambda chance: chance.choice(sent),
        "reflected": lambda chance: chance.choice(received),
        "wrong epoch": lambda chance: chance.randrange(2, 2**32).to_bytes(4, "big") + chance.choice(sent)[4:],
    }


def flood(ports: list[int], make: Callable[[random.Random], bytes], count: int) -> tuple[float, int]:
    """Send junk; how long that took, and how many answers came."""
    chance = random.Random(7)
    junk = [make(chance) for _ in range(min(count, 2000))]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
        began = time.monotonic()
        for i in range(count):
            attacker.sendto(junk[i % len(junk)], ("127.0.0.1", ports[i % 3]))
            if i % BURST == 0:
                time.sleep(0.0005)
        attacker.setblocking(False)
        answers = 0
        try:
            while attacker.recv(2048):
                answers += 1
        except BlockingIOError:
            return time.monotonic() - began, answers


async def measure(server: ServerProcess, datagrams: int) -> None:
    """Each kind of junk in turn."""
    watcher = Watcher()
    connection = await SessionOpener(reactor, Settings(), server.client, server.server, heartbeat=HEARTBEAT_MS).open(
        watcher
    )
    sent, received = record(connection)
    await deferLater(reactor, 1)
    ports = [connection.ports[port_type] for port_type in PortType]
    idle = server.cpu_seconds()
    await deferLater(reactor, 5)
    idle_share = (server.cpu_seconds() - idle) / 5
    each = datagrams // 5
    for name, make in kinds(list(sent), list(received)).items():
        cpu = server.cpu_seconds()
        took, answers = await deferToThread(flood, ports, make, each)
        cost = (server.cpu_seconds() - cpu - idle_share * took) / each * 1e6
        print(f"{name:12s} {each:7d} datagrams  {cost:5.1f} us each  {answers} answered", flush=True)
    await deferLater(reactor, 1)
    print(f"heartbeats during all that: {watcher.heartbeats}, {watcher.incomplete} incomplete (goal: 0)")
    print(f"goal: under {GOAL_US} us each, 0 answered")
    await connection.close()


def record(connection: ClientConnection) -> tuple[list[bytes], list[bytes]]:
    """What the session sends and receives from now on."""
    sent: list[bytes] = []
    received: list[bytes] = []
    for handler in connection.handlers.values():

        def watch(handler: Any = handler) -> None:
            transmit, hear = handler.transmit, handler.datagramReceived
            handler.transmit = lambda datagram: (sent.append(datagram), transmit(datagram))[1]
            handler.datagramReceived = lambda datagram, addr: (received.append(datagram), hear(datagram, addr))[1]

        watch()
    return sent, received


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datagrams", type=int, default=100_000)
    datagrams = parser.parse_args().datagrams
    with running_server() as server:

        def start() -> None:
            finished = Deferred.fromCoroutine(measure(server, datagrams))
            finished.addErrback(lambda failure: failure.printTraceback(sys.stderr))
            finished.addBoth(lambda _: reactor.stop())

        reactor.callWhenRunning(start)
        reactor.run()


if __name__ == "__main__":
    main()
