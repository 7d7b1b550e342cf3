"""What a minute of history of many sessions costs: time, disk, and what a reactor beside it has to wait.

    python bench/history_writing.py [--sessions 1000]

A loop of short turns, each a system call and a little work, stands for the reactor: alone, and while the writer's
thread makes the rows of one minute and writes them. A turn that waits for the interpreter shows as a long one.
"""

from __future__ import annotations

import argparse
import random
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bittrrt.app.history_minute import Minute
from bittrrt.app.history_writer import HistoryWriter
from bittrrt.files.history import FILE_NAME, Batch, History, Peer
from bittrrt.files.home import Home
from bittrrt.link.clock_offset import Offset
from bittrrt.wire.datagram import PortType

BEATS = 12  # heartbeats of a port in a minute, with the default of 5 s
BEGIN = 1_700_000_040_000  # ms since 1970
TURN = 0.0005  # seconds between two turns
ALONE = 1.0  # seconds
MINUTES = 30  # for the size of a row
GOAL = "goal: no turn is longer than 5 ms, which is as long as one thread may keep the interpreter from another"


def full_minute(sessions: int, number: int, chance: random.Random) -> Minute:
    """A minute in which every port of every session had its heartbeats."""
    minute = Minute(BEGIN + 60_000 * number, sessions)
    for index in range(sessions):
        session = minute.add_session(Peer("client", f"client{index}", f"SHA256:{index:043}"), f"{index:032x}")
        assert session is not None
        for port_type in PortType:
            port = session.port(port_type)
            port.answered, port.offset = BEATS, Offset(1.25, 11.0)
            for _ in range(BEATS):
                port.round_trips.add(0.02 + chance.expovariate(200))
    return minute


def turns(until: Callable[[], bool]) -> list[float]:
    """How long each turn took, in seconds, ascending."""
    here, there = socket.socketpair()
    took = []
    with here, there:
        while not until():
            began = time.perf_counter()
            here.send(b"x")
            there.recv(1)
            sum(range(200))
            took.append(time.perf_counter() - began)
            time.sleep(TURN)
    return sorted(took)


def show(name: str, took: list[float]) -> None:
    """One row."""
    p99 = took[int(0.99 * len(took))]
    print(f"{name:12} {len(took):6} turns  median {took[len(took) // 2] * 1e3:6.3f} ms  p99 {p99 * 1e3:6.3f} ms"
          f"  max {took[-1] * 1e3:6.3f} ms")  # fmt: skip


def size_of_a_row(home: Home, sessions: int, chance: random.Random) -> float:
    """Bytes of the file for each row, after so many minutes."""
    history = History.open(home)
    for number in range(MINUTES):
        history.write(full_minute(sessions, number, chance).batch(lambda: None))
    history.close()
    return (home.path / FILE_NAME).stat().st_size / (MINUTES * sessions * len(PortType))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=1000)
    sessions = parser.parse_args().sessions
    chance, written = random.Random(1), threading.Event()
    with tempfile.TemporaryDirectory() as directory:
        end = time.monotonic() + ALONE
        show("alone", turns(lambda: time.monotonic() > end))
        writer = HistoryWriter(Home(Path(directory) / "home"), time.time, print)
        writer.start()
        minute = full_minute(sessions, 0, chance)

        def last(_: object) -> Batch:
            written.set()
            return Batch([], [], [])

        began = time.monotonic()
        writer.put(minute.rows, minute.batch)
        writer.put(0, last)
        show("with history", turns(written.is_set))
        took = time.monotonic() - began
        writer.close()
        row = size_of_a_row(Home(Path(directory) / "sizes"), min(sessions, 100), chance)
    day = row * len(PortType) * 1440
    print(f"{minute.rows} rows in {took:.2f} s; {row:.0f} bytes a row, {day / 1000:.0f} KB a session and day")
    print(GOAL)


if __name__ == "__main__":
    main()
