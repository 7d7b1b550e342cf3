"""The fast port on fake sockets: writing, and what becomes of what cannot be written."""

from __future__ import annotations

import errno
import socket

from bittrrt.link.full_burst import MAX_BATCH

from .fake_socket import PEER, SO_RXQ_OVFL, FakeKernelTestCase, PlainPort

SEND_ERRORS = ["EAGAIN", "ENOBUFS", "ENOMEM", "EPERM", "EACCES", "EMSGSIZE", "EINVAL"]  # EPERM: a firewall's
SEND_ERRORS += ["ENETDOWN", "ENETUNREACH", "EHOSTUNREACH", "ECONNREFUSED"]


class WriteTests(FakeKernelTestCase):
    """From the caller to the kernel: single datagrams."""

    def test_what_cannot_be_sent_is_lost_and_counted_by_name(self) -> None:
        for name in SEND_ERRORS:
            self.socket.send_errors = [getattr(errno, name)]
            self.assertIs(self.port.write(b"x", PEER), False)
        self.assertEqual(self.port.counters.unsent, dict.fromkeys(SEND_ERRORS, 1))
        self.assertIs(self.port.write(b"x", PEER), True)
        self.assertEqual(self.socket.sent, [(b"x", 0)])

    def test_an_error_without_a_number_is_counted_by_its_type(self) -> None:
        self.port.counters.count_unsent(TimeoutError(), 2)
        self.assertEqual(self.port.counters.unsent, {"TimeoutError": 2})

    def test_a_late_write_to_a_closed_port_is_lost(self) -> None:
        self.port.stopListening()
        self.reactor.advance(0)
        self.assertIs(self.port.write(b"x", PEER), False)
        self.assertIs(self.port.write_batch([b"x", b"y"], PEER), True)
        self.assertEqual(self.port.counters.unsent, {"ENOTCONN": 3})


