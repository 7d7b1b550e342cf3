"""A client that is let in and means harm, with the real server: what it costs, and how it ends.

    python bench/hostile_client.py [--attacks holes,folders]

The server is a process of its own. Each attack has a session of its own, by a real client's link that says what no
honest data plane would. A line tells how the session ended, and how much memory the server took at most beyond what it
had before. Then an honest client has to get a file, and nothing may be outside of the server's folder.
"""

from __future__ import annotations

import argparse
import itertools
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

from ends import Ends, Nowhere, digest_of, peak_memory, two_ends
from rig import Watcher, run
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from bittrrt.errors import LinkError
from bittrrt.files.known_servers import KnownServer
from bittrrt.net.client_connection import ClientConnection
from bittrrt.net.data_plane import DataPlane
from bittrrt.net.neglect import LOOK, LOOKS
from bittrrt.net.session_opener import SessionOpener
from bittrrt.settings import Settings
from bittrrt.wire.acknowledgement import Acknowledgement, pack_acknowledgement
from bittrrt.wire.datagram import ACKNOWLEDGEMENT_FLAGS, MESSAGE_FLAGS, STREAM_FLAGS, URGENT, PortType
from bittrrt.wire.transfer_messages import (
    Accept,
    Fetch,
    List,
    Offer,
    OfferFolder,
    Refuse,
    TransferMessage,
    encode_transfer_message,
    parse_transfer_message_untrusted,
)

BOUND = 100  # MB that one hostile session may cost
MANY = 20_000
BURST = 50  # datagrams between two breaths, so that the server's socket takes them all
SAMPLE = b"x" * 16
NAMES = (
    "../out", "/tmp/bittrrt-out", "a/../../out", "link/out", "nul\0", "x" * 256, "y/" * 2000 + "y", "CON", "aux.txt",
    "a\u2215b", "a\uff0fb", "..\\out", ".bittrrt-0.part", "a//b", "", ".", "end.", "up\u202egpj", "n\nl", "pipe",
    "tree",
)  # fmt: skip


class Attacker:
    """One session of a client that says what it wants."""

    def __init__(self, reactor: Any, connection: ClientConnection, watcher: Watcher) -> None:
        self.reactor = reactor
        self.connection = connection
        self.watcher = watcher
        self.heard: list[TransferMessage] = []
        self.heard_count = 0
        self.plane: DataPlane = connection.open_data_plane(self)
        self.channels = itertools.count(1, 2)

    @property
    def over(self) -> bool:
        """Whether the server has ended the session."""
        return bool(self.watcher.ended)

    def ask(self, message: TransferMessage) -> None:
        """Say something about files, as an honest client would."""
        if not self.over:
            self.plane.send_control(encode_transfer_message(message))

    def offer(self, name: str, size: int = 2**20) -> int:
        """Offer a file; its channel."""
        channel = next(self.channels)
        self.ask(Offer(channel, 1, name, size, 1, 0o600, SAMPLE))
        return channel

    def say(self, payload: bytes, flags: int, channel: int = 0, offset: int = 0) -> None:
        """One datagram of any kind, past the data plane."""
        if self.connection.link is not None and not self.over:
            handler = self.connection.handlers[PortType.UP]
            handler.transmit(self.connection.link.seal(payload, flags, channel, offset))

    async def sleep(self, seconds: float) -> None:
        await deferLater(self.reactor, seconds)

    async def until_over(self) -> None:
        """Wait until the server has had enough."""
        for _ in range(2 * round(LOOK * LOOKS)):
            if self.over:
                return
            await self.sleep(1)
        raise AssertionError("the server did not end it")

    async def accept_large_files(self) -> list[int]:
        """Fetch them, and read no more than a window of each; the channels that they come by."""
        self.ask(Fetch(1, "large", recursive=True))
        await self.sleep(1)
        offered = [message.channel for message in self.heard if isinstance(message, Offer)]
        for channel in offered:
            self.plane.open_receiving(channel, Nowhere(), None, paced=True)
            self.ask(Accept(channel))
        return offered

    async def repeat(self, count: int, act: Callable[[int], object]) -> None:
        """Do something many times, unless the server ends it."""
        for number in range(count):
            if self.over:
                return
            act(number)
            if number % BURST == 0:
                await self.sleep(0.001)

    # --- DataPlaneListener ---

    def control_received(self, message: bytes) -> None:
        self.heard_count += 1
        if len(self.heard) < MANY:
            self.heard.append(parse_transfer_message_untrusted(message))

    def message_received(self, channel: int, data: bytes) -> None: ...

    def stream_received(self, channel: int) -> None: ...

    def stream_failed(self, channel: int, error: Exception) -> None: ...

    def data_plane_failed(self, why: LinkError) -> None: ...

    def data_plane_closed(self) -> None: ...


