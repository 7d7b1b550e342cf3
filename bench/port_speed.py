"""What the fast port gains: datagrams a second and CPU a datagram, beside Twisted's own UDP port, in the same run.

    python bench/port_speed.py [--datagrams N]

First a flood over loopback, 1452-byte datagrams, sender and receiver in a process each, both with a reactor. Nothing
holds the sender back, so what the receiver cannot take is lost: rate and CPU of the receiver are of what it got.
Then one small datagram an event, as heartbeats come: what `doRead` costs, and what memory a port holds.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import time
import tracemalloc
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet import udp
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import Clock

from bittrrt.net.port import LinkPort
from bittrrt.net.read_turn import SocketAddress

reactor: Any = _reactor
SIZE = 1452
BURST = 45  # 65,340 bytes
END = b"end"


class PlainPort(LinkPort):
    """The fast port on a kernel that has neither segmentation nor coalescing."""

    offload = False


VARIANTS = {"twisted": "Twisted's udp.Port", "plain": "LinkPort, plain", "fast": "LinkPort, offload"}


class Sender(DatagramProtocol):
    """Sends as fast as it can, a burst a reactor turn so that others have their turn too."""

    noisy = False

    def __init__(self, variant: str, peer: SocketAddress, datagrams: int) -> None:
        self.batches = variant != "twisted"
        self.peer = peer
        self.left = datagrams
        self.burst = [b"\0" * SIZE] * BURST

    def startProtocol(self) -> None:
        reactor.callLater(0.2, self.send)

    def send(self) -> None:
        port: Any = self.transport
        for _ in range(8):
            if self.batches:
                self.left -= BURST * port.write_batch(self.burst, self.peer)
            else:
                for datagram in self.burst:
                    port.write(datagram, self.peer)
                self.left -= BURST
        if self.left > 0:
            reactor.callLater(0, self.send)
        else:
            reactor.callLater(0.1, self.end, 10)

    def end(self, again: int) -> None:
        port: Any = self.transport
        port.write(END, self.peer)
        if again:
            reactor.callLater(0.02, self.end, again - 1)
        else:
            reactor.stop()


class Counter(DatagramProtocol):
    """Counts what comes, one datagram a call."""

    noisy = False

    def __init__(self) -> None:
        self.received = 0
        self.first = self.last = 0.0

    def datagramReceived(self, datagram: bytes, _: Any) -> None:
        self.count([datagram])

    def count(self, datagrams: list[bytes]) -> None:
        if datagrams[-1] == END:
            if reactor.running:
                reactor.callLater(0, lambda: reactor.running and reactor.stop())
            return
        self.last = time.perf_counter()
        self.first = self.first or self.last
        self.received += len(datagrams)


class BurstCounter(Counter):
    """Counts what comes, a burst a call."""

    def burst_received(self, datagrams: list[bytes], _: SocketAddress) -> None:
        self.count(datagrams)


def listen(variant: str, protocol: DatagramProtocol, on: IReactorFDSet | None = None) -> Any:
    """A port of that variant on loopback."""
    port: Any
    if variant == "twisted":
        port = udp.Port(0, protocol, "127.0.0.1", reactor=on)  # type: ignore[no-untyped-call]
    else:
        port = (PlainPort if variant == "plain" else LinkPort)(0, protocol, "127.0.0.1", on)
    port.startListening()
    if variant != "twisted":
        port.prepare_for_bulk()
    return port


def send(variant: str, port: int, datagrams: int) -> None:
    """The sending process."""
    protocol = Sender(variant, ("127.0.0.1", port), datagrams)
    listen(variant, protocol)
    before = time.process_time()
    reactor.run()
    cpu = time.process_time() - before
    print(json.dumps({"sent": datagrams - protocol.left, "sent_cpu": cpu}))


def receive(variant: str, datagrams: int) -> None:
    """The receiving process, which starts the sending one."""
    protocol = Counter() if variant == "twisted" else BurstCounter()
    port = listen(variant, protocol).getHost().port
    arguments = [sys.executable, __file__, "--send", variant, "--to", str(port), "--datagrams", str(datagrams)]
    sender = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    reactor.callLater(30, reactor.stop)
    before = time.process_time()
    reactor.run()
    cpu = time.process_time() - before
    sent = json.loads(sender.communicate(timeout=10)[0])
    seconds = protocol.last - protocol.first
    print(json.dumps({"received": protocol.received, "seconds": seconds, "cpu": cpu} | sent))


def flood(datagrams: int) -> None:
    """Every variant in processes of its own, and their figures beside each other."""
    print(f"{SIZE}-byte datagrams over loopback   received/s   of Twisted's    lost   sender us   receiver us")
    base = 0.0
    for variant, name in VARIANTS.items():
        arguments = [sys.executable, __file__, "--receive", variant, "--datagrams", str(datagrams)]
        run = json.loads(subprocess.run(arguments, stdout=subprocess.PIPE, check=True, timeout=60).stdout)
        rate = run["received"] / run["seconds"]
        base = base or rate
        print(
            f"{name:33} {rate:12,.0f} {rate / base:13.1f}x {1 - run['received'] / run['sent']:7.1%}"
            f" {run['sent_cpu'] / run['sent'] * 1e6:11.2f} {run['cpu'] / run['received'] * 1e6:13.2f}"
        )


class NoReactor(Clock):
    """Takes readers and writers, and never calls them."""

    def addReader(self, reader: object) -> None: ...
    def removeReader(self, reader: object) -> None: ...
    def addWriter(self, writer: object) -> None: ...
    def removeWriter(self, writer: object) -> None: ...


class Silent(DatagramProtocol):
    """Does nothing with a datagram."""

    noisy = False

    def datagramReceived(self, datagram: bytes, addr: Any) -> None: ...


def one_by_one(rounds: int = 20_000, ports: int = 300) -> None:
    """One 100-byte datagram an event."""
    print("\none 100-byte datagram an event     doRead us   bytes a port")
    for variant, name in (("twisted", "Twisted's udp.Port"), ("lean", "LinkPort, lean"), ("fast", "LinkPort, bulk")):
        port = listen(variant, Silent(), NoReactor())  # type: ignore[arg-type]
        if variant == "lean":
            port._reads_a_turn, port.coalescing = 1, False
        best = min(_read_time(port) for _ in range(rounds // 1000))
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        held = [listen(variant, Silent(), NoReactor()) for _ in range(ports)]  # type: ignore[arg-type]
        size = (tracemalloc.get_traced_memory()[0] - before) / len(held)
        tracemalloc.stop()
        print(f"{name:33} {best * 1e6:11.2f} {size:14,.0f}")


def _read_time(port: Any, reads: int = 1000) -> float:
    peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    target = ("127.0.0.1", port.getHost().port)
    spent = 0.0
    for _ in range(reads):
        peer.sendto(b"\0" * 100, target)
        before = time.perf_counter()
        port.doRead()
        spent += time.perf_counter() - before
    peer.close()
    return spent / reads


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datagrams", type=int, default=300_000)
    parser.add_argument("--send", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("--receive", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("--to", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.send:
        send(options.send, options.to, options.datagrams)
    elif options.receive:
        receive(options.receive, options.datagrams)
    else:
        flood(options.datagrams)
        one_by_one()


if __name__ == "__main__":
    main()
