"""Netstrings out of a stream that comes in pieces."""

from __future__ import annotations

import contextlib
import itertools
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.errors import MalformedMessage
from bittrrt.link.send_channel import SendChannel
from bittrrt.net.control_stream import Incoming, Outgoing


class ControlStreamTests(SynchronousTestCase):
    @given(st.lists(st.binary(max_size=300), max_size=12), st.integers(0, 2**32))
    def test_pieces_in_any_order_give_the_messages_in_theirs(self, messages: list[bytes], seed: int) -> None:
        random = Random(seed)
        stream = b"".join(b"%d:%b," % (len(message), message) for message in messages)
        cuts = sorted({0, len(stream), *(random.randrange(len(stream) + 1) for _ in range(10))})
        pieces = [(first, stream[first:last]) for first, last in itertools.pairwise(cuts)]
        random.shuffle(pieces)
        incoming = Incoming()
        found: list[bytes] = []
        for offset, piece in pieces:
            found += incoming.put_untrusted(offset, piece)
        self.assertEqual(found, messages)
        self.assertEqual(incoming.taken, len(stream))

    def test_what_is_no_netstring_is_refused(self) -> None:
        for bad in (b":,", b"x", b"01:a,", b"-1:", b"99999", b"8193:", b"1:ab", b"1 :a,", b" 1:a,", "²:".encode()):
            self.assertRaises(MalformedMessage, Incoming().put_untrusted, 0, bad)

    @given(st.binary(max_size=40))
    def test_any_bytes_are_messages_or_the_one_error(self, data: bytes) -> None:
        with contextlib.suppress(MalformedMessage):
            Incoming().put_untrusted(0, data)

    def test_what_is_acknowledged_is_forgotten(self) -> None:
        channel = SendChannel(0, 0.0, urgent=True, credit=1000, limit=None)
        outgoing = Outgoing(channel)
        outgoing.put(b"one")
        outgoing.put(b"two")
        self.assertEqual(channel.available, 12)
        channel.range_acknowledged(8, 9)
        outgoing.trim()
        self.assertEqual(outgoing.backlog, 12)
        channel.range_acknowledged(0, 7)
        outgoing.trim()
        self.assertEqual(outgoing.backlog, 2)
        self.assertEqual(outgoing.read(10, 2), b"o,")

    def test_who_waits_is_told_of_what_was_put_before_he_asked(self) -> None:
        channel = SendChannel(0, 0.0, urgent=True, credit=1000, limit=None)
        outgoing = Outgoing(channel)
        self.successResultOf(outgoing.arrived())
        outgoing.put(b"one")
        first = outgoing.arrived()
        outgoing.put(b"two")
        second = outgoing.arrived()
        for acknowledged in (range(6, 12), range(6)):
            self.assertNoResult(first)
            channel.range_acknowledged(acknowledged[0], acknowledged[-1])
            outgoing.trim()
            outgoing.tell_arrived()
        self.successResultOf(first)
        self.successResultOf(second)
        outgoing.put(b"three")
        self.assertNoResult(outgoing.arrived())
