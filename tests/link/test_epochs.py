"""The encryptor's epochs: moving on, the grace, and two ends in step on a bad path."""

from __future__ import annotations

import heapq
import random
import struct

from twisted.trial.unittest import SynchronousTestCase

from bittrrt import CommEncryptor
from bittrrt.errors import EpochNotAccepted, KeyExhausted, NotAuthentic
from bittrrt.link import encryptor
from bittrrt.link.encryptor import EPOCH_GRACE, EPOCH_LIFETIME
from bittrrt.link.encryptor import MAX_EPOCH_DATAGRAMS as REAL_LIMIT
from bittrrt.wire.datagram import MAX_EPOCH

from ..agreement import agreed_pair


def epoch_of(datagram: bytes) -> int:
    """The epoch that a datagram names."""
    return int.from_bytes(datagram[:4], "big")


class MovingOnTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.one, self.other = agreed_pair()
        self.one.answer_heard(0.0, 0.0)

    def move_on(self, now: float) -> None:
        """`one` hears an answer when its epoch is due."""
        before = self.one.send_epoch
        self.one.answer_heard(now - 0.1, now)
        self.assertEqual(self.one.send_epoch, before + 1)

    def test_an_epoch_lasts_120_seconds(self) -> None:
        self.assertEqual(EPOCH_LIFETIME, 120.0)
        self.one.answer_heard(119.0, 119.9)
        self.assertEqual(self.one.send_epoch, 0)
        self.one.answer_heard(119.9, 120.0)
        self.assertEqual(self.one.send_epoch, 1)
        self.one.answer_heard(239.0, 239.9)
        self.assertEqual(self.one.send_epoch, 1)
        self.one.answer_heard(239.9, 240.0)
        self.assertEqual(self.one.send_epoch, 2)

    def test_it_goes_on_until_an_answer_confirms_it(self) -> None:
        for _ in range(5):
            self.other.decrypt(self.one.encrypt(b""))
        self.move_on(120.0)
        self.one.answer_heard(119.0, 500.0)  # of what was sealed in the epoch before
        self.assertEqual(self.one.send_epoch, 1)
        self.one.answer_heard(500.0, 501.0)
        self.assertEqual(self.one.send_epoch, 2)

    def test_a_silent_link_keeps_its_epoch(self) -> None:
        self.assertEqual([epoch_of(self.one.encrypt(b"")) for _ in range(100)], [0] * 100)

    def test_the_counter_goes_on_over_the_epochs(self) -> None:
        self.one.encrypt(b"")
        self.move_on(120.0)
        self.assertEqual(self.one.encrypt(b"")[:12], struct.pack(">IQ", 1, 1))

    def test_the_next_epoch_is_taken_and_the_last_one_for_a_grace(self) -> None:
        late = self.one.encrypt(b"late")
        self.other.answer_heard(0.0, 0.0)
        self.move_on(120.0)
        self.assertEqual(self.other.decrypt(self.one.encrypt(b"next"))[4], b"next")
        self.assertEqual(self.other.decrypt(late)[4], b"late")
        self.other.answer_heard(121.0, 121.0)  # the grace begins
        self.other.answer_heard(121.0 + EPOCH_GRACE - 0.1, 121.0 + EPOCH_GRACE - 0.1)
        self.assertEqual(self.other.decrypt(late)[4], b"late")
        self.other.answer_heard(121.0 + EPOCH_GRACE, 121.0 + EPOCH_GRACE)
        self.assertRaises(EpochNotAccepted, self.other.decrypt, late)
        self.assertEqual(self.other.decrypt(self.one.encrypt(b"on"))[4], b"on")

    def test_the_last_epoch_is_forgotten_when_the_peer_moves_on_again(self) -> None:
        late = self.one.encrypt(b"late")
        for now in (120.0, 240.0):
            self.move_on(now)
            self.other.decrypt(self.one.encrypt(b""))
        self.assertRaises(EpochNotAccepted, self.other.decrypt, late)

    def test_no_more_than_three_keys_are_held(self) -> None:
        for turn in range(1, 20):
            self.move_on(120.0 * turn)
            self.other.decrypt(self.one.encrypt(b""))
            self.assertEqual(len(self.other._receive_keys), 3)
        for now in (10_000.0, 10_000.0 + EPOCH_GRACE):
            self.other.answer_heard(now, now)
        self.assertEqual(len(self.other._receive_keys), 2)

    def test_two_epochs_ahead_is_refused(self) -> None:
        self.move_on(120.0)
        unseen = self.one.encrypt(b"one ahead")
        self.move_on(240.0)
        ahead = self.one.encrypt(b"two ahead")
        self.assertRaises(EpochNotAccepted, self.other.decrypt, ahead)
        self.other.decrypt(unseen)
        self.assertEqual(self.other.decrypt(ahead)[4], b"two ahead")

    def test_a_forged_next_epoch_moves_nothing(self) -> None:
        forged = struct.pack(">I", 1) + self.one.encrypt(b"")[4:]
        for _ in range(3):
            self.assertRaises(NotAuthentic, self.other.decrypt, forged)
        self.assertRaises(EpochNotAccepted, self.other.decrypt, struct.pack(">I", 2) + forged[4:])
        self.assertEqual(self.other.decrypt(self.one.encrypt(b"still"))[4], b"still")

    def test_the_directions_move_on_by_themselves(self) -> None:
        for turn in range(1, 6):
            self.move_on(120.0 * turn)
            self.other.decrypt(self.one.encrypt(b""))
        self.assertEqual((self.one.send_epoch, self.other.send_epoch), (5, 0))
        self.assertEqual(self.one.decrypt(self.other.encrypt(b"back"))[4], b"back")

    def test_after_the_last_epoch_the_link_has_to_be_made_anew(self) -> None:
        self.one._send_chain.next_epoch = MAX_EPOCH
        self.one.answer_heard(120.0, 120.0)
        self.assertEqual(epoch_of(self.one.encrypt(b"")), MAX_EPOCH)
        self.assertRaises(KeyExhausted, self.one.answer_heard, 240.0, 240.0)


