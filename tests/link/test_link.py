"""The order of checks on arrival: each failure has its counter, and changes nothing else."""

from __future__ import annotations

import random
import struct

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.link.counters import Counters
from bittrrt.link.link import Link
from bittrrt.link.replay import WINDOW
from bittrrt.wire.datagram import Opened

from ..agreement import agreed_pair


class LinkTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.one, self.other = (Link(end) for end in agreed_pair())
        self.counters = Counters()

    def counted(self) -> dict[str, int]:
        """The counters that are not 0."""
        return {name: count for name, count in self.counters.as_dict().items() if count}

    def dropped(self, name: str, datagram: bytes) -> None:
        """`other` drops it, and counts that under `name` and nowhere else."""
        self.counters = Counters()
        replay = self.other.replay
        before = replay.accepted, replay.highest
        self.assertIsNone(self.other.open_untrusted(datagram, self.counters))
        self.assertEqual(self.counted(), {name: 1})
        self.assertEqual(self.counters.dropped, 1)
        self.assertEqual((replay.accepted, replay.highest), before)

    def test_the_next_datagram_has_the_next_sequence_whatever_it_is(self) -> None:
        for sequence in range(5):
            datagram = self.one.seal(b"payload", flags=sequence, channel=7 * sequence, offset=sequence**9)
            opened = self.other.open_untrusted(datagram, self.counters)
            self.assertEqual(opened, Opened(sequence, 7 * sequence, sequence, sequence**9, b"payload"))
        self.assertEqual(self.counted(), {"received": 5, "bytes_received": 5 * 55})

    def test_every_drop_has_its_name(self) -> None:
        datagram = self.one.seal(b"payload", 0)
        self.dropped("too_short", b"")
        self.dropped("too_short", datagram[:47])
        self.dropped("epoch_not_accepted", struct.pack(">I", 2) + datagram[4:])
        self.dropped("not_authentic", struct.pack(">I", 1) + datagram[4:])
        self.dropped("not_authentic", datagram[:-1])
        self.dropped("not_authentic", datagram[:20] + bytes([datagram[20] ^ 1]) + datagram[21:])
        self.dropped("not_authentic", self.other.seal(b"reflected", 0))
        self.dropped("not_authentic", Link(agreed_pair()[0]).seal(b"of another session", 0))
        self.assertIsNotNone(self.other.open_untrusted(datagram, self.counters))
        self.dropped("replayed", datagram)

    def test_a_datagram_taken_on_one_port_is_taken_on_no_other(self) -> None:
        datagram = self.one.seal(b"", 0)
        ports = [Counters() for _ in range(3)]
        opened = [self.other.open_untrusted(datagram, counters) for counters in ports]
        self.assertEqual([at is not None for at in opened], [True, False, False])
        self.assertEqual([counters.replayed for counters in ports], [0, 1, 1])

    def test_one_older_than_the_window_is_a_replay(self) -> None:
        old = self.one.seal(b"", 0)
        self.one.next_sequence = WINDOW
        self.other.open_untrusted(self.one.seal(b"", 0), self.counters)
        self.dropped("replayed", old)

    def test_junk_is_counted_and_changes_nothing(self) -> None:
        chance = random.Random(4)
        sealed = [self.one.seal(b"%d" % number, 0) for number in range(50)]
        for datagram in sealed:
            self.other.open_untrusted(datagram, Counters())
        before = self.other.replay.accepted, self.other.replay.missing
        for _ in range(5000):
            datagram = chance.choice(sealed)
            match chance.randrange(5):
                case 0:
                    datagram = chance.randbytes(chance.randrange(1500))
                case 1:
                    datagram = datagram[: chance.randrange(len(datagram))]
                case 2:
                    at = chance.randrange(len(datagram))
                    datagram = datagram[:at] + bytes([datagram[at] ^ 1 << chance.randrange(8)]) + datagram[at + 1 :]
                case 3:
                    datagram = struct.pack(">I", chance.randrange(1, 2**32)) + datagram[4:]
            self.assertIsNone(self.other.open_untrusted(datagram, self.counters))
        self.assertEqual(self.counters.dropped, 5000)
        self.assertEqual(set(self.counted()), {"too_short", "epoch_not_accepted", "not_authentic", "replayed"})
        self.assertEqual((self.other.replay.accepted, self.other.replay.missing), before)
        self.assertIsNotNone(self.other.open_untrusted(self.one.seal(b"still", 0), self.counters))

    def test_counters_begin_at_nothing_and_are_told_by_name(self) -> None:
        counts = Counters().as_dict()
        self.assertEqual(set(counts.values()), {0})
        self.assertLessEqual({"received", "sent", "replayed", "malformed", "withheld"}, set(counts))
