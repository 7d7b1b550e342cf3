"""A server that means harm, with real clients: what it costs them, what they say, and what gets onto their disk.

    python bench/hostile_server.py [--attacks garbage]

The server is in this process, and its data plane says what no honest server would; the client is the real `bittrrt
put`, `get` or `ls`. A line tells how the client ended, how much memory it took at most, and the last line that it said.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ends import Client, Ends, Nowhere, peak_memory, two_ends
from rig import run
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from bittrrt.app.server_service import ServerService
from bittrrt.errors import LinkError
from bittrrt.files.home import Home
from bittrrt.files.identity import load_or_create_identity
from bittrrt.net import client as server_side
from bittrrt.net.neglect import LOOK, LOOKS
from bittrrt.net.streams import DataPlaneListener
from bittrrt.settings import Settings
from bittrrt.wire.acknowledgement import Acknowledgement, pack_acknowledgement
from bittrrt.wire.datagram import ACKNOWLEDGEMENT_FLAGS, STREAM_FLAGS
from bittrrt.wire.transfer_messages import (
    Accept,
    End,
    Entries,
    Fetch,
    Found,
    Kind,
    List,
    Listed,
    Look,
    Offer,
    OfferFolder,
    Problem,
    Reason,
    TransferMessage,
    encode_transfer_message,
    parse_transfer_message_untrusted,
)

BOUND = 100  # MB beyond what the client takes to list an empty folder
LASTS = 10.0  # seconds after which a client that is still busy is interrupted
SAMPLE = b"x" * 16
MAX_BACKLOG = 2**20
NAMES = (
    "../out", "/tmp/out", "wanted/../out", "wanted/../../out", "wanted/link/out", "wanted/nul\0", "wanted/" + "x" * 256,
    "wanted/CON", "wanted/a\u2215b", "wanted/..\\out", "wanted/.bittrrt-0.part", "wanted//b", "wantedx", ".bashrc", "",
)  # fmt: skip


class HostilePlane:
    """The server's end of one session."""

    def __init__(self, reactor: Any, client: server_side.Client, behave: Callable[[HostilePlane, Any], None]) -> None:
        self._reactor = reactor
        self._client = client
        self._behave = behave
        self._closed = False

    def tell(self, message: TransferMessage) -> None:
        """Say something about files."""
        plane = self._client.conn.data_plane
        if plane is not None and not self._closed:
            plane.send_control(encode_transfer_message(message))

    def take_nothing(self, channel: int) -> None:
        """Open a stream, and never read it."""
        plane = self._client.conn.data_plane
        if plane is not None and not self._closed:
            plane.open_receiving(channel, Nowhere(), None, paced=True)

    def say(self, payload: bytes, flags: int, channel: int = 0, offset: int = 0) -> None:
        """One datagram of any kind."""
        connection = self._client.conn
        if connection.link is not None and not self._closed:
            connection.dn_handler.transmit(connection.link.seal(payload, flags, channel, offset))

    def say_raw(self, message: bytes) -> None:
        """Any control message."""
        plane = self._client.conn.data_plane
        if plane is not None and not self._closed:
            plane.send_control(message)

    def for_ever(self, act: Callable[[int], None], number: int = 0) -> None:
        """Do something again and again, as fast as the client takes it."""
        plane = self._client.conn.data_plane
        if self._closed or plane is None:
            return
        for _ in range(200):
            if plane.control_backlog < MAX_BACKLOG:
                act(number)
                number += 1
        self._reactor.callLater(0.002, self.for_ever, act, number)

    # --- DataPlaneListener ---

    def control_received(self, message: bytes) -> None:
        asked = parse_transfer_message_untrusted(message)
        if isinstance(asked, Look):
            self.tell(Found(asked.request, Kind.FOLDER))
            self.tell(End(asked.request))
        else:
            self._behave(self, asked)

    def message_received(self, channel: int, data: bytes) -> None: ...

    def stream_received(self, channel: int) -> None: ...

    def stream_failed(self, channel: int, error: Exception) -> None: ...

    def data_plane_failed(self, why: LinkError) -> None: ...

    def data_plane_closed(self) -> None:
        self._closed = True


# --- what it does ----------------------------------------------------------------------------------------------------


