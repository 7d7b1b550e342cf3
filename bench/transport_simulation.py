"""What the transport core reaches on simulated paths: the profiles of the goals, and its share beside others.

    python -m bench.transport_simulation [SEEDS]

Simulated time, so the machine does not matter; the same core over a real link is measured by `bench/throughput.py`.
"""

from __future__ import annotations

import sys

from tests.link.profiles import Profile, TcpBbr, TcpCubic, fairness_of_two, share_beside_tcp, transfer

TRANSFERS = (  # profile, megabytes, seconds of set-up, goal in Mbit/s
    (Profile(100, 100, loss_percent=1), 128, 0.0, 85),
    (Profile(100, 100, loss_percent=1), 32, 0.4, 60),
    (Profile(100, 100, loss_percent=5), 128, 0.0, 70),
    (Profile(20, 600, loss_percent=2), 32, 3.0, 11),
    (Profile(50, 20, loss_percent=5, jitter_ms=10, reordering_percent=2), 32, 0.1, 40),
    (Profile(1000, 10), 128, 0.0, 850),
    (Profile(100, 20), 128, 0.0, 90),
    (Profile(100, 40, queue=0.1), 64, 0.0, 85),
    (Profile(100, 40, loss_percent=20), 32, 0.0, 50),
    (Profile(10, 40), 8, 0.0, 8),
)
SHARED = (Profile(40, 40), Profile(20, 100), Profile(50, 20))


def main() -> None:
    seeds = range(1, 1 + int(sys.argv[1]) if len(sys.argv) > 1 else 3)
    print("Mbit/s  round trip  loss  queue    MB   reached (goal)   sent x (1 - loss)   heartbeat p99")
    for profile, megabytes, setup, goal in TRANSFERS:
        for seed in seeds:
            reached = transfer(profile, megabytes, setup=setup, seed=seed)
            clean = reached.sent_per_delivered * (1 - profile.loss_percent / 100)
            p99 = reached.heartbeat_p99 * 1e3
            print(
                f"{profile.megabits:6} {profile.round_trip_ms:8} ms {profile.loss_percent:4} % {profile.queue:6}"
                f" {megabytes:5} {reached.megabits:8.1f} ({goal:3}) {clean:19.3f} {p99:12.1f} ms"
            )
    print("\nMbit/s  round trip   share beside CUBIC   beside BBR   Jain's index of two, 10 s apart")
    for profile in SHARED:
        for seed in seeds:
            cubic, bbr = share_beside_tcp(profile, TcpCubic, seed=seed), share_beside_tcp(profile, TcpBbr, seed=seed)
            index = fairness_of_two(profile, seed=seed)
            print(f"{profile.megabits:6} {profile.round_trip_ms:8} ms {cubic:20.2f} {bbr:12.2f} {index:20.3f}")


if __name__ == "__main__":
    main()
