"""Full bursts, which are sealed without an object for each datagram: the same bytes as datagram by datagram."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from bittrrt.link.counters import Counters
from bittrrt.link.encryptor import CommEncryptor
from bittrrt.link.full_burst import MAX_BATCH, MAX_CUTS, MAX_SEGMENTS, FullBurst, full_burst
from bittrrt.link.link import Link
from bittrrt.wire.datagram import OVERHEAD, STREAM_FLAGS, pack_header
from bittrrt.wire.messages import CipherName

from ..agreement import agreed_pair

CHUNK = 1452 - OVERHEAD
CIPHERS: tuple[CipherName, ...] = ("aes-256-gcm", "chacha20-poly1305")


class Recorded:
    """Stands in for the AEAD's `encrypt_into`: what would be sealed with which nonce."""

    def __init__(self) -> None:
        self.seen: list[tuple[bytes, bytes]] = []

    def encrypt_into(self, nonce: memoryview, plain: memoryview, data: None, sealed: memoryview) -> int:
        self.seen.append((bytes(nonce), bytes(plain)))
        sealed[: len(plain)] = plain
        return len(plain)


class FullBurstTests(SynchronousTestCase):
    def test_a_write_takes_64_datagrams_or_65487_bytes(self) -> None:
        self.assertEqual([full_burst(size - OVERHEAD) for size in (100, 1023, 1024, 1452, 32768, MAX_BATCH)],
                         [MAX_SEGMENTS, MAX_SEGMENTS, 63, 45, 1, 1])  # fmt: skip

    def test_nonces_headers_and_chunks_are_those_of_each_datagram(self) -> None:
        for chunk_size in (1, 52, CHUNK, 8904, MAX_BATCH - OVERHEAD):
            count, recorded = full_burst(chunk_size), Recorded()
            payload = Random(chunk_size).randbytes(count * chunk_size)
            word, sequence, offset, counter = STREAM_FLAGS << 24 | 5, 2**40, 2**62, 2**33
            FullBurst().seal(payload, chunk_size, recorded.encrypt_into, 7, counter, word, sequence, offset)
            expected = [
                (
                    (7).to_bytes(4, "big") + (counter + number).to_bytes(8, "big"),
                    pack_header(STREAM_FLAGS, 5, sequence + number, offset + number * chunk_size)
                    + payload[number * chunk_size : (number + 1) * chunk_size],
                )
                for number in range(count)
            ]
            self.assertEqual(recorded.seen, expected)

    def test_views_are_kept_for_a_few_sizes_only(self) -> None:
        burst = FullBurst()
        for chunk_size in range(1000, 1020):
            payload = bytes(full_burst(chunk_size) * chunk_size)
            burst.seal(payload, chunk_size, Recorded().encrypt_into, 0, 0, 0, 0, 0)
            self.assertLessEqual(len(burst._cuts), MAX_CUTS)


class SealedTests(SynchronousTestCase):
    """Through the encryptor, whichever way it takes."""

    def sealed_and_opened(self, cipher: CipherName, length: int) -> None:
        ends = agreed_pair(cipher=cipher)
        one, other = map(Link, ends)
        payload, counters = Random(length).randbytes(length), Counters()
        for offset in (0, length):
            sealed = bytes(one.seal_burst(payload, CHUNK, STREAM_FLAGS, 5, offset))
            size = CHUNK + OVERHEAD
            datagrams = [sealed[at : at + size] for at in range(0, len(sealed), size)]
            (run,) = other.open_burst_untrusted(datagrams, counters)
            self.assertEqual((run.flags, run.channel, run.offset), (STREAM_FLAGS, 5, offset))
            self.assertEqual(b"".join(run.payloads), payload)
        self.assertEqual(counters.received, one.next_sequence)

    def test_full_bursts_and_others_open_as_one_run(self) -> None:
        full = full_burst(CHUNK) * CHUNK
        for cipher in CIPHERS:
            for length in (full, full - 1, full - CHUNK, CHUNK, 1):
                self.sealed_and_opened(cipher, length)

    def test_a_burst_that_fails_has_used_its_nonces_up(self) -> None:
        one, _ = agreed_pair()
        payload = bytes(full_burst(CHUNK) * CHUNK)

        class Broken:
            def encrypt_into(self, *_: object) -> int:
                raise MemoryError

        key, one._send_key = one._send_key, Broken()  # type: ignore[assignment]
        self.assertRaises(MemoryError, one.seal_burst, payload, CHUNK, STREAM_FLAGS, 5, 0, 0)
        one._send_key = key
        self.assertEqual(one.encrypt(b"")[4:12], full_burst(CHUNK).to_bytes(8, "big"))

    def test_without_keys_nothing_is_sealed(self) -> None:
        payload = bytes(full_burst(CHUNK) * CHUNK)
        self.assertRaises(ValueError, CommEncryptor().seal_burst, payload, CHUNK, STREAM_FLAGS, 5, 0, 0)
