"""Sessions that are opened and never heard of again, on few ports: what is left of them?

    python bench/recycling.py [--sessions 1000]

A client opens one session after another on a server with 30 UDP ports and is silent from then on; each goes stale, its
ports rest, and are used again. At the end the server's descriptors are counted against those before the first.
"""

from __future__ import annotations

import argparse
from typing import Any

from rig import ServerProcess, run, running_server
from twisted.internet.task import deferLater

from bittrrt.errors import PortsExhausted
from bittrrt.link.encryptor import CommEncryptor
from bittrrt.net.rendezvous_client import rendezvous
from bittrrt.net.session_opener import check_against
from bittrrt.net.tls import ConnectionCreator
from bittrrt.wire.messages import Open, Welcome

PORTS = "20000-20029"
HEARTBEAT_MS, STALE_MS, QUARANTINE_MS = 20, 100, 100
MOMENT = 0.02  # seconds until a client that found no ports free tries again


async def measure(reactor: Any, server: ServerProcess, sessions: int) -> None:
    """Open them all, wait, count."""
    creator, check = ConnectionCreator(server.client), check_against(server.server)
    before, memory = server.descriptors(), server.memory()
    most = waited = 0
    used: set[int] = set()
    opened = 0
    while opened < sessions:
        key = CommEncryptor().get_public_key()

        def wish(_: bytes, key: bytes = key) -> Open:
            return Open(key)

        try:
            answer = await rendezvous(reactor, creator, server.server.host, server.server.port, check, wish)
        except PortsExhausted:
            waited += 1
            await deferLater(reactor, MOMENT)
            continue
        welcome = answer.message
        assert isinstance(welcome, Welcome)
        used |= {welcome.ctrl, welcome.up, welcome.dn}
        opened += 1
        most = max(most, server.descriptors() - before)
    await deferLater(reactor, 1 + (STALE_MS + QUARANTINE_MS) / 1000)
    print(f"{opened} sessions on {len(used)} ports, refused {waited} times for want of a port")
    print(f"descriptors: {before} before, {most} more at the most, {server.descriptors() - before} more at the end")
    print(f"memory: {(server.memory() - memory) / 1e6:.1f} MB more at the end")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=1000)
    sessions = parser.parse_args().sessions
    options = (
        "--port-ranges", PORTS, "--heartbeat", str(HEARTBEAT_MS), "--stale-after", str(STALE_MS),
        "--port-quarantine", str(QUARANTINE_MS), "--max-sessions-per-key", "100",
    )  # fmt: skip
    with running_server(*options) as server:
        run(lambda reactor: measure(reactor, server, sessions))


if __name__ == "__main__":
    main()
