"""What either end takes in memory while many small files, and one large one, go there and back.

    python bench/memory.py [--files 10000] [--gigabytes 4]

The real programs over loopback. The server's figure is the most that it took beyond what it had when it was idle; the
client's the most that it took beyond a client that has nothing to do.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import threading
import time
from pathlib import Path

from ends import Client, Ended, Ends, digest_of, peak_memory, two_ends

BOUND = 100  # MB


def most_of(client: Client) -> tuple[float, Ended]:
    """The MB that a client takes at most, until it ends, and what is left of it."""
    ended: list[Ended] = []
    reading = threading.Thread(target=lambda: ended.append(client.end()))  # or it would wait for its output to be read
    reading.start()
    most = 0
    while reading.is_alive():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            most = max(most, peak_memory(client.pid))
        reading.join(0.01)
    return most / 1e6, ended[0]


def transfer(ends: Ends, pid: int, idle: float, what: str, *arguments: str) -> float:
    """One call, and a line about it; the MB that it cost at the end where it cost more."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins anew
    before = peak_memory(pid)
    began = time.monotonic()
    most, ended = most_of(ends.start(*arguments, "--json"))
    mine = most - idle
    theirs = (peak_memory(pid) - before) / 1e6
    summary = ended.last("summary")
    if ended.status:
        raise SystemExit(f"{what}: {ended.lines}")
    took = time.monotonic() - began
    print(
        f"{what:24s}{summary['files']:6d} files {took:6.1f} s   client {mine:5.1f} MB   server {theirs:5.1f} MB",
        flush=True,
    )
    return max(mine, theirs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--gigabytes", type=float, default=4)
    arguments = parser.parse_args()
    with two_ends() as ends:
        tree = ends.here / "tree"
        tree.mkdir()
        for number in range(arguments.files):
            (tree / f"{number:06}").write_bytes(number.to_bytes(4, "big") * 1024)
        with (ends.here / "large").open("wb") as large:
            large.truncate(int(arguments.gigabytes * 1e9))
        pid = ends.serve()
        idle, _ = most_of(ends.start("ls", f"{ends.remote}:"))
        small = f"{arguments.files} files of 4 KB"
        size = f"one file of {arguments.gigabytes:g} GB"
        costs = [transfer(ends, pid, idle, f"put {small}", "put", "-r", str(tree), f"{ends.remote}:")]
        shutil.rmtree(tree)
        costs.append(transfer(ends, pid, idle, f"get {small}", "get", "-r", f"{ends.remote}:tree", str(ends.here)))
        if digest_of(tree / "000007") != digest_of(ends.there / "tree" / "000007"):
            raise SystemExit("what came back is not what was sent")
        shutil.rmtree(tree)
        costs.append(transfer(ends, pid, idle, f"put {size}", "put", str(ends.here / "large"), f"{ends.remote}:"))
        (ends.here / "large").unlink()
        costs.append(transfer(ends, pid, idle, f"get {size}", "get", f"{ends.remote}:large", str(ends.here)))
    print(f"goal: under {BOUND} MB beyond idle, at either end")
    if max(costs) > BOUND:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
