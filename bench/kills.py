"""SIGKILL of either end at seeded moments of a transfer, by the real programs over loopback.

    python bench/kills.py [--kills 100] [--seed 1]

Each kill is of a put or a get, and of the client or the server. A killed server is started again, and its client left
to itself; a killed client is called again. At the end the file has to be whole, by its digest, with nothing beside it.
What the journal called safe when the kill came must not be sent again, and no more than the last second's may be.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random

from ends import Ended, Ends, digest_of, partial_in, two_ends

from bittrrt.files.disk import DISK
from bittrrt.files.journal import Journal
from bittrrt.files.partial import partial_names
from bittrrt.files.version import read_version

SIZE = 32_000_000  # bytes
LIMIT = 100  # Mbit/s
RATE = LIMIT * 1e6 / 8  # bytes a second
LATEST = SIZE / RATE * 0.98  # seconds after the first byte; some kills come while the file gets its name
AT_MOST = 2.0  # seconds of what had arrived may come again: one to a checkpoint, a tick, and what a sync takes


@dataclass(frozen=True)
class Kill:
    """One of them."""

    number: int
    command: str
    victim: str
    moment: float
    """Seconds after the partial file appeared."""

    def __str__(self) -> str:
        return f"{self.number:3d} {self.command} {self.victim} after {self.moment:.2f} s"


@dataclass(frozen=True)
class Outcome:
    """What came of it; bytes."""

    written: int
    """By the receiver, before the kill."""
    safe: int
    """As the journal said after it."""
    already: int
    """That were there, as the next session found."""
    faults: list[str]

    @property
    def again(self) -> int:
        return max(0, min(self.written, SIZE) - self.already)


def written_by(pid: int) -> int:
    """Bytes that a process has written to files: nearly all of it, of the one that it receives."""
    line = next(line for line in Path(f"/proc/{pid}/io").read_text().splitlines() if line.startswith("wchar:"))
    return int(line.split()[1])


def safe_in(folder: Path, source: Path) -> int:
    """How many bytes of the partial file the journal calls safe."""
    leaf = source.name.encode()
    part, journal_name = partial_names(leaf)
    descriptor, at = os.open(source, os.O_RDONLY), os.open(folder, os.O_RDONLY)
    try:
        inode = os.stat(part, dir_fd=at).st_ino
        version = read_version(descriptor)
        journal = Journal(at, journal_name, version.identity(leaf), inode, DISK)
        spans = journal.read(version.size)
        journal.close()
        return spans.count() if spans is not None else 0
    except FileNotFoundError:
        return 0
    finally:
        os.close(descriptor)
        os.close(at)


def transfer(ends: Ends, kill: Kill, wait: float) -> Outcome:
    """One transfer with one kill; a killed server is started again `wait` seconds later."""
    put = kill.command == "put"
    source = (ends.here if put else ends.there) / f"file{kill.number}"
    folder = ends.there if put else ends.here
    source.write_bytes(Random(kill.number).randbytes(SIZE))
    arguments = [str(source), f"{ends.remote}:"] if put else [f"{ends.remote}:{source.name}", str(ends.here)]
    command = [kill.command, "--json", "--limit", f"{LIMIT}M", *arguments]

    assert ends.server is not None
    before = written_by(ends.server.pid) if put else 0
    client = ends.start(*command)
    ends.until(lambda: partial_in(folder) is not None or not client.running)
    time.sleep(kill.moment)
    written = written_by(ends.server.pid if put else client.pid) - before if client.running else SIZE
    if kill.victim == "client":
        client.kill()
        safe = safe_in(folder, source)
        ended = ends.start(*command).end()
    else:
        ends.kill_server()
        safe = safe_in(folder, source)
        time.sleep(wait)
        ends.serve()
        ended = client.end()
    arrived = folder / source.name
    return Outcome(written, safe, already_in(ended), faults_of(ended, source, arrived, safe))


def already_in(ended: Ended) -> int:
    """Bytes that the last session found at the receiver."""
    if ended.last("skipped"):
        return SIZE
    return int(ended.last("begun", "resumed").get("already", 0))


def faults_of(ended: Ended, source: Path, arrived: Path, safe: int) -> list[str]:
    """What must not be; the files are taken away."""
    faults = []
    if ended.status or ended.last("summary").get("failed", 1):
        faults.append(f"exit status {ended.status}, {ended.lines}")
    if digest_of(arrived) != digest_of(source):
        faults.append("not whole")
    if left := sorted(set(os.listdir(arrived.parent)) - {arrived.name}):
        faults.append(f"left behind: {left}")
    if already_in(ended) < safe:
        faults.append(f"{safe - already_in(ended)} bytes that were safe came again")
    source.unlink()
    arrived.unlink(missing_ok=True)
    return faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    random = Random(arguments.seed)
    seconds, bad = [], 0
    with two_ends() as ends:
        ends.serve()
        for number in range(1, arguments.kills + 1):
            kill = Kill(
                number, random.choice(["put", "get"]), random.choice(["client", "server"]), random.uniform(0, LATEST)
            )
            outcome = transfer(ends, kill, wait=random.uniform(0, 1))
            if outcome.again > AT_MOST * RATE:
                outcome.faults.append(f"more than the last {AT_MOST} s came again")
            bad += bool(outcome.faults)
            seconds.append(outcome.again / RATE)
            print(
                f"{kill!s}: {outcome.written / 1e6:5.1f} MB written, {outcome.safe / 1e6:5.1f} safe, "
                f"{outcome.again / 1e6:4.1f} sent again, {'; '.join(outcome.faults) or 'whole'}",
                flush=True,
            )
    print(
        f"{arguments.kills} kills, seed {arguments.seed}: {arguments.kills - bad} well; what was sent again had come "
        f"in the last {statistics.median(seconds):.2f} s (median), {max(seconds):.2f} s (most)"
    )
    if bad:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
