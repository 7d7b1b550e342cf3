"""What share of a path a transfer takes beside a TCP flow, and beside another one of its own.

    python bench/fairness.py --from "ip netns exec left" --to "ip netns exec right" --host 10.77.0.2 [--seconds 40]

Whole programs over the path between two test hosts (see peers.md): `bittrrt put` beside one `iperf3` flow for each TCP
congestion control named, which begins as soon as the other's bytes move (`--first` says which of the two that is), and
beside a second `put` that starts a quarter of the time later. Bytes of payload are counted in the second half of the
time that both share. A share of 50 % is half of what both carried; Jain's index is 1 when two take the same, and 0.5
when one takes all.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import tempfile
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from throughput import Bench, add_ends, environment, joined_server

INTERVAL = 1.0  # seconds between two reports of a flow


class Flow:
    """A program that sends, and what it says of its bytes, a line each now and then."""

    def __init__(self, process: subprocess.Popen[str], read: Callable[[str], int | None]) -> None:
        """`read`: the bytes ever sent that a line tells of, None for another line."""
        self.process = process
        self._read = read
        self._times: list[float] = []
        self._bytes: list[int] = []
        assert process.stdout is not None
        self._thread = threading.Thread(target=self._follow, args=(process.stdout,), daemon=True)
        self._thread.start()

    def _follow(self, lines: IO[str]) -> None:
        for line in lines:
            count = self._read(line)
            if count is not None:
                self._bytes.append(count)
                self._times.append(time.monotonic())

    @property
    def started(self) -> bool:
        """Whether bytes have moved."""
        return bool(self._bytes and self._bytes[-1])

    def between(self, begin: float, end: float) -> float:
        """Bytes from one time to another, monotonic seconds."""
        return self._at(end) - self._at(begin)

    def _at(self, moment: float) -> float:
        """Bytes at a moment between two reports."""
        times, counts = self._times, self._bytes
        after = min(max(bisect_right(times, moment), 1), len(times) - 1)
        if after < 1:
            raise SystemExit(f"{self.process.args!r} said too little")
        begin, end = times[after - 1], times[after]
        return counts[after - 1] + (counts[after] - counts[after - 1]) * (moment - begin) / (end - begin)


@contextlib.contextmanager
def flowing(bench: Bench, command: list[str], read: Callable[[str], int | None]) -> Iterator[Flow]:
    """A flow of the sending end, once its bytes move."""
    process = subprocess.Popen(
        bench.sender + command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment()
    )
    flow = Flow(process, read)
    try:
        bench.until(lambda: flow.started)
        yield flow
    finally:
        process.terminate()
        process.wait()


def bytes_of_put(line: str) -> int | None:
    """What a line of `put --json` says."""
    event: dict[str, Any] = json.loads(line)
    return int(event["bytes"]) if event["event"] == "progress" else None


class BytesOfTcp:
    """What the lines of `iperf3 --forceflush` say, an interval each; `-f k` has them in kilobits."""

    def __init__(self) -> None:
        self.total = 0.0

    def __call__(self, line: str) -> int | None:
        """The bytes so far."""
        words = line.split()
        if "sec" not in words or "Kbits/sec" not in words or words[-1] in {"sender", "receiver"}:
            return None
        begin, end = map(float, words[words.index("sec") - 1].split("-"))
        self.total += float(words[words.index("Kbits/sec") - 1]) * 125 * (end - begin)
        return int(self.total)


def second_half(flows: tuple[Flow, Flow], seconds: float) -> tuple[float, float]:
    """Let both run for so long; the bytes of each in the second half."""
    began = time.monotonic()
    time.sleep(seconds + 2 * INTERVAL)  # the last report is after the end
    one, two = (flow.between(began + seconds / 2, began + seconds) for flow in flows)
    return one, two


def beside_tcp(bench: Bench, put: list[str], congestion: str, first: str, seconds: float) -> tuple[float, float]:
    """Bytes of a `put`, and of a TCP flow; the `first` of the two begins, "put" or "tcp"."""
    length = str(int(seconds + 10))
    tcp = ["iperf3", "-c", bench.host, "-C", congestion, "-t", length, "-i", str(INTERVAL), "-f", "k", "--forceflush"]
    with bench.serving(["iperf3", "-s", "-1"]):
        if first == "put":
            with flowing(bench, put, bytes_of_put) as own, flowing(bench, tcp, BytesOfTcp()) as other:
                return second_half((own, other), seconds)
        time.sleep(INTERVAL)  # until the server listens
        with flowing(bench, tcp, BytesOfTcp()) as other, flowing(bench, put, bytes_of_put) as own:
            return second_half((own, other), seconds)


def beside_own(bench: Bench, puts: tuple[list[str], list[str]], seconds: float) -> tuple[float, float]:
    """Bytes of two `put`s, the second of which begins a quarter of the time later."""
    with flowing(bench, puts[0], bytes_of_put) as first:
        time.sleep(seconds / 4)
        with flowing(bench, puts[1], bytes_of_put) as second:
            return second_half((first, second), seconds * 3 / 4)


def measure(bench: Bench, put: Callable[..., list[str]], name: str, first: str, run: int, seconds: float) -> float:
    """Print and return the share beside the TCP congestion control `name`, or Jain's index of two of our own."""
    puts = put(f"run-{run}-first", "--json"), put(f"run-{run}-second", "--json")
    if name == "own":
        one, two = beside_own(bench, puts, seconds)
        figure, what = (one + two) ** 2 / (2 * (one * one + two * two)), "Jain's index"
    else:
        one, two = beside_tcp(bench, puts[0], name, first, seconds)
        figure, what = one / (one + two), "share"
    print(
        f"beside {name:6s} {one / 1e6:7.1f} and {two / 1e6:7.1f} MB in the second half   {what} {figure:.3f}",
        flush=True,
    )
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--beside", default="cubic,bbr,own", help="TCP congestion controls of iperf3 -C, or own")
    parser.add_argument("--first", choices=("put", "tcp"), default="put", help="which begins, beside TCP")
    parser.add_argument("--megabytes", type=int, default=600, help="more than the path carries in that time")
    parser.add_argument("--runs", type=int, default=1)
    parser.set_defaults(mtu=None)
    add_ends(parser)
    arguments = parser.parse_args()
    for name in arguments.beside.split(","):
        with tempfile.TemporaryDirectory() as directory:
            bench = Bench(arguments, Path(directory))
            with joined_server(bench) as joined:
                figures = [
                    measure(bench, joined.put, name, arguments.first, run, arguments.seconds)
                    for run in range(arguments.runs)
                ]
        if len(figures) > 1:
            print(f"beside {name:6s} median {statistics.median(figures):.3f}", flush=True)


if __name__ == "__main__":
    main()