def lists_without_end(plane: HostilePlane, asked: object) -> None:
    if isinstance(asked, List):
        request = asked.request

        def some(number: int) -> None:
            names = [f"{number:09}-{index:02}-{'n' * 60}" for index in range(40)]
            plane.tell(Entries(request, tuple(Listed(name, False, 1, 1, 0o600) for name in names)))

        plane.for_ever(some)


def has_problems_without_end(plane: HostilePlane, asked: object) -> None:
    if isinstance(asked, Fetch):
        request = asked.request
        plane.for_ever(lambda number: plane.tell(Problem(request, Reason.READ, f"{number}: \x1b[2J cannot be read")))


def offers_hostile_names(plane: HostilePlane, asked: object) -> None:
    if isinstance(asked, Fetch):
        for number, name in enumerate(NAMES):
            plane.tell(Offer(4 * number + 2, asked.request, name, 4, 1, 0o777, SAMPLE, overwrite=True))
            plane.tell(OfferFolder(4 * number + 4, asked.request, name, 0o777, 1))
        plane.tell(End(asked.request))


def offers_without_end(plane: HostilePlane, asked: object) -> None:
    """And sends nothing of it."""
    if isinstance(asked, Fetch):
        request = asked.request
        plane.tell(OfferFolder(2, request, "wanted", 0o700, 1))
        plane.for_ever(
            lambda number: plane.tell(Offer(2 * number + 4, request, f"wanted/{number}", 2**16, 1, 0o600, SAMPLE))
        )


def makes_folders_without_end(plane: HostilePlane, asked: object) -> None:
    if isinstance(asked, Fetch):
        request = asked.request
        plane.tell(OfferFolder(2, request, "wanted", 0o700, 1))
        plane.for_ever(
            lambda number: plane.tell(OfferFolder(2 * number + 4, request, f"wanted/{number:0200}", 0o700, 1))
        )


def offers_what_nobody_asked_for(plane: HostilePlane, asked: object) -> None:
    if isinstance(asked, Fetch):
        plane.tell(Offer(2, asked.request + 5, "evil", 4, 1, 0o777, SAMPLE))


def sends_beyond_the_end(plane: HostilePlane, asked: object) -> None:
    if isinstance(asked, Fetch):
        plane.tell(Offer(2, asked.request, "wanted", 1000, 1, 0o600, SAMPLE))
    elif isinstance(asked, Accept):
        plane.say(bytes(100), STREAM_FLAGS, 2, 2**40)