class CountedEpochTests(SynchronousTestCase):
    """An epoch also ends after so many datagrams."""

    def setUp(self) -> None:
        self.patch(encryptor, "EPOCH_DATAGRAMS", 5)
        self.patch(encryptor, "MAX_EPOCH_DATAGRAMS", 10)
        self.one, self.other = agreed_pair()

    def test_with_an_answer_the_next_one_begins_after_five(self) -> None:
        self.one.answer_heard(0.0, 0.0)
        for number in range(12):
            self.other.decrypt(self.one.encrypt(b""))
            self.one.answer_heard(1.0 + number, 1.0 + number)
        self.assertEqual(self.one.send_epoch, 2)
        self.assertEqual(self.other.decrypt(self.one.encrypt(b"in step"))[4], b"in step")

    def test_the_limits_are_those_of_aes_gcm(self) -> None:
        self.assertLessEqual(REAL_LIMIT, 2**23)  # RFC 9001 appendix B.1, of packets up to 2^16 bytes

    def test_so_many_datagrams_use_an_epoch_up(self) -> None:
        datagrams = [self.one.encrypt(b"%d" % number) for number in range(25)]
        self.assertEqual([epoch_of(datagram) for datagram in datagrams], [0] * 10 + [1] * 10 + [2] * 5)
        self.assertEqual([self.other.decrypt(datagram)[4] for datagram in datagrams], [b"%d" % n for n in range(25)])

    def test_the_next_one_waits_for_an_answer_that_confirms_it(self) -> None:
        self.one.answer_heard(0.0, 0.0)
        for number in range(11):
            datagram = self.one.encrypt(b"")
            if number < 10:
                self.other.decrypt(datagram)  # the eleventh, the first of the new epoch, is lost
        self.one.answer_heard(119.0, 121.0)  # of what was sealed in epoch 0
        self.assertEqual(self.other.decrypt(self.one.encrypt(b"in step"))[4], b"in step")


