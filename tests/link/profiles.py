"""Transfers over simulated paths of one profile each, and what they reached."""

from __future__ import annotations

from dataclasses import dataclass

from tests.link.competitors import TcpBbr, TcpCubic, TcpFlow
from tests.link.ends import End
from tests.network import Network, Path, PathSettings

ENDLESS = 10**12  # bytes


@dataclass(frozen=True)
class Profile:
    """A path, by what people say of it. `queue` is in bandwidth-delay products."""

    megabits: float
    round_trip_ms: float
    loss_percent: float = 0.0
    queue: float = 1.0
    jitter_ms: float = 0.0
    reordering_percent: float = 0.0

    @property
    def product(self) -> float:
        """Bytes that the path itself holds."""
        return self.megabits * 1e6 / 8 * self.round_trip_ms / 1000

    def paths(self, network: Network) -> tuple[Path, Path]:
        """There and back: both are the same, as in the lab."""
        settings = PathSettings(
            rate=self.megabits * 1e6,
            delay=self.round_trip_ms / 2000,
            queue=int(self.product * self.queue),
            loss=self.loss_percent / 100,
            jitter=self.jitter_ms / 1000,
            reordering=self.reordering_percent / 100,
        )
        return Path(network, settings), Path(network, settings)


@dataclass(frozen=True)
class Reached:
    """What one transfer reached."""

    megabits: float
    """Of payload, a second."""
    sent_per_delivered: float
    """Payload bytes sent for each delivered."""
    idle_round_trip: float
    heartbeat_p99: float
    """Seconds."""
    done: bool


def connected(network: Network, there: Path, back: Path, round_trip: float, **settings: object) -> tuple[End, End]:
    """Two ends that know their round trip from heartbeats."""
    one = End(network, there, **settings)  # type: ignore[arg-type]
    two = End(network, back)
    one.connect(two, round_trip)
    two.connect(one, round_trip)
    return one, two


def transfer(
    profile: Profile, megabytes: float, *, seed: int = 1, setup: float = 0.0, congestion: str = "model"
) -> Reached:
    """Send so much over the profile, with heartbeats beside it. `setup`: seconds that count and carry nothing."""
    network = Network(seed)
    there, back = profile.paths(network)
    round_trip = profile.round_trip_ms / 1000
    one, _ = connected(network, there, back, round_trip, congestion=congestion, heartbeat=0.02)
    network.run(setup)
    one.send(1, int(megabytes * 1e6))
    network.run(600.0, stop=lambda: one.done)
    delivered = one.sender.channels[1].meter.total
    delays = sorted(delay for at, delay in one.heartbeats if at > setup)
    return Reached(
        megabits=delivered * 8 / network.now / 1e6,
        sent_per_delivered=one.payload_sent / delivered,
        idle_round_trip=round_trip,
        heartbeat_p99=delays[int(len(delays) * 0.99)],
        done=one.done,
    )


def share_beside_tcp(
    profile: Profile, kind: type[TcpFlow], *, seconds: float = 40.0, seed: int = 1, lead: float = 0.0
) -> float:
    """The own share of the second half, beside a TCP flow that starts `lead` seconds later, or before if that is less
    than 0."""
    network = Network(seed)
    there, back = profile.paths(network)
    one, _ = connected(network, there, back, profile.round_trip_ms / 1000)
    other = kind(network, there, profile.round_trip_ms / 2000)
    network.at(max(-lead, 0.0), one.send, 1, ENDLESS)
    network.at(max(lead, 0.0), other.start)
    network.run(abs(lead) + seconds / 2)
    before = one.sender.channels[1].meter.total, other.delivered_bytes
    network.run(abs(lead) + seconds)
    own = one.sender.channels[1].meter.total - before[0]
    return own / (own + other.delivered_bytes - before[1])


def fairness_of_two(profile: Profile, *, seconds: float = 40.0, seed: int = 1) -> float:
    """Jain's index over the second half, of two own transfers, the second of which starts 10 s later."""
    network = Network(seed)
    there, back = profile.paths(network)
    round_trip = profile.round_trip_ms / 1000
    first, _ = connected(network, there, back, round_trip)
    second, _ = connected(network, there, back, round_trip)
    first.send(1, ENDLESS)
    network.run(10.0)
    second.send(1, ENDLESS)
    network.run(10 + (seconds - 10) / 2)
    before = [end.sender.channels[1].meter.total for end in (first, second)]
    network.run(seconds)
    rates = [end.sender.channels[1].meter.total - was for end, was in zip((first, second), before, strict=True)]
    return sum(rates) ** 2 / (2 * sum(rate * rate for rate in rates))


__all__ = ["Profile", "Reached", "TcpBbr", "TcpCubic", "fairness_of_two", "share_beside_tcp", "transfer"]
