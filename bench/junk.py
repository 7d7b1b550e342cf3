"""What a flood of datagrams that nobody authenticated costs the server, and what it does to the heartbeats.

    python bench/junk.py [--datagrams 100000]

A real session over loopback; at its three ports come, from a third socket, random bytes, truncated, replayed and
reflected datagrams of the session itself, and ones of a wrong epoch. The cost is the server process's CPU time beyond
that of an idle stretch as long, reactor and system calls included.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import socket
import time
from collections.abc import Callable
from typing import Any

from rig import ServerProcess, Watcher, run, running_server
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from bittrrt.net.client_connection import ClientConnection
from bittrrt.net.session_opener import SessionOpener
from bittrrt.settings import Settings
from bittrrt.wire.datagram import PortType

HEARTBEAT_MS = 100
BURST = 32  # datagrams between two breaths of the flood, so that the socket's buffer holds them
GOAL_US = 10


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
        took = time.monotonic() - began
        attacker.setblocking(False)
        answers = 0
        with contextlib.suppress(BlockingIOError):
            while attacker.recv(2048):
                answers += 1
    return took, answers


async def measure(reactor: Any, server: ServerProcess, datagrams: int) -> None:
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

    def watch(handler: Any) -> None:
        transmit, hear = handler.transmit, handler.datagramReceived

        def sending(datagram: bytes) -> Any:
            sent.append(datagram)
            return transmit(datagram)

        def hearing(datagram: bytes, addr: Any) -> None:
            received.append(datagram)
            hear(datagram, addr)

        handler.transmit, handler.datagramReceived = sending, hearing

    for handler in connection.handlers.values():
        watch(handler)
    return sent, received


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datagrams", type=int, default=100_000)
    datagrams = parser.parse_args().datagrams
    with running_server() as server:
        run(lambda reactor: measure(reactor, server, datagrams))


if __name__ == "__main__":
    main()
