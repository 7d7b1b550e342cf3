"""How much a heartbeat's round trip takes beyond that of a plain Twisted UDP echo.

    python bench/heartbeat_latency.py [--beats 500]

Both go over loopback, from this process to another, three ports at a time, in turns within one run: what differs is the
encryption, the replay filter, the countdown's text and the statistics.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from multiprocessing.connection import Connection
from typing import Any

from rig import ServerProcess, Watcher, run, running_server
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import deferLater

from bittrrt.net.client_connection import ClientConnection, HeartbeatRound
from bittrrt.net.session_opener import SessionOpener
from bittrrt.settings import Settings

PAUSE = 0.01  # seconds from one exchange to the next
GOAL_US = 100


class Echo(DatagramProtocol):
    """The plain server."""

    noisy = False
    transport: Any

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.transport.write(datagram, addr)


def serve_echo(pipe: Connection) -> None:
    """Three plain echo ports in a process of their own."""
    from twisted.internet import reactor as global_reactor

    reactor: Any = global_reactor
    ports = [reactor.listenUDP(0, Echo(), interface="127.0.0.1") for _ in range(3)]
    pipe.send([port.getHost().port for port in ports])
    reactor.run()


class Asker(DatagramProtocol):
    """The plain client of one port."""

    noisy = False
    transport: Any

    def __init__(self, port: int) -> None:
        self.port = port
        self.round_trips: list[float] = []
        self._sent_at = 0.0

    def ask(self) -> None:
        self._sent_at = time.monotonic()
        self.transport.write(b"client_ts3=1795367973568 echo=2" + bytes(48), ("127.0.0.1", self.port))

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.round_trips.append(time.monotonic() - self._sent_at)


class Listener(Watcher):
    """Takes the heartbeats' round trips as well."""

    def __init__(self) -> None:
        super().__init__()
        self.round_trips: list[float] = []

    def heartbeat_finished(self, connection: ClientConnection, beat: HeartbeatRound) -> None:
        super().heartbeat_finished(connection, beat)
        self.round_trips += beat.first.values()


async def measure(reactor: Any, server: ServerProcess, echo_ports: list[int], beats: int) -> None:
    """Take turns, then print."""
    listener = Listener()
    askers = [Asker(port) for port in echo_ports]
    for asker in askers:
        reactor.listenUDP(0, asker)
    opener = SessionOpener(reactor, Settings(), server.client, server.server, heartbeat=2500)
    connection = await opener.open(listener)
    connection.stop_beating()
    for _ in range(beats):
        for asker in askers:
            asker.ask()
        await deferLater(reactor, PAUSE)
        connection.beat()
        await deferLater(reactor, PAUSE)
    await connection.close()
    plain = [sample * 1e6 for asker in askers for sample in asker.round_trips]
    ours = [sample * 1e6 for sample in listener.round_trips]
    for name, samples in (("plain Twisted UDP echo", plain), ("BittrRt heartbeat", ours)):
        cuts = statistics.quantiles(samples, n=100)
        print(f"{name:24s} {len(samples):6d} round trips  median {cuts[49]:7.1f} us  p99 {cuts[98]:7.1f} us")
    more = statistics.median(ours) - statistics.median(plain)
    print(f"a heartbeat's median is {more:.1f} us above the echo's (goal: under {GOAL_US}),", end=" ")
    print(f"{listener.incomplete} of {beats} countdowns incomplete")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--beats", type=int, default=500)
    beats = parser.parse_args().beats
    spawning = multiprocessing.get_context("spawn")  # a fork would share this reactor's epoll
    here, there = spawning.Pipe()
    echo = spawning.Process(target=serve_echo, args=(there,), daemon=True)
    echo.start()
    with running_server() as server:
        run(lambda reactor: measure(reactor, server, here.recv(), beats))
    echo.terminate()


if __name__ == "__main__":
    main()
