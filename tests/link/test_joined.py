"""Opening a read where it lies: the same as datagram by datagram, whatever the network has done to it."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.link import encryptor
from bittrrt.link.counters import Counters
from bittrrt.link.joined import MAX_CUTS, JoinedBuffer
from bittrrt.link.link import Link
from bittrrt.wire.datagram import MESSAGE_FLAGS, OVERHEAD, STREAM_FLAGS, Run

from .test_burst import CHUNK, cut, linked

SIZE = CHUNK + OVERHEAD


def read(joined: JoinedBuffer, data: bytes) -> int:
    """Bytes land in the buffer, as by a read; returns how many."""
    joined.received[: len(data)] = data
    return len(data)


def told(runs: list[Run]) -> list[tuple[int, int, bytes]]:
    """Flags, offset and bytes of each run, neighbours joined: however the datagrams were put together."""
    found: list[tuple[int, int, bytes]] = []
    for run in runs:
        data = b"".join(run.payloads)
        if found and found[-1][0] == run.flags and found[-1][1] + len(found[-1][2]) == run.offset:
            data = found[-1][2] + data
            found[-1] = (run.flags, found[-1][1], data)
        else:
            found.append((run.flags, run.offset, data))
    return found


class JoinedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.sender, self.receiver = linked()
        self.counters = Counters()
        self.joined = JoinedBuffer()

    def open(self, sealed: bytes, size: int = SIZE) -> list[Run]:
        return self.receiver.open_joined_untrusted(self.joined, read(self.joined, sealed), size, self.counters)

    def seal(self, data: bytes, offset: int = 0, flags: int = STREAM_FLAGS) -> bytes:
        return bytes(self.sender.seal_burst(data, CHUNK, flags, 5, offset))

    def test_a_read_of_one_stream_is_one_run_with_its_bytes_joined(self) -> None:
        data = Random(1).randbytes(4 * CHUNK)
        (run,) = self.open(self.seal(data, 7000))
        self.assertEqual(run, Run(STREAM_FLAGS, 5, 0, 7000, [data], 4))
        self.assertEqual((run.datagrams, run.length), (4, 4 * CHUNK))
        self.assertEqual((self.counters.received, self.counters.bytes_received), (4, 4 * SIZE))

    def test_a_shorter_last_datagram_follows(self) -> None:
        data = Random(2).randbytes(2 * CHUNK + 30)
        runs = self.open(self.seal(data))
        self.assertEqual([(run.offset, run.datagrams) for run in runs], [(0, 2), (2 * CHUNK, 1)])
        self.assertEqual(told(runs), [(STREAM_FLAGS, 0, data)])

    def test_what_was_handed_on_stays_when_the_buffer_is_read_into_again(self) -> None:
        data = Random(3).randbytes(4 * CHUNK)
        runs = self.open(self.seal(data))
        self.open(self.seal(bytes(4 * CHUNK), 4 * CHUNK))
        self.assertEqual(told(runs), [(STREAM_FLAGS, 0, data)])

    def test_messages_stay_apart(self) -> None:
        runs = self.open(self.seal(bytes(3 * CHUNK), flags=MESSAGE_FLAGS))
        self.assertEqual([len(run.payloads) for run in runs], [1, 1, 1])

    def test_one_false_datagram_costs_only_itself(self) -> None:
        data = Random(4).randbytes(4 * CHUNK)
        sealed = bytearray(self.seal(data))
        sealed[SIZE + 20] ^= 1
        runs = self.open(bytes(sealed))
        self.assertEqual(told(runs), [(STREAM_FLAGS, 0, data[:CHUNK]), (STREAM_FLAGS, 2 * CHUNK, data[2 * CHUNK :])])
        self.assertEqual(self.counters.not_authentic, 1)

    def test_a_read_that_comes_again_is_a_replay(self) -> None:
        sealed = self.seal(bytes(4 * CHUNK))
        self.open(sealed)
        self.assertEqual(self.open(sealed), [])
        self.assertEqual((self.counters.received, self.counters.replayed), (4, 4))

    def test_a_read_older_than_another_is_taken_datagram_by_datagram(self) -> None:
        data = Random(5).randbytes(4 * CHUNK)
        first, second = self.seal(data), self.seal(bytes(2 * CHUNK), 4 * CHUNK)
        self.open(second)
        self.assertEqual(told(self.open(first)), [(STREAM_FLAGS, 0, data)])
        self.assertEqual(self.receiver.replay.received.get_spans(), [(0, 5)])

    def test_the_epoch_changes_within_a_read(self) -> None:
        sealed = self.seal(bytes(2 * CHUNK))
        self.sender.encryptor._next_send_epoch()
        runs = self.open(sealed + self.seal(bytes(2 * CHUNK), 2 * CHUNK))
        self.assertEqual(told(runs), [(STREAM_FLAGS, 0, bytes(4 * CHUNK))])

    def test_sizes_without_room_for_a_payload_are_opened_too(self) -> None:
        empty = bytes(self.sender.seal_burst(b"", CHUNK, STREAM_FLAGS, 5, 0))
        self.assertEqual([run.length for run in self.open(empty * 2, OVERHEAD)], [0])
        self.assertEqual(self.open(bytes(90), 30), [])
        self.assertEqual((self.counters.replayed, self.counters.too_short), (1, 3))

    def test_many_sizes_do_not_take_memory_without_end(self) -> None:
        for size in range(200, 200 + 3 * MAX_CUTS):
            self.open(bytes(3 * size), size)
            self.assertLessEqual(len(self.joined._cuts), MAX_CUTS)

    @given(st.integers(0, 2**32))
    def test_any_read_says_what_its_datagrams_say_one_by_one(self, seed: int) -> None:
        random = Random(seed)
        sender, receiver = linked()
        peer = Link(receiver.encryptor)
        parts = [
            sender.seal_burst(
                random.randbytes(random.randrange(1, 6) * CHUNK), CHUNK, flags, 5, random.randrange(4) * 500
            )
            for flags in random.choices((STREAM_FLAGS, MESSAGE_FLAGS), (5, 1), k=random.randrange(1, 4))
        ]
        sealed = bytearray(b"".join(random.sample(parts, len(parts))))
        if random.random() < 0.3:
            sealed[random.randrange(len(sealed))] ^= 1
        del sealed[len(sealed) - random.randrange(SIZE) * random.randrange(2) :]
        joined, counters, others = JoinedBuffer(), Counters(), Counters()
        runs = receiver.open_joined_untrusted(joined, read(joined, bytes(sealed)), SIZE, counters)
        self.assertEqual(told(runs), told(peer.open_burst_untrusted(cut(bytes(sealed)), others)))
        for name in Counters.__slots__:
            self.assertEqual(getattr(counters, name), getattr(others, name), name)
        self.assertEqual(receiver.replay.received, peer.replay.received)


class FallbackCounter(JoinedBuffer):
    """Counts the reads that could not be opened where they lie."""

    __slots__ = ("fallbacks",)

    def __init__(self) -> None:
        super().__init__()
        self.fallbacks = 0

    def datagrams(self, length: int, size: int) -> list[bytes]:
        self.fallbacks += 1
        return super().datagrams(length, size)


class EpochTests(SynchronousTestCase):
    """A stream in reads as large as they come, over many epochs of 1000 datagrams."""

    def transfer(self, late: float) -> tuple[int, int]:
        """How many epochs there were, and reads opened slowly; `late`: how many reads one may come after its turn."""
        self.patch(encryptor, "EPOCH_DATAGRAMS", 1000)
        random, joined, counters = Random(7), FallbackCounter(), Counters()
        sender, receiver = linked()
        reads: list[tuple[float, bytes, bytes]] = []  # when it arrives, as sealed, what is in it
        for number in range(600):
            data = random.randbytes(CHUNK * random.randint(2, 64) - random.randint(0, 1) * (CHUNK - 1))
            sealed = bytes(sender.seal_burst(data, CHUNK, STREAM_FLAGS, 5, 10_000 * number))
            reads.append((number + random.uniform(0, late), sealed, data))
            sender.encryptor.answer_heard(number - late - 1, number)  # of what has come by now for certain
        for _, sealed, data in sorted(reads):
            runs = receiver.open_joined_untrusted(joined, read(joined, sealed), SIZE, counters)
            self.assertEqual(b"".join(found for _, _, found in told(runs)), data)
        self.assertEqual((counters.epoch_not_accepted, counters.received), (0, sender.next_sequence))
        return sender.encryptor.send_epoch, joined.fallbacks

    def test_a_change_makes_one_read_slow_and_no_more(self) -> None:
        epochs, slow = self.transfer(late=0)
        self.assertGreater(epochs, 15)
        self.assertLessEqual(slow, epochs)

    def test_what_comes_late_is_opened_with_the_key_before(self) -> None:
        epochs, slow = self.transfer(late=8)
        self.assertGreater(epochs, 12)
        self.assertLessEqual(slow, 9 * epochs)
