"""The digest of bytes that come by, however they are cut."""

from __future__ import annotations

from random import Random

from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittrrt.files.digest import STEP, OrderedDigest


class OrderedDigestTests(SynchronousTestCase):
    @given(st.lists(st.sampled_from([1, 100, STEP - 1, STEP, STEP + 1, 63_180, 200_000]), max_size=12), st.booleans())
    def test_any_cuts_give_the_same_digest(self, lengths: list[int], reading: bool) -> None:
        data = Random(len(lengths)).randbytes(sum(lengths))
        digest, at = OrderedDigest(), 0
        for number, length in enumerate(lengths):
            if reading and number % 3 == 1:
                digest.catch_up(lambda offset, most: data[offset : offset + most], at + length)
            else:
                digest.offer(at, (data[at : at + length],), length)
            at += length
            self.assertEqual(digest.position, at)
        self.assertEqual(digest.digest(), blake3(data).digest())

    def test_bytes_are_taken_at_once_as_their_buffer_may_be_used_again(self) -> None:
        digest, buffer = OrderedDigest(), bytearray(b"a" * 1000)
        digest.offer(0, (memoryview(buffer),), 1000)
        buffer[:] = b"b" * 1000
        digest.offer(1000, (memoryview(buffer),), 1000)
        self.assertEqual(digest.digest(), blake3(b"a" * 1000 + b"b" * 1000).digest())

    def test_more_may_come_after_a_digest_was_asked_for(self) -> None:
        digest = OrderedDigest()
        digest.offer(0, (b"a" * 1000,), 1000)
        self.assertEqual(digest.digest(), blake3(b"a" * 1000).digest())
        digest.offer(1000, (b"b" * 50_000,), 50_000)
        self.assertEqual(digest.digest(), blake3(b"a" * 1000 + b"b" * 50_000).digest())