class BadPathTests(SynchronousTestCase):
    """Heartbeats between two ends, for simulated days, over a path that loses, delays and reorders."""

    def run_path(self, seed: int, heartbeats: int, interval: float, loss: float, delay: tuple[float, float]) -> int:
        """How many epochs each end went through at least. Everything that arrives within the grace has to open."""
        chance = random.Random(seed)
        ends = agreed_pair()  # the client, the server
        on_the_way: list[tuple[float, int, int, float, bytes]] = []  # arrival, order, to which end, sent at, datagram
        sent = 0

        def send(by: int, echo: int, asked_at: float, now: float) -> None:
            nonlocal sent
            sent += 1
            datagram = ends[by].encrypt(struct.pack(">Bd", echo, asked_at))
            if chance.random() >= loss:
                heapq.heappush(on_the_way, (now + chance.uniform(*delay), sent, 1 - by, now, datagram))

        for beat in range(heartbeats):
            now = beat * interval
            while on_the_way and on_the_way[0][0] <= now:
                arrival, _, to, sent_at, datagram = heapq.heappop(on_the_way)
                try:
                    payload = ends[to].decrypt(datagram)[4]
                except EpochNotAccepted:
                    self.assertGreaterEqual(arrival - sent_at, EPOCH_GRACE, f"seed {seed}")
                    continue
                echo, asked_at = struct.unpack(">Bd", payload)
                if echo < 2:  # an answer to what was sealed at `asked_at`
                    ends[to].answer_heard(asked_at, arrival)
                if echo > 0:
                    send(to, echo - 1, sent_at, arrival)
            send(0, 2, now, now)
            for end, peer in (ends, ends[::-1]):
                ahead = end.send_epoch - int.from_bytes(peer._next_epoch, "big")
                self.assertIn(ahead, (-1, 0), f"seed {seed}")
        for end, peer in (ends, ends[::-1]):
            self.assertEqual(peer.decrypt(end.encrypt(b"in step"))[4], b"in step", f"seed {seed}")
        return min(end.send_epoch for end in ends)

    def test_thousands_of_epochs_in_step_on_a_good_path(self) -> None:
        epochs = self.run_path(1, heartbeats=6000, interval=60.0, loss=0.0, delay=(0.01, 0.2))
        self.assertGreater(epochs, 1900)

    def test_thousands_of_epochs_in_step_under_loss_and_reordering(self) -> None:
        epochs = sum(
            self.run_path(seed, heartbeats=1000, interval=50.0, loss=0.3, delay=(0.0, 9.9)) for seed in range(8)
        )
        self.assertGreater(epochs, 1500)

    def test_frequent_heartbeats_under_heavy_loss(self) -> None:
        for seed in range(3):
            epochs = self.run_path(seed, heartbeats=3000, interval=5.0, loss=0.6, delay=(0.0, 3.0))
            self.assertGreater(epochs, 60)

    def test_delays_beyond_the_grace_cost_datagrams_and_never_the_link(self) -> None:
        for seed in range(3):
            epochs = self.run_path(seed, heartbeats=2000, interval=20.0, loss=0.2, delay=(0.0, 300.0))
            self.assertGreater(epochs, 50)

    def test_both_ends_open_each_other_after_a_day(self) -> None:
        one, other = agreed_pair()
        for minute in range(24 * 60):
            now = 60.0 * minute
            for end, peer in ((one, other), (other, one)):
                peer.decrypt(end.encrypt(b""))
                end.answer_heard(now, now)
        self.assertGreater(min(one.send_epoch, other.send_epoch), 700)
        self.assertIsInstance(one, CommEncryptor)