# --- what it does ----------------------------------------------------------------------------------------------------


async def acknowledges_the_unsent(attacker: Attacker) -> None:
    attacker.ask(Fetch(1, "large", recursive=True))
    await attacker.sleep(0.5)
    lie = Acknowledgement(0, 0, 0, (), ((10**6, 10**6 + 1000),))
    attacker.say(pack_acknowledgement(lie), ACKNOWLEDGEMENT_FLAGS)


async def claims_huge_credit(attacker: Attacker) -> None:
    """And accepts everything, and acknowledges nothing of it but the first moment's."""
    offered = await attacker.accept_large_files()
    await attacker.sleep(0.2)
    credit = tuple((channel, 2**64 - 1) for channel in sorted({0, *offered[:8]}))
    attacker.connection.close_data_plane()
    lie = pack_acknowledgement(Acknowledgement(0, 2**64 - 1, 0, credit, ()))
    await attacker.repeat(200, lambda _: attacker.say(lie, ACKNOWLEDGEMENT_FLAGS))
    await attacker.sleep(5)


async def sends_beyond_the_end(attacker: Attacker) -> None:
    channel = attacker.offer("beyond", 1000)
    await attacker.sleep(0.5)
    attacker.say(bytes(100), STREAM_FLAGS, channel, 2**40)


async def thousands_of_channels(attacker: Attacker) -> None:
    def both(number: int) -> None:
        attacker.say(b"x", STREAM_FLAGS, 2 * number + 1)
        attacker.say(b"x", MESSAGE_FLAGS, 2 * number + 1)

    await attacker.repeat(5 * MANY, both)


async def never_reads(attacker: Attacker) -> None:
    """Asks for all that there is, many times over, and acknowledges nothing."""
    for number in range(60):
        attacker.ask(List(number, "names") if number % 2 else Fetch(number, "", recursive=True))
    await attacker.sleep(0.3)
    attacker.connection.close_data_plane()
    await attacker.until_over()


async def takes_no_more(attacker: Attacker) -> None:
    """Fetches files, acknowledges what comes, and never lets them go on."""
    await attacker.accept_large_files()
    await attacker.until_over()


async def never_answers(attacker: Attacker) -> None:
    """Acknowledges all offers, and says nothing of them."""
    for number in range(60):
        attacker.ask(Fetch(number, "", recursive=True, checksum=True))
    await attacker.sleep(8)


async def talks_garbage(attacker: Attacker) -> None:
    await attacker.sleep(0.1)
    attacker.plane.send_control(b'{"type":"offer","channel":1}')


async def breaks_the_control_stream(attacker: Attacker) -> None:
    """Every byte of it in a datagram of its own, but for the first."""
    await attacker.repeat(250_000, lambda number: attacker.say(b"1", STREAM_FLAGS | URGENT, 0, 4096 + number))


async def asks_and_asks(attacker: Attacker) -> None:
    def ask(number: int) -> None:
        if attacker.plane.control_backlog < 2**20:
            attacker.ask(Fetch(number, "nope"))

    await attacker.repeat(MANY, ask)
    await attacker.sleep(3)


async def offers_and_offers(attacker: Attacker) -> None:
    await attacker.repeat(MANY, lambda number: attacker.offer(f"offered/{number}"))
    await attacker.sleep(3)


async def makes_folders(attacker: Attacker) -> None:
    """Of long names, each in another transfer than the one before."""

    def make(number: int) -> None:
        name = f"folders/{number:0200}"
        if attacker.plane.control_backlog < 2**20:
            attacker.ask(OfferFolder(next(attacker.channels), number % 64, name, 0o700, 1))

    attacker.ask(OfferFolder(next(attacker.channels), 0, "folders", 0o700, 1))
    await attacker.repeat(MANY, make)
    await attacker.sleep(5)


