"""Whatever the network does, the bytes that arrive are those that were sent, each written once."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from tests.link.ends import End
from tests.network import Network, Path, PathSettings

SEEDS = 1000


def random_settings(random: Random) -> PathSettings:
    """A path that is bad in several ways at once."""
    return PathSettings(
        rate=random.choice((0.0, 1e6, 10e6, 100e6)),
        delay=random.choice((0.0001, 0.005, 0.05)),
        queue=random.choice((0, 15_000, 100_000)),
        loss=random.choice((0.0, 0.01, 0.1, 0.3)),
        jitter=random.choice((0.0, 0.001, 0.02)),
        reordering=random.choice((0.0, 0.02, 0.3)),
        overtaking=random.choice((0.002, 0.02)),
        duplication=random.choice((0.0, 0.05, 0.5)),
        corruption=random.choice((0.0, 0.02)),
        truncation=random.choice((0.0, 0.02)),
        blackouts=random.choice(((), ((0.03, 0.4),), ((0.01, 0.2), (0.5, 1.5)))),
    )


class DeliveryTests(SynchronousTestCase):
    def transfer(self, seed: int) -> None:
        """One short session in both directions, of several channels, over two bad paths."""
        network = Network(seed)
        random = network.random
        there, back = Path(network, random_settings(random)), Path(network, random_settings(random))
        ends = [
            End(
                network,
                path,
                congestion=random.choice(("model", "cubic")),
                datagram_size=random.choice((1200, 1452, 8952)),
                window=random.choice((3000, 20_000, 1 << 20)),
                disk_rate=random.choice((0.0, 200_000.0)),
            )
            for path in (there, back)
        ]
        ends[0].connect(ends[1])
        ends[1].connect(ends[0])
        for end in ends:
            for channel in range(1, random.randrange(2, 4)):
                source = random.randbytes(random.randrange(1, 60_000))
                end.send(channel, source, urgent=random.random() < 0.3, limit=random.choice((None, None, 500_000.0)))
        network.run(120.0, stop=lambda: ends[0].done and ends[1].done)
        for end, peer in ((ends[0], ends[1]), (ends[1], ends[0])):
            self.assertTrue(end.done, f"seed {seed}: not done after {network.now:.1f} s")
            for channel, source in end.sources.items():
                stored = peer.stored[channel]
                self.assertEqual(bytes(stored.data), source, f"seed {seed}: other bytes")
                self.assertEqual(set(stored.times_written), {1}, f"seed {seed}: a byte written twice or never")
            self.assertGreaterEqual(end.least_in_flight, 0, f"seed {seed}")
            self.assertEqual(end.credit_exceeded, 0, f"seed {seed}")

    def test_what_arrives_is_what_was_sent_each_byte_written_once(self) -> None:
        for seed in range(SEEDS):
            self.transfer(seed)

    def test_after_a_blackout_of_20_s_the_transfer_goes_on_within_1_s(self) -> None:
        for congestion in ("model", "cubic"):
            network = Network(3)
            settings = PathSettings(rate=50e6, delay=0.02, queue=250_000, blackouts=((1.0, 21.0),))
            one = End(network, Path(network, settings), congestion=congestion)
            two = End(network, Path(network, settings))
            one.connect(two, 0.04)
            two.connect(one, 0.04)
            one.send(1, 100_000_000)
            network.run(21.0)
            before = one.sender.channels[1].meter.total
            network.run(22.2)
            self.assertGreater(one.sender.channels[1].meter.total, before, f"{congestion}, seed {network.seed}")
            network.run(24.0)
            rate = (one.sender.channels[1].meter.total - before) * 8 / 3e6
            self.assertGreater(rate, 15, f"{congestion}, seed {network.seed}")

    def test_credit_that_gets_lost_is_asked_for(self) -> None:
        network = Network(5)
        there = Path(network, PathSettings(delay=0.01))
        back = Path(network, PathSettings(delay=0.01, loss=0.7))
        one, two = End(network, there), End(network, back, window=5000, disk_rate=100_000.0)
        one.connect(two)
        two.connect(one)
        source = network.random.randbytes(50_000)
        one.send(1, source)
        network.run(60.0, stop=lambda: one.done)
        self.assertTrue(one.done, f"seed {network.seed}")
        self.assertEqual(bytes(two.stored[1].data), source)

    def test_a_black_hole_for_large_datagrams_is_left_by_the_path_mtu(self) -> None:
        network = Network(6)
        there = Path(network, PathSettings(delay=0.01, largest=1300))
        one, two = End(network, there), End(network, Path(network, PathSettings(delay=0.01)))
        one.path_mtu.size = 1452  # found before the route changed
        one.path_mtu._most = 65487
        one.connect(two)
        two.connect(one)
        one.send(1, network.random.randbytes(100_000))
        network.run(20.0, stop=lambda: one.done)
        self.assertTrue(one.done, f"seed {network.seed}")
        self.assertEqual(one.path_mtu.size, 1200)

    def test_a_rate_limit_is_kept(self) -> None:
        network = Network(7)
        one = End(network, Path(network, PathSettings(rate=100e6, delay=0.01, queue=250_000)))
        two = End(network, Path(network, PathSettings(delay=0.01)))
        one.connect(two, 0.02)
        two.connect(one, 0.02)
        one.send(1, 10_000_000, limit=1_000_000.0)
        network.run(4.0)
        rate = one.sender.channels[1].meter.total / 4.0
        self.assertTrue(850_000 < rate < 1_000_000, f"{rate}, seed {network.seed}")
        self.assertEqual(one.sender.statistics(1, network.now).limited_by, "limit")

    def test_a_slow_disk_there_is_what_limits(self) -> None:
        network = Network(8)
        one = End(network, Path(network, PathSettings(rate=100e6, delay=0.01, queue=250_000)))
        two = End(network, Path(network, PathSettings(delay=0.01)), window=500_000, disk_rate=2e6)
        one.connect(two, 0.02)
        two.connect(one, 0.02)
        one.send(1, 100_000_000)
        network.run(4.0)
        statistics = one.sender.statistics(1, network.now)
        self.assertEqual(statistics.limited_by, "peer's disk")
        self.assertTrue(1.8e6 < statistics.rate < 2.2e6, f"{statistics}, seed {network.seed}")

    def test_an_urgent_channel_is_done_before_a_bulk_one_that_began_first(self) -> None:
        network = Network(9)
        one = End(network, Path(network, PathSettings(rate=10e6, delay=0.02, queue=60_000)))
        two = End(network, Path(network, PathSettings(delay=0.02)))
        one.connect(two, 0.04)
        two.connect(one, 0.04)
        one.send(1, 20_000_000)
        network.run(2.0)
        one.send(2, 50_000, urgent=True)
        network.run(2.3)
        self.assertTrue(one.sender.channels[2].done, f"seed {network.seed}")

    def test_channels_share_the_path_evenly(self) -> None:
        network = Network(10)
        one = End(network, Path(network, PathSettings(rate=20e6, delay=0.02, queue=60_000)))
        two = End(network, Path(network, PathSettings(delay=0.02)))
        one.connect(two, 0.04)
        two.connect(one, 0.04)
        for channel in (1, 3, 5):
            one.send(channel, 20_000_000)
        network.run(3.0)
        totals = [channel.meter.total for channel in one.sender.channels.values()]
        self.assertLess(max(totals), 1.1 * min(totals), f"seed {network.seed}")
