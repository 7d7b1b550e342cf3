"""Sealing and opening bursts: the same as datagram by datagram, and faster."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.link.counters import Counters
from bittrrt.link.encryptor import CommEncryptor
from bittrrt.link.link import Link
from bittrrt.wire.datagram import HEARTBEAT_FLAGS, MESSAGE_FLAGS, OVERHEAD, STREAM_FLAGS, Run

CHUNK = 100


def linked() -> tuple[Link, Link]:
    """Two ends of a session."""
    one, other = CommEncryptor(), CommEncryptor()
    one.derive_shared_secret(other.get_public_key())
    other.derive_shared_secret(one.get_public_key())
    return Link(one), Link(other)


def cut(sealed: bytes | memoryview, size: int = CHUNK + OVERHEAD) -> list[bytes]:
    sealed = bytes(sealed)
    return [sealed[at : at + size] for at in range(0, len(sealed), size)]


class BurstTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.sender, self.receiver = linked()
        self.counters = Counters()

    def burst(self, length: int, offset: int = 0, flags: int = STREAM_FLAGS, channel: int = 5) -> list[bytes]:
        return cut(self.sender.seal_burst(bytes(length), CHUNK, flags, channel, offset))

    def open(self, datagrams: list[bytes]) -> list[Run]:
        return self.receiver.open_burst_untrusted(datagrams, self.counters)

    def test_a_burst_is_one_run(self) -> None:
        data = Random(1).randbytes(450)
        (run,) = self.open(cut(self.sender.seal_burst(data, CHUNK, STREAM_FLAGS, 5, 7000)))
        self.assertEqual((run.flags, run.channel, run.sequence, run.offset), (STREAM_FLAGS, 5, 0, 7000))
        self.assertEqual(b"".join(run.payloads), data)
        self.assertEqual(run.length, 450)
        self.assertEqual(self.sender.next_sequence, 5)
        self.assertEqual((self.counters.received, self.counters.bytes_received), (5, 450 + 5 * OVERHEAD))

    def test_each_datagram_opens_alone_too(self) -> None:
        opened = [self.receiver.open_untrusted(datagram, self.counters) for datagram in self.burst(250)]
        self.assertEqual([one and (one.sequence, one.offset) for one in opened], [(0, 0), (1, 100), (2, 200)])

    def test_an_empty_payload_is_one_datagram(self) -> None:
        (run,) = self.open(cut(self.sender.seal_burst(b"", CHUNK, STREAM_FLAGS, 5, 9)))
        self.assertEqual((run.offset, run.payloads), (9, [b""]))

    def test_other_channels_offsets_and_messages_stay_apart(self) -> None:
        datagrams = self.burst(200) + self.burst(200, 200) + self.burst(100, 600) + self.burst(100, 700, channel=7)
        datagrams += [self.sender.seal(b"", MESSAGE_FLAGS, 9), self.sender.seal(b"", MESSAGE_FLAGS, 9)]
        datagrams.append(self.sender.seal(b"x", HEARTBEAT_FLAGS))
        found = [(run.channel, run.offset, run.datagrams) for run in self.open(datagrams)]
        self.assertEqual(found, [(5, 0, 4), (5, 600, 1), (7, 700, 1), (9, 0, 1), (9, 0, 1), (0, 0, 1)])

    def test_every_bad_datagram_is_dropped_by_its_name_and_the_rest_is_taken(self) -> None:
        datagrams = self.burst(1000)
        datagrams[1] = datagrams[1][:-1] + bytes([datagrams[1][-1] ^ 1])
        datagrams[3] = datagrams[3][:40]
        datagrams[5] = b"\xff" * 4 + datagrams[5][4:]
        datagrams[7] = datagrams[6]
        datagrams[9] = b""
        found = [(run.offset, run.datagrams) for run in self.open(datagrams)]
        self.assertEqual(found, [(0, 1), (200, 1), (400, 1), (600, 1), (800, 1)])
        counted = self.counters.as_dict()
        dropped = {name: counted[name] for name in ("not_authentic", "too_short", "epoch_not_accepted", "replayed")}
        self.assertEqual(dropped, {"not_authentic": 1, "too_short": 2, "epoch_not_accepted": 1, "replayed": 1})

    def test_a_header_that_is_cut_short_under_its_tag_is_no_datagram(self) -> None:
        key, epoch = self.sender.encryptor._send_key, self.sender.encryptor._send_epoch
        assert key is not None
        nonce = epoch + bytes(8)
        self.assertEqual(self.open([nonce + key.encrypt(nonce, b"short", b"")] * 2), [])
        self.assertEqual(self.counters.too_short, 2)

    def test_the_epoch_changes_within_a_burst(self) -> None:
        datagrams = self.burst(300)
        self.sender.encryptor._next_send_epoch()
        datagrams += self.burst(300, 300)
        self.sender.encryptor._next_send_epoch()
        datagrams += self.burst(300, 600)
        (run,) = self.open(datagrams)
        self.assertEqual((run.offset, run.datagrams), (0, 9))

    def test_datagrams_of_any_length_among_others_are_counted_and_cost_nothing_else(self) -> None:
        datagrams = self.burst(200)
        for length in range(OVERHEAD):
            runs = self.open([bytes(length)])
            self.assertEqual(runs, [])
        (run,) = self.open([bytes(8), *datagrams, bytes(12)])
        self.assertEqual(run.length, 200)
        self.assertEqual(self.counters.too_short, OVERHEAD + 2)

    def test_numbers_out_of_range_are_refused(self) -> None:
        for flags, channel, offset in ((256, 0, 0), (0, 1 << 24, 0), (0, 0, 2**64 - 100), (0, 0, -1)):
            self.assertRaises(ValueError, self.sender.seal_burst, bytes(200), CHUNK, flags, channel, offset)

    def test_what_is_forgotten_counts_as_lost_and_may_come_again(self) -> None:
        datagrams = self.burst(300)
        (run,) = self.open(datagrams)
        self.receiver.replay.forget(run.sequence, run.sequence + 2)
        self.assertEqual(self.receiver.replay.accepted, 0)
        self.assertEqual(len(self.open(datagrams)), 1)
        self.assertEqual(self.open(datagrams), [])

    @given(st.integers(0, 2**32))
    def test_any_order_and_repetition_gives_each_datagram_once(self, seed: int) -> None:
        random = Random(seed)
        sender, receiver = linked()
        datagrams = cut(sender.seal_burst(random.randbytes(2000), CHUNK, STREAM_FLAGS, 5, 0))
        datagrams += random.choices(datagrams, k=10)
        for _ in range(5):
            one, other = random.randrange(len(datagrams)), random.randrange(len(datagrams))
            datagrams[one], datagrams[other] = datagrams[other], datagrams[one]
        counters = Counters()
        parts = random.randrange(1, len(datagrams))
        runs = [*receiver.open_burst_untrusted(datagrams[:parts], counters)]
        runs += receiver.open_burst_untrusted(datagrams[parts:], counters)
        sequences = [run.sequence + at for run in runs for at in range(run.datagrams)]
        self.assertEqual(sorted(sequences), list(range(20)))
        self.assertEqual((counters.received, counters.replayed), (20, 10))
        self.assertEqual(receiver.replay.received.get_spans(), [(0, 19)])
