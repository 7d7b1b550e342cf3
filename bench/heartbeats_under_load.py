"""How long heartbeats take while a transfer fills the path, beside how long they take when nothing else goes.

    python bench/heartbeats_under_load.py --from "ip netns exec left" --to "ip netns exec right" --host 10.77.0.2

Whole programs over the path between two test hosts (see peers.md): `bittrrt ping` alone, and again, in a session of its
own, while `bittrrt put` fills the path. The first seconds of the transfer count too, when it finds out what the path
carries.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

from throughput import Bench, Joined, add_ends, environment, joined_server

INTERVAL = 50  # milliseconds from one heartbeat to the next


def ping(bench: Bench, joined: Joined, count: int) -> tuple[float, float, float]:
    """Milliseconds: the median and the 99th percentile of all three ports together, and the share that was lost."""
    words = ["--json", "--no-history", "--interval", str(INTERVAL), "--count", str(count), joined.address]
    told = subprocess.run(
        bench.sender + joined.command("ping", *words), capture_output=True, text=True, env=environment(), check=False
    ).stdout
    times: list[float] = []
    lost = 0
    for line in told.splitlines():
        for port in json.loads(line).get("ports", {}).values():
            if "round_trip_ms" in port:
                times += [port["round_trip_ms"]] if port["round_trip_ms"] is not None else []
                lost += port["round_trip_ms"] is None
    times.sort()
    return times[len(times) // 2], times[len(times) * 99 // 100], lost / (lost + len(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300, help="heartbeats, each way of measuring")
    parser.add_argument("--megabytes", type=int, default=400, help="more than the path carries in that time")
    parser.set_defaults(mtu=None)
    add_ends(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(arguments, Path(directory))
        with joined_server(bench) as joined:
            idle, _, _ = ping(bench, joined, arguments.count // 3)
            transfer = subprocess.Popen(
                bench.sender + joined.put("arrivals", "--quiet"), env=environment(), stderr=subprocess.DEVNULL
            )
            median, slow, lost = ping(bench, joined, arguments.count)
            filled = transfer.poll() is None
            transfer.terminate()
            transfer.wait()
    if not filled:
        raise SystemExit("the transfer ended before the heartbeats: say more --megabytes")
    print(
        f"idle median {idle:.2f} ms; under load median {median:.2f} ms, p99 {slow:.2f} ms"
        f" (goal: under {2 * idle + 5:.2f}), {lost:.1%} lost"
    )


if __name__ == "__main__":
    main()
