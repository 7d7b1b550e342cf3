"""Transfers on a path that moves, goes dark or swallows a port, by the real programs on two test hosts.

    python bench/roaming.py --from "ip netns exec left" --to "ip netns exec right" --host 10.77.0.2 --device wire0

`--from` and `--to` go before the commands of the client's and of the server's host, as with `throughput.py`. The
client's host has the device `--device` with an address in the /24 network of `--host`, and nftables. Each trouble meets
a put and a get in their second second; how much longer they take than without any is what it costs.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import shlex
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from ends import Ends, digest_of, partial_in, two_ends

from bittrrt.wire.datagram import PortType

LIMIT = 20  # Mbit/s; less than the path has, so that the time without troubles is known
MOVES_EVERY = 2.0  # seconds
DARK = 20.0
BLOCKED = 10.0
BEGINS_AFTER = 1.5  # seconds after the partial file appeared


@dataclass
class ClientHost:
    """What can be done to the client's host."""

    before: list[str]
    device: str
    network: str
    """The three numbers that its addresses begin with."""

    def run(self, command: str, text: str | None = None) -> None:
        subprocess.run([*self.before, *shlex.split(command)], input=text, text=True, check=True)

    def move(self, number: int) -> None:
        """Another address than before."""
        self.run(f"ip addr flush dev {self.device}")
        self.run(f"ip addr add {self.network}.{number}/24 dev {self.device}")

    def drop(self, what: str, seconds: float) -> None:
        """Lose these packets, both ways, for a while. `what`: rules of nftables, a line each way."""
        there, back = what.split(" / ")
        self.run(
            "nft -f -",
            "add table inet trouble\n"
            "add chain inet trouble there { type filter hook output priority 0; }\n"
            "add chain inet trouble back { type filter hook input priority 0; }\n"
            f"add rule inet trouble there {there} drop\nadd rule inet trouble back {back} drop\n",
        )
        time.sleep(seconds)
        self.run("nft delete table inet trouble")


def keep_moving(host: ClientHost, _: dict[PortType, int], over: Callable[[], bool]) -> str:
    """The client's address changes every two seconds."""
    moves = 0
    while not over():
        host.move(10 + moves % 200)
        moves += 1
        time.sleep(MOVES_EVERY)
    return f"{moves} addresses"


def go_dark(host: ClientHost, _: dict[PortType, int], __: Callable[[], bool]) -> str:
    """Nothing gets through for twenty seconds."""
    host.drop(f'oifname "{host.device}" / iifname "{host.device}"', DARK)
    return f"{DARK:g} s dark"


def block(port_type: PortType, host: ClientHost, ports: dict[PortType, int], _: Callable[[], bool]) -> str:
    """One of the session's ports is blocked for ten seconds."""
    port = ports[port_type]
    host.drop(f"udp dport {port} / udp sport {port}", BLOCKED)
    return f"{port_type.value} blocked for {BLOCKED:g} s"


TROUBLES: dict[str, Callable[[ClientHost, dict[PortType, int], Callable[[], bool]], str]] = {
    "none": lambda *_: "no trouble",
    "moving": keep_moving,
    "dark": go_dark,
    **{port_type.value: partial(block, port_type) for port_type in PortType},
}


def session_ports(log: Path) -> dict[PortType, int]:
    """Those of the last session that the server opened: it takes the lowest three, in this order."""
    found = re.findall(r"opened link \S+ on ports \[(\d+), (\d+), (\d+)\]", log.read_text(errors="replace"))
    return dict(zip((PortType.CTRL, PortType.UP, PortType.DN), map(int, found[-1]), strict=True))


def transfer(ends: Ends, host: ClientHost, command: str, trouble: str, size: int) -> tuple[float, str, str]:
    """Seconds that it takes, what happened to it, and what became of it."""
    source = (ends.here if command == "put" else ends.there) / "file"
    folder = ends.there if command == "put" else ends.here
    source.write_bytes(Random(trouble).randbytes(size))
    arguments = [str(source), f"{ends.remote}:"] if command == "put" else [f"{ends.remote}:file", str(folder)]
    began = time.monotonic()
    client = ends.start(command, "--json", "--limit", f"{LIMIT}M", *arguments)
    ends.until(lambda: partial_in(folder) is not None or not client.running)
    time.sleep(BEGINS_AFTER)
    happened: list[str] = []
    troubling = threading.Thread(
        target=lambda: happened.append(TROUBLES[trouble](host, session_ports(ends.log), lambda: not client.running))
    )
    troubling.start()
    ended = client.end(300)
    took = time.monotonic() - began
    troubling.join()
    sessions = sum(event["event"] == "link" and "going on" in event["text"] for event in ended.events)
    outcome = "whole" if digest_of(folder / "file") == digest_of(source) else f"NOT WHOLE {ended.lines}"
    for path in (source, folder / "file"):
        path.unlink(missing_ok=True)
    for path in folder.glob(".bittrrt-*"):
        path.unlink()
    return took, happened[0], f"{outcome}, {sessions + 1} session{'s' if sessions else ''}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="client", required=True)
    parser.add_argument("--to", dest="server", required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--megabytes", type=int, default=30)
    parser.add_argument("--heartbeat", type=int, default=5000)
    parser.add_argument("--troubles", default=",".join(TROUBLES))
    arguments = parser.parse_args()
    client, server = shlex.split(arguments.client), shlex.split(arguments.server)
    host = ClientHost(client, arguments.device, arguments.host.rpartition(".")[0])
    undisturbed: dict[str, float] = {}
    with two_ends(
        host=arguments.host, before_client=client, before_server=server, heartbeat=arguments.heartbeat
    ) as ends:
        ends.serve()
        for trouble in arguments.troubles.split(","):
            for command in ("put", "get"):
                with contextlib.suppress(subprocess.CalledProcessError):
                    host.move(1)
                took, happened, outcome = transfer(ends, host, command, trouble, arguments.megabytes * 10**6)
                undisturbed.setdefault(command, took)
                cost = took - undisturbed[command]
                print(f"{command}, {happened}: {outcome}, {took:.1f} s, {cost:+.1f} s", flush=True)


if __name__ == "__main__":
    main()
