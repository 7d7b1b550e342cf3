"""How fast the transport moves bytes over loopback, and what CPU a datagram takes at either side: no disk, no digest.

    python bench/throughput_core.py [--megabytes N] [--mtu 1452|auto] [--profile sender|receiver]

Two processes, each with a reactor and a whole session's end: handlers, encryption, congestion control. The source gives
the same bytes again and again, and the sink counts them. CPU is the process's, from the stream's beginning to its end.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from twisted.internet import reactor as _reactor

from bittrrt.errors import LinkError
from bittrrt.link.encryptor import CommEncryptor
from bittrrt.net.client_connection import ClientConnection, HeartbeatRound
from bittrrt.net.connection import CommConnection
from bittrrt.net.data_plane import DataPlane
from bittrrt.net.port_manager import PortManager
from bittrrt.net.streams import DataPlaneListener
from bittrrt.settings import Settings
from bittrrt.wire.datagram import PortType
from bittrrt.wire.messages import CloseReason

reactor: Any = _reactor
CHANNEL = 1
TIMEOUT = 120  # seconds


class Repeated:
    """A source without end."""

    block = memoryview(os.urandom(2**20) * 2)

    def read(self, offset: int, length: int) -> bytes:
        at = offset % 2**20
        return bytes(self.block[at : at + length])


class Counted:
    """A sink that keeps nothing."""

    def write(self, offset: int, chunks: list[bytes | memoryview]) -> int:
        return sum(map(len, chunks))


class End:
    """What both ends are to their connection and their data plane."""

    def __init__(self) -> None:
        self.began = self.cpu = 0.0
        self.profile: cProfile.Profile | None = None

    def begin(self, profiled: bool) -> None:
        self.began, self.cpu = time.perf_counter(), time.process_time()
        if profiled:
            self.profile = cProfile.Profile()
            self.profile.enable()

    def end(self) -> dict[str, float]:
        figures = {"seconds": time.perf_counter() - self.began, "cpu": time.process_time() - self.cpu}
        if self.profile is not None:
            self.profile.disable()
            pstats.Stats(self.profile, stream=sys.stderr).sort_stats("tottime").print_stats(28)
        return figures

    # a data plane's listener
    def control_received(self, message: bytes) -> None: ...
    def message_received(self, channel: int, data: bytes) -> None: ...
    def stream_received(self, channel: int) -> None: ...
    def stream_failed(self, channel: int, error: Exception) -> None:
        raise SystemExit(f"stream: {error}")

    def data_plane_failed(self, why: LinkError) -> None:
        raise SystemExit(f"data plane: {why}")

    def data_plane_closed(self) -> None: ...

    # a session's observer, and the listener of the server's end
    def heartbeat_finished(self, connection: ClientConnection, beat: HeartbeatRound) -> None: ...
    def session_suspected(self, connection: ClientConnection) -> None: ...
    def session_revived(self, connection: ClientConnection) -> None: ...
    def session_ended(self, connection: ClientConnection, why: LinkError) -> None: ...
    def connection_closed_by_peer(self, reason: CloseReason) -> None: ...
    def connection_moved(self, port_type: PortType, before: Any, after: Any) -> None: ...
    def connection_misused(self, why: LinkError) -> None: ...


class ReceivingEnd(End):
    """The server's end, in the first process."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__()
        self.options = options
        self.size = options.megabytes * 10**6
        self.encryptor = CommEncryptor()
        settings = Settings(interface="127.0.0.1", port_ranges="36000-36099", heartbeat=1000)
        self.connection = CommConnection(settings, PortManager(settings), self.encryptor, listener=self)
        self.connection.listen()

    def data_wanted(self) -> DataPlaneListener:
        return self

    def control_received(self, message: bytes) -> None:
        plane = self.connection.data_plane
        assert plane is not None
        self.begin(self.options.profile == "receiver")
        plane.open_receiving(CHANNEL, Counted(), self.size)
        plane.send_control(b"accept")

    def stream_received(self, channel: int) -> None:
        self.figures = self.end()
        handler = self.connection.up_handler
        self.figures["datagrams"] = handler.counters.received
        port: Any = handler.transport
        self.figures["overflowed"] = port.counters.overflowed
        reactor.callLater(0.5, reactor.stop)


