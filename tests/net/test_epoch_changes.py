"""Keys that change many times while data flows at both ends' pace: no datagram is dropped for its epoch."""

from __future__ import annotations

from bittrrt.link import encryptor
from bittrrt.net.client_connection import ClientConnection

from .simulated_data import SimulatedDataTestCase
from .simulated_link import with_seeds

EPOCH = 2  # datagrams; an epoch then lasts for a round trip, as the next one needs an answer to it
SIZE = 1_000_000  # bytes


class EpochChangeTests(SimulatedDataTestCase):
    def setUp(self) -> None:
        self.patch(encryptor, "EPOCH_DATAGRAMS", EPOCH)
        super().setUp()

    def open(self, heartbeat: int | None = 20) -> ClientConnection:
        return super().open(heartbeat)

    def epochs(self) -> tuple[int, int]:
        """Those that the client and the server send in."""
        client, server = self.connection.link, self.session.conn.link
        assert client is not None
        assert server is not None
        return client.encryptor.send_epoch, server.encryptor.send_epoch

    def dropped(self) -> int:
        """Datagrams of an epoch that their end did not hold, or that did not open with its key."""
        ends = (self.connection.handlers, self.session.conn.handlers_by_type)
        counters = [handler.counters for end in ends for handler in end.values()]
        return sum(counter.epoch_not_accepted + counter.not_authentic for counter in counters)

    def transfer_both_ways(self) -> None:
        """Streams up and down at once; the epoch changes at each end some 30 times at least."""
        before = self.epochs()
        sent = [(self.network.random.randbytes(SIZE), down) for down in (False, True)]
        streams = [(data, *self.send(data, down=down, limit=500_000.0)[1:]) for data, down in sent]
        self.network.run_until(lambda: all(done for _, _, done in streams), 120)
        for data, sink, done in streams:
            self.assertEqual(done, [None])
            self.assert_whole(data, sink)
        for first, last in zip(before, self.epochs(), strict=True):
            self.assertGreater(last - first, 30)
        self.assertEqual(self.dropped(), 0)

    def test_a_good_path_loses_nothing_at_a_change(self) -> None:
        self.transfer_both_ways()
        totals = self.client_plane.sent_totals, self.server_plane.sent_totals
        self.assertEqual([total.retransmitted for total in totals], [0, 0])

    @with_seeds(*range(5000, 5006))
    def test_nor_is_anything_dropped_for_its_epoch_on_a_bad_one(self) -> None:
        network, random = self.network, self.network.random
        network.loss, network.duplication = random.uniform(0, 0.2), random.uniform(0, 0.1)
        network.delay = (0.01, 0.01 + random.uniform(0, 0.02))  # a round trip and more: as late as two epochs ago
        self.transfer_both_ways()

    @with_seeds(*range(5100, 5103))
    def test_the_ends_stay_in_step_while_the_link_goes_black_again_and_again(self) -> None:
        data = self.network.random.randbytes(SIZE)
        _, sink, done = self.send(data, limit=500_000.0)
        while not done:
            self.network.run_for(self.network.random.uniform(0, 0.5))
            self.network.cut = not self.network.cut
        self.network.cut = False
        self.assert_whole(data, sink)
        self.assertEqual(self.dropped(), 0)
        self.transfer_both_ways()