class BatchTests(FakeKernelTestCase):
    """From the caller to the kernel: batches."""

    def fill(self, *batches: list[bytes]) -> list[bool]:
        """Write the batches while the kernel has no room."""
        self.socket.send_errors = [errno.EAGAIN]
        return [self.port.write_batch(batch, PEER) for batch in batches]

    def test_a_batch_is_one_send_cut_to_the_size_of_its_first_segment(self) -> None:
        self.assertIs(self.port.write_batch([b"aaaa", b"bbbb", b"cc"], PEER), True)
        self.assertEqual(self.socket.sent, [(b"aaaabbbbcc", 4)])

    def test_one_segment_is_a_plain_datagram(self) -> None:
        self.port.write_batch([b"aaaa"], PEER)
        self.assertEqual(self.socket.sent, [(b"aaaa", 0)])

    def test_the_largest_batches_are_sent(self) -> None:
        self.port.write_batch([b"x" * 1000] * 64, PEER)
        self.port.write_batch([b"x" * 1024] * 63 + [b"x" * (MAX_BATCH - 63 * 1024)], PEER)
        self.port.write_batch([b"x" * MAX_BATCH], PEER)
        self.assertEqual([len(data) for data, _ in self.socket.sent], [64_000, MAX_BATCH, MAX_BATCH])

    def test_what_is_no_batch_is_a_value_error(self) -> None:
        empty: list[list[bytes]] = [[], [b""], [b"a", b""]]
        for segments in [*empty, [b"x"] * 65, [b"x" * MAX_BATCH, b"x"], [b"aa", b"bbb"], [b"aa", b"b", b"c"]]:
            self.assertRaises(ValueError, self.port.write_batch, segments, PEER)
        self.assertRaises(ValueError, self.port.write_segments, b"x", 0, PEER)

    def test_a_batch_that_the_network_refuses_is_lost_whole(self) -> None:
        for number in (errno.ENOBUFS, errno.EPERM, errno.ENETUNREACH):
            self.socket.send_errors = [number]
            self.assertIs(self.port.write_batch([b"aaaa", b"bbbb", b"cc"], PEER), True)
        self.assertEqual(self.port.counters.unsent, {"ENOBUFS": 3, "EPERM": 3, "ENETUNREACH": 3})
        self.assertTrue(self.port.segmenting)

    def test_two_batches_are_kept_and_a_third_is_refused(self) -> None:
        self.assertEqual(self.fill([b"a", b"b"], [b"c", b"d"], [b"e", b"f"]), [True, True, False])
        self.assertFalse(self.port.can_write_batch)
        self.assertEqual((self.socket.sent, self.reactor.writers), ([], {self.port}))

    def test_kept_batches_are_sent_in_order_when_there_is_room(self) -> None:
        self.fill([b"a", b"b"], [b"c", b"d"])
        self.assertIsNone(self.port.doWrite())
        self.assertEqual(self.socket.sent, [(b"ab", 1), (b"cd", 1)])
        self.assertEqual(self.reactor.writers, set())
        self.assertTrue(self.port.can_write_batch)

    def test_a_new_batch_waits_behind_the_kept_one(self) -> None:
        self.fill([b"a", b"b"])
        self.port.write_batch([b"c", b"d"], PEER)
        self.assertEqual(self.socket.sent, [])
        self.port.doWrite()
        self.assertEqual(self.socket.sent, [(b"ab", 1), (b"cd", 1)])

    def test_a_flush_goes_on_where_the_kernel_had_no_room_again(self) -> None:
        self.fill([b"a", b"b"], [b"c", b"d"])
        self.socket.send_errors = [0, errno.EAGAIN]
        self.port.doWrite()
        self.assertEqual((self.socket.sent, self.reactor.writers), ([(b"ab", 1)], {self.port}))
        self.port.doWrite()
        self.assertEqual((self.socket.sent, self.reactor.writers), ([(b"ab", 1), (b"cd", 1)], set()))

    def test_a_single_datagram_goes_ahead_of_kept_batches(self) -> None:
        self.fill([b"a", b"b"])
        self.port.write(b"heartbeat", PEER)
        self.port.doWrite()
        self.assertEqual(self.socket.sent, [(b"heartbeat", 0), (b"ab", 1)])

    def test_a_kept_payload_may_be_reused_by_the_caller(self) -> None:
        payload = bytearray(b"aabb")
        self.socket.send_errors = [errno.EAGAIN]
        self.port.write_segments(payload, 2, PEER)
        payload[:] = b"ccdd"
        self.port.doWrite()
        self.assertEqual(self.socket.sent, [(b"aabb", 2)])

    def test_a_batch_that_cannot_be_segmented_is_sent_one_by_one_from_then_on(self) -> None:
        for number in (errno.EIO, errno.EINVAL):
            self.setUp()
            self.socket.segment_error = number
            self.port.write_batch([b"aa", b"bb", b"c"], PEER)
            self.assertFalse(self.port.segmenting)
            self.socket.segment_error = 0
            self.port.write_batch([b"dd", b"e"], PEER)
            self.assertEqual(self.socket.sent, [(b"aa", 0), (b"bb", 0), (b"c", 0), (b"dd", 0), (b"e", 0)])
            self.assertEqual(self.port.counters.unsent, {})

    def test_segments_that_do_not_pass_alone_either_leave_segmentation_as_it_is(self) -> None:
        self.socket.send_errors = [errno.EINVAL, errno.EMSGSIZE, errno.EMSGSIZE, 0]
        self.port.write_batch([b"aa", b"bb", b"c"], PEER)
        self.assertTrue(self.port.segmenting)
        self.assertEqual(self.socket.sent, [(b"c", 0)])
        self.assertEqual(self.port.counters.unsent, {"EMSGSIZE": 2})

    def test_closing_drops_what_was_kept(self) -> None:
        self.fill([b"a", b"b"])
        self.port.stopListening()
        self.port.doWrite()
        self.reactor.advance(0)
        self.assertEqual((self.socket.sent, self.socket.closed, self.reactor.writers), ([], True, set()))


class PlainBatchTests(FakeKernelTestCase):
    """Batches where there is no segmentation."""

    port_class = PlainPort

    def test_a_batch_is_sent_one_by_one(self) -> None:
        self.port.write_batch([b"aa", b"bb", b"c"], PEER)
        self.assertEqual(self.socket.sent, [(b"aa", 0), (b"bb", 0), (b"c", 0)])

    def test_only_the_rest_of_a_batch_is_kept(self) -> None:
        self.socket.send_errors = [0, errno.EAGAIN]
        self.assertIs(self.port.write_batch([b"aa", b"bb", b"c"], PEER), True)
        self.assertEqual(self.socket.sent, [(b"aa", 0)])
        self.port.doWrite()
        self.assertEqual(self.socket.sent, [(b"aa", 0), (b"bb", 0), (b"c", 0)])

    def test_a_datagram_of_a_batch_is_lost_alone(self) -> None:
        self.socket.send_errors = [0, errno.ENOBUFS]
        self.port.write_batch([b"aa", b"bb", b"c"], PEER)
        self.assertEqual(self.socket.sent, [(b"aa", 0), (b"c", 0)])
        self.assertEqual(self.port.counters.unsent, {"ENOBUFS": 1})

    def test_no_option_of_linux_is_set(self) -> None:
        self.port.prepare_for_bulk()
        self.assertIs(self.port.probe_path_mtu(), False)
        self.assertEqual({level for level, _ in self.socket.options}, {socket.SOL_SOCKET})
        self.assertNotIn((socket.SOL_SOCKET, SO_RXQ_OVFL), self.socket.options)