def leaves_holes(plane: HostilePlane, asked: object) -> None:
    if isinstance(asked, Fetch):
        plane.tell(OfferFolder(2, asked.request, "wanted", 0o700, 1))
        for number in range(16):
            plane.tell(Offer(2 * number + 4, asked.request, f"wanted/{number}", 2**20, 1, 0o600, SAMPLE))
    elif isinstance(asked, Accept) and asked.channel == 34:
        plane.for_ever(lambda at: plane.say(b"x", STREAM_FLAGS, 4 + at % 16 * 2, 2 * (at // 16) + 1))


def talks_garbage(plane: HostilePlane, _: object) -> None:
    plane.say_raw(b'{"type":"offer"}')


def acknowledges_the_unsent(plane: HostilePlane, asked: object) -> None:
    if isinstance(asked, Offer):
        plane.tell(Accept(asked.channel))
        plane.say(pack_acknowledgement(Acknowledgement(0, 0, 0, (), ((10**6, 10**6),))), ACKNOWLEDGEMENT_FLAGS)


def accepts_what_is_not_there(plane: HostilePlane, asked: object) -> None:
    if isinstance(asked, Offer):
        plane.tell(Accept(asked.channel, ((0, 2**62),)))


def never_reads(plane: HostilePlane, asked: object) -> None:
    """Accepts files, and takes nothing of them but a window full."""
    if isinstance(asked, Offer):
        plane.take_nothing(asked.channel)
        plane.tell(Accept(asked.channel))


@dataclass(frozen=True)
class Attack:
    """One kind of harm, and the command that meets it."""

    behave: Callable[[HostilePlane, Any], None]
    command: str
    ends: bool = True
    """Whether the client ends by itself."""
    lasts: float = LASTS
    """Seconds after which a client that is still busy is interrupted."""

    @property
    def name(self) -> str:
        return self.behave.__name__.replace("_", " ")


ATTACKS = (
    Attack(lists_without_end, "ls", ends=False),
    Attack(has_problems_without_end, "get", ends=False),
    Attack(offers_hostile_names, "get"),
    Attack(offers_without_end, "get", ends=False),
    Attack(makes_folders_without_end, "get", ends=False),
    Attack(offers_what_nobody_asked_for, "get"),
    Attack(sends_beyond_the_end, "get"),
    Attack(leaves_holes, "get"),
    Attack(talks_garbage, "ls"),
    Attack(talks_garbage, "get"),
    Attack(acknowledges_the_unsent, "put"),
    Attack(accepts_what_is_not_there, "put"),
    Attack(never_reads, "put", lasts=2 * LOOK * LOOKS),
)


# --- trying it -------------------------------------------------------------------------------------------------------


def watch(client: Client, output: list[str], lasts: float = LASTS) -> tuple[float, bool]:
    """The most MB that a client takes, and whether it ended by itself in its time."""
    peak, deadline = 0, time.monotonic() + lasts
    os.set_blocking(client.output.fileno(), False)
    while client.running and time.monotonic() < deadline:
        peak = max(peak, peak_memory(client.pid))
        drain(client, output)
        time.sleep(0.02)
    by_itself = not client.running
    drain(client, output)
    client.process.kill()
    client.process.wait()
    return peak / 1e6, by_itself


def drain(client: Client, output: list[str]) -> None:
    """Keep the last lines of what it says."""
    with contextlib.suppress(BlockingIOError):
        while text := os.read(client.output.fileno(), 65536):
            output[:] = [*output, *text.decode(errors="replace").splitlines()][-3:]


async def attack(reactor: Any, ends: Ends, service: ServerService, one: Attack) -> tuple[float, bool]:
    """Let one client meet it; the MB that it took, and whether all went as it has to."""

    def accept(client: server_side.Client) -> DataPlaneListener:
        return HostilePlane(reactor, client, one.behave)

    service.server.accept_data = accept
    target = ends.here / one.name.replace(" ", "-")
    target.mkdir(exist_ok=True)
    before = set(os.listdir(ends.here)) | set(os.listdir(ends.base))
    words = {
        "ls": ["ls", f"{ends.remote}:wanted"],
        "get": ["get", "-r", "--overwrite", f"{ends.remote}:wanted", str(target)],
        "put": ["put", str(ends.here / "big"), f"{ends.remote}:wanted"],
    }[one.command]
    output: list[str] = []
    megabytes, by_itself = await deferToThread(watch, ends.start(*words), output, one.lasts)
    outside = sorted((set(os.listdir(ends.here)) | set(os.listdir(ends.base))) - before)
    inside = sorted(set(os.listdir(target)) - {"wanted"})
    last = output[-1][:90] if output and by_itself else "interrupted"
    well = by_itself == one.ends and not outside and not [name for name in inside if not name.startswith(".bittrrt-")]
    print(
        f"{one.name:30s} {one.command}  {megabytes:6.1f} MB  {'' if well else f'WRONG {outside} {inside} '}{last}",
        flush=True,
    )
    await deferLater(reactor, 0.5)
    return megabytes, well


async def measure(reactor: Any, ends: Ends, chosen: list[str]) -> None:
    """A client that meets no harm, and then those that do."""
    home = Home(ends.base / "server")
    settings = Settings(
        home=home.path, port=ends.port, interface=ends.host, port_ranges="20000-29999", root=ends.there, heartbeat=500
    )
    service = ServerService(settings, load_or_create_identity(home)[0], home, reactor)
    service.startService()
    (ends.here / "big").write_bytes(bytes(50_000_000))
    idle, _ = await deferToThread(watch, ends.start("ls", f"{ends.remote}:"), [])
    print(f"{'no harm':30s} ls   {idle:6.1f} MB")
    results = [await attack(reactor, ends, service, one) for one in ATTACKS if not chosen or one.name in chosen]
    await service.stopService()
    print(f"goal: under {BOUND} MB beyond the first line")
    if max(megabytes for megabytes, _ in results) - idle > BOUND or not all(well for _, well in results):
        raise SystemExit(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attacks", default="", help="with commas; all of them otherwise")
    chosen = [name for name in parser.parse_args().attacks.split(",") if name]
    with two_ends() as ends:
        run(lambda reactor: measure(reactor, ends, chosen))


if __name__ == "__main__":
    main()