async def leaves_holes(attacker: Attacker) -> None:
    """Sends every second byte of many files."""
    channels = [attacker.offer(f"holes{number}") for number in range(32)]
    await attacker.sleep(2)
    await attacker.repeat(
        8 * MANY, lambda number: attacker.say(b"x", STREAM_FLAGS, channels[number % 32], 2 * (number // 32) + 1)
    )


async def names(attacker: Attacker) -> None:
    for number, name in enumerate(NAMES):
        attacker.offer(name, 1)
        attacker.ask(OfferFolder(next(attacker.channels), 1, name, 0o700, 1))
        attacker.ask(Fetch(2 * number + 1, name, recursive=True))
        attacker.ask(List(2 * number + 2, name))
    attacker.offer("huge", 2**63 - 1)
    await attacker.sleep(2)
    taken = [message for message in attacker.heard if isinstance(message, Accept)]
    refused = [message for message in attacker.heard if isinstance(message, Refuse)]
    print(f"{'':28s}{len(refused)} names refused, {len(taken)} taken")


ATTACKS: dict[str, Callable[[Attacker], Awaitable[None]]] = {
    attack.__name__.replace("_", " "): attack
    for attack in (
        acknowledges_the_unsent, claims_huge_credit, sends_beyond_the_end, thousands_of_channels, never_reads,
        takes_no_more, never_answers, talks_garbage, breaks_the_control_stream, asks_and_asks, offers_and_offers,
        makes_folders, leaves_holes, names,
    )
}  # fmt: skip


# --- trying it -------------------------------------------------------------------------------------------------------


def fill(folder: Path, small: int) -> None:
    """What the server shares: large files, many names, a link and a pipe."""
    for number in range(8):
        path = folder / "large" / f"{number}"
        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as file:
            file.truncate(100_000_000)
    (folder / "names").mkdir()
    for number in range(small):
        (folder / "names" / f"{number:0100}").touch()
    (folder / "tree" / "in").mkdir(parents=True)
    (folder / "offered").mkdir()
    (folder / "link").symlink_to("/tmp")
    os.mkfifo(folder / "pipe")


async def attack(reactor: Any, ends: Ends, pid: int, name: str) -> float:
    """One attack; the MB that it cost the server."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins anew
    before = peak_memory(pid)
    watcher = Watcher()
    server = KnownServer(ends.host, ends.port, ends.server_fingerprint, 0)
    connection = await SessionOpener(reactor, Settings(), ends.client_identity, server).open(watcher)
    attacker = Attacker(reactor, connection, watcher)
    began = reactor.seconds()
    await ATTACKS[name](attacker)
    await deferLater(reactor, 1)
    took = reactor.seconds() - began
    cost = (peak_memory(pid) - before) / 1e6
    outcome = watcher.ended[0] if watcher.ended else "went on"
    print(f"{name:28s}{cost:6.1f} MB  {took:5.1f} s  {attacker.heard_count:6d} messages heard  {outcome}", flush=True)
    await connection.close()
    await deferLater(reactor, 0.5)
    return cost


async def measure(reactor: Any, ends: Ends, pid: int, chosen: list[str]) -> None:
    """All of them; then an honest client, who has to find everything in order."""
    outside = set(os.listdir(ends.base)) | {Path("/tmp/bittrrt-out").exists()}
    costs = [await attack(reactor, ends, pid, name) for name in chosen]
    source = ends.here / "honest"
    source.write_bytes(Random(1).randbytes(1_000_000))
    ended = await deferToThread(ends.start("put", "--json", str(source), f"{ends.remote}:").end)
    honest = digest_of(ends.there / "honest") == digest_of(source) and not ended.status
    print(f"an honest client after that: {'well' if honest else ended.lines}")
    clean = outside == set(os.listdir(ends.base)) | {Path("/tmp/bittrrt-out").exists()}
    print(f"outside of the server's folder: {'nothing' if clean else sorted(map(str, os.listdir(ends.base)))}")
    print(f"goal: under {BOUND} MB each")
    if max(costs) > BOUND or not honest or not clean:
        raise SystemExit(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attacks", default=",".join(ATTACKS), help="with commas")
    parser.add_argument("--names", type=int, default=MANY, help="files in the folder of many")
    arguments = parser.parse_args()
    chosen = arguments.attacks.split(",")
    with two_ends() as ends:
        fill(ends.there, arguments.names)
        pid = ends.serve()
        run(lambda reactor: measure(reactor, ends, pid, chosen))


if __name__ == "__main__":
    main()
