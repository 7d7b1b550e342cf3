"""A peer that is there and takes nothing loses its session; one that is slow, away or asleep does not."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.errors import PeerMisbehaved
from bittrrt.net.neglect import LOOK, LOOKS, NeglectWatch
from bittrrt.net.streams import INITIAL_CREDIT
from bittrrt.settings import Settings

from .simulated_data import MemorySink, MemorySource, SimulatedDataTestCase, outcome_of
from .simulated_network import SERVER_HOST

MINUTE = LOOK * LOOKS
DATA = bytes(3 * INITIAL_CREDIT)
WHY = "it is there, and has taken nothing of what it was sent for a minute"


class NeglectWatchTests(SynchronousTestCase):
    def test_only_looks_at_which_the_peer_was_there_and_took_nothing_count_and_only_in_a_row(self) -> None:
        watch, now, neglected = NeglectWatch(0.0), 0.0, []
        takes = [1] * LOOKS + [2] * 4 + [None] * 3 + [2] * LOOKS + [2]
        for number, taken in enumerate(takes):
            self.assertFalse(watch.due(now))
            now += LOOK
            self.assertTrue(watch.due(now))
            neglected += [number] if watch.neglects(taken, now - 1, now) else []
        self.assertEqual(neglected, [len(takes) - 1])
        for _ in range(5 * LOOKS):
            now += LOOK
            self.assertFalse(NeglectWatch(now).neglects(2, now - 2 * LOOK, now))


class NeglectTests(SimulatedDataTestCase):
    settings = Settings(
        interface=SERVER_HOST, port_ranges="6712-6741", heartbeat=1000, port_quarantine=10_000, stale_after=3_600_000
    )

    def refuse_to_read(self, *, down: bool) -> tuple[int, MemorySink, list[object]]:
        """A stream whose receiver never says that anything has left its memory."""
        sender, receiver = (self.server_plane, self.client_plane) if down else (self.client_plane, self.server_plane)
        number, sink = sender.new_channel(), MemorySink(len(DATA))
        receiver.open_receiving(number, sink, len(DATA), window=INITIAL_CREDIT, paced=True)
        return number, sink, outcome_of(sender.open_sending(number, MemorySource(DATA), len(DATA)))

    def assert_ended(self, outcome: list[object]) -> None:
        """The server has ended it for what the client did, and the client heard of it."""
        self.assertEqual(len(outcome), 1)
        (why,) = self.there.ends
        self.assertIsInstance(why, PeerMisbehaved)
        self.assertIn(WHY, str(why))
        self.assertEqual(self.server.sessions, {})
        self.assertEqual([type(why) for why in self.observer.ends], [PeerMisbehaved])

    def test_a_client_that_takes_a_file_and_gives_no_credit_is_cut_off(self) -> None:
        _, sink, outcome = self.refuse_to_read(down=True)
        self.network.run_for(MINUTE - LOOK)
        self.assertEqual((outcome, sink.written), ([], INITIAL_CREDIT))
        self.network.run_for(4 * LOOK)
        self.assert_ended(outcome)

    def test_a_client_that_acknowledges_nothing_is_cut_off(self) -> None:
        _, _, outcome = self.send(DATA, down=True)
        self.connection.close_data_plane()
        self.network.run_for(MINUTE + 4 * LOOK)
        self.assert_ended(outcome)

    def test_a_server_that_takes_a_file_and_gives_no_credit_is_left(self) -> None:
        _, _, outcome = self.refuse_to_read(down=False)
        self.network.run_for(MINUTE + 4 * LOOK)
        self.assertEqual(len(outcome), 1)
        self.assertIn(WHY, str(self.here.ends[0]))
        self.assertEqual([type(why) for why in self.observer.ends], [PeerMisbehaved])

    def test_credit_that_comes_in_the_end_lets_it_go_on(self) -> None:
        number, sink, outcome = self.refuse_to_read(down=True)
        for _ in range(5):
            self.network.run_for(MINUTE - 2 * LOOK)
            self.client_plane.stream_consumed(number, INITIAL_CREDIT // 2)
        self.network.run_for(LOOK)
        self.assertEqual(outcome, [None])
        self.assert_whole(DATA, sink)

    def test_the_reader_of_a_programs_stream_may_wait_for_as_long_as_it_likes(self) -> None:
        number, sink = self.server_plane.new_channel(), MemorySink(len(DATA))
        self.client_plane.open_receiving(number, sink, None, window=INITIAL_CREDIT, paced=True)
        outcome = outcome_of(self.server_plane.open_sending(number, MemorySource(DATA), None))
        self.server_plane.supply(number, len(DATA), finished=True)
        self.network.run_for(10 * MINUTE)
        self.assertEqual((outcome, self.there.ends), ([], []))
        for _ in range(3):
            self.client_plane.stream_consumed(number, INITIAL_CREDIT)
            self.network.run_for(1)
        self.assertEqual(outcome, [None])

    def test_a_path_that_is_dark_for_minutes_is_no_neglect(self) -> None:
        _, sink, outcome = self.send(DATA, down=True)
        self.network.run_for(0.01)
        self.network.loss = 1.0
        self.network.run_for(10 * MINUTE)
        self.assertEqual(outcome, [])
        self.network.loss = 0.0
        self.network.run_until(lambda: outcome, within=30)
        self.assert_whole(DATA, sink)

    def test_a_file_sent_as_slowly_as_its_limit_says_is_no_neglect(self) -> None:
        _, _, outcome = self.send(DATA, down=True, limit=20.0)  # a datagram in 73 seconds
        self.network.run_for(10 * MINUTE)
        self.assertEqual((outcome, self.there.ends), ([], []))
        self.assertGreater(self.server_plane.sent_totals.fresh, 8 * 1404)

    def test_a_session_without_anything_to_take_is_left_alone(self) -> None:
        _, _, outcome = self.send(DATA, down=True)
        self.network.run_until(lambda: outcome, within=30)
        self.network.run_for(10 * MINUTE)
        self.assertEqual((self.there.ends, len(self.server.sessions)), ([], 1))
