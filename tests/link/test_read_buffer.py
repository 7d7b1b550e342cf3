"""Opening a turn of reads where they lie: the same as datagram by datagram, whatever the network has done to it."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.link import encryptor
from bittrrt.link.counters import Counters
from bittrrt.link.link import Link
from bittrrt.link.read_buffer import FEW, LARGE, MAX_VIEWS, SLOT, SLOTS, Group, ReadBuffer, Reads
from bittrrt.wire.datagram import LINK_CHANNEL, MESSAGE_FLAGS, OVERHEAD, STREAM_FLAGS, Run

from .test_burst import CHUNK, cut, linked

SIZE = CHUNK + OVERHEAD


def land(buffer: ReadBuffer, *brought: tuple[bytes, int], slot: int = 0) -> Reads:
    """Reads land in the slots from `slot` on: what each has brought, and the size of its datagrams."""
    for number, (data, _) in enumerate(brought, slot):
        buffer.slot(number)[: len(data)] = data
    return Reads(slot, [len(data) for data, _ in brought], [min(size, len(data)) for data, size in brought])


def told(runs: list[Run]) -> list[tuple[int, int, bytes]]:
    """Flags, offset and bytes of each run, neighbours joined: however the datagrams were put together."""
    found: list[tuple[int, int, bytes]] = []
    for run in runs:
        data = run.payload
        if found and found[-1][0] == run.flags and found[-1][1] + len(found[-1][2]) == run.offset:
            data = found[-1][2] + data
            found[-1] = (run.flags, found[-1][1], data)
        else:
            found.append((run.flags, run.offset, data))
    return found


class ReadBufferTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.sender, self.receiver = linked()
        self.counters = Counters()
        self.buffer = ReadBuffer()

    def open(self, *sealed: bytes, size: int = SIZE) -> list[Run]:
        """A turn of reads, each of which has brought what the kernel had joined."""
        reads = land(self.buffer, *((data, size) for data in sealed))
        return self.receiver.open_reads_untrusted(self.buffer, reads, self.counters)

    def seal(
        self, data: bytes, offset: int = 0, flags: int = STREAM_FLAGS, chunk: int = CHUNK, channel: int = 5
    ) -> bytes:
        return bytes(self.sender.seal_burst(data, chunk, flags, channel, offset))


class GroupTests(ReadBufferTestCase):
    """How the datagrams of a turn lie."""

    def groups(self, *reads: tuple[int, int]) -> list[Group]:
        return list(self.buffer.groups(land(self.buffer, *((bytes(length), size) for length, size in reads), slot=2)))

    def test_what_the_kernel_has_joined_is_a_group_and_a_shorter_last_one_another(self) -> None:
        begin = 2 * SLOT
        self.assertEqual(self.groups((350, 100)), [Group(begin, 100, 100, 3), Group(begin + 300, SLOT, 50, 1)])

    def test_neighbours_of_one_size_that_came_one_by_one_are_a_group(self) -> None:
        found = self.groups((70, 70), (100, 100), (100, 100), (200, 100), (100, 100))
        self.assertEqual([(group.begin // SLOT, group.size, group.datagrams) for group in found], [
            (2, 70, 1), (3, 100, 2), (5, 100, 2), (6, 100, 1)
        ])  # fmt: skip

    def test_every_datagram_is_found_in_its_order(self) -> None:
        reads = land(self.buffer, (b"aabbc", 2), (b"", 0), (b"dd", 2), (b"ee", 2), (b"f", 1))
        self.assertEqual(self.buffer.all_datagrams(reads), [b"aa", b"bb", b"c", b"", b"dd", b"ee", b"f"])

    def test_only_what_it_pays_for_is_opened_in_place(self) -> None:
        for group, in_place in (
            (Group(0, SIZE, SIZE, 2), True),
            (Group(0, SLOT, SIZE, FEW), True),
            (Group(0, SLOT, SIZE, FEW - 1), False),
            (Group(0, SLOT, LARGE, 1), True),
            (Group(0, OVERHEAD, OVERHEAD, 9), False),
        ):
            self.assertIs(group.in_place, in_place, group)


class OpenTests(ReadBufferTestCase):
    def test_a_turn_of_one_stream_is_one_run(self) -> None:
        data = Random(1).randbytes(40 * CHUNK)
        joined = [self.seal(data[at : at + 10 * CHUNK], 7000 + at) for at in range(0, 20 * CHUNK, 10 * CHUNK)]
        single = cut(self.seal(data[20 * CHUNK :], 7000 + 20 * CHUNK))
        (run,) = self.open(*joined, *single)
        self.assertEqual(run, Run(STREAM_FLAGS, 5, 0, 7000, [data], 40))
        self.assertEqual((self.counters.received, self.counters.bytes_received), (40, 40 * SIZE))

    def test_a_shorter_last_datagram_is_of_the_run_too(self) -> None:
        data = Random(2).randbytes(2 * CHUNK + 30)
        self.assertEqual(self.open(self.seal(data)), [Run(STREAM_FLAGS, 5, 0, 0, [data], 3)])

    def test_small_payloads_stay_when_the_buffer_is_read_into_again(self) -> None:
        data = Random(3).randbytes(4 * CHUNK)
        runs = self.open(self.seal(data))
        self.open(self.seal(bytes(4 * CHUNK), 4 * CHUNK))
        self.assertEqual(told(runs), [(STREAM_FLAGS, 0, data)])

    def test_large_chunks_of_a_stream_stay_where_they_were_opened(self) -> None:
        data = Random(4).randbytes(2 * LARGE)
        (run,) = self.open(*cut(self.seal(data, chunk=LARGE), LARGE + OVERHEAD), size=LARGE + OVERHEAD)
        self.assertEqual([type(payload) for payload in run.payloads], [memoryview, memoryview])
        self.assertEqual((run.payload, run.datagrams, run.length), (data, 2, 2 * LARGE))

    def test_large_ones_of_all_else_are_copied(self) -> None:
        for flags, channel in ((STREAM_FLAGS, LINK_CHANNEL), (MESSAGE_FLAGS, 5)):
            (run,) = self.open(self.seal(bytes(LARGE), 0, flags, LARGE, channel), size=LARGE + OVERHEAD)
            self.assertEqual(run.payloads, [bytes(LARGE)])
            self.assertIsInstance(run.payloads[0], bytes)

    def test_messages_stay_apart(self) -> None:
        sealed = self.seal(bytes(5 * CHUNK), flags=MESSAGE_FLAGS)
        for runs in (self.open(sealed), self.open(*cut(self.seal(bytes(5 * CHUNK), flags=MESSAGE_FLAGS)))):
            self.assertEqual([(run.datagrams, run.length) for run in runs], [(1, CHUNK)] * 5)

    def test_a_gap_parts_runs_without_opening_anything_twice(self) -> None:
        data = Random(5).randbytes(9 * CHUNK)
        sealed = cut(self.seal(data))
        del sealed[4]
        runs = self.open(*sealed)
        self.assertEqual([(run.sequence, run.datagrams) for run in runs], [(0, 4), (5, 4)])
        self.assertEqual(
            told(runs), [(STREAM_FLAGS, 0, data[: 4 * CHUNK]), (STREAM_FLAGS, 5 * CHUNK, data[5 * CHUNK :])]
        )

    def test_one_false_datagram_costs_only_itself(self) -> None:
        data = Random(4).randbytes(4 * CHUNK)
        for number, bring in enumerate((lambda sealed: [sealed], cut)):
            sealed = bytearray(self.seal(data, number * 9000))
            sealed[SIZE + 20] ^= 1
            first, second = told(self.open(*bring(bytes(sealed))))
            self.assertEqual((first[2], second[2]), (data[:CHUNK], data[2 * CHUNK :]))
            self.assertEqual(self.counters.not_authentic, number + 1)

    def test_a_turn_that_comes_again_is_a_replay(self) -> None:
        sealed = self.seal(bytes(4 * CHUNK))
        self.open(sealed)
        self.assertEqual(self.open(sealed), [])
        self.assertEqual(self.open(*cut(sealed)), [])
        self.assertEqual((self.counters.received, self.counters.replayed), (4, 8))

    def test_a_turn_older_than_another_is_taken_datagram_by_datagram(self) -> None:
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
        self.assertEqual([run.length for run in self.open(empty * 2, size=OVERHEAD)], [0])
        self.assertEqual(self.open(bytes(90), size=30), [])
        self.assertEqual((self.counters.replayed, self.counters.too_short), (1, 3))

    def test_the_last_slot_is_opened_like_the_first(self) -> None:
        data = Random(8).randbytes(2 * LARGE + LARGE // 2 + LARGE // 2 - 1)
        sealed = self.seal(data, chunk=LARGE + LARGE // 2)
        reads = land(self.buffer, (sealed, LARGE + LARGE // 2 + OVERHEAD), slot=SLOTS - 1)
        (run,) = self.receiver.open_reads_untrusted(self.buffer, reads, self.counters)
        self.assertEqual((run.payload, run.datagrams), (data, 2))

    def test_many_sizes_do_not_take_memory_without_end(self) -> None:
        for size in range(200, 300):
            self.open(bytes(60 * size), *[bytes(size)] * (SLOTS - 1), size=size)
            self.assertLessEqual(sum(map(len, self.buffer._views.values())), MAX_VIEWS + SLOTS)
        self.assertEqual(self.counters.received, 0)

    @given(st.integers(0, 2**32))
    def test_any_turn_says_what_its_datagrams_say_one_by_one(self, seed: int) -> None:
        random = Random(seed)
        sender, receiver = linked()
        peer = Link(receiver.encryptor)
        chunk = random.choice((CHUNK, CHUNK, LARGE))
        parts: list[bytes] = []
        for flags in random.choices((STREAM_FLAGS, MESSAGE_FLAGS), (5, 1), k=random.randrange(1, 4)):
            data = random.randbytes(random.randrange(1, 7) * chunk)
            parts.append(bytes(sender.seal_burst(data, chunk, flags, 5, random.randrange(4) * 5 * chunk)))
        brought: list[bytes] = []
        for part in random.sample(parts, len(parts)):
            damaged = bytearray(part)
            if random.random() < 0.3:
                damaged[random.randrange(len(damaged))] ^= 1
            del damaged[len(damaged) - random.randrange(chunk) * random.randrange(2) :]
            joined = random.random() < 0.5 and len(damaged) < 2**16
            brought += [bytes(damaged)] if joined else cut(bytes(damaged), chunk + OVERHEAD)
        buffer, counters, others = ReadBuffer(), Counters(), Counters()
        reads = land(buffer, *((data, chunk + OVERHEAD) for data in brought), slot=random.randrange(9))
        one_by_one = peer.open_burst_untrusted(buffer.all_datagrams(reads), others)
        self.assertEqual(told(receiver.open_reads_untrusted(buffer, reads, counters)), told(one_by_one))
        for name in Counters.__slots__:
            self.assertEqual(getattr(counters, name), getattr(others, name), name)
        self.assertEqual(receiver.replay.received, peer.replay.received)


class FallbackCounter(ReadBuffer):
    """Counts the groups that could not be opened where they lie."""

    __slots__ = ("fallbacks",)

    def __init__(self) -> None:
        super().__init__()
        self.fallbacks = 0

    def datagrams(self, group: Group) -> list[bytes]:
        self.fallbacks += group.in_place
        return super().datagrams(group)


class EpochTests(SynchronousTestCase):
    """A stream in reads as large as they come, over many epochs of 1000 datagrams."""

    def transfer(self, late: float) -> tuple[int, int]:
        """How many epochs there were, and reads opened slowly; `late`: how many reads one may come after its turn."""
        self.patch(encryptor, "EPOCH_DATAGRAMS", 1000)
        random, buffer, counters = Random(7), FallbackCounter(), Counters()
        sender, receiver = linked()
        arriving: list[tuple[float, bytes, bytes]] = []  # when it arrives, as sealed, what is in it
        for number in range(600):
            data = random.randbytes(CHUNK * random.randint(2, 64) - random.randint(0, 1) * (CHUNK - 1))
            sealed = bytes(sender.seal_burst(data, CHUNK, STREAM_FLAGS, 5, 10_000 * number))
            arriving.append((number + random.uniform(0, late), sealed, data))
            sender.encryptor.answer_heard(number - late - 1, number)  # of what has come by now for certain
        for _, sealed, data in sorted(arriving):
            runs = receiver.open_reads_untrusted(buffer, land(buffer, (sealed, SIZE)), counters)
            self.assertEqual(b"".join(found for _, _, found in told(runs)), data)
        self.assertEqual((counters.epoch_not_accepted, counters.received), (0, sender.next_sequence))
        return sender.encryptor.send_epoch, buffer.fallbacks

    def test_a_change_makes_one_read_slow_and_no_more(self) -> None:
        epochs, slow = self.transfer(late=0)
        self.assertGreater(epochs, 15)
        self.assertLessEqual(slow, epochs)

    def test_what_comes_late_is_opened_with_the_key_before(self) -> None:
        epochs, slow = self.transfer(late=8)
        self.assertGreater(epochs, 12)
        self.assertLessEqual(slow, 9 * epochs)
