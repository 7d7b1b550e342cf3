"""The Diffie-Hellman exchange of two `CommEncryptor`s, and `decrypt`'s return with the header's fields.

Runs alone too: `python3 tests/test_dh_exchange.py`. `demo_key_exchange.py` shows the same step by step.
"""

from __future__ import annotations

import sys
from pathlib import Path
from unittest import TextTestRunner, main

if __name__ == "__main__":  # from a checkout, wherever it is called from
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from twisted.trial import unittest

from bittrrt import CommEncryptor, MsgFlags


class ExchangeTests(unittest.SynchronousTestCase):
    def setUp(self) -> None:
        self.server, self.client = CommEncryptor(), CommEncryptor()

    def exchange(self) -> None:
        """Each end is given the other's public key, and nothing else."""
        self.server.derive_shared_secret(self.client.get_public_key())
        self.client.derive_shared_secret(self.server.get_public_key())

    def test_public_keys_are_bytes_that_can_be_sent(self) -> None:
        for end in (self.server, self.client):
            self.assertIsInstance(end.get_public_key(), bytes)
            self.assertEqual(len(end.get_public_key()), 32)
            self.assertEqual(end.get_public_key(), end.get_public_key())
        self.assertNotEqual(self.server.get_public_key(), self.client.get_public_key())

    def test_after_the_exchange_each_end_reads_the_other(self) -> None:
        self.exchange()
        for sender, receiver in ((self.client, self.server), (self.server, self.client)):
            for text in (b"", b"hello", "gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n".encode(), bytes(1400)):
                self.assertEqual(receiver.decrypt(sender.encrypt(text)), (0, 0, 0, 0, text))

    def test_decrypt_returns_the_headers_fields_before_the_plaintext(self) -> None:
        self.exchange()
        flags = (1 << MsgFlags.DATA.value) | (1 << MsgFlags.BINARY.value)
        encrypted = self.client.encrypt(b"data", b"", flags, 7, 2**40, 2**50)
        flags_got, channel, sequence, offset, plaintext = self.server.decrypt(encrypted)
        self.assertEqual((flags_got, channel, sequence, offset, plaintext), (flags, 7, 2**40, 2**50, b"data"))

    def test_the_same_plaintext_is_never_encrypted_the_same_way(self) -> None:
        self.exchange()
        encrypted = {self.client.encrypt(b"same") for _ in range(100)}
        self.assertEqual(len(encrypted), 100)

    def test_a_third_end_reads_nothing_and_says_nothing(self) -> None:
        self.exchange()
        stranger = CommEncryptor()
        stranger.derive_shared_secret(self.server.get_public_key())
        self.assertRaises(ValueError, stranger.decrypt, self.client.encrypt(b"private"))
        self.assertRaises(ValueError, self.server.decrypt, stranger.encrypt(b"forged"))

    def test_a_changed_public_key_gives_ends_that_do_not_understand_each_other(self) -> None:
        middle = CommEncryptor()
        self.client.derive_shared_secret(middle.get_public_key())
        self.server.derive_shared_secret(self.client.get_public_key())
        self.assertRaises(ValueError, self.server.decrypt, self.client.encrypt(b"hello"))

    def test_associated_data_has_to_be_the_same(self) -> None:
        self.exchange()
        encrypted = self.client.encrypt(b"hello", b"context")
        self.assertEqual(self.server.decrypt(encrypted, b"context")[4], b"hello")
        self.assertRaises(ValueError, self.server.decrypt, encrypted, b"another")
        self.assertRaises(ValueError, self.server.decrypt, encrypted)

    def test_without_the_exchange_nothing_is_encrypted(self) -> None:
        self.assertRaises(ValueError, self.client.encrypt, b"too early")


if __name__ == "__main__":
    main(testRunner=TextTestRunner(descriptions=False, verbosity=2))
