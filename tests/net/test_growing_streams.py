"""Streams whose size is not known when they are opened, on the data planes of a simulated session."""

from __future__ import annotations

from functools import partial

from bittrrt.errors import CreditExceeded

from .simulated_data import MemorySink, MemorySource, SimulatedDataTestCase, outcome_of
from .simulated_link import with_seeds

DATA = bytes(range(251)) * 1000


def has_written(sink: MemorySink, count: int) -> bool:
    return sink.written == count


class GrowingStreamTests(SimulatedDataTestCase):
    def open_growing(self, data: bytes = DATA) -> tuple[int, MemorySink, list[object]]:
        channel, sink = self.client_plane.new_channel(), MemorySink(len(data))
        self.trimmed: list[int] = []
        self.server_plane.open_receiving(channel, sink, None)
        finished = self.client_plane.open_sending(channel, MemorySource(data), None, trim=self.trimmed.append)
        return channel, sink, outcome_of(finished)

    @with_seeds(1, 2, 3)
    def test_what_is_supplied_bit_by_bit_arrives_and_is_done_when_it_is_finished(self) -> None:
        self.network.loss = 0.1
        self.network.delay = (0.005, 0.02)
        channel, sink, outcome = self.open_growing()
        for end in range(50_200, len(DATA) + 1, 50_200):
            self.client_plane.supply(channel, end)
            self.network.run_until(partial(has_written, sink, end), within=30)
        self.network.run_for(2)
        self.assertEqual((outcome, self.there.received), ([], []))
        self.client_plane.supply(channel, len(DATA), finished=True)
        self.server_plane.end_receiving(channel, len(DATA))
        self.assertEqual((outcome, self.there.received), ([None], [channel]))
        self.assert_whole(DATA, sink)
        self.assertEqual(self.trimmed, sorted(self.trimmed))
        self.assertEqual(self.trimmed[-1], len(DATA))

    def test_the_end_may_be_known_before_the_bytes_are_there(self) -> None:
        channel, sink, outcome = self.open_growing()
        self.server_plane.end_receiving(channel, len(DATA))
        self.client_plane.supply(channel, len(DATA), finished=True)
        self.network.run_until(lambda: outcome, within=30)
        self.assertEqual(self.there.received, [channel])
        self.assert_whole(DATA, sink)

    def test_an_end_before_what_has_come_is_refused_and_so_is_a_second_one(self) -> None:
        channel, _, _ = self.open_growing()
        self.client_plane.supply(channel, 1000)
        self.network.run_for(1)
        with self.assertRaises(CreditExceeded):
            self.server_plane.end_receiving(channel, 999)
        self.server_plane.end_receiving(channel, 1001)
        with self.assertRaises(CreditExceeded):
            self.server_plane.end_receiving(channel, 1002)

    def test_only_a_stream_that_is_open_can_be_supplied(self) -> None:
        with self.assertRaises(KeyError):
            self.client_plane.supply(99, 1)
        self.server_plane.end_receiving(99, 1)  # one that was closed before the peer knew
