"""A burst of several writes on its way out: what fits in the port leaves, and only that is known as sent."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from random import Random

from bittrrt.link.full_burst import full_burst
from bittrrt.link.link import Link
from bittrrt.link.pacer import WRITES_A_TURN
from bittrrt.net.clock import Clock
from bittrrt.net.handlers import PortHandler, UpHandler
from bittrrt.net.sending import Sending
from bittrrt.wire.datagram import OVERHEAD, STREAM_FLAGS

from .fake_socket import PEER, FakeKernelTestCase
from .simulated_data import MemorySource, outcome_of
from .test_handlers import agreed_pair

CHUNK = 1452 - OVERHEAD
WRITE = full_burst(CHUNK) * CHUNK  # bytes of a stream
ROUND_TRIP = 0.0005  # seconds; the first window may leave at 300 MB/s


class BurstWritesTestCase(FakeKernelTestCase):
    def setUp(self) -> None:
        super().setUp()
        encryptor, self.other = agreed_pair()
        self.now = 100.0
        self.clock = Clock(lambda: self.now, lambda: 0)
        self.link = Link(encryptor)
        self.handler: PortHandler = UpHandler({}, encryptor, link=self.link, clock=self.clock)
        self.handler.transport = self.port
        self.handler.peer.heard(PEER, 0, 100, self.now)
        self.data = Random(3).randbytes(3 * WRITE + 500)

    def prove_address(self) -> None:
        self.handler.peer.answered(PEER, self.now)

    def fill(self, after: int) -> None:
        """The kernel takes so many writes more, and then nothing until the port writes again."""
        self.socket.send_errors = [0] * after + [errno.EAGAIN]

    def opened(self) -> Iterator[tuple[int, int, bytes]]:
        """Sequence, offset and payload of every datagram that has left."""
        for batch, size in self.socket.sent:
            for at in range(0, len(batch), size or len(batch)):
                _, _, sequence, offset, payload = self.other.decrypt(batch[at : at + (size or len(batch))])
                yield sequence, offset, payload

    def assert_left(self, count: int) -> None:
        """The first `count` bytes of the data have left, in order, each sequence once."""
        opened = list(self.opened())
        self.assertEqual([sequence for sequence, _, _ in opened], list(range(self.link.next_sequence)))
        self.assertEqual([offset for _, offset, _ in opened], list(range(0, count, CHUNK)))
        self.assertEqual(b"".join(payload for _, _, payload in opened), self.data[:count])


class HandlerTests(BurstWritesTestCase):
    def send(self) -> int:
        return self.handler.send_burst(self.data, CHUNK, STREAM_FLAGS, 1, 0)

    def test_a_burst_is_cut_in_full_writes_and_the_rest(self) -> None:
        self.assertEqual(self.send(), len(self.data))
        sizes = [len(batch) for batch, _ in self.socket.sent]
        self.assertEqual(sizes, [full_burst(CHUNK) * 1452] * 3 + [500 + OVERHEAD])
        self.assert_left(len(self.data))
        self.assertEqual((self.handler.counters.sent, self.handler.counters.bytes_sent), (136, sum(sizes)))

    def test_no_more_is_sealed_than_the_port_keeps(self) -> None:
        self.fill(after=1)
        self.assertEqual(self.send(), 3 * WRITE)  # one has left, and two are kept
        self.assertEqual(self.link.next_sequence, 3 * full_burst(CHUNK))
        self.assertEqual(self.handler.room_for_burst(), 0)
        self.port.doWrite()
        self.assert_left(3 * WRITE)

    def test_an_empty_burst_is_one_datagram(self) -> None:
        self.assertEqual(self.handler.send_burst(b"", CHUNK, STREAM_FLAGS, 1, 7), 0)
        self.assertEqual(list(self.opened()), [(0, 7, b"")])


class SendingTests(BurstWritesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.data = Random(3).randbytes(2_000_000)
        unused = UpHandler({}, None, link=self.link, clock=self.clock), UpHandler({}, None, link=self.link)
        self.sending = Sending(
            self.link, unused[0], self.handler, unused[1], clock=self.clock, congestion="model", mtu=1452,
            random=Random(1), failed=lambda channel, error: None, expected_round_trip=ROUND_TRIP,
        )  # fmt: skip
        self.outcome = outcome_of(
            self.sending.open(1, MemorySource(self.data), len(self.data), None, None, False, None, False)
        )
        self.sender = self.sending._sender
        self.sender.congestion.window = 10**7
        self.sender._pacer.set_rate(1e9, self.now)
        self.now += 1.0  # tokens for a whole turn

    def test_a_turn_is_one_burst_and_four_writes(self) -> None:
        self.prove_address()
        self.assertTrue(self.sending.send_due(self.now))
        self.assertEqual(len(self.socket.sent), WRITES_A_TURN)
        self.assert_left(WRITES_A_TURN * WRITE)
        self.assertEqual(self.sender.in_flight, WRITES_A_TURN * full_burst(CHUNK) * 1452)

    def test_what_did_not_fit_in_the_port_leaves_later(self) -> None:
        self.prove_address()
        self.fill(after=0)
        self.assertFalse(self.sending.send_due(self.now))  # the port keeps two writes, and two stay where they are
        self.assertEqual(self.sender.in_flight, 2 * full_burst(CHUNK) * 1452)
        self.assertEqual(self.sender.fresh_sent, 2 * WRITE)
        self.port.doWrite()
        self.now += 0.002  # sooner than a probe timeout
        self.sending.send_due(self.now)
        self.assert_left((2 + WRITES_A_TURN) * WRITE)

    def test_an_unproved_address_gets_three_times_what_it_sent(self) -> None:
        self.handler.peer.heard(PEER, 1, 2 * WRITE // 3, self.now)
        self.sending.send_due(self.now)
        self.assertLessEqual(sum(len(batch) for batch, _ in self.socket.sent), 3 * (2 * WRITE // 3 + 100))
        self.assertGreater(len(self.socket.sent), 1)
        self.assertTrue(self.sending.withheld)
        self.assert_left(self.sender.fresh_sent)
