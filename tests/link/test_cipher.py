"""The ciphers: which one an end prefers, which one two ends agree on, and what each seals."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import product

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from twisted.trial.unittest import SynchronousTestCase

from bittrrt import CommEncryptor
from bittrrt.errors import NotAuthentic
from bittrrt.link.cipher import agreed_cipher, preferred_cipher
from bittrrt.wire.datagram import OVERHEAD, pack_header
from bittrrt.wire.messages import CipherName

from ..agreement import agreed_pair
from .test_encryptor import keys_by_hand

AES: CipherName = "aes-256-gcm"
CHACHA: CipherName = "chacha20-poly1305"
INFO = {AES: b"bittrrt/1 datagrams aes-256-gcm", CHACHA: b"bittrrt/1 datagrams"}


def clock_of_tries(seconds: Iterable[float]) -> Callable[[], float]:
    """A clock on which the tries, from one call to the next in pairs, take these seconds."""
    times = [0.0]
    for taken in seconds:
        times += [times[-1] + taken, times[-1] + taken]
    return iter(times).__next__


class PreferenceTests(SynchronousTestCase):
    def test_the_faster_cipher_is_preferred(self) -> None:
        self.assertEqual(preferred_cipher(clock_of_tries([2e-6] * 5 + [8e-6] * 5)), AES)
        self.assertEqual(preferred_cipher(clock_of_tries([40e-6] * 5 + [8e-6] * 5)), CHACHA)

    def test_the_quickest_try_counts(self) -> None:
        tries = [1.0, 1.0, 1.0, 1.0, 2e-6] + [8e-6] * 5
        self.assertEqual(preferred_cipher(clock_of_tries(tries)), AES)

    def test_without_a_difference_it_is_chacha20(self) -> None:
        self.assertEqual(preferred_cipher(lambda: 5.0), CHACHA)

    def test_aes_needs_both_ends(self) -> None:
        agreed = {(one, other): agreed_cipher(one, other) for one, other in product((AES, CHACHA), repeat=2)}
        self.assertEqual(agreed.pop((AES, AES)), AES)
        self.assertEqual(set(agreed.values()), {CHACHA})


class SealingTests(SynchronousTestCase):
    def test_both_have_the_same_sizes(self) -> None:
        for name in (AES, CHACHA):
            one, other = agreed_pair(cipher=name)
            datagram = one.encrypt(b"payload", flags=3)
            self.assertEqual(len(datagram), 7 + OVERHEAD)
            self.assertEqual(other.decrypt(datagram), (3, 0, 0, 0, b"payload"))

    def test_aes_256_gcm_is_what_it_says_with_a_key_of_its_own(self) -> None:
        one, other = CommEncryptor(), CommEncryptor()
        keys = {cipher: keys_by_hand(one, other.get_public_key(), b"", INFO[cipher]) for cipher in INFO}
        self.assertEqual(len({key for both in keys.values() for key in both}), 4)
        lower = one.get_public_key() < other.get_public_key()
        key = keys[AES][0 if lower else 1]
        one.derive_shared_secret(other.get_public_key(), cipher=AES)
        datagram = one.encrypt(b"payload", b"with it", 0x21, 5, 6, 7)
        plain = AESGCM(key).decrypt(datagram[:12], datagram[12:], b"with it")
        self.assertEqual(plain, pack_header(0x21, 5, 6, 7) + b"payload")

    def test_ends_that_disagree_open_nothing(self) -> None:
        one, other = agreed_pair(cipher=AES, other_cipher=CHACHA)
        self.assertRaises(NotAuthentic, other.decrypt, one.encrypt(b""))
        self.assertRaises(NotAuthentic, one.decrypt, other.encrypt(b""))