class SendingEnd(End):
    """The client's end, in the second process."""

    def __init__(self, options: argparse.Namespace, ports: Mapping[PortType, int], encryptor: CommEncryptor) -> None:
        super().__init__()
        self.options = options
        self.connection = ClientConnection(
            Settings(heartbeat=200), encryptor, ("127.0.0.1",), ports, observer=self, reactor=reactor, stale_after=60
        )
        self.connection.start()
        reactor.callLater(0.5, self.offer)

    def offer(self) -> None:
        mtu = None if self.options.mtu == "auto" else int(self.options.mtu)
        self.plane: DataPlane = self.connection.open_data_plane(self, mtu=mtu, congestion=self.options.congestion)
        self.plane.send_control(b"offer")

    def control_received(self, message: bytes) -> None:
        self.begin(self.options.profile == "sender")
        size = self.options.megabytes * 10**6
        self.plane.open_sending(CHANNEL, Repeated(), size).addCallback(self.finished)

    def finished(self, _: None) -> None:
        statistics = self.plane.statistics(CHANNEL)
        figures = self.end() | {
            "sent": self.connection.handlers[PortType.UP].counters.sent,
            "retransmitted": statistics.retransmitted,
            "path_mtu": statistics.path_mtu,
            "limited_by": statistics.limited_by,
        }
        print(json.dumps(figures), flush=True)
        reactor.callLater(0.2, reactor.stop)


def send(options: argparse.Namespace) -> None:
    """The sending process: swap keys over its standard streams, which nobody else sees."""
    encryptor = CommEncryptor()
    print(encryptor.get_public_key().hex(), flush=True)
    answer = json.loads(sys.stdin.readline())
    encryptor.derive_shared_secret(bytes.fromhex(answer["key"]))
    SendingEnd(options, {PortType(name): number for name, number in answer["ports"].items()}, encryptor)
    reactor.callLater(TIMEOUT, reactor.stop)
    reactor.run()


def receive(options: argparse.Namespace) -> None:
    """The receiving process, which starts the sending one and prints the figures of both."""
    end = ReceivingEnd(options)
    process = subprocess.Popen(
        [sys.executable, __file__, "--send", *sys.argv[1:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    end.encryptor.derive_shared_secret(bytes.fromhex(process.stdout.readline()))
    ports = {port_type.value: number for port_type, number in end.connection.ports.items()}
    process.stdin.write(json.dumps({"key": end.encryptor.get_public_key().hex(), "ports": ports}) + "\n")
    process.stdin.flush()
    reactor.callLater(TIMEOUT, reactor.stop)
    reactor.run()
    sent: dict[str, Any] = json.loads(process.communicate(timeout=10)[0])
    received = end.figures
    print(
        f"{options.congestion:6} {options.mtu:>5} {sent['path_mtu']:6} {end.size / 1e6 / received['seconds']:8.0f} MB/s"
        f"   sender {sent['cpu'] / sent['sent'] * 1e6:6.2f} us   receiver"
        f" {received['cpu'] / received['datagrams'] * 1e6:6.2f} us   sent again"
        f" {sent['retransmitted'] / end.size:6.2%}   dropped by the kernel {received['overflowed']:6.0f}"
        f"   limited by {sent['limited_by']}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--mtu", default="1452")
    parser.add_argument("--congestion", default="model")
    parser.add_argument("--profile", choices=("sender", "receiver"))
    parser.add_argument("--send", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.send:
        send(options)
    else:
        receive(options)


if __name__ == "__main__":
    main()
